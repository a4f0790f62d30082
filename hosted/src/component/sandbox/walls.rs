//! Privileges, descriptors and Landlock.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::SandboxError;
use crate::component::SOCKET;

/// The newest Landlock version whose rights are asked for; an older kernel enforces those it knows.
const LANDLOCK: ABI = ABI::V6;

/// Gives up every privilege, now and later, and the process's ties to the terminal.
pub(super) fn drop_privileges() -> Result<(), SandboxError> {
    let failed = |call| move |error| SandboxError::System(call, error);
    // The terminal's Ctrl-C is for the kernel's process; it ends the others by closing their sockets.
    rustix::process::setsid().map_err(failed("setsid"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(failed("prctl(PR_SET_PDEATHSIG)"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(failed("capset"))?;
    // Nobody of the same user may read this process's memory or attach to it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("prctl(PR_SET_DUMPABLE)"))
}

/// Closes every descriptor but the socket and `kept`; the result is the highest that stays.
pub(super) fn close_descriptors(kept: impl Iterator<Item = i32>) -> Result<i32, SandboxError> {
    let mut kept: Vec<i32> = kept.chain([SOCKET]).collect();
    kept.sort_unstable();
    for pair in kept.windows(2) {
        close_between(pair[0] + 1, pair[1] - 1)?;
    }
    let last = *kept.last().expect("the socket is kept");
    close_between(last + 1, i32::MAX)?;
    Ok(last)
}

fn close_between(first: i32, last: i32) -> Result<(), SandboxError> {
    if first > last {
        return Ok(());
    }
    // SAFETY: close_range(2) takes three numbers. The descriptors it closes are owned by nobody in
    // this process: the socket's and the devices' owners are outside the range, the regions' are
    // gone, and std holds none that it would use again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        Ok(())
    } else {
        let code = std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO);
        Err(SandboxError::System(
            "close_range",
            Errno::from_raw_os_error(code),
        ))
    }
}

/// Handles every access that Landlock knows, and allows none.
pub(super) fn landlock() -> Result<(), SandboxError> {
    let status = ruleset().map_err(|error| SandboxError::Landlock(error.to_string()))?;
    match status {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err(SandboxError::Landlock(
            "this kernel does not enforce it".into(),
        )),
    }
}

fn ruleset() -> Result<RulesetStatus, landlock::RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset)
}

//! The system-call filter: the few calls that a component makes, each bound to its descriptor or clock.
//!
//! Anything else kills the process with SIGSYS. There is no call that opens, maps, protects,
//! forks, executes, signals or waits: everything a component needs was there before.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::SandboxError;
use crate::component::{SOCKET, Use};

/// Calls that are allowed whatever their arguments: they end the caller, or take it back to where a
/// signal interrupted it (std installs a handler that reports a stack overflow).
const ALWAYS: [libc::c_long; 3] = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];
/// The clocks that std reads, with clock_gettime(2) where the vDSO cannot. Other numbers name the
/// processor time of any process on the host.
const CLOCKS: [libc::clockid_t; 2] = [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC];

/// Installs the filter for a component with these devices.
pub(super) fn install(devices: &[(i32, Use)]) -> Result<(), SandboxError> {
    let program = build(devices).map_err(|error| SandboxError::Seccomp(error.to_string()))?;
    seccompiler::apply_filter(&program).map_err(|error| SandboxError::Seccomp(format!("{error:?}")))
}

fn build(devices: &[(i32, Use)]) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> = BTreeMap::new();
    rules.extend(ALWAYS.map(|call| (call, Vec::new())));
    let mut allow = |call, first| {
        let rule = where_first_is(first)?;
        rules.entry(call).or_default().push(rule);
        Ok::<(), seccompiler::BackendError>(())
    };
    for clock in CLOCKS {
        allow(libc::SYS_clock_gettime, clock)?;
    }
    allow(libc::SYS_read, SOCKET)?;
    allow(libc::SYS_write, SOCKET)?;
    for (descriptor, used) in devices {
        for call in calls(*used) {
            allow(*call, *descriptor)?;
        }
    }
    SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

/// The system calls that a use of a device consists of.
fn calls(used: Use) -> &'static [libc::c_long] {
    match used {
        Use::Disk => &[libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_fdatasync],
        Use::Input => &[libc::SYS_read],
        Use::Output => &[libc::SYS_write],
        Use::Alarm => &[libc::SYS_timerfd_settime],
    }
}

/// A rule that holds where the first argument is this. The kernel reads a descriptor or a clock's number
/// as 32 bits, and so does the rule.
fn where_first_is(first: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        u64::from(first.cast_unsigned()),
    )?])
}

//! Closes a component's process off from everything but its kernel.
//!
//! In this order: no new privileges, and none of the old ones; every descriptor closed but the
//! socket and the own devices; Landlock with every access handled and none allowed; limits on
//! processes, memory, descriptors and core files; last, because it forbids all of this, the
//! system-call filter. Each wall stands alone: what the filter lets through by mistake, Landlock refuses.

mod filter;
mod limits;
mod walls;

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::{Isolation, Use};

/// A wall that could not be closed.
#[derive(Debug)]
pub enum SandboxError {
    /// A system call failed.
    System(&'static str, Errno),
    /// Landlock is not enforced.
    Landlock(String),
    /// The system-call filter could not be built or installed.
    Seccomp(String),
}

/// Closes the sandbox around this process for good.
pub(super) fn close<'a>(
    isolation: &Isolation,
    devices: impl Iterator<Item = (BorrowedFd<'a>, Use)>,
) -> Result<(), SandboxError> {
    let devices: Vec<(i32, Use)> = devices
        .map(|(file, used)| (file.as_raw_fd(), used))
        .collect();
    walls::drop_privileges()?;
    let last = walls::close_descriptors(devices.iter().map(|(file, _)| *file))?;
    let used = limits::address_space()?;
    if isolation.landlock {
        walls::landlock()?;
    }
    limits::set(last, used)?;
    if isolation.seccomp {
        filter::install(&devices)?;
    }
    Ok(())
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(call, error) => write!(f, "{call}: {error}"),
            Self::Landlock(why) => write!(f, "Landlock: {why}"),
            Self::Seccomp(why) => write!(f, "seccomp: {why}"),
        }
    }
}

impl std::error::Error for SandboxError {}

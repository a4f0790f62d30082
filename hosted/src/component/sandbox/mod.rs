//! Closes a component's process off from everything but its kernel.
//!
//! In this order: no new privileges, and none of the old ones; every descriptor closed but the
//! socket and the own devices; Landlock with every access handled and none allowed; limits on
//! processes, memory, descriptors, files and core files; last, because it forbids all of this, the
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
    let devices: Vec<_> = devices.collect();
    let file = largest_file(&devices)?;
    let devices: Vec<(i32, Use)> = devices
        .into_iter()
        .map(|(file, used)| (file.as_raw_fd(), used))
        .collect();
    walls::drop_privileges()?;
    let last = walls::close_descriptors(devices.iter().map(|(file, _)| *file))?;
    let used = limits::address_space()?;
    if isolation.landlock {
        walls::landlock()?;
    }
    limits::set(last, used, file)?;
    if isolation.seccomp {
        filter::install(&devices)?;
    }
    Ok(())
}

/// How far a component may write a file: to the end of its disk, which so never grows. What is shown
/// may go to a file of any size.
fn largest_file(devices: &[(BorrowedFd<'_>, Use)]) -> Result<Option<u64>, SandboxError> {
    let mut largest = 0;
    for (file, used) in devices {
        match used {
            Use::Input | Use::Alarm => {}
            Use::Output => return Ok(None),
            Use::Disk => {
                let disk = rustix::fs::fstat(file)
                    .map_err(|error| SandboxError::System("fstat", error))?;
                largest = largest.max(disk.st_size as u64);
            }
        }
    }
    Ok(Some(largest))
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

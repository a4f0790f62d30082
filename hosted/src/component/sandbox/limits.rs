//! Resource limits of a component's process.

use rustix::process::{Resource, Rlimit, setrlimit};

use super::SandboxError;

/// Largest stack in bytes. A component's tables lie on it; the manager's, sized for 65,536 grants,
/// take the most, several times over where a debug build moves them.
const STACK: u64 = 64 << 20;

/// Sets the limits; `last` is the highest descriptor in use, `used` the address space, `file` the
/// offset in bytes from which on no file can be written; `None`: any can.
pub(super) fn set(last: i32, used: u64, file: Option<u64>) -> Result<(), SandboxError> {
    if let Some(file) = file {
        limit(Resource::Fsize, file)?;
    }
    // No further process or thread, descriptor, core file, locked memory, queue or timer.
    limit(Resource::Nproc, 0)?;
    limit(Resource::Nofile, last as u64 + 1)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Memlock, 0)?;
    limit(Resource::Msgqueue, 0)?;
    limit(Resource::Sigpending, 0)?;
    limit(Resource::Stack, STACK)?;
    limit(Resource::As, used + STACK)
}

/// Bytes of address space in use now. Nothing but the stack grows after this.
pub(super) fn address_space() -> Result<u64, SandboxError> {
    let failed = |error: std::io::Error| {
        let code = error.raw_os_error().unwrap_or(libc::EIO);
        SandboxError::System(
            "read /proc/self/statm",
            rustix::io::Errno::from_raw_os_error(code),
        )
    };
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(failed)?;
    let pages = statm
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or(SandboxError::System(
        "read /proc/self/statm",
        rustix::io::Errno::INVAL,
    ))?;
    Ok(pages * rustix::param::page_size() as u64)
}

fn limit(resource: Resource, most: u64) -> Result<(), SandboxError> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).map_err(|error| SandboxError::System("setrlimit", error))
}

//! The process of a component, seen from the kernel's.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::component::{ARGUMENT, DeviceSetup, Isolation, RegionSetup, Setup, Use, setup};
use crate::component::{Access, SetupError};
use crate::memory::Memory;

/// How often to look for the status of a process that is ending, and the pause in between: half a
/// second together, in which a loaded machine ends a process.
const ENDING_LOOKS: u32 = 500;
const ENDING_PAUSE: Duration = Duration::from_millis(1);

/// What a component's process is made from.
pub struct Start<'a> {
    /// Name of the component, which is its program's unless `program` says otherwise.
    pub name: String,
    /// Name of its program.
    pub program: String,
    /// The regions that it maps, under the names that its program knows them by.
    pub regions: Vec<(String, &'a Memory, Access)>,
    /// Its devices.
    pub devices: Vec<(String, BorrowedFd<'a>, Use)>,
    /// Numbers that its program is told.
    pub parameters: Vec<(String, u64)>,
}

/// Starts processes of components.
#[derive(Clone, Debug)]
pub struct Spawner {
    /// The executable: one whose `main` calls [`component_main`](crate::component_main) first.
    pub executable: PathBuf,
    /// The walls around each.
    pub isolation: Isolation,
}

/// A running component's process. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    socket: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl Spawner {
    /// A spawner of this process's own executable, with every wall.
    pub fn this_executable() -> Self {
        Self {
            executable: PathBuf::from("/proc/self/exe"),
            isolation: Isolation::FULL,
        }
    }

    /// Starts a process and gives it what it needs. It then waits for its turn. `tick` is how long
    /// the kernel waits for its packets at a time.
    pub(crate) fn start(&self, start: &Start<'_>, tick: Duration) -> Result<Process, SetupError> {
        let failed = |call| move |error| SetupError::System(call, error);
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(failed("socketpair"))?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(tick))
            .map_err(failed("setsockopt"))?;
        let child = Command::new(&self.executable)
            .arg(ARGUMENT)
            .arg(&start.name)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                let code = error.raw_os_error().unwrap_or(libc::EIO);
                SetupError::System("execve", rustix::io::Errno::from_raw_os_error(code))
            })?;
        let process = Process {
            child,
            socket: ours,
        };
        process.give(start, self.isolation)?;
        Ok(process)
    }
}

impl Process {
    fn give(&self, start: &Start<'_>, isolation: Isolation) -> Result<(), SetupError> {
        let mut descriptors = Vec::new();
        let mut regions = Vec::new();
        for (name, memory, access) in &start.regions {
            let file = memory.descriptor(*access);
            descriptors
                .push(file.map_err(|_| SetupError::Map(name.clone(), rustix::io::Errno::ACCESS))?);
            regions.push(RegionSetup {
                name: name.clone(),
                size: memory.size(),
                access: *access,
            });
        }
        let mut devices = Vec::new();
        for (name, file, used) in &start.devices {
            descriptors.push(*file);
            devices.push(DeviceSetup {
                name: name.clone(),
                used: *used,
            });
        }
        let setup = Setup {
            program: start.program.clone(),
            regions,
            devices,
            parameters: start.parameters.clone(),
            isolation,
        };
        setup::send(&self.socket, &setup, &descriptors)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The kernel's end of the socket.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// How the process, whose socket is closed, ended. One that only closed its socket is ended.
    pub(crate) fn ended(&mut self) -> Ended {
        // A process that ends closes its descriptors shortly before its status can be read.
        for _ in 0..ENDING_LOOKS {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.into(),
                Ok(None) => std::thread::sleep(ENDING_PAUSE),
                Err(_) => break,
            }
        }
        self.end()
    }

    /// Ends the process, if it has not ended, and says how it did.
    pub(crate) fn end(&mut self) -> Ended {
        // A process that is gone already cannot be killed, and keeps its status.
        let _ = self.child.kill();
        self.child.wait().map_or(Ended::Exited(-1), Ended::from)
    }

    /// Processor time that it has used.
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Fields 14 and 15, user and system time in clock ticks (proc(5)); the second field, the
        // name in parentheses, may hold spaces.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks = fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok());
        let each = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_nanos(ticks.sum::<u64>() * each))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signalled(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "its process exited with status {code}"),
            Self::Signalled(libc::SIGSYS) => {
                f.write_str("killed by SIGSYS: it made a system call that its sandbox forbids")
            }
            Self::Signalled(signal) => write!(f, "its process was killed by signal {signal}"),
        }
    }
}

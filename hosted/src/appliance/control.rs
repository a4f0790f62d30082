//! The control socket: where a running appliance tells its operator which grants its slots hold.
//!
//! A Unix socket in the state directory, which only its owner can enter. Whoever connects is sent
//! one scan and is asked nothing; so nothing can be changed through it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_audit::capscan::{Comparison, LogError, Scan, compare_with_log};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

/// Name of the socket in the state directory.
const NAME: &str = "control.sock";
/// How long one who asks and does not read may hold the kernel up.
const PATIENCE: Duration = Duration::from_millis(200);
/// Largest scan that is read, in bytes: 65,536 grants of some 100 bytes.
const MAX_SCAN: usize = 16 << 20;
/// How long an answer may take as a whole: a scan of so many grants takes milliseconds.
const ANSWER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// The listening end. The socket's file goes with it.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// Why there is no scan.
#[derive(Debug)]
pub enum ControlError {
    /// No appliance runs on this state directory.
    NotRunning(PathBuf),
    /// Whether one runs cannot be told.
    Unreachable(PathBuf, io::Error),
    /// It runs, and did not answer as it should.
    Answer(io::Error),
    /// The log on its disk, or the policy that it names, cannot be read or does not hold.
    Log(LogError),
}

impl Control {
    /// Listens in a state directory, which this process owns: a socket that is there was left
    /// behind.
    pub(super) fn listen(state: &Path) -> io::Result<Self> {
        let path = state.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(short_path(&File::open(state)?))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Answers whoever connected. One that does not read goes without.
    pub(super) fn answer(&self, scan: &Scan) {
        let Ok((mut stream, _)) = self.listener.accept() else {
            return;
        };
        let bytes = postcard::to_allocvec(scan).expect("a scan is plain data");
        let _ = stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| stream.write_all(&bytes));
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Asks the appliance that runs on a state directory what its grant slots hold.
pub fn scan_of(state: &Path) -> Result<Scan, ControlError> {
    let directory = File::open(state).map_err(|error| unreachable(state, error))?;
    let stream = connect(&short_path(&directory)).map_err(|error| unreachable(state, error))?;
    let bytes = read(stream).map_err(ControlError::Answer)?;
    postcard::from_bytes(&bytes).map_err(|_| {
        ControlError::Answer(io::Error::new(
            io::ErrorKind::InvalidData,
            "the scan is cut off",
        ))
    })
}

/// Connects without waiting for one who takes no connection.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Reads an answer until whoever gives it ends it, and for no longer than it may take.
fn read(mut stream: UnixStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + ANSWER;
    let (mut bytes, mut part) = (Vec::new(), [0; 1 << 16]);
    while bytes.len() < MAX_SCAN {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(&part[..read]),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                _ => return Err(error),
            },
        }
    }
    let text = format!("not within {} s and {MAX_SCAN} bytes", ANSWER.as_secs());
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Nobody listens, or it cannot be told.
fn unreachable(state: &Path, error: io::Error) -> ControlError {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match error.kind() {
        NotFound | ConnectionRefused => ControlError::NotRunning(state.to_owned()),
        _ => ControlError::Unreachable(state.to_owned(), error),
    }
}

/// Holds the slots of the appliance that runs on a state directory against the log on its disk.
pub fn capscan_of(state: &Path) -> Result<Comparison, ControlError> {
    compare_with_log(&scan_of(state)?, state).map_err(ControlError::Log)
}

/// The socket's path by way of the open directory: a socket's own path has at most 107 bytes.
fn short_path(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(NAME)
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(path) => write!(
                f,
                "no appliance runs on {}: start one with `portcullis run`, or name its directory \
                 with --state",
                path.display()
            ),
            Self::Unreachable(path, error) => write!(
                f,
                "cannot ask the appliance of {}: {error}; only who runs it may ask",
                path.display()
            ),
            Self::Log(error) => error.fmt(f),
            Self::Answer(error) => write!(f, "the appliance did not answer: {error}"),
        }
    }
}

impl std::error::Error for ControlError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who listens and says nothing, or a byte now and then, or takes no connection.
    #[test]
    fn nobody_is_waited_for_who_does_not_answer() {
        let scratch = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(scratch.path().join(NAME)).unwrap();
        let asked = || {
            let start = Instant::now();
            let error = scan_of(scratch.path()).unwrap_err();
            (error, start.elapsed() < 5 * ANSWER)
        };
        assert!(matches!(asked(), (ControlError::Answer(_), true)));
        std::thread::scope(|scope| {
            let dribble = scope.spawn(|| {
                let _silent = listener.accept().unwrap();
                let (mut stream, _) = listener.accept().unwrap();
                while stream.write_all(&[0]).is_ok() {
                    std::thread::sleep(ANSWER / 10);
                }
            });
            assert!(matches!(asked(), (ControlError::Answer(_), true)));
            dribble.join().unwrap();
        });
        // As many as wait, none of whom is taken.
        let waiting: Vec<_> =
            std::iter::from_fn(|| connect(&scratch.path().join(NAME)).ok()).collect();
        assert!(!waiting.is_empty());
        assert!(matches!(asked(), (ControlError::Unreachable(..), true)));
    }

    #[test]
    fn one_who_may_not_look_is_not_told_that_nothing_runs() {
        let state = Path::new("state");
        let asked = |kind| unreachable(state, io::Error::from(kind));
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused] {
            assert!(matches!(asked(kind), ControlError::NotRunning(_)));
        }
        let refused = asked(io::ErrorKind::PermissionDenied).to_string();
        assert!(
            refused.contains("state") && !refused.contains("no appliance"),
            "{refused}"
        );
        let scratch = tempfile::tempdir().unwrap();
        let found = scan_of(scratch.path());
        assert!(matches!(found, Err(ControlError::NotRunning(_))));
        // A file where the directory should be.
        let found = scan_of(tempfile::NamedTempFile::new().unwrap().path());
        assert!(matches!(found, Err(ControlError::Unreachable(..))));
    }
}

//! What an appliance keeps between runs: a directory that one run at a time owns.
//!
//! | file             | what                                                              |
//! |------------------|-------------------------------------------------------------------|
//! | `disk.img`       | the disk: documents, grant log, ledger                            |
//! | `policy.key`     | private key that policies are signed with; `policy.pub`, its public one |
//! | `ledger.key`     | seed of the key that signs checkpoints; `ledger.vkey`, to verify with |
//! | `vault.key`      | key that documents are encrypted with                             |
//! | `policies/`      | every compiled policy that was in force, by the hash of its body  |
//! | `appliance.policy` | the one in force                                                |
//! | `inbox.bundle`   | the documents of the last run                                     |
//! | `lock`           | held by the run that owns the directory                           |
//! | `control.sock`   | where the running appliance answers `portcullis capscan`          |
//!
//! Private files have mode 0600. A key is written under another name, made durable, then renamed:
//! a cut leaves none or a whole one.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use portcullis_blk::{BLOCK, DiskId, Header, HeaderError};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::checkpoint::origin;
use portcullis_log::note::Verifier;
use portcullis_policy::keys;
use portcullis_policy_format::Policy;
use rustix::fs::FlockOperation;

use crate::disk::FileDisk;

/// Size of a new disk in bytes: room for a dozen of the largest documents. The file is sparse, so
/// it takes no more than what is written.
const DISK_SIZE: u64 = 1 << 30;
/// Readable and writable by its owner alone.
const PRIVATE: u32 = 0o600;
/// Bytes of a secret key.
const SECRET: usize = 32;
/// How long the driver of a run that was killed may take to end, and how often to look. It has one
/// write of 256 KiB or one flush under way; a disk that takes longer is stuck.
const ENDING: Duration = Duration::from_secs(10);
/// How long a process that was forked by the run before, and is not its component yet, may hold the
/// directory: until it executes, which takes long on a loaded machine only.
const FORKED: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A state directory, owned until dropped.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
    /// Signs policies.
    pub policy_key: SigningKey,
    /// Whether this run made the disk.
    pub is_new: bool,
}

/// Why a state directory cannot be used.
#[derive(Debug)]
pub enum StateError {
    /// A file could not be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// What was done with it.
        doing: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// Another run owns the directory.
    InUse(PathBuf),
    /// A file of the directory does not hold what it should.
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system gives no random bytes.
    NoEntropy(String),
}

impl State {
    /// Opens the directory, and makes it and what is missing in it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(file_error(path, "create"))?;
        let path = fs::canonicalize(path).map_err(file_error(path, "find"))?;
        let lock = lock(&path)?;
        let policies = path.join("policies");
        fs::create_dir_all(&policies).map_err(file_error(&policies, "create"))?;
        let policy_key = policy_key(&path)?;
        let ledger = SigningKey::from_bytes(&secret(&path.join("ledger.key"))?);
        secret(&path.join("vault.key"))?;
        let (id, is_new) = disk(&path.join("disk.img"))?;
        verifier_keys(&path.join("ledger.vkey"), &ledger, LogId(id))?;
        Ok(Self {
            path,
            _lock: lock,
            policy_key,
            is_new,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file of the directory.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StateError> {
        let path = self.file(name);
        fs::read(&path).map_err(file_error(&path, "read"))
    }

    /// Makes `compiled` the policy in force, and keeps it for whoever reads the log later.
    pub fn keep_policy(&self, compiled: &[u8]) -> Result<(), StateError> {
        let path = self.file("appliance.policy");
        let policy = Policy::inspect(compiled).map_err(|error| StateError::Damaged {
            path: path.clone(),
            why: error.to_string(),
        })?;
        let name = format!("{}.policy", keys::hexadecimal(policy.sha256()));
        write_whole(&self.path.join("policies").join(name), compiled, 0o644)?;
        write_whole(&path, compiled, 0o644)
    }

    /// Opens the disk, to hand it to its driver, and locks it for as long as the driver has it: the
    /// driver of a run that was killed may still be busy with its last write.
    pub fn open_disk(&self) -> Result<File, StateError> {
        let path = self.file("disk.img");
        let options = OpenOptions::new().read(true).write(true).open(&path);
        let disk = options.map_err(file_error(&path, "open"))?;
        if lock_within(ENDING, &disk, &path)? {
            Ok(disk)
        } else {
            Err(StateError::InUse(self.path.clone()))
        }
    }
}

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StateError::NoEntropy(error.to_string()))?;
    Ok(bytes)
}

fn lock(directory: &Path) -> Result<File, StateError> {
    let path = directory.join("lock");
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = options.map_err(file_error(&path, "open"))?;
    if lock_within(FORKED, &file, &path)? {
        Ok(file)
    } else {
        Err(StateError::InUse(directory.to_owned()))
    }
}

/// Locks a file until its last descriptor is closed; whether nobody else has it locked for longer than
/// `patience`.
fn lock_within(patience: Duration, file: &File, path: &Path) -> Result<bool, StateError> {
    let start = Instant::now();
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < patience => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(file_error(path, "lock")(error.into())),
        }
    }
}

fn policy_key(directory: &Path) -> Result<SigningKey, StateError> {
    let path = directory.join("policy.key");
    let key = if path.exists() {
        let text = fs::read_to_string(&path).map_err(file_error(&path, "read"))?;
        keys::read_private(&text).map_err(|error| StateError::Damaged {
            path: path.clone(),
            why: error.to_string(),
        })?
    } else {
        let key = SigningKey::from_bytes(&random::<SECRET>()?);
        write_whole(&path, keys::write_private(&key).as_bytes(), PRIVATE)?;
        key
    };
    let public = directory.join("policy.pub");
    write_whole(&public, key.verifying_key().as_bytes(), 0o644)?;
    Ok(key)
}

/// The secret in a file, which is made where there is none.
fn secret(path: &Path) -> Result<[u8; SECRET], StateError> {
    if !path.exists() {
        write_whole(path, &random::<SECRET>()?, PRIVATE)?;
    }
    let bytes = fs::read(path).map_err(file_error(path, "read"))?;
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| StateError::Damaged {
            path: path.to_owned(),
            why: format!("{} bytes are no key: it has {SECRET}", bytes.len()),
        })
}

/// The id of the disk, which is made where there is none.
fn disk(path: &Path) -> Result<(DiskId, bool), StateError> {
    let damaged = |why: String| StateError::Damaged {
        path: path.to_owned(),
        why,
    };
    let is_new = !path.exists();
    if is_new {
        make_disk(path)?;
    }
    let file = File::open(path).map_err(file_error(path, "open"))?;
    let blocks = FileDisk::blocks_of(&file).map_err(file_error(path, "read"))?;
    let mut disk = FileDisk::new(file.into(), blocks);
    let mut block = [0; BLOCK];
    // The header, or else its copy in the last block.
    let mut refused = None;
    let header = [0, blocks.saturating_sub(1)].into_iter().find_map(|at| {
        portcullis_blk::Disk::read(&mut disk, at, &mut block).ok()?;
        let decoded = Header::decode(&block);
        decoded.map_err(|error| refused = Some(error)).ok()
    });
    let header = header.ok_or_else(|| match refused {
        Some(HeaderError::Magic) | None => damaged("it has no header of a Portcullis disk".into()),
        Some(error) => damaged(error.to_string()),
    })?;
    Ok((*header.id(), is_new))
}

fn make_disk(path: &Path) -> Result<(), StateError> {
    let fresh = path.with_extension("new");
    let made = (|| {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE)
            .open(&fresh)?;
        file.set_len(DISK_SIZE)?;
        Ok(file)
    })();
    let file: File = made.map_err(file_error(&fresh, "create"))?;
    let blocks = DISK_SIZE / BLOCK as u64;
    let initialised = Header::new(blocks, random()?)
        .map_err(|error| error.to_string())
        .and_then(|header| {
            let mut disk = FileDisk::new(file.into(), blocks);
            portcullis_blk::initialise(&mut disk, &header).map_err(|error| error.to_string())
        });
    initialised.map_err(|why| StateError::Damaged {
        path: fresh.clone(),
        why,
    })?;
    move_to(&fresh, path).map_err(file_error(path, "rename"))
}

/// Writes the keys that verify the checkpoints of both logs: C2SP verifier keys, one a line.
fn verifier_keys(path: &Path, key: &SigningKey, log: LogId) -> Result<(), StateError> {
    let lines = [LogKind::Grants, LogKind::Worm].map(|kind| {
        let name = origin(kind, log);
        let verifier = Verifier::new(&name, key.verifying_key());
        verifier
            .map(|verifier| format!("{verifier}\n"))
            .expect("an origin is a sound key name")
    });
    write_whole(path, lines.concat().as_bytes(), 0o644)
}

/// Writes a file as a whole: whoever reads it sees the old content or the new.
fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), StateError> {
    let fresh = path.with_extension("new");
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        move_to(&fresh, path)
    })();
    written.map_err(file_error(path, "write"))
}

/// Moves a durable file to its place, durably: what is written to it later is not lost with its name.
fn move_to(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::rename(fresh, path)?;
    let directory = path.parent().expect("a file of the state directory");
    File::open(directory)?.sync_all()
}

fn file_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::File {
        path: path.to_owned(),
        doing,
        error,
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, doing, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())
            }
            Self::InUse(path) => write!(
                f,
                "another appliance runs on {}: end it, or name another directory with --state",
                path.display()
            ),
            Self::Damaged { path, why } => write!(f, "{}: {why}", path.display()),
            Self::NoEntropy(why) => write!(f, "the system gives no random bytes: {why}"),
        }
    }
}

impl std::error::Error for StateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_second_run_finds_what_the_first_made() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/state");
        let first = State::open(&path).unwrap();
        assert!(first.is_new);
        let keys = [
            "policy.key",
            "ledger.key",
            "vault.key",
            "ledger.vkey",
            "policy.pub",
        ];
        let before = keys.map(|name| first.read(name).unwrap());
        drop(first);
        let second = State::open(&path).unwrap();
        assert!(!second.is_new);
        assert_eq!(keys.map(|name| second.read(name).unwrap()), before);
    }

    #[test]
    fn private_files_are_private() {
        let scratch = tempfile::tempdir().unwrap();
        let state = State::open(scratch.path()).unwrap();
        for name in ["policy.key", "ledger.key", "vault.key", "disk.img"] {
            let mode = fs::metadata(state.file(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, PRIVATE, "{name}");
        }
    }

    #[test]
    fn two_runs_do_not_share_a_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let first = State::open(scratch.path()).unwrap();
        let second = State::open(scratch.path()).unwrap_err();
        assert!(matches!(second, StateError::InUse(_)));
        assert!(second.to_string().contains("--state"));
        drop(first);
        State::open(scratch.path()).unwrap();
    }

    #[test]
    fn a_run_waits_for_a_process_that_the_one_before_forked() {
        let scratch = tempfile::tempdir().unwrap();
        let state = State::open(scratch.path()).unwrap();
        // What a fork leaves until it executes: another descriptor of the same lock.
        let forked = state._lock.try_clone().unwrap();
        drop(state);
        let path = scratch.path().to_owned();
        let next = std::thread::spawn(move || State::open(&path).unwrap());
        std::thread::sleep(10 * LOCK_PAUSE);
        assert!(!next.is_finished());
        drop(forked);
        next.join().unwrap();
    }

    #[test]
    fn a_run_waits_for_the_driver_of_the_one_before() {
        let scratch = tempfile::tempdir().unwrap();
        let state = State::open(scratch.path()).unwrap();
        let driver_s = state.open_disk().unwrap();
        // The kernel's process is gone, and the driver's not yet.
        drop(state);
        let path = scratch.path().to_owned();
        let next = std::thread::spawn(move || State::open(&path).unwrap().open_disk().unwrap());
        std::thread::sleep(10 * LOCK_PAUSE);
        assert!(!next.is_finished());
        drop(driver_s);
        next.join().unwrap();
    }

    #[test]
    fn damaged_files_are_refused_and_named() {
        for (name, content) in [
            ("ledger.key", &b"short"[..]),
            ("policy.key", b"x"),
            ("disk.img", b""),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            drop(State::open(scratch.path()).unwrap());
            fs::write(scratch.path().join(name), content).unwrap();
            let error = State::open(scratch.path()).unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_disk_is_one_that_its_driver_and_auditors_know() {
        let scratch = tempfile::tempdir().unwrap();
        let state = State::open(scratch.path()).unwrap();
        let audited = portcullis_audit::state::State::open(state.path()).unwrap();
        let ledger = SigningKey::from_bytes(&state.read("ledger.key").unwrap().try_into().unwrap());
        for kind in [LogKind::Grants, LogKind::Worm] {
            let keys = audited.keys(kind).unwrap();
            let keys: Vec<_> = keys.iter().map(|key| *key.verifier().key()).collect();
            assert_eq!(keys, [ledger.verifying_key()]);
        }
    }
}

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
//! | `grants.checkpoint`, `worm.checkpoint` | what the disk must still have at the next start |
//! | `left/`          | disks, keys and checkpoints of histories that were left behind    |
//! | `lock`           | held by the run that owns the directory                           |
//! | `control.sock`   | where the running appliance answers `portcullis capscan`          |
//!
//! The directory and its private files belong to whoever runs this, and are closed to others; else they
//! are refused. So is any other file or folder in it that is a link or somebody else's, and a folder that others may
//! write, before anything is written. A secret is in memory only while it is used.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use portcullis_files::{Mode, Refused, open_private, own, own_directory};
use portcullis_log::block::{LogId, LogKind};
use portcullis_policy::keys::hexadecimal;
use portcullis_policy_format::Policy;
use rustix::fs::{FlockOperation, OFlags};

use crate::error::{StateError, file_error};
use crate::history::{Began, Begin, is_there, settle, unvouched};
use crate::keys::{VERIFIERS, ledger_key, policy_key, verifier_keys, write};
use crate::logs::DISK;

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
    /// The id of the disk's logs.
    pub id: LogId,
    /// How this run began.
    pub began: Began,
    /// The logs of which nobody can tell whether they went back since the last run: they have records, and
    /// no checkpoint is kept of them.
    pub unvouched: Vec<LogKind>,
}

impl State {
    /// Opens the directory; makes it, and what is in it, where there is none.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        Self::begin(path, Begin::GoOn)
    }

    /// The same; `begin` says what to do where the disk is not the one that the directory knows.
    pub fn begin(path: &Path, begin: Begin) -> Result<Self, StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(file_error(path, "create"))?;
        let path = fs::canonicalize(path).map_err(file_error(path, "find"))?;
        own_directory(&path)?;
        own_entries(&path)?;
        let lock = lock(&path)?;
        let removed = portcullis_files::remove_leftovers(&path);
        removed.map_err(file_error(&path, "clear"))?;
        let policies = path.join("policies");
        builder
            .create(&policies)
            .map_err(file_error(&policies, "create"))?;
        own_entries(&policies)?;
        // The driver of a killed run may still write. A disk that is gone or refused is judged below.
        if begin == Begin::NewHistory
            && let Err(error @ StateError::InUse(_)) = open_disk(&path)
        {
            return Err(error);
        }
        let (id, began) = settle(&path, begin)?;
        let unvouched = match began {
            Began::GoesOn => unvouched(&path)?,
            Began::New | Began::NewHistory(_) => Vec::new(),
        };
        let verifiers = path.join(VERIFIERS);
        if !is_there(&path, VERIFIERS)? {
            verifier_keys(&verifiers, &ledger_key(&path)?, id)?;
        }
        policy_key(&path)?;
        Ok(Self {
            path,
            _lock: lock,
            id,
            began,
            unvouched,
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

    /// The key that policies are signed with.
    pub fn policy_key(&self) -> Result<SigningKey, StateError> {
        policy_key(&self.path)
    }

    /// Makes `compiled` the policy in force, and keeps it for whoever reads the log later.
    pub fn keep_policy(&self, compiled: &[u8]) -> Result<(), StateError> {
        let path = self.file("appliance.policy");
        let policy = Policy::inspect(compiled).map_err(|error| StateError::Damaged {
            path: path.clone(),
            why: error.to_string(),
        })?;
        let name = format!("{}.policy", hexadecimal(policy.sha256()));
        for path in [self.path.join("policies").join(name), path] {
            write(&path, compiled, Mode::Public)?;
        }
        Ok(())
    }

    /// Opens the disk, to hand it to its driver, and locks it for as long as the driver has it: the
    /// driver of a run that was killed may still be busy with its last write.
    pub fn open_disk(&self) -> Result<File, StateError> {
        open_disk(&self.path)
    }
}

/// Checks, before anything is written, that nothing in a folder leads elsewhere or is somebody else's.
fn own_entries(folder: &Path) -> Result<(), StateError> {
    for entry in fs::read_dir(folder).map_err(file_error(folder, "list"))? {
        let entry = entry.map_err(file_error(folder, "list"))?;
        match own(&entry.path()) {
            // A run that has the directory took it away.
            Err(Refused::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            owned => owned?,
        }
    }
    Ok(())
}

fn open_disk(directory: &Path) -> Result<File, StateError> {
    let path = directory.join(DISK);
    let disk = open_private(&path, true)?;
    if lock_within(ENDING, &disk, &path)? {
        Ok(disk)
    } else {
        Err(StateError::InUse(directory.to_owned()))
    }
}

fn lock(directory: &Path) -> Result<File, StateError> {
    let path = directory.join("lock");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(
        &path,
        flags,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    );
    let file = File::from(opened.map_err(|error| file_error(&path, "open")(error.into()))?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_second_run_finds_what_the_first_made() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/state");
        let first = State::open(&path).unwrap();
        assert_eq!(first.began, Began::New);
        let keys = [
            "policy.key",
            "ledger.key",
            "vault.key",
            "ledger.vkey",
            "policy.pub",
        ];
        let before = keys.map(|name| fs::read(first.file(name)).unwrap());
        drop(first);
        let second = State::open(&path).unwrap();
        assert_eq!(second.began, Began::GoesOn);
        assert_eq!(
            keys.map(|name| fs::read(second.file(name)).unwrap()),
            before
        );
    }

    #[test]
    fn private_files_are_private() {
        let scratch = tempfile::tempdir().unwrap();
        let state = State::open(scratch.path()).unwrap();
        for name in ["policy.key", "ledger.key", "vault.key", "disk.img"] {
            let mode = fs::metadata(state.file(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
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
    fn what_leads_elsewhere_or_is_somebody_else_s_is_refused_before_anything_is_written() {
        use std::os::unix::fs::{chown, symlink};
        let names = [
            "policies",
            "policies/a.policy",
            "appliance.policy",
            "policy.pub",
            "ledger.vkey",
            "lock",
        ];
        let scratch = tempfile::tempdir().unwrap();
        let elsewhere = scratch.path().join("elsewhere");
        for name in names {
            let path = scratch.path().join(name.replace('/', "-"));
            drop(State::open(&path).unwrap());
            let entry = path.join(name);
            let refused = |part: &str| {
                let error = State::open(&path).unwrap_err();
                assert!(matches!(error, StateError::Refused(_)), "{name}: {error}");
                assert!(error.to_string().contains(part), "{name}: {error}");
            };
            let is_folder = name == "policies";
            if is_folder {
                fs::remove_dir(&entry).unwrap();
                fs::create_dir(&elsewhere).unwrap();
            } else {
                let _ = fs::remove_file(&entry);
                fs::write(&elsewhere, "").unwrap();
            }
            symlink(&elsewhere, &entry).unwrap();
            refused("is a symbolic link");
            fs::rename(&elsewhere, &entry)
                .or_else(|_| fs::remove_file(&entry))
                .unwrap();
            if is_folder {
                fs::create_dir(&entry).unwrap();
                fs::set_permissions(&entry, fs::Permissions::from_mode(0o777)).unwrap();
                refused("is open to others");
                fs::set_permissions(&entry, fs::Permissions::from_mode(0o755)).unwrap();
            }
            // Only root can give it away.
            if chown(&entry, Some(12_345), None).is_ok() {
                refused("belongs to user 12345");
                chown(&entry, Some(0), None).unwrap();
            }
            let _ = fs::remove_dir(&elsewhere);
        }
    }

    #[test]
    fn damaged_files_are_refused_and_named() {
        for (name, content) in [
            ("ledger.key", &b"short"[..]),
            ("policy.key", b"x"),
            ("disk.img", b""),
            ("worm.checkpoint", b"no note"),
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
        let ledger = ledger_key(state.path()).unwrap();
        for kind in [LogKind::Grants, LogKind::Worm] {
            let keys = audited.keys(kind).unwrap();
            let keys: Vec<_> = keys.iter().map(|key| *key.verifier().key()).collect();
            assert_eq!(keys, [ledger.verifying_key()]);
        }
    }
}

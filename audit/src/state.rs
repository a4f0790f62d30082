//! What an appliance leaves on a host: its disk, and what its logs are held against.
//!
//! A path names either a disk image, or a state directory:
//!
//! | file              | what                                                                   |
//! |-------------------|------------------------------------------------------------------------|
//! | `disk.img`        | the disk                                                               |
//! | `ledger.vkey`     | verifier keys (`name+hash+key`), one a line, named after a log's origin |
//! | `policies/`       | every compiled policy that was in force, `*.policy`                    |
//! | `*.checkpoint`    | checkpoints that the logs signed earlier                               |
//!
//! Whoever wrote the directory wrote all of it. Its keys say that the directory agrees with itself, and
//! nothing else: keys that are named take their place. Its checkpoints find that a log was cut back by
//! accident or by somebody who does not know of them; against others only a checkpoint kept elsewhere
//! helps: cut back to an earlier commit, a log is a perfect log.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portcullis_fsck::{
    At, Findings, Keys, LogKey, LogSummary, Place, Progress, Records, Region, Sink, What, Which,
    disk_id, read_log,
};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::checkpoint::{Checkpoint, CheckpointError, origin};
use portcullis_log::note::{NOTE_MAX, Note, NoteError};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::files::{self, FileError, Said};
use crate::keys::{Key, KeyError, Keyring};
use crate::policies::{Policies, PoliciesError};
use crate::verify::{Report, checkpoint_note, verify};

/// Name of the disk in a state directory.
pub const DISK: &str = "disk.img";
/// Name of the file of verifier keys.
pub const KEYS: &str = "ledger.vkey";
/// Name of the folder of compiled policies.
pub const POLICIES: &str = "policies";
/// Extension of a checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// Both logs.
pub const LOGS: [LogKind; 2] = [LogKind::Grants, LogKind::Worm];

/// A disk, and what its logs are held against.
#[derive(Debug)]
pub struct State {
    disk: File,
    path: PathBuf,
    log: LogId,
    in_use: bool,
    keys: Keyring,
    /// It is a state directory, and no disk alone.
    is_directory: bool,
    /// The keys were named, and are not those of the directory.
    named: bool,
    witnesses: Keyring,
    checkpoints: Vec<Kept>,
    policies: Policies,
}

/// A checkpoint that a log signed earlier.
#[derive(Debug)]
struct Kept {
    kind: LogKind,
    file: PathBuf,
    said: Said,
    text: String,
    /// The witnesses that cosigned it, of those whose keys were named.
    cosigned_by: Vec<String>,
}

/// Why a state cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is neither a state directory nor a disk image.
    #[error(
        "there is no {path}: name a state directory (`portcullis run` makes one) or a disk image",
        path = path.display()
    )]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// The disk of a state directory is gone.
    #[error(
        "there is no {path}, and its keys are here: restore it from a copy, or begin another history with \
         `portcullis run --new-history`, which records that",
        path = path.display()
    )]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: FileError,
    },
    /// The file is not a Portcullis disk.
    #[error("{path}: this is not a Portcullis disk", path = path.display())]
    NotADisk {
        /// Which.
        path: PathBuf,
        /// The file.
        file: File,
    },
    /// Nobody says whether the disk is in use.
    #[error("cannot tell whether {path} is in use: {error}", path = path.display())]
    Use {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key is at hand for a log.
    #[error("no key named {origin} is {}", if *named {
        "among those that were named: name a file that holds it with --key"
    } else {
        "at hand: name a file that holds it with --key"
    })]
    NoKey {
        /// The log's origin, which is the key's name.
        origin: String,
        /// Others were named.
        named: bool,
    },
    /// A file is not a signed note, or no key at hand signed it.
    #[error("{path}: {error}", path = path.display())]
    Note {
        /// Which.
        path: PathBuf,
        /// Why.
        error: NoteError,
    },
    /// A signed note is not a checkpoint.
    #[error("{path}: {error}", path = path.display())]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// Why.
        error: CheckpointError,
    },
    /// A checkpoint is of another log.
    #[error("{path} is a checkpoint of {origin}, which is no log of this disk", path = path.display())]
    OtherLog {
        /// Which.
        path: PathBuf,
        /// The log it is of.
        origin: String,
    },
    /// A checkpoint is of the other log than the one that is read.
    #[error(
        "{path} is a checkpoint of the log {kind}, and {other} is read: name one of {other}, or read {kind}",
        path = path.display()
    )]
    OtherKind {
        /// Which.
        path: PathBuf,
        /// The log that it is of.
        kind: &'static str,
        /// The log that is read.
        other: &'static str,
    },
    /// A checkpoint that was named lacks the signature of a witness.
    #[error("{path} is not cosigned by {witness}", path = path.display())]
    NotWitnessed {
        /// Which.
        path: PathBuf,
        /// The witness.
        witness: String,
    },
    /// Policies cannot be read.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
}

impl StateError {
    /// Whether something other than the input is in the way.
    pub fn is_in_the_way(&self) -> bool {
        let file = match self {
            Self::Missing { .. } | Self::Gone { .. } => return true,
            Self::NoKey { .. } | Self::Use { .. } => return true,
            Self::Key(KeyError::Empty { .. }) | Self::Policies(PoliciesError::Empty { .. }) => {
                return true;
            }
            Self::File { error, .. } | Self::Key(KeyError::File { error, .. }) => error,
            Self::Policies(PoliciesError::File { error, .. }) => error,
            _ => return false,
        };
        matches!(file, FileError::Io(_))
    }
}

impl State {
    /// Opens a disk image or a state directory.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        Self::open_with(path, &[])
    }

    /// The same; where files of keys are named, no other key is trusted.
    pub fn open_with(path: &Path, keys: &[PathBuf]) -> Result<Self, StateError> {
        let directory = path.is_dir();
        let (image, said) = if directory {
            (path.join(DISK), Said::Found)
        } else {
            (path.to_owned(), Said::Named)
        };
        let mut disk = files::open(&image, said).map_err(|error| {
            let path = image.clone();
            match error {
                error if !error.is_missing() => in_file(&image)(error),
                _ if !directory => StateError::Missing { path },
                _ => match portcullis_files::is_there(&path.with_file_name(KEYS)) {
                    Ok(true) => StateError::Gone { path },
                    Ok(false) => StateError::Missing { path },
                    Err(error) => in_file(&path)(error.into()),
                },
            }
        })?;
        let failed = |error| in_file(&image)(FileError::Io(error));
        let in_use = is_in_use(&disk).map_err(|error| {
            let path = image.clone();
            StateError::Use { path, error }
        })?;
        // Of an appliance that was killed, not all of it may be: and what is vouched for from here on
        // must not go with the power.
        disk.sync_data().map_err(failed)?;
        let id = disk_id(&mut disk).map_err(failed)?;
        let Some(log) = id.map(LogId) else {
            let (path, file) = (image, disk);
            return Err(StateError::NotADisk { path, file });
        };
        let mut state = Self {
            disk,
            path: image,
            log,
            in_use,
            keys: Keyring::resolve(keys, directory.then(|| path.join(KEYS)).as_deref())?,
            is_directory: directory,
            named: !keys.is_empty(),
            witnesses: Keyring::default(),
            checkpoints: Vec::new(),
            policies: Policies::default(),
        };
        if directory {
            state.take_directory(path)?;
        }
        Ok(state)
    }

    fn take_directory(&mut self, path: &Path) -> Result<(), StateError> {
        let is_there = |path: &Path| {
            let found = portcullis_files::is_there(path);
            found.map_err(|error| in_file(path)(error.into()))
        };
        let policies = path.join(POLICIES);
        if is_there(&policies)? {
            self.policies.load_folder(&policies, Said::Found)?;
        }
        for kind in LOGS {
            let file = path.join(kind.name()).with_extension(CHECKPOINT);
            if is_there(&file)? {
                let said = Said::Found;
                let text = files::read_text(&file, said, NOTE_MAX).map_err(in_file(&file))?;
                self.checkpoints.push(Kept {
                    kind,
                    file,
                    said,
                    text,
                    cosigned_by: Vec::new(),
                });
            }
        }
        Ok(())
    }

    /// Takes the verifier keys of witnesses: each must have cosigned every checkpoint that is added.
    pub fn set_witnesses(&mut self, files: &[PathBuf]) -> Result<(), StateError> {
        self.witnesses = Keyring::witnesses(files)?;
        Ok(())
    }

    /// Adds a checkpoint from elsewhere. It must be of one of this disk's logs, of `of` if one is meant, and
    /// signed by it.
    pub fn add_checkpoint(&mut self, path: &Path, of: Option<LogKind>) -> Result<(), StateError> {
        let text = files::read_text(path, Said::Named, NOTE_MAX).map_err(in_file(path))?;
        let note = Note::parse(text.as_bytes()).map_err(in_note(path))?;
        let checkpoint = parse(path, &note)?;
        let named = |kind: &LogKind| *checkpoint.origin == *self.origin(*kind);
        let kind = LOGS.into_iter().find(named);
        let kind = kind.ok_or_else(|| StateError::OtherLog {
            path: path.to_owned(),
            origin: checkpoint.origin.to_owned(),
        })?;
        if let Some(other) = of.filter(|of| *of != kind) {
            return Err(StateError::OtherKind {
                path: path.to_owned(),
                kind: kind.name(),
                other: other.name(),
            });
        }
        for witness in self.witnesses.iter() {
            let key = witness.verifier();
            note.verify(&[key]).map_err(|error| match error {
                NoteError::Unknown => StateError::NotWitnessed {
                    path: path.to_owned(),
                    witness: key.name().to_owned(),
                },
                error => in_note(path)(error),
            })?;
        }
        let (file, said) = (path.to_owned(), Said::Named);
        let kept = Kept {
            kind,
            file,
            said,
            text,
            cosigned_by: self.witnesses.iter().map(ToString::to_string).collect(),
        };
        self.need_key(kind)?;
        self.head(&kept)?;
        self.checkpoints.push(kept);
        Ok(())
    }

    /// Adds the checkpoint of a log as it was read, so that what is read next goes on from there.
    pub fn add_read(&mut self, kind: LogKind, note: String) {
        self.checkpoints.push(Kept {
            kind,
            file: self.path.clone(),
            said: Said::Named,
            text: note,
            cosigned_by: Vec::new(),
        });
    }

    /// The checkpoint of a log that was added last, and its records.
    pub fn added(&self, kind: LogKind) -> Result<Option<(&str, u64)>, StateError> {
        let mut added = self.checkpoints.iter().rev();
        let added = added.find(|it| it.kind == kind && it.said == Said::Named);
        let read = |it: &'_ Kept| self.head(it).map(|(size, _)| size);
        let size = added.map(read).transpose()?;
        Ok(added.zip(size).map(|(it, size)| (it.text.as_str(), size)))
    }

    /// Adds a compiled policy, or a folder of them.
    pub fn add_policies(&mut self, path: &Path) -> Result<(), StateError> {
        Ok(self.policies.load(path)?)
    }

    /// The disk.
    pub fn disk(&self) -> impl Read + Seek + '_ {
        &self.disk
    }

    /// The disk image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something writes the disk: an appliance runs on it, or a board that QEMU emulates. What is
    /// read meanwhile is the logs as far as they are told of.
    pub const fn is_in_use(&self) -> bool {
        self.in_use
    }

    /// The id of the disk's logs.
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The name of a log.
    pub fn origin(&self, kind: LogKind) -> String {
        origin(kind, self.log).as_str().to_owned()
    }

    /// The policies at hand.
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// All keys that are trusted.
    pub const fn keyring(&self) -> &Keyring {
        &self.keys
    }

    /// The keys that a log is trusted by.
    pub fn keys(&self, kind: LogKind) -> Result<Vec<&Key>, StateError> {
        self.need_key(kind)?;
        Ok(self.keys.of_log(&self.origin(kind)))
    }

    fn need_key(&self, kind: LogKind) -> Result<(), StateError> {
        let (origin, named) = (self.origin(kind), self.named);
        if self.keys.of_log(&origin).is_empty() {
            return Err(StateError::NoKey { origin, named });
        }
        Ok(())
    }

    /// What both logs are held against.
    pub fn trust(&self) -> Result<Keys, StateError> {
        let [grants, worm] = LOGS.map(|kind| {
            let keys = self.keys.of_log(&self.origin(kind));
            keys.into_iter().map(LogKey::from).collect::<Vec<_>>()
        });
        if self.named && grants.is_empty() && worm.is_empty() {
            self.need_key(LogKind::Grants)?;
        }
        let mut keys = Keys {
            grants,
            worm,
            named: self.named,
            kept: self.is_directory,
            ..Keys::default()
        };
        for kept in &self.checkpoints {
            // Without a key nothing of the log is vouched for, and that is said.
            if !keys.of(kept.kind).is_empty() {
                keys.checkpoints.push(self.checkpoint(kept)?);
            }
        }
        Ok(keys)
    }

    /// A checkpoint that lies beside the log is no more than a claim: a wrong one is a finding.
    fn checkpoint(&self, kept: &Kept) -> Result<portcullis_fsck::Checkpoint, StateError> {
        let head = match self.head(kept) {
            Err(error) if kept.said == Said::Named => return Err(error),
            head => head.map_err(|error| match error {
                StateError::Note { error, .. } => error.to_string(),
                StateError::Checkpoint { error, .. } => error.to_string(),
                StateError::OtherLog { origin, .. } => format!("it is of {origin}"),
                error => error.to_string(),
            }),
        };
        Ok(portcullis_fsck::Checkpoint {
            kind: kept.kind,
            file: kept.file.display().to_string(),
            head,
            cosigned_by: kept.cosigned_by.clone(),
        })
    }

    /// Size and root of a checkpoint, its signature checked.
    fn head(&self, kept: &Kept) -> Result<(u64, [u8; 32]), StateError> {
        let path = &kept.file;
        let note = Note::parse(kept.text.as_bytes()).map_err(in_note(path))?;
        let checkpoint = parse(path, &note)?;
        let name = self.origin(kept.kind);
        if checkpoint.origin != name {
            return Err(StateError::OtherLog {
                path: path.clone(),
                origin: checkpoint.origin.to_owned(),
            });
        }
        let keys = self.keys.of_log(&name).into_iter().map(Key::verifier);
        note.verify(&keys.collect::<Vec<_>>())
            .map_err(in_note(path))?;
        Ok((checkpoint.size, checkpoint.root))
    }

    /// Reads a log. Where no key was named, and none lies beside it, its signatures are not checked, and
    /// that is a finding.
    pub fn read(
        &self,
        kind: LogKind,
        sink: &mut (impl Sink + ?Sized),
        progress: impl FnMut(Progress),
    ) -> Result<(LogSummary, Findings), StateError> {
        if self.named {
            self.need_key(kind)?;
        }
        let keys = self.trust()?;
        let which = Which {
            kind,
            keys: &keys,
            in_use: self.in_use,
        };
        let (summary, mut findings) = read_log(&mut &self.disk, which, sink, progress);
        if keys.of(kind).is_empty() {
            let region = match kind {
                LogKind::Grants => Region::Grants,
                LogKind::Worm => Region::Worm,
            };
            findings.unchecked(Place::new(region, At::Whole), What::NoKey);
        }
        Ok((summary, findings))
    }

    /// Verifies a log: a key for it must be at hand.
    pub fn verify(
        &self,
        kind: LogKind,
        progress: impl FnMut(Progress),
    ) -> Result<Report, StateError> {
        self.verify_with(kind, &mut (), progress)
    }

    /// The same; `also` takes the records too.
    pub fn verify_with(
        &self,
        kind: LogKind,
        also: &mut dyn Sink,
        progress: impl FnMut(Progress),
    ) -> Result<Report, StateError> {
        self.need_key(kind)?;
        let keys = self.trust()?;
        let which = Which {
            kind,
            keys: &keys,
            in_use: self.in_use,
        };
        Ok(verify((kind, self.log), &self.policies, |sink| {
            read_log(&mut &self.disk, which, &mut Both(sink, also), progress)
        }))
    }

    /// The last checkpoint of a log that was read; `None` where it is empty, or nobody at hand signed it.
    pub fn note(&self, kind: LogKind, read: &LogSummary) -> Result<Option<String>, StateError> {
        let keys = self.keys(kind)?;
        let signer = read.signer.and_then(|signer| keys.get(signer));
        let note = signer.zip(read.head);
        Ok(note.map(|(key, head)| checkpoint_note(kind, self.log, &head, key.verifier().key())))
    }
}

/// Hands the records to both.
struct Both<'s>(&'s mut dyn Sink, &'s mut dyn Sink);

impl Sink for Both<'_> {
    fn commit(&mut self, records: Records<'_>, findings: &mut Findings) {
        self.0.commit(records, findings);
        self.1.commit(records, findings);
    }
}

impl From<&Key> for LogKey {
    fn from(key: &Key) -> Self {
        Self {
            key: *key.verifier().key(),
            name: key.to_string(),
            file: key.file.display().to_string(),
        }
    }
}

/// Whether somebody else has a disk: the hosted driver locks the file that it writes, and QEMU some bytes
/// of it. Where nobody does, no driver can for as long as the file is open.
fn is_in_use(disk: &File) -> io::Result<bool> {
    match flock(disk, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    // Only who could write the file is refused by QEMU's locks. The kernel's list tells whoever may read; it
    // has another number for some file systems than the file has, so the file's number alone counts.
    let number = format!(":{}", disk.metadata()?.ino());
    let locks = fs::read_to_string("/proc/locks")?;
    Ok(locks.lines().any(|lock| {
        let mut words = lock.split_whitespace();
        words.any(|word| matches!(word, "POSIX" | "OFDLCK"))
            && words.any(|word| word.ends_with(&number))
    }))
}

fn parse<'t>(path: &Path, note: &Note<'t>) -> Result<Checkpoint<'t>, StateError> {
    Checkpoint::parse(note.text()).map_err(|error| StateError::Checkpoint {
        path: path.to_owned(),
        error,
    })
}

fn in_note(path: &Path) -> impl Fn(NoteError) -> StateError {
    move |error| StateError::Note {
        path: path.to_owned(),
        error,
    }
}

fn in_file(path: &Path) -> impl Fn(FileError) -> StateError {
    move |error| StateError::File {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_blk::{BLOCK, Header};

    #[test]
    fn a_header_of_a_disk_that_no_file_can_hold_is_read_to_the_file_s_end() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(DISK);
        for blocks in [u64::MAX, 1 << 53, 1 << 50] {
            let header = Header::new(blocks, [1; 16]).unwrap();
            fs::write(&path, header.encode()).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), BLOCK as u64);
            let state = State::open(&path).unwrap();
            for kind in LOGS {
                let (summary, findings) = state
                    .read(kind, &mut portcullis_fsck::Entries, |_| ())
                    .unwrap();
                assert_eq!((summary.records, summary.blocks), (0, 0));
                let short = What::ShortDisk { blocks: blocks - 1 };
                assert!(findings.list.iter().any(|it| it.what == short));
            }
        }
    }
}

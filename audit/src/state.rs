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
//! A checkpoint in the same directory finds that a log was cut back by accident or by somebody who
//! does not know of it. Against somebody who writes the whole directory only a checkpoint kept
//! elsewhere helps: cut back to an earlier commit, a log is a perfect log.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use portcullis_blk::api::Area;
use portcullis_blk::{Block, Header, HeaderError};
use portcullis_log::block::{BLOCK_SIZE, LogId, LogKind};
use portcullis_log::checkpoint::{Checkpoint, CheckpointError, origin};
use portcullis_log::merkle::Hash;
use portcullis_log::note::{NOTE_MAX, Note, NoteError, Verifier, VerifierError};

use crate::policies::{Policies, PoliciesError};
use crate::walk::Blocks;

/// Name of the disk in a state directory.
pub const DISK: &str = "disk.img";
/// Name of the file of verifier keys.
pub const KEYS: &str = "ledger.vkey";
/// Name of the folder of compiled policies.
pub const POLICIES: &str = "policies";
/// Extension of a checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// No file reaches this far: an offset has 63 bits. What a header says may.
const FILE_MAX: u64 = 1 << 62;

/// A disk, and what its logs are held against.
#[derive(Debug)]
pub struct State {
    disk: File,
    path: PathBuf,
    header: Header,
    keys: Vec<String>,
    witnesses: Vec<String>,
    checkpoints: Vec<(PathBuf, String)>,
    policies: Policies,
}

/// Why a state cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is neither a state directory nor a disk image.
    #[error(
        "there is no {path}: `portcullis run` makes it, or name another state directory or a disk image",
        path = path.display()
    )]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not a Portcullis disk.
    #[error("{path}: {error}", path = path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        error: HeaderError,
    },
    /// A line is not a verifier key.
    #[error("{path}, line {line}: {error}", path = path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        error: VerifierError,
    },
    /// No key is at hand for a log.
    #[error("no key named {origin} is at hand: name a file that holds it with --key")]
    NoKey {
        /// The log's origin, which is the key's name.
        origin: String,
    },
    /// A file is not a signed note.
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
    /// A checkpoint that was named is of another log.
    #[error("{path} is a checkpoint of {origin}, which is no log of this disk", path = path.display())]
    OtherLog {
        /// Which.
        path: PathBuf,
        /// The log it is of.
        origin: String,
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

impl State {
    /// Opens a disk image or a state directory.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let directory = path.is_dir();
        let image = if directory {
            path.join(DISK)
        } else {
            path.to_owned()
        };
        let failed = |error| StateError::Read {
            path: image.clone(),
            error,
        };
        let disk = File::open(&image).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StateError::Missing {
                path: image.clone(),
            },
            _ => failed(error),
        })?;
        // Of an appliance that was killed, not all of it may be: and what is vouched for from here on
        // must not go with the power.
        disk.sync_data().map_err(failed)?;
        let header = read_header(&disk, &image)?;
        let mut state = Self {
            disk,
            path: image,
            header,
            keys: Vec::new(),
            witnesses: Vec::new(),
            checkpoints: Vec::new(),
            policies: Policies::default(),
        };
        if directory {
            state.take_directory(path)?;
        }
        Ok(state)
    }

    fn take_directory(&mut self, path: &Path) -> Result<(), StateError> {
        if path.join(KEYS).exists() {
            self.add_keys(&path.join(KEYS))?;
        }
        if path.join(POLICIES).exists() {
            self.add_policies(&path.join(POLICIES))?;
        }
        for kind in [LogKind::Grants, LogKind::Worm] {
            let file = path.join(kind.name()).with_extension(CHECKPOINT);
            if file.exists() {
                let text = read_text(&file)?;
                self.checkpoints.push((file, text));
            }
        }
        Ok(())
    }

    /// Adds the verifier keys of a file.
    pub fn add_keys(&mut self, path: &Path) -> Result<(), StateError> {
        self.keys.extend(read_keys(path)?);
        Ok(())
    }

    /// Adds the verifier keys of witnesses: each must have cosigned every checkpoint that is added.
    pub fn add_witnesses(&mut self, path: &Path) -> Result<(), StateError> {
        self.witnesses.extend(read_keys(path)?);
        Ok(())
    }

    /// Adds a checkpoint from elsewhere. It must be of one of this disk's logs.
    pub fn add_checkpoint(&mut self, path: &Path) -> Result<(), StateError> {
        let text = read_text(path)?;
        let origin = self.parse_checkpoint(path, &text, None)?.origin.to_owned();
        if !self
            .logs()
            .iter()
            .any(|(kind, log)| *origin == *self::origin(*kind, *log))
        {
            return Err(StateError::OtherLog {
                path: path.to_owned(),
                origin,
            });
        }
        let note = Note::parse(text.as_bytes()).map_err(in_note(path))?;
        for witness in &self.witnesses {
            let key = Verifier::parse(witness).expect("it was parsed when it was added");
            note.verify(&[key]).map_err(|error| match error {
                NoteError::Unknown => StateError::NotWitnessed {
                    path: path.to_owned(),
                    witness: key.name().to_owned(),
                },
                error => in_note(path)(error),
            })?;
        }
        self.checkpoints.push((path.to_owned(), text));
        Ok(())
    }

    /// Adds a compiled policy, or a folder of them.
    pub fn add_policies(&mut self, path: &Path) -> Result<(), StateError> {
        Ok(self.policies.load(path)?)
    }

    /// The disk image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of the disk's logs.
    pub fn log(&self) -> LogId {
        LogId(*self.header.id())
    }

    /// The policies at hand.
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The key that signs a log's checkpoints.
    pub fn key(&self, kind: LogKind) -> Result<ed25519_dalek::VerifyingKey, StateError> {
        let origin = origin(kind, self.log());
        let verifiers = self.keys.iter().filter_map(|key| Verifier::parse(key).ok());
        let mut named = verifiers.filter(|verifier| *verifier.name() == *origin);
        let found = named.next().map(|verifier| *verifier.key());
        found.ok_or(StateError::NoKey {
            origin: origin.as_str().to_owned(),
        })
    }

    /// Sizes and roots of the checkpoints of a log, their signatures checked.
    pub fn checkpoints(&self, kind: LogKind) -> Result<Vec<(u64, Hash)>, StateError> {
        let origin = origin(kind, self.log());
        let key = self.key(kind)?;
        let mut heads = Vec::new();
        for (path, text) in &self.checkpoints {
            if self.parse_checkpoint(path, text, None)?.origin == origin {
                let checkpoint = self.parse_checkpoint(path, text, Some(&key))?;
                heads.push((checkpoint.size, checkpoint.root));
            }
        }
        Ok(heads)
    }

    /// The blocks of a log's region.
    pub fn blocks(&self, kind: LogKind) -> Region<'_> {
        let area = area(kind);
        Region {
            disk: &self.disk,
            next: self.header.start(area),
            end: self.header.start(area) + self.header.length(area),
        }
    }

    /// Blocks of the disk that its header speaks of and that are not there.
    pub fn missing_blocks(&self) -> io::Result<u64> {
        let blocks = self.disk.metadata()?.len() / BLOCK_SIZE as u64;
        Ok(self.header.blocks().saturating_sub(blocks))
    }

    /// Blocks of a log's region.
    pub fn length(&self, kind: LogKind) -> u64 {
        self.header.length(area(kind))
    }

    fn logs(&self) -> [(LogKind, LogId); 2] {
        [LogKind::Grants, LogKind::Worm].map(|kind| (kind, self.log()))
    }

    fn parse_checkpoint<'t>(
        &self,
        path: &Path,
        text: &'t str,
        key: Option<&ed25519_dalek::VerifyingKey>,
    ) -> Result<Checkpoint<'t>, StateError> {
        let in_text = |error| StateError::Checkpoint {
            path: path.to_owned(),
            error,
        };
        let note = Note::parse(text.as_bytes()).map_err(in_note(path))?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(in_text)?;
        if let Some(key) = key {
            let verifier = Verifier::new(checkpoint.origin, *key)
                .map_err(|_| in_text(CheckpointError::Origin))?;
            note.verify(&[verifier]).map_err(in_note(path))?;
        }
        Ok(checkpoint)
    }
}

fn in_note(path: &Path) -> impl Fn(NoteError) -> StateError {
    move |error| StateError::Note {
        path: path.to_owned(),
        error,
    }
}

/// The verifier keys of a file, each sound.
fn read_keys(path: &Path) -> Result<Vec<String>, StateError> {
    let mut keys = Vec::new();
    for (line, text) in (1..).zip(read_text(path)?.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        Verifier::parse(text).map_err(|error| StateError::Key {
            path: path.to_owned(),
            line,
            error,
        })?;
        keys.push(text.to_owned());
    }
    Ok(keys)
}

/// The blocks of one log on the disk.
#[derive(Debug)]
pub struct Region<'a> {
    disk: &'a File,
    next: u64,
    end: u64,
}

impl Blocks for Region<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = (self.end - self.next).saturating_mul(BLOCK_SIZE as u64);
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let offset = self.next.checked_mul(BLOCK_SIZE as u64);
        let Some(offset) = offset.filter(|offset| *offset < FILE_MAX) else {
            return Ok(0);
        };
        let mut filled = 0;
        while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
            match self.disk.read_at(free, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let whole = filled - filled % BLOCK_SIZE;
        self.next += (whole / BLOCK_SIZE) as u64;
        Ok(whole)
    }
}

const fn area(kind: LogKind) -> Area {
    match kind {
        LogKind::Grants => Area::Grants,
        LogKind::Worm => Area::Worm,
    }
}

/// The header in the first block, or its copy in the last.
fn read_header(disk: &File, path: &Path) -> Result<Header, StateError> {
    let failed = |error| StateError::Read {
        path: path.to_owned(),
        error,
    };
    let mut block: Block = [0; BLOCK_SIZE];
    let length = disk.metadata().map_err(failed)?.len();
    if length < BLOCK_SIZE as u64 {
        return Err(StateError::Disk {
            path: path.to_owned(),
            error: HeaderError::Magic,
        });
    }
    disk.read_exact_at(&mut block, 0).map_err(failed)?;
    Header::decode(&block).or_else(|error| {
        let last = length / BLOCK_SIZE as u64 - 1;
        disk.read_exact_at(&mut block, last * BLOCK_SIZE as u64)
            .map_err(failed)?;
        Header::decode(&block).map_err(|_| StateError::Disk {
            path: path.to_owned(),
            error,
        })
    })
}

fn read_text(path: &Path) -> Result<String, StateError> {
    let failed = |error| StateError::Read {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > NOTE_MAX as u64 {
        let error = NoteError::TooLong {
            length: usize::try_from(length).unwrap_or(usize::MAX),
        };
        return Err(StateError::Note {
            path: path.to_owned(),
            error,
        });
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_a_disk_that_no_file_can_hold_is_read_to_the_file_s_end() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(DISK);
        for blocks in [u64::MAX, 1 << 53, 1 << 50] {
            let header = Header::new(blocks, [1; 16]).unwrap();
            fs::write(&path, header.encode()).unwrap();
            let state = State::open(&path).unwrap();
            assert_eq!(state.missing_blocks().unwrap(), blocks - 1);
            for kind in [LogKind::Grants, LogKind::Worm] {
                let read = state.blocks(kind).read(&mut [0; BLOCK_SIZE]);
                assert_eq!(read.unwrap(), 0);
            }
        }
    }
}

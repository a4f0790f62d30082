//! Why a state directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_files::Refused;
use portcullis_log::block::LogKind;
use thiserror::Error;

/// Why a state directory cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was done with it.
        doing: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// A file is not private, or cannot be.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another run owns the directory.
    #[error(
        "another appliance runs on {path}: end it, or name another directory with --state",
        path = .0.display()
    )]
    InUse(PathBuf),
    /// A file of the directory does not hold what it should.
    #[error("{path}: {why}", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The disk is not the one that the directory knows.
    #[error(
        "{path}: {lost}. Put its newest copy back; or, where that is lost for good, add --new-history: it \
         keeps what is here in left/, and records in the grant log which history is left behind. A \
         witness (`portcullis log witness`) shows others that there was another",
        path = .0.display(), lost = .1
    )]
    Lost(PathBuf, Lost),
    /// A new history was asked for, and the directory fits its disk.
    #[error(
        "{path}: there is no history to leave behind, since the disk is the one that its keys and \
         checkpoints name: run without --new-history",
        path = .0.display()
    )]
    NothingLost(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoEntropy(String),
}

/// Why a disk is not the one that the directory knows.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Lost {
    /// There is none.
    #[error("disk.img is gone, and keys or checkpoints of it are here")]
    Disk,
    /// A key that it was written with is gone.
    #[error("{0} is gone, and disk.img was written with it")]
    Key(&'static str),
    /// It has another id than a file of the directory names.
    #[error("disk.img is not the disk that {0} names")]
    OtherDisk(String),
    /// `ledger.key` is not the key that a file of the directory was signed with.
    #[error("ledger.key is not the key that {0} names")]
    OtherKey(String),
    /// A log has fewer records than its checkpoint.
    #[error(
        "disk.img went back to an earlier state: it has {found} records of the log {log}, and \
         {log}.checkpoint vouches for {kept}",
        log = log.name()
    )]
    Older {
        /// The log.
        log: LogKind,
        /// Records on the disk.
        found: u64,
        /// Records that the checkpoint vouches for.
        kept: u64,
    },
    /// A log has other records than its checkpoint.
    #[error(
        "the first {kept} records of the log {log} on disk.img are not those that {log}.checkpoint \
         vouches for",
        log = log.name()
    )]
    Other {
        /// The log.
        log: LogKind,
        /// Records that the checkpoint vouches for.
        kept: u64,
    },
}

pub(crate) fn file_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::File {
        path: path.to_owned(),
        doing,
        error,
    }
}

//! Why a log did not do what was asked.

use core::fmt;

use portcullis_blk::DiskError;
use portcullis_log::{ring::RingFault, scanner::Damage};

use crate::{ENTRY_MAX, api};

/// Why a log did not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogError {
    /// The log is not open: the console says why.
    Closed,
    /// No entry is that long.
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// The region has no room for another block.
    Full {
        /// Blocks that it has.
        blocks: u64,
    },
    /// A write or a flush failed earlier: nothing is appended until the ledger is started anew.
    Stopped,
    /// The log is damaged: what is sound is read, and nothing is appended.
    Damaged(Damage),
    /// The last tree head was not signed with the ledger's key.
    OtherKey,
    /// There is no such record.
    NoRecord {
        /// The index asked for.
        index: u64,
        /// Records in the log.
        size: u64,
    },
    /// No commit ended at that size, so no tree head of it was signed.
    NoCheckpoint {
        /// The size asked for.
        size: u64,
    },
    /// A record that was there when the log was opened cannot be read any more.
    Lost {
        /// Its index.
        index: u64,
    },
    /// The manager's ring does not read as one: it is not drained any more.
    Ring(RingFault),
    /// The disk failed.
    Disk(DiskError),
}

impl From<DiskError> for LogError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl LogError {
    /// Whether it is more than a client's mistake: the operator is told.
    pub(crate) const fn is_news(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Lost { .. } | Self::Full { .. })
    }

    /// Whether nothing will be appended from now on.
    pub(crate) const fn is_lasting(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Full { .. })
    }

    /// The code that goes back to the client.
    pub const fn code(&self) -> u64 {
        match self {
            Self::Closed | Self::Ring(_) => api::CLOSED,
            Self::TooLong { .. } => api::TOO_LONG,
            Self::Full { .. } => api::FULL,
            Self::Stopped => api::STOPPED,
            Self::Damaged(_) | Self::OtherKey => api::DAMAGED,
            Self::NoRecord { .. } => api::NO_RECORD,
            Self::NoCheckpoint { .. } => api::NO_CHECKPOINT,
            Self::Lost { .. } => api::LOST,
            Self::Disk(_) => api::DISK_FAILED,
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the log is not open"),
            Self::TooLong { length } => write!(
                f,
                "an entry of {length} bytes is too long: {ENTRY_MAX} is the most; store what is \
                 long in the vault and log its digest"
            ),
            Self::Full { blocks } => write!(
                f,
                "the region is full with {blocks} blocks: nothing is appended; keep this disk, and \
                 go on with a new one"
            ),
            Self::Stopped => f.write_str(
                "writing failed earlier: nothing is appended until the ledger is started anew",
            ),
            Self::Damaged(damage) => write!(
                f,
                "nothing is appended: {damage}; see `portcullis fsck`, and restore the disk from a backup"
            ),
            Self::OtherKey => f.write_str(
                "nothing is appended: the last tree head was not signed with the ledger's key; build the \
                 image with the ledger.key that belongs to this disk",
            ),
            Self::NoRecord { index, size } => {
                write!(f, "there is no record {index} in a log of {size}")
            }
            Self::NoCheckpoint { size } => {
                write!(f, "no commit ended at {size} records, so none was signed")
            }
            Self::Lost { index } => {
                write!(f, "record {index} is damaged on the disk; it is not served")
            }
            Self::Ring(fault) => fault.fmt(f),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LogError {}

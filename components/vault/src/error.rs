//! Why the vault did not do what was asked.

use core::fmt;

use portcullis_blk::DiskError;

use crate::{OBJECT_MAX, ObjectDigest, api};

/// Why the vault did not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// The vault is not open: the console says why.
    Closed,
    /// The region is too small for an index and one chunk.
    TooSmall {
        /// Blocks of the region.
        blocks: u64,
    },
    /// Another key sealed this vault.
    OtherKey,
    /// The vault has another version of the format.
    OtherVersion {
        /// The version found.
        version: u32,
    },
    /// Neither superblock can be used.
    Superblocks,
    /// The object is larger than the vault takes.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// No run of free blocks is long enough.
    NoSpace {
        /// Blocks that the object takes.
        blocks: u64,
        /// Blocks that are free, in all.
        free: u64,
    },
    /// The index has no free place.
    IndexFull {
        /// Places that it has.
        slots: usize,
    },
    /// The caller has no object that is being put.
    NoUpload,
    /// More bytes than the object was announced with; the put is over.
    TooLong {
        /// Bytes announced.
        size: u64,
    },
    /// Fewer bytes than the object was announced with, so far.
    TooShort {
        /// Bytes announced.
        size: u64,
        /// Bytes written.
        written: u64,
    },
    /// The object is another than the one that was meant; the put is over.
    Mismatch {
        /// Digest of what was put.
        found: ObjectDigest,
    },
    /// There is no such object.
    NotFound,
    /// The object was not released, or is not recorded in the ledger yet.
    NotReleased,
    /// The bytes asked for do not lie in the object.
    OutOfRange {
        /// First byte.
        offset: u64,
        /// Size of the object.
        size: u64,
    },
    /// The bytes do not lie in the shared buffer.
    Buffer {
        /// How many bytes.
        length: u64,
        /// Size of the buffer.
        size: usize,
    },
    /// A chunk cannot be read, or does not authenticate; none of it was served.
    Damaged {
        /// The object.
        digest: ObjectDigest,
        /// The chunk, from 0.
        chunk: u32,
    },
    /// The seals of an object's chunks cannot be read, or do not authenticate; none of it is served.
    DamagedSeals {
        /// The object.
        digest: ObjectDigest,
    },
    /// An index entry that could be read when the vault was opened cannot be read any more.
    DamagedEntry {
        /// The object.
        digest: ObjectDigest,
    },
    /// There is no further object.
    NoMore,
    /// The ledger cannot be asked: there is no grant, or it does not answer.
    NoLedger,
    /// The ledger has no such entry, or it is not a document's.
    NotADocument {
        /// Index of the entry.
        index: u64,
    },
    /// The ledger's entry removes where something was to be recorded, or the other way round.
    OtherAct {
        /// Index of the entry.
        index: u64,
    },
    /// A write to the index or a flush failed earlier, or a part of the index cannot be read; the vault
    /// takes nothing until it is started anew.
    Stopped,
    /// The disk failed.
    Disk(DiskError),
}

impl From<DiskError> for StoreError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl StoreError {
    /// Whether the object is damaged on the disk: to be put again is what mends it.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::DamagedSeals { .. } | Self::DamagedEntry { .. }
        )
    }

    /// The code that goes back to the client.
    pub const fn code(&self) -> u64 {
        match self {
            Self::Closed
            | Self::TooSmall { .. }
            | Self::OtherKey
            | Self::OtherVersion { .. }
            | Self::Superblocks => api::CLOSED,
            Self::TooLarge { .. } => api::TOO_LARGE,
            Self::NoSpace { .. } => api::NO_SPACE,
            Self::IndexFull { .. } => api::INDEX_FULL,
            Self::NoUpload => api::NO_UPLOAD,
            Self::TooLong { .. } => api::TOO_LONG,
            Self::TooShort { .. } => api::TOO_SHORT,
            Self::Mismatch { .. } => api::MISMATCH,
            Self::NotFound => api::NOT_FOUND,
            Self::NotReleased => api::NOT_RELEASED,
            Self::OutOfRange { .. } => api::OUT_OF_RANGE,
            Self::Buffer { .. } => api::BUFFER,
            Self::Damaged { .. } | Self::DamagedSeals { .. } | Self::DamagedEntry { .. } => {
                api::DAMAGED
            }
            Self::NoMore => api::NO_MORE,
            Self::NoLedger => api::NO_LEDGER,
            Self::NotADocument { .. } | Self::OtherAct { .. } => api::NOT_IN_LEDGER,
            Self::Stopped => api::STOPPED,
            Self::Disk(_) => api::DISK_FAILED,
        }
    }
}

/// The first bytes of a digest: enough to tell objects apart on a console.
pub(crate) struct Short<'a>(pub(crate) &'a ObjectDigest);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the vault is not open"),
            Self::TooSmall { blocks } => write!(
                f,
                "a region of {blocks} blocks is too small for a vault: make a larger disk"
            ),
            Self::OtherKey => f.write_str("another key sealed this vault: give it that key"),
            Self::OtherVersion { version } => write!(
                f,
                "the vault has version {version} of the format, which this one does not read"
            ),
            Self::Superblocks => f.write_str("both superblocks of the vault are damaged"),
            Self::TooLarge { size } => write!(
                f,
                "an object of {size} bytes is too large: {OBJECT_MAX} is the most"
            ),
            Self::NoSpace { blocks, free } => write!(
                f,
                "no {blocks} free blocks follow one another, of {free} in all: keep this disk, and go \
                 on with a new one"
            ),
            Self::IndexFull { slots } => write!(
                f,
                "the index is full with {slots} objects: keep this disk, and go on with a new one"
            ),
            Self::NoUpload => f.write_str("nothing is being put: create an object first"),
            Self::TooLong { size } => {
                write!(f, "more bytes than the {size} that were announced")
            }
            Self::TooShort { size, written } => {
                write!(f, "{written} bytes of the {size} that were announced")
            }
            Self::Mismatch { found } => write!(
                f,
                "what was put is object {}, not the one that was meant",
                Short(found)
            ),
            Self::NotFound => f.write_str("there is no such object"),
            Self::NotReleased => f.write_str("the object was not released, or is not recorded yet"),
            Self::OutOfRange { offset, size } => {
                write!(f, "byte {offset} does not lie in an object of {size}")
            }
            Self::Buffer { length, size } => write!(
                f,
                "{length} bytes do not lie in the shared buffer of {size} bytes"
            ),
            Self::Damaged { digest, chunk } => write!(
                f,
                "chunk {chunk} of object {} is damaged; it is not served",
                Short(digest)
            ),
            Self::DamagedSeals { digest } => write!(
                f,
                "the seals of object {} are damaged; it is not served",
                Short(digest)
            ),
            Self::DamagedEntry { digest } => {
                write!(f, "the index entry of object {} is damaged", Short(digest))
            }
            Self::NoMore => f.write_str("there is no further object"),
            Self::NoLedger => f.write_str("the ledger cannot be asked"),
            Self::NotADocument { index } => {
                write!(f, "entry {index} of the ledger is not a document's")
            }
            Self::OtherAct { index } => {
                write!(f, "entry {index} of the ledger says another thing")
            }
            Self::Stopped => f.write_str(
                "writing failed earlier, or the index cannot be read: nothing is taken until the vault is \
                 started anew",
            ),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StoreError {}

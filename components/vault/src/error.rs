//! Why the vault did not do what was asked.

use core::fmt;

use portcullis_blk::DiskError;

use crate::{NAME_MAX, OBJECT_MAX, ObjectDigest, api};

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
    /// Neither superblock can be used.
    Superblocks,
    /// The object is larger than the vault takes.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The name has a NUL.
    Name,
    /// No run of free blocks is long enough.
    NoSpace {
        /// Blocks that the object takes.
        blocks: u64,
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
    /// A chunk does not authenticate; none of it was served.
    Damaged {
        /// The object.
        digest: ObjectDigest,
        /// The chunk, from 0.
        chunk: u32,
    },
    /// An index entry that could be read when the vault was opened cannot be read any more.
    DamagedEntry {
        /// The object.
        digest: ObjectDigest,
    },
    /// There is no further released object.
    NoMore,
    /// A write to the index or a flush failed earlier; the vault takes nothing until it is started anew.
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
    /// The code that goes back to the client.
    pub const fn code(&self) -> u64 {
        match self {
            Self::Closed | Self::TooSmall { .. } | Self::OtherKey | Self::Superblocks => {
                api::CLOSED
            }
            Self::TooLarge { .. } => api::TOO_LARGE,
            Self::Name => api::BAD_NAME,
            Self::NoSpace { .. } => api::NO_SPACE,
            Self::IndexFull { .. } => api::INDEX_FULL,
            Self::NoUpload => api::NO_UPLOAD,
            Self::TooLong { .. } => api::TOO_LONG,
            Self::TooShort { .. } => api::TOO_SHORT,
            Self::NotFound => api::NOT_FOUND,
            Self::NotReleased => api::NOT_RELEASED,
            Self::OutOfRange { .. } => api::OUT_OF_RANGE,
            Self::Buffer { .. } => api::BUFFER,
            Self::Damaged { .. } | Self::DamagedEntry { .. } => api::DAMAGED,
            Self::NoMore => api::NO_MORE,
            Self::Stopped => api::STOPPED,
            Self::Disk(_) => api::DISK_FAILED,
        }
    }
}

/// The first bytes of a digest: enough to tell objects apart on a console.
struct Short<'a>(&'a ObjectDigest);

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
            Self::Superblocks => f.write_str("both superblocks of the vault are damaged"),
            Self::TooLarge { size } => write!(
                f,
                "an object of {size} bytes is too large: {OBJECT_MAX} is the most"
            ),
            Self::Name => write!(f, "a name has 1 to {NAME_MAX} bytes and no NUL"),
            Self::NoSpace { blocks } => write!(
                f,
                "no {blocks} free blocks follow one another: make a larger disk"
            ),
            Self::IndexFull { slots } => write!(
                f,
                "the index is full with {slots} objects: make a larger disk, or a second vault"
            ),
            Self::NoUpload => f.write_str("nothing is being put: create an object first"),
            Self::TooLong { size } => {
                write!(f, "more bytes than the {size} that were announced")
            }
            Self::TooShort { size, written } => {
                write!(f, "{written} bytes of the {size} that were announced")
            }
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
            Self::DamagedEntry { digest } => {
                write!(f, "the index entry of object {} is damaged", Short(digest))
            }
            Self::NoMore => f.write_str("no further object is released"),
            Self::Stopped => f.write_str(
                "writing failed earlier: nothing is taken until the vault is started anew",
            ),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StoreError {}

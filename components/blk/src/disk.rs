//! A block device, as the platform gives it to the driver.

use core::fmt;

/// Bytes of a block: a page, the unit of the shared buffers and of the file systems underneath, and
/// a multiple of every sector size in use (512, 4096).
pub const BLOCK: usize = 4096;

/// One block.
pub type Block = [u8; BLOCK];

/// A disk of whole blocks.
///
/// A write is durable when a [`flush`](Disk::flush) that came after it returned `Ok`; before that it
/// may be lost, kept, or kept in part, in any order. A 512-byte sector is kept or lost as a whole.
pub trait Disk {
    /// How many blocks it has.
    fn blocks(&self) -> u64;

    /// Reads the blocks from `first` on. The length of `data` is a multiple of [`BLOCK`].
    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError>;

    /// Writes the blocks from `first` on. The length of `data` is a multiple of [`BLOCK`].
    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError>;

    /// As [`write`](Disk::write), of which the first `kept` sectors are on the disk already: a disk that can
    /// leave them alone does.
    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        let _ = kept;
        self.write(first, data)
    }

    /// Waits until every write before it is durable.
    fn flush(&mut self) -> Result<(), DiskError>;
}

/// Why a disk did not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskError {
    /// The blocks do not lie on the disk, or in the region.
    OutOfRange {
        /// First block.
        first: u64,
        /// How many.
        count: u64,
        /// Blocks there are.
        blocks: u64,
    },
    /// Not a whole number of blocks.
    Unaligned {
        /// Length in bytes.
        length: usize,
    },
    /// The blocks could not be read.
    Read {
        /// First block.
        first: u64,
    },
    /// The blocks could not be written; they may hold the old content, the new, or parts of both.
    Write {
        /// First block.
        first: u64,
    },
    /// The blocks could not be written, since what holds the disk has no room left; else as `Write`.
    NoSpace {
        /// First block.
        first: u64,
    },
    /// The flush failed: what was written since the last one may be lost, now or later.
    Flush,
    /// The region is append-only, and this is not where the next block goes.
    NotAtMark {
        /// First block.
        first: u64,
    },
    /// An append or a flush failed earlier; the disk takes no more writes until it is started anew.
    Stopped,
    /// The driver does not answer, or not in its interface: the grant is gone, or never was.
    Unreachable,
}

/// Number of blocks in `length` bytes, which lie in a range of `blocks` from `first` on.
pub(crate) fn check(first: u64, length: usize, blocks: u64) -> Result<u64, DiskError> {
    if !length.is_multiple_of(BLOCK) {
        return Err(DiskError::Unaligned { length });
    }
    let count = (length / BLOCK) as u64;
    match first.checked_add(count) {
        Some(end) if end <= blocks => Ok(count),
        _ => Err(DiskError::OutOfRange {
            first,
            count,
            blocks,
        }),
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange {
                first,
                count,
                blocks,
            } => write!(
                f,
                "{count} blocks from {first} on do not lie within {blocks}"
            ),
            Self::Unaligned { length } => {
                write!(f, "{length} bytes are not whole blocks of {BLOCK}")
            }
            Self::Read { first } => write!(f, "reading at block {first} failed"),
            Self::Write { first } => write!(f, "writing at block {first} failed"),
            Self::NoSpace { first } => write!(
                f,
                "writing at block {first} failed: no space is left where the disk's image lies: free some, then \
                 start anew"
            ),
            Self::Flush => f.write_str("the flush failed: what was written since may be lost"),
            Self::NotAtMark { first } => {
                write!(f, "block {first} is not where the next block is appended")
            }
            Self::Stopped => f.write_str(
                "an append or a flush failed earlier: nothing is written until the driver is started anew",
            ),
            Self::Unreachable => f.write_str("the disk driver does not answer"),
        }
    }
}

impl core::error::Error for DiskError {}

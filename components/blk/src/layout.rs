//! What lies where on the disk: the partition header.
//!
//! Block 0 holds the header, the last block a copy; blocks 1 and 2 hold the [marks](crate::marks)
//! of the append regions; the three regions follow. The header is written once, when the disk is
//! made, and never again: no method of the driver reaches it. It fits one 512-byte sector, so it is
//! there as a whole or not at all.

use core::fmt;

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    BLOCK, Block, Disk, DiskError,
    api::Area,
    marks::Marks,
    wire::{self, BACK, DISK_MAGIC, DISK_VERSION, FRONT, HASHED, SECTOR},
};

/// Smallest disk, in blocks (256 KiB): a vault of one chunk and its tables, and append regions that
/// take the log of a few boots.
pub const MIN_BLOCKS: u64 = 64;

/// Tells disks apart: 128 random bits, chosen when the disk is made. The logs on it are named after it.
pub type DiskId = [u8; 16];

/// The partition header. Holding one proves that the three regions lie on the disk, in order, and
/// do not overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    blocks: u64,
    id: DiskId,
    areas: [Span; 3],
}

/// Blocks of the disk that make up a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// A disk that is too small to be divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooSmall {
    /// Blocks that it has.
    pub blocks: u64,
}

/// Why a block is not a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderError {
    /// It does not begin with the magic bytes: not a Portcullis disk, or not yet made.
    Magic,
    /// Its hash is wrong: damaged.
    Hash,
    /// A version that this driver does not know.
    Version(u32),
    /// Blocks of another size.
    BlockSize(u32),
    /// Its regions do not lie on the disk, in order.
    Regions,
    /// The disk is shorter than the header says.
    Truncated {
        /// Blocks that the header says.
        header: u64,
        /// Blocks that the disk has.
        disk: u64,
    },
}

impl Header {
    /// The header of a disk of this many blocks, divided as a disk is by default: three quarters for
    /// documents, an eighth for each log. A log block of 4 KiB takes some 40 grant records, or up to
    /// eight commits; an eighth lasts longer than the documents it speaks of.
    pub fn new(blocks: u64, id: DiskId) -> Result<Self, TooSmall> {
        if blocks < MIN_BLOCKS {
            return Err(TooSmall { blocks });
        }
        let log = (blocks - FRONT - BACK) / 8;
        let vault = blocks - FRONT - BACK - 2 * log;
        let mut start = FRONT;
        let areas = [vault, log, log].map(|length| {
            let span = Span { start, length };
            start += length;
            span
        });
        Ok(Self { blocks, id, areas })
    }

    /// Blocks of the whole disk.
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The disk's id.
    pub const fn id(&self) -> &DiskId {
        &self.id
    }

    /// Blocks of a region.
    pub const fn length(&self, area: Area) -> u64 {
        self.span(area).length
    }

    /// First block of a region on the disk.
    pub const fn start(&self, area: Area) -> u64 {
        self.span(area).start
    }

    pub(crate) const fn span(&self, area: Area) -> Span {
        self.areas[area as usize]
    }

    /// The block that holds the header.
    pub fn encode(&self) -> Block {
        let mut raw = wire::Header {
            magic: DISK_MAGIC,
            version: DISK_VERSION.into(),
            block_size: (BLOCK as u32).into(),
            blocks: self.blocks.into(),
            id: self.id,
            areas: self.areas.map(|span| wire::Span {
                start: span.start.into(),
                length: span.length.into(),
            }),
            reserved: [0; _],
            sha256: [0; 32],
        };
        raw.sha256 = Sha256::digest(&raw.as_bytes()[..HASHED]).into();
        let mut block = [0; BLOCK];
        block[..SECTOR].copy_from_slice(raw.as_bytes());
        block
    }

    /// Reads a header from a block.
    pub fn decode(block: &Block) -> Result<Self, HeaderError> {
        let (raw, _) =
            wire::Header::read_from_prefix(block).expect("a block is larger than a header");
        if raw.magic != DISK_MAGIC {
            return Err(HeaderError::Magic);
        }
        if raw.sha256 != <[u8; 32]>::from(Sha256::digest(&raw.as_bytes()[..HASHED])) {
            return Err(HeaderError::Hash);
        }
        if raw.version.get() != DISK_VERSION {
            return Err(HeaderError::Version(raw.version.get()));
        }
        if raw.block_size.get() != BLOCK as u32 {
            return Err(HeaderError::BlockSize(raw.block_size.get()));
        }
        let header = Self {
            blocks: raw.blocks.get(),
            id: raw.id,
            areas: raw.areas.map(|span| Span {
                start: span.start.get(),
                length: span.length.get(),
            }),
        };
        header
            .in_order()
            .then_some(header)
            .ok_or(HeaderError::Regions)
    }

    fn in_order(&self) -> bool {
        let mut free_from = FRONT;
        for span in &self.areas {
            match span.start.checked_add(span.length) {
                Some(end) if span.start >= free_from => free_from = end,
                _ => return false,
            }
        }
        free_from
            .checked_add(BACK)
            .is_some_and(|end| end <= self.blocks)
    }

    /// Reads the header of a disk: the first copy, or else the last; `true` where the first one
    /// could not be used.
    pub(crate) fn load(
        disk: &mut impl Disk,
        block: &mut Block,
    ) -> Result<(Self, bool), HeaderError> {
        let first = Self::load_from(disk, 0, block);
        let last = disk.blocks().saturating_sub(1);
        match first {
            Ok(header) => Ok((header, false)),
            Err(reason) => Self::load_from(disk, last, block)
                .map(|header| (header, true))
                .map_err(|_| reason),
        }
    }

    fn load_from(disk: &mut impl Disk, at: u64, block: &mut Block) -> Result<Self, HeaderError> {
        // A block that cannot be read is as good as one that is not a header.
        disk.read(at, block).map_err(|_| HeaderError::Hash)?;
        let header = Self::decode(block)?;
        if header.blocks > disk.blocks() {
            return Err(HeaderError::Truncated {
                header: header.blocks,
                disk: disk.blocks(),
            });
        }
        Ok(header)
    }
}

/// Makes an empty Portcullis disk: writes the header, its copy and the first marks, and flushes. The
/// rest of the disk must be zero already. The caller makes sure that nothing of value is on it.
pub fn initialise(disk: &mut impl Disk, header: &Header) -> Result<(), DiskError> {
    let [first, second] = Marks::EMPTY.initial();
    disk.write(1, &first)?;
    disk.write(2, &second)?;
    disk.write(header.blocks - 1, &header.encode())?;
    // The header comes last, so that a disk that has one is whole.
    disk.flush()?;
    disk.write(0, &header.encode())?;
    disk.flush()
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = self.blocks;
        write!(
            f,
            "a disk of {blocks} blocks of {BLOCK} bytes is too small: it needs {MIN_BLOCKS}"
        )
    }
}

impl core::error::Error for TooSmall {}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str(
                "this is not a Portcullis disk: attach the one of this appliance; `portcullis run` makes one where \
                 none is",
            ),
            Self::Hash => f.write_str(
                "the partition header is damaged, and so is its copy: restore the disk from a backup",
            ),
            Self::Version(version) => write!(
                f,
                "the disk has layout version {version}, and this driver knows {DISK_VERSION}: begin with a \
                 new one"
            ),
            Self::BlockSize(size) => write!(
                f,
                "the disk has blocks of {size} bytes, and this driver uses {BLOCK}: begin with a new one"
            ),
            Self::Regions => f.write_str(
                "the partition header's regions overlap: restore the disk from a backup",
            ),
            Self::Truncated { header, disk } => write!(
                f,
                "the disk has {disk} blocks, but its header says {header}: it was cut off; restore it from a \
                 backup"
            ),
        }
    }
}

impl core::error::Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: DiskId = [7; 16];

    #[test]
    fn every_size_is_divided_without_overlap() {
        for blocks in (MIN_BLOCKS..2_000).chain([1 << 20, 1 << 40, u64::MAX]) {
            let header = Header::new(blocks, ID).unwrap();
            assert!(header.in_order(), "{header:?}");
            assert!(Area::ALL.iter().all(|area| header.length(*area) >= 7));
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        assert_eq!(Header::new(63, ID), Err(TooSmall { blocks: 63 }));
    }

    #[test]
    fn every_damaged_byte_is_found() {
        let good = Header::new(100, ID).unwrap().encode();
        for byte in 0..512 {
            let mut bad = good;
            bad[byte] ^= 0x40;
            let expected = if byte < 8 {
                HeaderError::Magic
            } else {
                HeaderError::Hash
            };
            assert_eq!(Header::decode(&bad), Err(expected), "byte {byte}");
        }
    }

    #[test]
    fn regions_out_of_order_are_refused() {
        let good = Header::new(100, ID).unwrap();
        let mut swapped = good;
        swapped.areas.swap(0, 1);
        let mut over_the_marks = good;
        over_the_marks.areas[0].start = 2;
        let mut past_the_end = good;
        past_the_end.areas[2].length += 1;
        let mut wrapping = good;
        wrapping.areas[2].length = u64::MAX;
        for bad in [swapped, over_the_marks, past_the_end, wrapping] {
            assert_eq!(Header::decode(&bad.encode()), Err(HeaderError::Regions));
        }
    }
}

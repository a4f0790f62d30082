//! What lies where in the vault's region, and in the blocks of an object.
//!
//! Two copies of the [superblock](crate::superblock); then the index, one 512-byte sector an object,
//! so that an entry is written as a whole or not at all; then the data, each object in one run of
//! blocks: its chunks, and where there is more than one the seals of the chunks.

use portcullis_blk::BLOCK;

use crate::{
    MAX_OBJECTS,
    wire::{ENTRIES, SUPERBLOCKS, Seal},
};

/// Blocks of a full chunk: 64 KiB. Large enough that a chunk's fixed costs (a nonce derivation, a
/// seal, a share of a request to the driver) are below a hundredth of the cipher's; small enough that
/// a chunk stays in a core's second-level cache while it is hashed, encrypted and copied.
pub const CHUNK_BLOCKS: usize = 16;
/// Bytes of a full chunk.
pub const CHUNK: usize = CHUNK_BLOCKS * BLOCK;
/// Largest object, in bytes: 64 MiB, the appliance's promise (issue 1).
pub const OBJECT_MAX: u64 = 64 << 20;

/// Chunks of the largest object.
pub(crate) const CHUNKS_MAX: usize = (OBJECT_MAX / CHUNK as u64) as usize;

const _: () = assert!(
    size_of::<[Seal; CHUNKS_MAX]>().is_multiple_of(BLOCK),
    "the seals of the largest object fill whole blocks"
);

/// Data blocks for each index block, at least: objects of 16 KiB fill index and data alike.
const DATA_PER_INDEX_BLOCK: u64 = 32;

/// How the region is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) index_blocks: u64,
    pub(crate) data_blocks: u64,
}

impl Layout {
    /// Nothing at all.
    pub(crate) const NONE: Self = Self {
        index_blocks: 0,
        data_blocks: 0,
    };

    /// Divides a region of this many blocks; `None` where not even one index block and one chunk fit.
    pub(crate) const fn new(blocks: u64) -> Option<Self> {
        let Some(rest) = blocks.checked_sub(SUPERBLOCKS) else {
            return None;
        };
        let most = (MAX_OBJECTS / ENTRIES) as u64;
        let index_blocks = match rest / (DATA_PER_INDEX_BLOCK + 1) {
            0 => 1,
            some if some > most => most,
            some => some,
        };
        match rest.checked_sub(index_blocks) {
            // Places of data are kept as 32-bit numbers: 16 TiB.
            Some(data_blocks) if data_blocks >= CHUNK_BLOCKS as u64 => Some(Self {
                index_blocks,
                data_blocks: if data_blocks > u32::MAX as u64 {
                    u32::MAX as u64
                } else {
                    data_blocks
                },
            }),
            _ => None,
        }
    }

    /// Objects that the index has places for.
    pub(crate) const fn slots(&self) -> usize {
        self.index_blocks as usize * ENTRIES
    }

    /// First block of the data.
    pub(crate) const fn data(&self) -> u64 {
        SUPERBLOCKS + self.index_blocks
    }

    /// Whether a region of this many blocks can be divided so.
    pub(crate) fn fits(&self, blocks: u64) -> bool {
        let most = (MAX_OBJECTS / ENTRIES) as u64;
        let end = self
            .data_blocks
            .checked_add(SUPERBLOCKS + self.index_blocks.min(most));
        self.index_blocks <= most
            && self.data_blocks <= u64::from(u32::MAX)
            && end.is_some_and(|end| end <= blocks)
    }
}

/// Chunks of an object of `size` bytes.
pub(crate) const fn chunks(size: u64) -> u32 {
    size.div_ceil(CHUNK as u64) as u32
}

/// Content bytes of chunk `number` of an object of `size` bytes.
pub(crate) const fn chunk_length(size: u64, number: u32) -> usize {
    let rest = size.saturating_sub(number as u64 * CHUNK as u64);
    if rest > CHUNK as u64 {
        CHUNK
    } else {
        rest as usize
    }
}

/// Bytes of the whole blocks that `length` bytes take.
pub(crate) const fn padded(length: usize) -> usize {
    length.next_multiple_of(BLOCK)
}

/// Blocks of the content of an object of `size` bytes.
pub(crate) const fn content_blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64)
}

/// Bytes of the blocks that hold the seals of an object of `size` bytes. The seal of an only chunk is
/// in the index entry.
pub(crate) const fn seals_length(size: u64) -> usize {
    match chunks(size) {
        0 | 1 => 0,
        chunks => padded(chunks as usize * size_of::<Seal>()),
    }
}

/// Blocks of an object of `size` bytes.
pub(crate) const fn object_blocks(size: u64) -> u64 {
    content_blocks(size) + (seals_length(size) / BLOCK) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_is_divided_within_its_bounds() {
        assert_eq!(Layout::new(18), None);
        for blocks in (19..5_000).chain([1 << 20, 1 << 33, u64::MAX]) {
            let layout = Layout::new(blocks).unwrap();
            assert!(layout.fits(blocks), "{layout:?}");
            assert!(layout.slots() <= MAX_OBJECTS);
        }
    }

    #[test]
    fn objects_take_whole_blocks() {
        let chunk = CHUNK as u64;
        let cases = [
            (0, 0, 0),
            (1, 1, 1),
            (4_096, 1, 1),
            (4_097, 1, 2),
            (chunk, 1, 16),
            (chunk + 1, 2, 16 + 1 + 1),
            (102 * chunk, 102, 102 * 16 + 1),
            (103 * chunk, 103, 103 * 16 + 2),
            (OBJECT_MAX, 1_024, 1_024 * 16 + 10),
        ];
        for (size, count, blocks) in cases {
            assert_eq!(
                (chunks(size), object_blocks(size)),
                (count, blocks),
                "{size}"
            );
        }
        assert_eq!(chunk_length(chunk + 9, 0), CHUNK);
        assert_eq!(chunk_length(chunk + 9, 1), 9);
        assert_eq!(chunk_length(chunk, 1), 0);
    }
}

//! What lies where in the vault's region.
//!
//! Two superblocks, written in turn; then the index, one 512-byte sector an object, so that an
//! entry is written as a whole or not at all; then the data, each object in one run of blocks.

use portcullis_blk::{BLOCK, Block};
use sha2::{Digest, Sha256};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    byteorder::little_endian::{U32, U64},
};

use crate::{MAX_OBJECTS, seal::Keys};

/// Bytes of an index entry: the unit that a disk writes as a whole.
pub(crate) const SECTOR: usize = 512;
/// Index entries in a block.
pub(crate) const ENTRIES: usize = BLOCK / SECTOR;
/// Superblocks.
pub(crate) const SUPERBLOCKS: u64 = 2;

/// Blocks of a full chunk: 64 KiB. Large enough that a chunk's fixed costs (a nonce derivation, a
/// tag, a share of a request to the driver) are below a hundredth of the cipher's; small enough that
/// a chunk stays in a core's second-level cache while it is hashed, encrypted and copied.
pub const CHUNK_BLOCKS: usize = 16;
/// Bytes of content in a full chunk: what is left of its blocks beside the tag.
pub const CHUNK: usize = CHUNK_BLOCKS * BLOCK - TAG;
/// Bytes of a Poly1305 tag.
pub(crate) const TAG: usize = 16;
/// Largest object, in bytes: 64 MiB, the appliance's promise (issue 1).
pub const OBJECT_MAX: u64 = 64 << 20;

/// Numbers that one superblock sets aside. A start that uses more writes another; one that uses
/// fewer loses the rest, of 2^64.
pub(crate) const NUMBERS: u64 = 1 << 20;

const MAGIC: [u8; 8] = *b"PCULVAUL";
const VERSION: u32 = 1;
const HASHED: usize = SECTOR - 32 - TAG;
/// Data blocks for each index block, at least: objects of 16 KiB fill index and data alike.
const DATA_PER_INDEX_BLOCK: u64 = 32;

/// How the region is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) index_blocks: u64,
    pub(crate) data_blocks: u64,
}

/// The superblock. Its content is determined by its sequence number and the layout alone, so the
/// same nonce never meets another content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Superblock {
    pub(crate) sequence: u64,
    pub(crate) layout: Layout,
}

/// What a superblock's place holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Zeros: never written.
    Void,
    /// A superblock.
    Sound(Superblock),
    /// A superblock that another key sealed.
    OtherKey,
    /// Something else.
    Damaged,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawSuperblock {
    magic: [u8; 8],
    version: U32,
    chunk_blocks: U32,
    sequence: U64,
    index_blocks: U64,
    data_blocks: U64,
    reserved: [u8; HASHED - 8 - 4 - 4 - 3 * 8],
    tag: [u8; TAG],
    sha256: [u8; 32],
}

impl Layout {
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

    fn fits(&self, blocks: u64) -> bool {
        let most = (MAX_OBJECTS / ENTRIES) as u64;
        let end = self
            .data_blocks
            .checked_add(SUPERBLOCKS + self.index_blocks.min(most));
        self.index_blocks <= most
            && self.data_blocks <= u64::from(u32::MAX)
            && end.is_some_and(|end| end <= blocks)
    }
}

impl Superblock {
    /// The block that it is written to.
    pub(crate) const fn block(&self) -> u64 {
        self.sequence % SUPERBLOCKS
    }

    /// The first of the numbers that it sets aside.
    pub(crate) const fn first_number(&self) -> u64 {
        self.sequence * NUMBERS
    }

    pub(crate) fn encode(&self, keys: &Keys) -> Block {
        let mut raw = RawSuperblock {
            magic: MAGIC,
            version: VERSION.into(),
            chunk_blocks: (CHUNK_BLOCKS as u32).into(),
            sequence: self.sequence.into(),
            index_blocks: self.layout.index_blocks.into(),
            data_blocks: self.layout.data_blocks.into(),
            reserved: [0; _],
            tag: [0; _],
            sha256: [0; 32],
        };
        raw.tag = keys.superblock_tag(self.sequence, &raw.as_bytes()[..HASHED]);
        raw.sha256 = Sha256::digest(&raw.as_bytes()[..HASHED + TAG]).into();
        let mut block = [0; BLOCK];
        block[..SECTOR].copy_from_slice(raw.as_bytes());
        block
    }

    /// Reads the block at `at` of a region of `blocks`.
    pub(crate) fn decode(block: &Block, at: u64, blocks: u64, keys: &Keys) -> Place {
        if block.iter().all(|byte| *byte == 0) {
            return Place::Void;
        }
        let (raw, _) =
            RawSuperblock::read_from_prefix(block).expect("a block is larger than a superblock");
        let hash: [u8; 32] = Sha256::digest(&raw.as_bytes()[..HASHED + TAG]).into();
        let superblock = Self {
            sequence: raw.sequence.get(),
            layout: Layout {
                index_blocks: raw.index_blocks.get(),
                data_blocks: raw.data_blocks.get(),
            },
        };
        let sound = raw.magic == MAGIC
            && raw.sha256 == hash
            && raw.version.get() == VERSION
            && raw.chunk_blocks.get() == CHUNK_BLOCKS as u32
            && superblock.block() == at
            // Leaves room for the sequence numbers that recovery may skip.
            && superblock.sequence < u64::MAX / NUMBERS - 16
            && superblock.layout.fits(blocks);
        if !sound {
            return Place::Damaged;
        }
        if raw.tag != keys.superblock_tag(superblock.sequence, &raw.as_bytes()[..HASHED]) {
            return Place::OtherKey;
        }
        Place::Sound(superblock)
    }
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

/// Blocks of a chunk with this much content.
pub(crate) const fn chunk_blocks(length: usize) -> usize {
    (length + TAG).div_ceil(BLOCK)
}

/// Blocks of an object of `size` bytes.
pub(crate) const fn object_blocks(size: u64) -> u64 {
    let full = size / CHUNK as u64;
    let rest = (size % CHUNK as u64) as usize;
    let last = if rest == 0 { 0 } else { chunk_blocks(rest) };
    full * CHUNK_BLOCKS as u64 + last as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Keys;

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
        assert_eq!(object_blocks(0), 0);
        assert_eq!(object_blocks(1), 1);
        assert_eq!(object_blocks(4080), 1);
        assert_eq!(object_blocks(4081), 2);
        assert_eq!(object_blocks(CHUNK as u64), 16);
        assert_eq!(object_blocks(CHUNK as u64 + 1), 17);
        assert_eq!(object_blocks(OBJECT_MAX), 1_024 * 16 + 5);
        assert_eq!(chunk_length(CHUNK as u64 + 9, 1), 9);
        assert_eq!(chunk_length(CHUNK as u64, 1), 0);
    }

    #[test]
    fn a_superblock_is_read_with_its_key_at_its_place_and_whole() {
        let keys = Keys::new(&[3; 32], &[9; 16]);
        let layout = Layout::new(500).unwrap();
        let superblock = Superblock {
            sequence: 7,
            layout,
        };
        let block = superblock.encode(&keys);
        let sound = Place::Sound(superblock);
        assert_eq!(Superblock::decode(&block, 1, 500, &keys), sound);
        assert_eq!(Superblock::decode(&block, 0, 500, &keys), Place::Damaged);
        assert_eq!(Superblock::decode(&block, 1, 400, &keys), Place::Damaged);
        let other = Keys::new(&[4; 32], &[9; 16]);
        assert_eq!(Superblock::decode(&block, 1, 500, &other), Place::OtherKey);
        for byte in 0..SECTOR {
            let mut bad = block;
            bad[byte] ^= 0x10;
            assert_eq!(Superblock::decode(&bad, 1, 500, &keys), Place::Damaged);
        }
        assert_eq!(Superblock::decode(&[0; BLOCK], 1, 500, &keys), Place::Void);
    }
}

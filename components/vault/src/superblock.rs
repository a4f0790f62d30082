//! The superblock: says that the region is a vault, whose, and how it is divided.
//!
//! Written when the vault is made, in two copies, and never changed; a copy that is damaged is
//! written anew from the other. It fits one sector, so it is there as a whole or not at all.

use portcullis_blk::{BLOCK, Block, Disk, DiskError};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::{
    CHUNK_BLOCKS, StoreError,
    layout::Layout,
    seal::Keys,
    wire::{AUTHENTICATED, SECTOR, SUPERBLOCKS, Superblock, VAULT_MAGIC, VAULT_VERSION},
};

/// What a copy's place holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Zeros: never written.
    Void,
    /// A superblock.
    Sound(Layout),
    /// A superblock that another key made.
    OtherKey,
    /// A superblock of another version of the format.
    OtherVersion(u32),
    /// Something else.
    Damaged,
}

/// What the places of the two copies hold together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// How the region is divided; `None` where it is empty.
    pub(crate) layout: Option<Layout>,
    /// Whether one copy is not as it should be, and the other is.
    pub(crate) damaged: bool,
}

/// Reads both copies.
pub(crate) fn load(
    disk: &mut impl Disk,
    keys: &Keys,
    block: &mut Block,
) -> Result<Found, StoreError> {
    let blocks = disk.blocks();
    let mut at = |number| match disk.read(number, block) {
        Ok(()) => decode(block, blocks, keys),
        // What cannot be read is as good as damaged.
        Err(_) => Place::Damaged,
    };
    let (layout, damaged) = match (at(0), at(1)) {
        (Place::Sound(layout), other) | (other, Place::Sound(layout)) => {
            (Some(layout), other != Place::Sound(layout))
        }
        (Place::Void, Place::Void) => (None, false),
        (Place::OtherKey, _) | (_, Place::OtherKey) => return Err(StoreError::OtherKey),
        (Place::OtherVersion(version), _) | (_, Place::OtherVersion(version)) => {
            return Err(StoreError::OtherVersion { version });
        }
        _ => return Err(StoreError::Superblocks),
    };
    Ok(Found { layout, damaged })
}

/// Writes both copies, the first durably before the second.
pub(crate) fn store(disk: &mut impl Disk, layout: Layout, keys: &Keys) -> Result<(), DiskError> {
    let block = encode(layout, keys);
    for number in 0..SUPERBLOCKS {
        disk.write(number, &block)?;
        disk.flush()?;
    }
    Ok(())
}

fn encode(layout: Layout, keys: &Keys) -> Block {
    let mut raw = Superblock::new_zeroed();
    raw.magic = VAULT_MAGIC;
    raw.version = VAULT_VERSION.into();
    raw.chunk_blocks = (CHUNK_BLOCKS as u32).into();
    raw.index_blocks = layout.index_blocks.into();
    raw.data_blocks = layout.data_blocks.into();
    raw.mac = keys.superblock_mac(&raw.as_bytes()[..AUTHENTICATED]);
    raw.sha256 = Sha256::digest(&raw.as_bytes()[..SECTOR - 32]).into();
    let mut block = [0; BLOCK];
    block[..SECTOR].copy_from_slice(raw.as_bytes());
    block
}

/// Reads a block of a region of `blocks`.
fn decode(block: &Block, blocks: u64, keys: &Keys) -> Place {
    if block.iter().all(|byte| *byte == 0) {
        return Place::Void;
    }
    let (raw, _) =
        Superblock::read_from_prefix(block).expect("a block is larger than a superblock");
    let hash: [u8; 32] = Sha256::digest(&raw.as_bytes()[..SECTOR - 32]).into();
    if raw.magic != VAULT_MAGIC || raw.sha256 != hash {
        return Place::Damaged;
    }
    if raw.version.get() != VAULT_VERSION {
        return Place::OtherVersion(raw.version.get());
    }
    if raw.mac != keys.superblock_mac(&raw.as_bytes()[..AUTHENTICATED]) {
        return Place::OtherKey;
    }
    let layout = Layout {
        index_blocks: raw.index_blocks.get(),
        data_blocks: raw.data_blocks.get(),
    };
    let usable = raw.chunk_blocks.get() == CHUNK_BLOCKS as u32 && layout.fits(blocks);
    if usable {
        Place::Sound(layout)
    } else {
        Place::Damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_is_read_with_its_key_and_whole() {
        let keys = Keys::new(&[3; 32], &[9; 16]);
        let layout = Layout::new(500).unwrap();
        let block = encode(layout, &keys);
        assert_eq!(decode(&block, 500, &keys), Place::Sound(layout));
        assert_eq!(decode(&block, 400, &keys), Place::Damaged);
        let other = Keys::new(&[4; 32], &[9; 16]);
        assert_eq!(decode(&block, 500, &other), Place::OtherKey);
        for byte in 0..SECTOR {
            let mut bad = block;
            bad[byte] ^= 0x10;
            assert_eq!(decode(&bad, 500, &keys), Place::Damaged, "byte {byte}");
        }
        assert_eq!(decode(&[0; BLOCK], 500, &keys), Place::Void);
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let keys = Keys::new(&[3; 32], &[9; 16]);
        let mut block = encode(Layout::new(500).unwrap(), &keys);
        block[8] = 1;
        let hash = Sha256::digest(&block[..SECTOR - 32]);
        block[SECTOR - 32..SECTOR].copy_from_slice(&hash);
        assert_eq!(decode(&block, 500, &keys), Place::OtherVersion(1));
    }
}

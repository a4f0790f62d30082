//! No bytes make a check panic: not any, and not those that are hashed as they should be.

mod common;
#[path = "common/vault.rs"]
mod vault;

use common::{BLOCKS, fsck, sample};
use portcullis_blk::BLOCK;
use portcullis_blk::wire::{HASHED, SECTOR};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vault::Forger;

/// A number at some edge, or any.
fn number() -> impl Strategy<Value = u64> {
    let near = |edge: u64| (0..4_u64).prop_map(move |by| edge.wrapping_add(by).wrapping_sub(2));
    let edge = prop::sample::select(vec![2, BLOCKS, 1 << 32, 1 << 52, 1 << 63, 0]);
    prop_oneof![edge.prop_flat_map(near), 0..BLOCKS, any::<u64>()]
}

/// Puts a number at an offset of a sector that ends with its hash.
fn put(disk: &mut [u8], block: u64, offset: usize, number: u64) {
    let sector = &mut disk[block as usize * BLOCK..][..SECTOR];
    sector[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
    let hash = Sha256::digest(&sector[..HASHED]);
    sector[HASHED..].copy_from_slice(&hash);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_bytes_are_checked_without_panic(disk in prop::collection::vec(any::<u8>(), 0..9_000)) {
        prop_assert!(!fsck(&disk).holds());
    }

    #[test]
    fn any_header_and_marks_are_checked_without_panic(
        numbers in prop::collection::vec((0..4_u64, 0..8_usize, number()), 1..4),
        length in prop_oneof![Just(BLOCKS), 0..BLOCKS],
    ) {
        let mut disk = sample();
        for (block, field, number) in numbers {
            // Of a header the number of blocks and the regions, of marks all of them.
            let (block, offset) = match block {
                0 | 3 if field == 0 => (block, 16),
                0 | 3 => (block, 32 + 8 * field.min(6)),
                _ => (block, 16 + 8 * field.min(4)),
            };
            put(&mut disk, if block == 3 { BLOCKS - 1 } else { block }, offset, number);
        }
        disk.truncate(length as usize * BLOCK);
        fsck(&disk);
    }

    #[test]
    fn any_index_is_checked_without_panic(
        slot in 0..6_u16,
        numbers in prop::collection::vec((0..8_usize, number()), 1..4),
        blocks in prop::option::of((number(), number())),
    ) {
        let mut forger = Forger::new(sample());
        forger.edit(slot, |body| for (field, number) in numbers {
            match field {
                0 => body.number.set(number),
                1 => body.object.set(number),
                2 => body.size.set(number),
                3 => body.first.set(number),
                4 => body.followed.set(number),
                5 => body.references.set(number as u32),
                6 => body.name_length = number as u8,
                _ => body.through.set(number),
            }
        });
        if let Some((index, data)) = blocks {
            for copy in 0..2 {
                forger.superblock(copy, |block| {
                    block.index_blocks.set(index);
                    block.data_blocks.set(data);
                });
            }
        }
        fsck(&forger.disk);
    }
}

//! On a disk that was damaged at random, fsck finds something wherever anybody else does: the driver,
//! the ledger and the vault when they open it, and the vault when it reads.

mod common;

use std::cell::RefCell;

use common::{BLOCKS, Memories, Opened, fsck, lines, open, sample, with_memories};
use portcullis_blk::BLOCK;
use portcullis_blk::api::Area;
use portcullis_blk::testing::{FaultyDisk, SECTOR};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Random disks; `FSCK_CASES` asks for another number.
const CASES: u32 = 1_500;

/// Something that happens to a disk. Blocks are counted from the start of the disk, sectors too.
#[derive(Clone, Debug)]
enum Damage {
    Bit { byte: usize, bit: u8 },
    ZeroSector(usize),
    ZeroBlock(usize),
    Fill { sector: usize, with: u8 },
    Copy { from: usize, to: usize },
    Swap(usize, usize),
    CopySector { from: usize, to: usize },
    Cut { blocks: usize },
}

/// Blocks that hold something, most of the time: header and marks, vault, grant log, ledger.
fn block() -> impl Strategy<Value = usize> {
    let of_area =
        |area, blocks: u64| (0..blocks).prop_map(move |block| common::at(area, block) / BLOCK);
    prop_oneof![
        1 => 0..3_usize,
        2 => of_area(Area::Vault, 6),
        2 => of_area(Area::Vault, 45),
        4 => of_area(Area::Grants, 8),
        4 => of_area(Area::Worm, 11),
        1 => 0..BLOCKS as usize,
    ]
}

fn sector() -> impl Strategy<Value = usize> {
    (block(), 0..BLOCK / SECTOR).prop_map(|(block, sector)| block * (BLOCK / SECTOR) + sector)
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (block(), 0..BLOCK, 0..8_u8).prop_map(|(block, at, bit)| Damage::Bit { byte: block * BLOCK + at, bit }),
        3 => sector().prop_map(Damage::ZeroSector),
        3 => block().prop_map(Damage::ZeroBlock),
        2 => (sector(), any::<u8>()).prop_map(|(sector, with)| Damage::Fill { sector, with }),
        3 => (block(), block()).prop_map(|(from, to)| Damage::Copy { from, to }),
        3 => (block(), block()).prop_map(|(one, other)| Damage::Swap(one, other)),
        2 => (sector(), sector()).prop_map(|(from, to)| Damage::CopySector { from, to }),
        1 => (1..BLOCKS as usize).prop_map(|blocks| Damage::Cut { blocks }),
    ]
}

fn apply(disk: &mut [u8], damage: &Damage) {
    let sector = |number: usize| number * SECTOR..(number + 1) * SECTOR;
    let block = |number: usize| number * BLOCK..(number + 1) * BLOCK;
    match *damage {
        Damage::Bit { byte, bit } => disk[byte] ^= 1 << bit,
        Damage::ZeroSector(number) => disk[sector(number)].fill(0),
        Damage::ZeroBlock(number) => disk[block(number)].fill(0),
        Damage::Fill {
            sector: number,
            with,
        } => disk[sector(number)].fill(with),
        Damage::Copy { from, to } => disk.copy_within(block(from), to * BLOCK),
        Damage::CopySector { from, to } => disk.copy_within(sector(from), to * SECTOR),
        Damage::Swap(one, other) => {
            let kept = disk[block(one)].to_vec();
            disk.copy_within(block(other), one * BLOCK);
            disk[block(other)].copy_from_slice(&kept);
        }
        // What comes after must still lie on the disk: the test cuts it in the end.
        Damage::Cut { .. } => {}
    }
}

fn damaged(damages: &[Damage]) -> Vec<u8> {
    let mut disk = sample();
    damages.iter().for_each(|damage| apply(&mut disk, damage));
    for damage in damages {
        if let Damage::Cut { blocks } = damage {
            disk.truncate(disk.len().min(blocks * BLOCK));
        }
    }
    disk
}

/// How many of the disks somebody found fault with.
#[derive(Clone, Copy, Default, Debug)]
struct Counted {
    appliance: u32,
    fsck: u32,
}

/// One damaged disk.
fn compare(
    damages: &[Damage],
    memories: &mut Memories,
    counted: &mut Counted,
) -> Result<(), TestCaseError> {
    let disk = damaged(damages);
    let report = fsck(&disk);
    counted.fsck += u32::from(!report.holds());
    let said = lines(&report);
    let Opened { damage, notes } = open(FaultyDisk::from_bytes(disk), memories);
    counted.appliance += u32::from(!damage.is_empty());
    prop_assert!(
        damage.is_empty() || !report.holds(),
        "{damage:#?} {said:#?}"
    );
    prop_assert!(notes.is_empty() || !said.is_empty(), "{notes:#?}");
    Ok(())
}

#[test]
fn what_anybody_finds_fsck_finds() {
    let cases = std::env::var("FSCK_CASES").ok();
    let cases = cases.map_or(CASES, |cases| cases.parse().unwrap());
    with_memories(move |memories| {
        let memories = RefCell::new(memories);
        let counted = RefCell::new(Counted::default());
        let damages = prop::collection::vec(damage(), 1..4);
        let config = ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let tested = TestRunner::new(config).run(&damages, |damages| {
            compare(
                &damages,
                &mut memories.borrow_mut(),
                &mut counted.borrow_mut(),
            )
        });
        tested.unwrap();
        let counted = counted.into_inner();
        println!("of {cases} disks, found damaged: {counted:?}");
        assert!(counted.appliance > cases / 10);
    });
}

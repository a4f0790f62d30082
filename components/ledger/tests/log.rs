//! A log's rules, one test each, and the log beside a model of it under power cuts.

mod common;

use common::{
    Memory, Opened, Region, append, check_all, check_proof, key, new_disk, open, records,
};
use ed25519_dalek::SigningKey;
use portcullis_blk::{BLOCK, DiskError, Header, api::Area, testing::FaultyDisk};
use portcullis_ledger::LogError;
use portcullis_log::merkle::{Frontier, Hash};
use proptest::prelude::*;

const BLOCKS: u64 = 512;

fn region(disk: FaultyDisk) -> Region {
    Region::open(disk, Area::Worm).unwrap()
}

#[test]
fn what_is_appended_is_read_and_proved_before_and_after_a_restart() {
    let mut region = region(new_disk(4_096));
    let mut memory = Box::new(Memory::default());
    let (mut log, opened) = open(&mut region, &mut memory);
    assert_eq!(opened.unwrap(), Default::default());
    check_all(&mut log, &mut region, &[]);
    let mut all = Vec::new();
    let groups: [&[usize]; 5] = [
        &[1],
        &[100; 90],
        &[896, 3, 896, 896, 896, 896],
        &[120; 3_000],
        &[7],
    ];
    for lengths in groups {
        let group = records(all.len() as u64, lengths);
        append(&mut log, &mut region, &group).unwrap();
        all.extend(group);
    }
    check_all(&mut log, &mut region, &all);
    let (mut log, opened) = open(&mut region, &mut memory);
    let found = opened.unwrap();
    // 3,000 records of 120 bytes fill more blocks than a commit may have.
    assert_eq!((found.records, found.commits, found.void), (3_098, 6, 0));
    check_all(&mut log, &mut region, &all);
}

#[test]
fn proofs_are_given_for_every_size_that_was_signed_and_no_other() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    let mut all = Vec::new();
    let mut tree = Frontier::new();
    let mut heads: Vec<(u64, Hash)> = Vec::new();
    for group in 1..9 {
        let group = records(all.len() as u64, &vec![50; group]);
        append(&mut log, &mut region, &group).unwrap();
        for record in &group {
            tree.append(record);
        }
        all.extend(group);
        heads.push((tree.size(), tree.root()));
    }
    for (size, root) in &heads {
        for index in 0..*size {
            check_proof(&mut log, &mut region, &all, index, *size, root);
        }
    }
    for size in (1..=40).filter(|size| heads.iter().all(|head| head.0 != *size)) {
        let refused = log.prove(&mut region, 0, size);
        assert_eq!(refused, Err(LogError::NoCheckpoint { size }));
    }
    let (index, size) = (3, 3);
    let outside = log.prove(&mut region, index, size);
    assert_eq!(outside, Err(LogError::NoRecord { index, size }));
}

/// More records than the index has hashes: a range has several, and lies in several blocks.
#[test]
fn records_of_a_large_log_are_read_and_proved_at_every_size_that_was_signed() {
    let mut region = region(new_disk(8_192));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    let mut all = Vec::new();
    let mut tree = Frontier::new();
    let mut heads: Vec<(u64, Hash)> = Vec::new();
    let lengths: Vec<usize> = (0..900).map(|n| 30 + n % 40).collect();
    for group in [1, 700, 900, 5, 3].iter().cycle().take(48) {
        let group = records(all.len() as u64, &lengths[..*group]);
        append(&mut log, &mut region, &group).unwrap();
        for record in &group {
            tree.append(record);
        }
        all.extend(group);
        heads.push((tree.size(), tree.root()));
    }
    assert!(tree.size() > 3 * 4_096);
    for _ in 0..2 {
        let last = heads.len() - 1;
        for (size, root) in [heads[1], heads[9], heads[27], heads[28], heads[last]] {
            for index in [0, 1, 4_095, 8_191, size / 2, size - 2, size - 1] {
                if index < size {
                    check_proof(&mut log, &mut region, &all, index, size, &root);
                }
            }
            let refused = log.prove(&mut region, 0, size - 1);
            let size = size - 1;
            assert_eq!(refused, Err(LogError::NoCheckpoint { size }));
        }
        for (index, record) in (0..).zip(&all).step_by(97) {
            let mut buffer = [0; 1_024];
            let length = log.read(&mut region, index, &mut buffer).unwrap();
            assert_eq!(buffer[..length], record[..], "record {index}");
        }
        let opened;
        (log, opened) = open(&mut region, &mut memory);
        assert_eq!(opened.unwrap().records, tree.size());
    }
}

#[test]
fn a_full_region_refuses_and_serves_what_it_has() {
    let mut region = region(new_disk(64));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    // The last of seven stays free, for the last commit to be written again.
    let blocks = 7;
    let mut all = Vec::new();
    let error = loop {
        let group = records(all.len() as u64, &[896]);
        match append(&mut log, &mut region, &group) {
            Ok(()) => all.extend(group),
            Err(error) => break error,
        }
    };
    assert_eq!(error, LogError::Full { blocks });
    assert_eq!(all.len() as u64, 2 * (blocks - 1), "two commits in a block");
    check_all(&mut log, &mut region, &all);
    let (mut log, _) = open(&mut region, &mut memory);
    assert_eq!(log.log.admits(1), Err(LogError::Full { blocks }));
    check_all(&mut log, &mut region, &all);
}

#[test]
fn a_group_ends_where_the_region_ends_and_what_fitted_is_kept() {
    let mut region = region(new_disk(64));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    let all = records(0, &[896; 40]);
    let mut taken = 0;
    while log.log.admits(896).is_ok() {
        log.log.add(&mut region, &all[taken], &key()).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 24, "six blocks of four");
    log.log.commit(&mut region, &key()).unwrap();
    check_all(&mut log, &mut region, &all[..taken]);
}

#[test]
fn after_a_failed_write_or_flush_nothing_is_acknowledged_and_what_was_is_served() {
    let first = records(0, &[300; 5]);
    // Into the block that was begun: that, and the flush; and beyond it: both blocks, the marks, the flush.
    let shapes = [(0, &[300; 2][..]), (1, &[300; 2])];
    let longer = (0..4).map(|operation| (operation, &[896; 4][..]));
    for (operation, lengths) in shapes.into_iter().chain(longer) {
        for lie in [false, true] {
            let mut region = region(new_disk(BLOCKS));
            let mut memory = Box::new(Memory::default());
            let (mut log, _) = open(&mut region, &mut memory);
            append(&mut log, &mut region, &first).unwrap();
            let number = region.disk().operations() + operation;
            if lie {
                region.disk().plan.lie = Some(number);
            } else {
                region.disk().plan.fail = Some(number);
                region.disk().plan.kept = 3;
            }
            let second = records(5, lengths);
            let failed = append(&mut log, &mut region, &second).unwrap_err();
            assert!(matches!(
                failed,
                LogError::Disk(DiskError::Write { .. } | DiskError::Flush)
            ));
            let again = append(&mut log, &mut region, &second);
            assert_eq!(again, Err(LogError::Stopped));
            check_all(&mut log, &mut region, &first);
            // Started anew, on whatever the disk holds: it goes on.
            let disk = region.disk().cut(|_| !lie);
            let mut region = self::region(disk);
            let (mut log, opened) = open(&mut region, &mut memory);
            let mut all = first.clone();
            if opened.unwrap().records > 5 {
                all.extend(second.clone());
            }
            let third = records(all.len() as u64, &[10]);
            append(&mut log, &mut region, &third).unwrap();
            all.extend(third);
            check_all(&mut log, &mut region, &all);
        }
    }
}

/// A flush fails, and the disk reads back all the same what is lost. Started anew, the ledger must
/// not take for durable what it reads.
#[test]
fn what_is_read_back_after_a_failed_flush_is_written_again() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    let mut all = records(0, &[300; 5]);
    append(&mut log, &mut region, &all).unwrap();
    let more = records(5, &[896; 9]);
    // Three blocks and the marks come before it.
    region.disk().plan.fail = Some(region.disk().operations() + 4);
    let failed = append(&mut log, &mut region, &more);
    assert_eq!(failed, Err(LogError::Disk(DiskError::Flush)));
    let mut region = self::region(region.disk().clone());
    let (_, opened) = open(&mut region, &mut memory);
    let found = opened.unwrap();
    assert_eq!((found.records, found.rewritten), (14, 9));
    all.extend(more);
    // From here on the first copy is not needed.
    let mut region = self::region(region.disk().cut(|_| false));
    let (mut log, opened) = open(&mut region, &mut memory);
    let found = opened.unwrap();
    assert_eq!((found.records, found.rewritten), (14, 0));
    check_all(&mut log, &mut region, &all);
}

/// A commit was not flushed when it was written again, and only the copy is left of the two, behind
/// sectors of zeros. It must not take the place of what is appended then.
#[test]
fn a_copy_of_a_commit_that_is_lost_is_no_later_than_what_is_appended() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let all = records(0, &[300; 11]);
    let (mut log, _) = open(&mut region, &mut memory);
    append(&mut log, &mut region, &all[..5]).unwrap();
    region = self::region(region.disk().clone());
    // The first commit is flushed for sure.
    let (mut log, _) = open(&mut region, &mut memory);
    let mut left = region.disk().bytes_mut().to_vec();
    append(&mut log, &mut region, &all[5..10]).unwrap();
    region = self::region(region.disk().clone());
    open(&mut region, &mut memory).1.unwrap();
    let header = Header::new(BLOCKS, common::ID).unwrap();
    let copy = (header.start(Area::Worm) as usize + 2) * BLOCK;
    left[copy..][..BLOCK].copy_from_slice(&region.disk().bytes_mut()[copy..][..BLOCK]);

    let mut region = self::region(FaultyDisk::from_bytes(left));
    let (mut log, opened) = open(&mut region, &mut memory);
    assert_eq!(opened.unwrap().records, 10);
    append(&mut log, &mut region, &all[10..]).unwrap();
    let mut region = self::region(region.disk().cut(|_| false));
    let (mut log, _) = open(&mut region, &mut memory);
    check_all(&mut log, &mut region, &all);
}

/// The copy of a commit that was written again is damaged: the first is served, and not the copy.
#[test]
fn a_damaged_copy_of_a_commit_is_not_served() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let all = records(0, &[700; 9]);
    let (mut log, _) = open(&mut region, &mut memory);
    append(&mut log, &mut region, &all[..3]).unwrap();
    append(&mut log, &mut region, &all[3..]).unwrap();
    region = self::region(region.disk().clone());
    assert_eq!(open(&mut region, &mut memory).1.unwrap().rewritten, 6);
    let header = Header::new(BLOCKS, common::ID).unwrap();
    // Blocks 0; 1 and 2; and their copies.
    for block in [3, 4] {
        let at = (header.start(Area::Worm) as usize + block) * BLOCK + 200;
        let mut disk = region.disk().clone();
        disk.bytes_mut()[at] ^= 1;
        let mut region = self::region(disk);
        let (mut log, opened) = open(&mut region, &mut memory);
        let found = opened.unwrap();
        assert_eq!((found.records, found.damage.is_some()), (9, true));
        check_all(&mut log, &mut region, &all);
    }
}

#[test]
fn what_was_surely_flushed_is_not_written_again() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    append(&mut log, &mut region, &records(0, &[300; 5])).unwrap();
    for (start, rewritten) in [5, 0, 0, 0].into_iter().enumerate() {
        region = self::region(region.disk().clone());
        let (_, opened) = open(&mut region, &mut memory);
        assert_eq!(opened.unwrap().rewritten, rewritten, "start {start}");
    }
    // The log and its copy: no start takes room by itself.
    assert_eq!(region.extent().mark, 2);
}

#[test]
fn every_damaged_block_is_noticed_and_nothing_is_appended_behind_one_in_the_middle() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    let all = records(0, &[700; 20]);
    // Each takes a block.
    for group in all.chunks(5) {
        append(&mut log, &mut region, group).unwrap();
    }
    let sound = region.disk().clone();
    let start = region.driver.info().unwrap().lengths[..2]
        .iter()
        .sum::<u64>()
        + 3;
    for block in 0..4 {
        for offset in [0, 40, 100, 3_993, 4_000] {
            let mut disk = sound.clone();
            disk.bytes_mut()[(start + block) as usize * BLOCK + offset] ^= 1;
            let mut region = self::region(disk);
            // While it runs: the record is not served.
            let mut memory_of_second = Box::new(Memory::default());
            let (mut log, opened) = open(&mut region, &mut memory_of_second);
            let found = opened.unwrap();
            assert_eq!(found.records, 5 * block, "block {block}, byte {offset}");
            // The last block may also seem to be of another log.
            let excused = block == 3 && offset == 40;
            assert_eq!(found.damage.is_some(), !excused);
            check_all(&mut log, &mut region, &all[..5 * block as usize]);
            let appended = append(&mut log, &mut region, &records(0, &[1]));
            assert_eq!(appended.is_err(), !excused);
        }
        // A signature is not needed to read on; that of the last head says whose log it is.
        let mut disk = sound.clone();
        disk.bytes_mut()[(start + block) as usize * BLOCK + BLOCK - 1] ^= 1;
        let mut region = self::region(disk);
        let mut memory_of_second = Box::new(Memory::default());
        let (mut log, opened) = open(&mut region, &mut memory_of_second);
        assert_eq!(opened.unwrap().other_key, block == 3);
        assert_eq!(log.read(&mut region, 19, &mut [0; 1_024]), Ok(700));
    }
    let (mut log, _) = open(&mut region, &mut memory);
    let at = (start + 2) as usize * BLOCK + 200;
    region.disk().bytes_mut()[at] ^= 1;
    let lost = log.read(&mut region, 10, &mut [0; 1_024]);
    assert_eq!(lost, Err(LogError::Lost { index: 10 }));
    let proved = log.prove(&mut region, 10, 20);
    assert_eq!(proved, Err(LogError::Lost { index: 10 }));
    for sound in [5, 9] {
        assert!(log.read(&mut region, sound, &mut [0; 1_024]).is_ok());
    }
}

#[test]
fn another_key_reads_and_does_not_append() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(Memory::default());
    let (mut log, _) = open(&mut region, &mut memory);
    let all = records(0, &[5, 6]);
    append(&mut log, &mut region, &all).unwrap();
    let other = SigningKey::from_bytes(&[1; 32]);
    let mut log = Opened::closed(Area::Worm, &mut memory);
    let found = log.open(&mut region, &other).unwrap();
    assert!(found.other_key);
    check_all(&mut log, &mut region, &all);
    let refused = log.log.add(&mut region, b"x", &other);
    assert_eq!(refused, Err(LogError::OtherKey));
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![1..20usize, 100..130usize, 500..=896usize];
    prop_oneof![
        4 => prop::collection::vec(length, 1..12).prop_map(Step::Append),
        1 => Just(Step::Restart),
    ]
}

/// What was acknowledged, and what was under way when the power went.
#[derive(Default)]
struct Model {
    acknowledged: Vec<Vec<u8>>,
    under_way: Vec<Vec<u8>>,
}

fn run(disk: FaultyDisk, memory: &mut Memory, steps: &[Step]) -> (FaultyDisk, Model) {
    let mut model = Model::default();
    let mut region = region(disk);
    let (mut log, opened) = open(&mut region, memory);
    if opened.is_err() {
        return (region.disk().clone(), model);
    }
    for step in steps {
        match step {
            Step::Append(lengths) => {
                model.under_way = records(model.acknowledged.len() as u64, lengths);
                if append(&mut log, &mut region, &model.under_way).is_err() {
                    break;
                }
                model.acknowledged.append(&mut model.under_way);
            }
            Step::Restart => {
                let disk = region.disk().clone();
                let Some(again) = Region::open(disk, Area::Worm) else {
                    break;
                };
                region = again;
                let opened;
                (log, opened) = open(&mut region, memory);
                if opened.is_err() {
                    break;
                }
            }
        }
    }
    (region.disk().clone(), model)
}

/// As [`run`], with one operation that fails: the ledger is started anew, without a cut, on what the
/// disk reads back, and goes on.
fn run_through(disk: FaultyDisk, memory: &mut Memory, steps: &[Step]) -> (FaultyDisk, Model) {
    let mut model = Model::default();
    let mut region = region(disk);
    let (mut log, opened) = open(&mut region, memory);
    let mut is_open = opened.is_ok();
    for step in steps {
        if let (Step::Append(lengths), true) = (step, is_open) {
            model.under_way = records(model.acknowledged.len() as u64, lengths);
            if append(&mut log, &mut region, &model.under_way).is_ok() {
                model.acknowledged.append(&mut model.under_way);
                continue;
            }
        }
        let Some(again) = Region::open(region.disk().clone(), Area::Worm) else {
            break;
        };
        region = again;
        let opened;
        (log, opened) = open(&mut region, memory);
        is_open = opened.is_ok();
        if let Ok(found) = opened
            && found.records > model.acknowledged.len() as u64
            && found.not_rewritten.is_none()
        {
            model.acknowledged.append(&mut model.under_way);
        }
    }
    (region.disk().clone(), model)
}

/// Recovers what a cut left; the log must hold what was acknowledged, all or nothing of what was
/// under way, and go on, twice.
fn check_recovery(disk: FaultyDisk, memory: &mut Memory, model: &Model) {
    let mut region = region(disk);
    let (mut log, opened) = open(&mut region, memory);
    let found = opened.unwrap();
    assert_eq!(found.damage, None);
    let mut all = model.acknowledged.clone();
    if found.records > all.len() as u64 {
        all.extend(model.under_way.iter().cloned());
    }
    check_all(&mut log, &mut region, &all);
    for lengths in [&[9, 900][..], &[30]] {
        let more = records(1_000 + all.len() as u64, lengths);
        append(&mut log, &mut region, &more).unwrap();
        all.extend(more);
    }
    check_all(&mut log, &mut region, &all);
    let disk = region.disk().cut(|_| false);
    let mut region = self::region(disk);
    let (mut log, opened) = open(&mut region, memory);
    assert_eq!(opened.unwrap().damage, None);
    check_all(&mut log, &mut region, &all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_cut_anywhere_loses_nothing_acknowledged(
        steps in prop::collection::vec(step(), 1..5),
        seed in any::<u64>(),
    ) {
        let mut memory = Box::new(Memory::default());
        let disk = new_disk(BLOCKS);
        let before = disk.operations();
        let (whole, model) = run(disk.clone(), &mut memory, &steps);
        check_recovery(whole.clone(), &mut memory, &model);
        for operation in before..whole.operations() {
            let mut disk = disk.clone();
            disk.plan.power_off = Some(operation);
            let (disk, model) = run(disk, &mut memory, &steps);
            assert!(disk.is_off());
            check_recovery(disk.cut(|_| true), &mut memory, &model);
            check_recovery(disk.cut(|_| false), &mut memory, &model);
            for round in 0..3 {
                let random = |sector: usize| {
                    let mixed = (seed ^ operation << 32 ^ round << 20 ^ sector as u64)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    mixed >> 63 == 0
                };
                check_recovery(disk.cut(random), &mut memory, &model);
            }
        }
    }

    /// Commits are cut off one after the other: none is written over what an earlier one left.
    #[test]
    fn a_cut_after_a_cut_loses_nothing_acknowledged_and_damages_nothing(
        lengths in prop::collection::vec(prop::collection::vec(500..=896usize, 9..40), 3),
        seeds in prop::collection::vec(any::<u64>(), 1..12),
    ) {
        let mut memory = Box::new(Memory::default());
        let mut disk = new_disk(4 * BLOCKS);
        let mut all = Vec::new();
        for (lengths, seed) in lengths.iter().cycle().zip(&seeds) {
            let mut region = region(disk);
            let (mut log, opened) = open(&mut region, &mut memory);
            let found = opened.unwrap();
            prop_assert_eq!(found.damage, None);
            prop_assert_eq!(found.records, all.len() as u64);
            check_all(&mut log, &mut region, &all);
            if all.is_empty() {
                all = records(0, &[300; 5]);
                append(&mut log, &mut region, &all).unwrap();
            }
            let under_way = records(all.len() as u64, lengths);
            // The power goes before its flush.
            for record in &under_way {
                log.log.add(&mut region, record, &key()).unwrap();
            }
            disk = region.disk().cut(|sector| {
                // A block is there as a whole or not at all, now and then in part.
                let unit = if seed & 1 == 0 { sector / 8 } else { sector } as u64;
                (seed ^ unit << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0
            });
        }
        let model = Model { acknowledged: all, under_way: Vec::new() };
        check_recovery(disk, &mut memory, &model);
    }

    #[test]
    fn what_is_acknowledged_after_a_failure_is_not_lost_either(
        steps in prop::collection::vec(step(), 2..6),
        lie in any::<bool>(),
    ) {
        let mut memory = Box::new(Memory::default());
        let disk = new_disk(BLOCKS);
        let before = disk.operations();
        let whole = run_through(disk.clone(), &mut memory, &steps).0;
        for operation in before..whole.operations() {
            let mut disk = disk.clone();
            if lie {
                disk.plan.lie = Some(operation);
            } else {
                disk.plan.fail = Some(operation);
                disk.plan.kept = 3;
            }
            let (disk, model) = run_through(disk, &mut memory, &steps);
            check_recovery(disk.cut(|_| false), &mut memory, &model);
        }
    }
}

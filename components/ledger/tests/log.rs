//! A log's rules, one test each, and the log beside a model of it under power cuts.

mod common;

use common::{Region, append, check_all, check_proof, key, new_disk, open, records};
use ed25519_dalek::SigningKey;
use portcullis_blk::{BLOCK, DiskError, api::Area, testing::FaultyDisk};
use portcullis_ledger::{Log, LogError, LogMemory};
use portcullis_log::{
    block::{LogId, LogKind},
    merkle::{Frontier, Hash},
};
use proptest::prelude::*;

const BLOCKS: u64 = 512;

fn region(disk: FaultyDisk) -> Region {
    Region::open(disk, Area::Worm).unwrap()
}

#[test]
fn what_is_appended_is_read_and_proved_before_and_after_a_restart() {
    let mut region = region(new_disk(4_096));
    let mut memory = Box::new(LogMemory::new());
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
    let mut memory = Box::new(LogMemory::new());
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

#[test]
fn a_full_region_refuses_and_serves_what_it_has() {
    let mut region = region(new_disk(64));
    let mut memory = Box::new(LogMemory::new());
    let (mut log, _) = open(&mut region, &mut memory);
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
    assert_eq!(all.len() as u64, blocks);
    check_all(&mut log, &mut region, &all);
    let (mut log, _) = open(&mut region, &mut memory);
    assert_eq!(log.admits(1), Err(LogError::Full { blocks }));
    check_all(&mut log, &mut region, &all);
}

#[test]
fn a_group_ends_where_the_region_ends_and_what_fitted_is_kept() {
    let mut region = region(new_disk(64));
    let mut memory = Box::new(LogMemory::new());
    let (mut log, _) = open(&mut region, &mut memory);
    let all = records(0, &[896; 40]);
    let mut taken = 0;
    while log.admits(896).is_ok() {
        log.add(&mut region, &all[taken], &key()).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 28, "seven blocks of four");
    log.commit(&mut region, &key()).unwrap();
    check_all(&mut log, &mut region, &all[..taken]);
}

#[test]
fn after_a_failed_write_or_flush_nothing_is_acknowledged_and_what_was_is_served() {
    let first = records(0, &[300; 5]);
    for operation in 0..3 {
        for lie in [false, true] {
            let mut region = region(new_disk(BLOCKS));
            let mut memory = Box::new(LogMemory::new());
            let (mut log, _) = open(&mut region, &mut memory);
            append(&mut log, &mut region, &first).unwrap();
            // The block, the marks, the flush.
            let number = region.disk().operations() + operation;
            if lie {
                region.disk().plan.lie = Some(number);
            } else {
                region.disk().plan.fail = Some(number);
                region.disk().plan.kept = 3;
            }
            let second = records(5, &[300; 2]);
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

#[test]
fn every_damaged_block_is_noticed_and_nothing_is_appended_behind_one_in_the_middle() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(LogMemory::new());
    let (mut log, _) = open(&mut region, &mut memory);
    let all = records(0, &[700; 12]);
    for group in all.chunks(3) {
        append(&mut log, &mut region, group).unwrap();
    }
    let sound = region.disk().clone();
    let start = region.driver.info().unwrap().lengths[..2]
        .iter()
        .sum::<u64>()
        + 3;
    for block in 0..4 {
        for offset in [0, 40, 100, 3_970, BLOCK - 1] {
            let mut disk = sound.clone();
            disk.bytes_mut()[(start + block) as usize * BLOCK + offset] ^= 1;
            let mut region = self::region(disk);
            // While it runs: the record is not served.
            let mut memory_of_second = Box::new(LogMemory::new());
            let (mut log, opened) = open(&mut region, &mut memory_of_second);
            let found = opened.unwrap();
            assert_eq!(found.records, 3 * block, "block {block}, byte {offset}");
            assert_eq!(found.damage.is_some(), block < 3);
            check_all(&mut log, &mut region, &all[..3 * block as usize]);
            let appended = append(&mut log, &mut region, &records(0, &[1]));
            assert_eq!(appended.is_err(), block < 3);
        }
    }
    let (mut log, _) = open(&mut region, &mut memory);
    let at = (start + 2) as usize * BLOCK + 200;
    region.disk().bytes_mut()[at] ^= 1;
    let lost = log.read(&mut region, 7, &mut [0; 1_024]);
    assert_eq!(lost, Err(LogError::Lost { index: 7 }));
    assert!(log.read(&mut region, 3, &mut [0; 1_024]).is_ok());
}

#[test]
fn another_key_reads_and_does_not_append() {
    let mut region = region(new_disk(BLOCKS));
    let mut memory = Box::new(LogMemory::new());
    let (mut log, _) = open(&mut region, &mut memory);
    let all = records(0, &[5, 6]);
    append(&mut log, &mut region, &all).unwrap();
    let other = SigningKey::from_bytes(&[1; 32]);
    let mut log = Log::new(LogKind::Worm, &mut memory);
    let mark = region.mark();
    let found = log
        .open(&mut region, LogId(common::ID), mark, &other)
        .unwrap();
    assert!(found.other_key);
    check_all(&mut log, &mut region, &all);
    let refused = log.add(&mut region, b"x", &other);
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

fn run(disk: FaultyDisk, memory: &mut LogMemory, steps: &[Step]) -> (FaultyDisk, Model) {
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

/// Recovers what a cut left; the log must hold what was acknowledged, all or nothing of what was
/// under way, and go on, twice.
fn check_recovery(disk: FaultyDisk, memory: &mut LogMemory, model: &Model) {
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
        let mut memory = Box::new(LogMemory::new());
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
}

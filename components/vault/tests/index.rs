//! The index: whatever mixture of its past and present somebody puts on the disk, the vault knows
//! that it is not what it left; and the ledger says which objects are gone.

mod common;

use common::{Ledger, check, content, digest, open, publish, put, with_memory};
use portcullis_blk::{BLOCK, testing::FaultyDisk};
use portcullis_vault::{Act, Memory, ObjectDigest};
use proptest::prelude::*;

const INDEX: usize = 2 * BLOCK;
const SECTOR: usize = 512;
const SLOTS: usize = 8;

type Index = [[u8; SECTOR]; SLOTS];

fn index(disk: &mut FaultyDisk) -> Index {
    let (sectors, _) = disk.bytes_mut()[INDEX..][..BLOCK].as_chunks::<SECTOR>();
    sectors.try_into().unwrap()
}

fn set_index(disk: &mut FaultyDisk, index: &Index) {
    disk.bytes_mut()[INDEX..][..BLOCK].copy_from_slice(index.as_flattened());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8),
    Record(u8, bool),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8).prop_map(Step::Put),
        3 => (0..6u8, any::<bool>()).prop_map(|(seed, released)| Step::Record(seed, released)),
        1 => (0..6u8).prop_map(Step::Delete),
    ]
}

fn object(seed: u8) -> (Vec<u8>, ObjectDigest) {
    let content = content(seed.into(), 100);
    let digest = digest(&content);
    (content, digest)
}

/// Every index that the vault left behind, from the empty one on, and its ledger.
fn history(memory: &mut Memory, steps: &[Step]) -> (FaultyDisk, Ledger, Vec<Index>) {
    let mut disk = FaultyDisk::new(40);
    let mut ledger = Ledger::default();
    let (mut store, opened) = open(&mut disk, memory);
    opened.unwrap();
    let mut all = vec![index(&mut disk)];
    for step in steps {
        let _ = match *step {
            Step::Put(seed) => put(&mut store, &mut disk, &object(seed).0, 100).map(drop),
            Step::Record(seed, released) => {
                let act = if released { Act::Released } else { Act::Kept };
                let digest = object(seed).1;
                let recorded = ledger.record(&mut store, &mut disk, &digest, "name", act);
                recorded.map(drop)
            }
            Step::Delete(seed) => ledger
                .delete(&mut store, &mut disk, &object(seed).1)
                .map(drop),
        };
        all.push(index(&mut disk));
    }
    (disk, ledger, all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_index_that_the_vault_left_is_one_and_no_mixture_of_them_is(
        steps in prop::collection::vec(step(), 1..20),
        mixture in prop::collection::vec(any::<prop::sample::Index>(), SLOTS),
        zeroed in prop::option::weighted(0.3, 0..SLOTS),
    ) {
        with_memory(move |memory| {
            let (mut disk, _, all) = history(memory, &steps);
            let mut mixed: Index = core::array::from_fn(|slot| {
                mixture[slot].get(&all)[slot]
            });
            if let Some(slot) = zeroed {
                mixed[slot] = [0; SECTOR];
            }
            set_index(&mut disk, &mixed);
            let opened = open(&mut disk, memory).1.unwrap();
            assert_eq!(!opened.changed, all.contains(&mixed));
            // Two entries of one mixture may claim the same object or the same blocks.
            assert!(opened.void == 0 || opened.changed);
        });
    }

    /// Nonces of the index never meet two contents, whichever past a vault goes on from.
    #[test]
    fn pasts_that_go_on_differently_share_no_nonce(
        steps in prop::collection::vec(step(), 1..12),
        others in prop::collection::vec(step(), 1..12),
        back in any::<prop::sample::Index>(),
    ) {
        with_memory(move |memory| {
            let shared = &steps[..back.index(steps.len())];
            let branch: Vec<_> = shared.iter().chain(&others).copied().collect();
            let mut seen = std::collections::BTreeMap::new();
            for steps in [&steps, &branch] {
                for index in history(memory, steps).2 {
                    for (slot, sector) in index.iter().enumerate() {
                        let nonce = sector[4..28].to_vec();
                        let first = seen.entry((slot, nonce)).or_insert(*sector);
                        assert!(first == sector, "a nonce met two contents");
                    }
                }
            }
        });
    }
}

#[test]
fn an_entry_that_is_zeroed_is_noticed_at_every_later_start() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        let one = publish(&mut store, &mut disk, &mut ledger, b"one", "1");
        publish(&mut store, &mut disk, &mut ledger, b"two", "2");
        let mut zeroed = index(&mut disk);
        zeroed[0] = [0; SECTOR];
        set_index(&mut disk, &zeroed);
        for _ in 0..2 {
            let (mut store, opened) = open(&mut disk, memory);
            let opened = opened.unwrap();
            assert_eq!((opened.objects, opened.void), (1, 0));
            assert_eq!((opened.changed, opened.changes), (true, 1));
            let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
            assert_eq!(walk.missing()[0].digest, one);
            assert_eq!(walk.missing()[0].index, 0);
        }
        // Once the vault has written, the index is what it left; that it was not is kept with it, and
        // what is missing stays missing.
        let (mut store, _) = open(&mut disk, memory);
        ledger.catch_up(&mut store, &mut disk).unwrap();
        publish(&mut store, &mut disk, &mut ledger, b"three", "3");
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.changed, opened.changes), (false, 1));
        let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
        assert_eq!(walk.missing()[0].digest, one);
        // To take it in again is the end of it; the ledger's entry is followed then.
        put(&mut store, &mut disk, b"one", 9).unwrap();
        let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
        assert_eq!(walk.missing(), []);
        let stat = store.stat(&mut disk, &one).unwrap();
        assert_eq!((stat.recorded, stat.references), (Some(0), 1));
        assert_eq!(check(&mut store, &mut disk, &one), Ok(()));
        publish(&mut store, &mut disk, &mut ledger, b"four", "4");
        let (store, _) = open(&mut disk, memory);
        assert_eq!(store.walk().next(), 4, "nothing is left to be looked at");
    });
}

#[test]
fn a_whole_index_of_the_past_is_found_by_what_the_ledger_says_beyond_it() {
    with_memory(|memory| {
        let steps: Vec<_> = (0..4)
            .flat_map(|seed| [Step::Put(seed), Step::Record(seed, true)])
            .collect();
        let (mut disk, ledger, all) = history(memory, &steps);
        // After two of the four, between put and record of the third, and the empty one.
        for (past, missing) in [(4, vec![2, 3]), (5, vec![3]), (0, vec![0, 1, 2, 3])] {
            set_index(&mut disk, &all[past]);
            let mut disk = disk.clone();
            let (mut store, opened) = open(&mut disk, memory);
            assert!(!opened.unwrap().changed, "the vault once left it so");
            let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
            let found: Vec<_> = walk.missing().iter().map(|missing| missing.index).collect();
            assert_eq!(found, missing, "put back to {past}");
        }
    });
}

#[test]
fn more_missing_objects_than_are_kept_apart_are_counted() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        for seed in 0..70u8 {
            ledger.append(&[seed; 32], "gone", Act::Kept);
        }
        let (mut store, _) = open(&mut disk, memory);
        for _ in 0..2 {
            let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
            assert_eq!((walk.missing().len(), walk.more()), (64, 6));
        }
    });
}

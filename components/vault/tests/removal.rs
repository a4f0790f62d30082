//! References and removal: as many as the ledger says, each followed once.

mod common;

use common::{Ledger, content, digest, get, open, publish, put, with_memory};
use portcullis_blk::{BLOCK, testing::FaultyDisk};
use portcullis_vault::{Act, StoreError};

#[test]
fn an_object_goes_with_its_last_reference_and_its_space_is_free() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        let (mut store, opened) = open(&mut disk, memory);
        let blocks = opened.unwrap().blocks;
        let object = content(1, 30 * BLOCK);
        let digest = publish(&mut store, &mut disk, &mut ledger, &object, "public/a");
        ledger
            .record(&mut store, &mut disk, &digest, "b", Act::Kept)
            .unwrap();
        assert_eq!(ledger.delete(&mut store, &mut disk, &digest), Ok(1));
        assert!(get(&mut store, &mut disk, &digest, 50_000).unwrap() == object);
        assert_eq!(ledger.delete(&mut store, &mut disk, &digest), Ok(0));
        let gone = Err(StoreError::NotFound);
        assert_eq!(get(&mut store, &mut disk, &digest, 9), gone);
        assert_eq!(
            ledger.delete(&mut store, &mut disk, &digest),
            Err(StoreError::NotFound)
        );
        let none = store.released(&mut disk, 0).unwrap_err();
        assert_eq!(none.0, StoreError::NoMore);
        // Its space, and after a restart too.
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.used, opened.changed), (0, 0, false));
        let other = content(2, (blocks as usize - 2) * BLOCK);
        let other = publish(&mut store, &mut disk, &mut ledger, &other, "public/c");
        // It may come again, as another object.
        ledger.delete(&mut store, &mut disk, &other).unwrap();
        let again = put(&mut store, &mut disk, &object, 50_000).unwrap();
        assert!(!again.already && !again.recorded && !again.released);
    });
}

#[test]
fn each_entry_of_the_ledger_is_followed_once() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        let digest = publish(&mut store, &mut disk, &mut ledger, b"one", "1");
        ledger.append(&digest, "2", Act::Kept);
        let removal = ledger.append(&digest, "", Act::Removed);
        for _ in 0..3 {
            let (mut store, _) = open(&mut disk, memory);
            for _ in 0..2 {
                for index in [0, 1] {
                    ledger.follow(&mut store, &mut disk, index).unwrap();
                }
                assert_eq!(ledger.follow(&mut store, &mut disk, removal), Ok(1));
                let stat = store.stat(&mut disk, &digest).unwrap();
                assert_eq!(stat.references, 1);
            }
        }
    });
}

#[test]
fn the_slots_of_removed_objects_are_used_last_and_used() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        let first = publish(&mut store, &mut disk, &mut ledger, &[0], "0");
        ledger.delete(&mut store, &mut disk, &first).unwrap();
        for seed in 1..8u8 {
            put(&mut store, &mut disk, &[seed], 1).unwrap();
            assert_eq!(store.list(&mut disk, 0).unwrap().next, 2, "slot 0 waits");
        }
        put(&mut store, &mut disk, &[8], 1).unwrap();
        assert_eq!(store.list(&mut disk, 0).unwrap().digest, digest(&[8]));
        let full = put(&mut store, &mut disk, &[9], 1);
        assert_eq!(full, Err(StoreError::IndexFull { slots: 8 }));
        let opened = open(&mut disk, memory).1.unwrap();
        assert_eq!((opened.objects, opened.changed), (8, false));
    });
}

#[test]
fn a_removal_that_was_cut_off_or_undone_waits_for_whoever_may_remove() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        let digest = publish(&mut store, &mut disk, &mut ledger, b"one", "1");
        let mut before = disk.clone();
        let removal = ledger.append(&digest, "", Act::Removed);
        ledger.follow(&mut store, &mut disk, removal).unwrap();
        // The disk as it was before: the vault's own word is as good as ever, the ledger knows more.
        let (mut store, opened) = open(&mut before, memory);
        assert!(!opened.unwrap().changed);
        let walk = ledger.catch_up(&mut store, &mut before).unwrap();
        assert_eq!((walk.missing().len(), walk.waiting()), (0, 1));
        assert_eq!(get(&mut store, &mut before, &digest, 9).unwrap(), b"one");
        assert_eq!(ledger.follow(&mut store, &mut before, removal), Ok(0));
        let (mut store, _) = open(&mut before, memory);
        let walk = ledger.catch_up(&mut store, &mut before).unwrap();
        assert_eq!((walk.missing().len(), walk.waiting()), (0, 0));
        // An object that was removed is not missing, wherever the walk begins.
        let mut empty = FaultyDisk::new(40);
        let (mut store, _) = open(&mut empty, memory);
        let walk = ledger.catch_up(&mut store, &mut empty).unwrap();
        assert_eq!((walk.missing().len(), walk.waiting()), (0, 0));
    });
}

#[test]
fn an_object_that_is_lost_is_missing_as_long_as_a_reference_is_left() {
    with_memory(|memory| {
        for (removals, missing) in [(1, 2), (2, 1), (3, 0)] {
            let mut disk = FaultyDisk::new(40);
            let mut ledger = Ledger::default();
            let (mut store, _) = open(&mut disk, memory);
            let digest = publish(&mut store, &mut disk, &mut ledger, b"one", "1");
            for path in ["2", "3"] {
                let recorded = ledger.record(&mut store, &mut disk, &digest, path, Act::Kept);
                recorded.unwrap();
            }
            for _ in 0..removals {
                ledger.delete(&mut store, &mut disk, &digest).unwrap();
            }
            disk.bytes_mut()[2 * BLOCK..3 * BLOCK].fill(0);
            let (mut store, _) = open(&mut disk, memory);
            let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
            let found = walk.missing().iter();
            assert!(found.clone().all(|found| found.digest == digest));
            assert_eq!(found.count(), missing, "{removals} removals");
            if missing == 0 {
                continue;
            }
            // It has as many references again when it is put again.
            put(&mut store, &mut disk, b"one", 9).unwrap();
            let last = ledger.append(&digest, "4", Act::Kept);
            ledger.follow(&mut store, &mut disk, last).unwrap();
            let stat = store.stat(&mut disk, &digest).unwrap();
            assert_eq!(stat.references as usize, missing + 1);
        }
    });
}

//! The rules of the vault, one test each.

mod common;

use common::{
    ID, KEY, Ledger, OWNER, check, content, digest, get, open, publish, put, with_memory,
};
use portcullis_blk::{BLOCK, DiskError, testing::FaultyDisk};
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{Act, CHUNK, Committed, OBJECT_MAX, Store, StoreError};

const NEW: Committed = Committed {
    already: false,
    recorded: false,
    released: false,
};

#[test]
fn objects_of_every_shape_come_back_after_a_restart() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(500);
        let mut ledger = Ledger::default();
        let sizes = [
            0,
            1,
            BLOCK - 16,
            BLOCK,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            5 * CHUNK + 77,
        ];
        let objects: Vec<_> = (1..)
            .zip(sizes)
            .map(|(seed, size)| content(seed, size))
            .collect();
        let (mut store, opened) = open(&mut disk, memory);
        assert!(opened.unwrap().formatted);
        for (number, object) in objects.iter().enumerate() {
            let committed = put(&mut store, &mut disk, object, 70_001).unwrap();
            assert_eq!(committed, NEW);
            let (digest, name) = (digest(object), format!("public/{number}"));
            let index = ledger.record(&mut store, &mut disk, &digest, &name, Act::Released);
            assert_eq!(index, Ok(number as u64));
        }
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.void), (8, 0));
        assert_eq!(
            (opened.formatted, opened.changed, opened.changes),
            (false, false, 0)
        );
        let mut cursor = 0;
        for (number, object) in objects.iter().enumerate() {
            let released = store.released(&mut disk, cursor).unwrap();
            cursor = released.next;
            assert_eq!(released.name, *format!("public/{number}"));
            assert_eq!(released.stat.size, object.len() as u64);
            for piece in [1 << 18, 30_001] {
                let read = get(&mut store, &mut disk, &released.digest, piece).unwrap();
                assert!(read == *object, "object {number} in pieces of {piece}");
            }
            let stat = store.stat(&mut disk, &released.digest).unwrap();
            assert_eq!(stat, released.stat);
            assert_eq!((stat.recorded, stat.references), (Some(number as u64), 1));
        }
        let end = store.released(&mut disk, cursor).unwrap_err();
        assert_eq!(end, (StoreError::NoMore, cursor));
    });
}

#[test]
fn only_what_the_ledger_releases_is_read() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        put(&mut store, &mut disk, b"draft", 9).unwrap();
        let digest = digest(b"draft");
        let refused = Err(StoreError::NotReleased);
        assert_eq!(get(&mut store, &mut disk, &digest, 9), refused);
        let mut record = |store: &mut Store<'_>, disk: &mut FaultyDisk, path, act| {
            ledger.record(store, disk, &digest, path, act).unwrap()
        };
        record(&mut store, &mut disk, "draft", Act::Kept);
        assert_eq!(get(&mut store, &mut disk, &digest, 9), refused);
        assert_eq!(store.list(&mut disk, 0).unwrap().name, *"draft");
        // It is released under another name.
        record(&mut store, &mut disk, "public/final", Act::Released);
        assert_eq!(get(&mut store, &mut disk, &digest, 9).unwrap(), b"draft");
        let released = store.released(&mut disk, 0).unwrap();
        assert_eq!(released.name, *"public/final");
        // What is released is neither taken back nor renamed.
        record(&mut store, &mut disk, "private", Act::Kept);
        record(&mut store, &mut disk, "public/again", Act::Released);
        let released = store.released(&mut disk, 0).unwrap();
        assert_eq!(released.name, *"public/final");
        // Recorded once is recorded there; every entry is a reference.
        let stat = store.stat(&mut disk, &digest).unwrap();
        assert_eq!((stat.recorded, stat.references), (Some(0), 4));
        let unknown = ledger.record(&mut store, &mut disk, &[0; 32], "x", Act::Kept);
        assert_eq!(unknown, Err(StoreError::NotFound));
        // To put it again changes nothing.
        let again = put(&mut store, &mut disk, b"draft", 9).unwrap();
        let expected = Committed {
            already: true,
            recorded: true,
            released: true,
        };
        assert_eq!(again, expected);
    });
}

#[test]
fn a_later_release_does_not_hide_behind_an_earlier_cursor() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        put(&mut store, &mut disk, b"first in", 9).unwrap();
        publish(&mut store, &mut disk, &mut ledger, b"second in", "b");
        let first = store.released(&mut disk, 0).unwrap();
        assert_eq!(first.name, *"b");
        publish(&mut store, &mut disk, &mut ledger, b"first in", "a");
        let second = store.released(&mut disk, first.next).unwrap();
        assert_eq!(second.name, *"a");
    });
}

#[test]
fn all_objects_are_listed_whether_or_not_the_ledger_names_them() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        put(&mut store, &mut disk, b"unnamed", 9).unwrap();
        publish(&mut store, &mut disk, &mut ledger, b"named", "n");
        let mut cursor = 0;
        let mut listed = Vec::new();
        while let Ok(object) = store.list(&mut disk, cursor) {
            cursor = object.next;
            listed.push((
                object.digest,
                object.name.to_string(),
                object.stat.references,
            ));
        }
        let expected = [
            (digest(b"unnamed"), String::new(), 0),
            (digest(b"named"), "n".to_string(), 1),
        ];
        assert_eq!(listed, expected);
        for cursor in [2, u64::MAX] {
            let end = store.list(&mut disk, cursor).unwrap_err();
            assert_eq!(end, (StoreError::NoMore, cursor));
        }
    });
}

#[test]
fn nothing_of_an_object_is_in_the_clear_on_the_disk() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let mut ledger = Ledger::default();
        let (mut store, opened) = open(&mut disk, memory);
        let data = (100 - opened.unwrap().blocks) as usize * BLOCK;
        let object = b"a sentence that nobody may read".repeat(100);
        let digest = publish(
            &mut store,
            &mut disk,
            &mut ledger,
            &object,
            "a telling name",
        );
        let bytes = disk.bytes_mut();
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!holds(b"sentence"));
        assert!(!holds(b"telling"));
        assert!(!holds(&digest[..8]));
        // Nor is its length: the rest of the last block is sealed with it.
        let end = data + object.len();
        assert!(bytes[end..][..16] != [0; 16]);
    });
}

#[test]
fn what_does_not_fit_is_refused_and_what_was_begun_frees_its_space() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let (mut store, opened) = open(&mut disk, memory);
        let free = opened.unwrap().blocks;
        let disk = &mut disk;
        let size = OBJECT_MAX + 1;
        let too_large = store.create(OWNER, size);
        assert_eq!(too_large, Err(StoreError::TooLarge { size }));
        let no_space = store.create(OWNER, (free + 1) * BLOCK as u64);
        let blocks = free + 2;
        assert_eq!(no_space, Err(StoreError::NoSpace { blocks, free }));
        // One more block than its content, for the seals of its chunks.
        let size = (free - 2) * BLOCK as u64;
        // Begun and forgotten, again and again: each has the whole space.
        for _ in 0..3 {
            store.create(OWNER, size).unwrap();
            store
                .write(disk, OWNER, 9_000, &SharedRegion::new(9_000))
                .unwrap();
        }
        // Somebody else's.
        let other = store.write(disk, OWNER + 1, 1, &SharedRegion::new(1));
        assert_eq!(other, Err(StoreError::NoUpload));
        let early = store.commit(disk, OWNER, &[0; 32]);
        let written = 9_000;
        assert_eq!(early, Err(StoreError::TooShort { size, written }));
        let long = store.write(disk, OWNER, size, &SharedRegion::new(size as usize));
        assert_eq!(long, Err(StoreError::TooLong { size }));
        let over = store.commit(disk, OWNER, &[0; 32]);
        assert_eq!(over, Err(StoreError::NoUpload));
        store.create(OWNER, 5).unwrap();
        let outside = store.write(disk, OWNER, 5, &SharedRegion::new(4));
        assert_eq!(outside, Err(StoreError::Buffer { length: 5, size: 4 }));
        let whole = put(&mut store, disk, &content(1, size as usize), 50_000);
        assert_eq!(whole, Ok(NEW));
        assert_eq!(put(&mut store, disk, b"x", 1), Ok(NEW));
    });
}

#[test]
fn a_full_vault_refuses_and_goes_on_reading() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        let object = content(1, 30 * BLOCK);
        let large = publish(&mut store, &mut disk, &mut ledger, &object, "large");
        let (blocks, free) = (7, 6);
        let refused = put(&mut store, &mut disk, &content(2, 7 * BLOCK), 50_000);
        assert_eq!(refused, Err(StoreError::NoSpace { blocks, free }));
        for number in 0..6u8 {
            put(&mut store, &mut disk, &[number], 1).unwrap();
        }
        // Empty objects take no block, but a place in the index.
        put(&mut store, &mut disk, b"", 1).unwrap();
        let refused = put(&mut store, &mut disk, b"y", 1);
        assert_eq!(refused, Err(StoreError::IndexFull { slots: 8 }));
        assert!(get(&mut store, &mut disk, &large, 50_000).unwrap() == object);
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.blocks - opened.used), (8, 0));
        assert!(get(&mut store, &mut disk, &large, 50_000).unwrap() == object);
        // What the ledger says of it can still be followed.
        ledger
            .record(&mut store, &mut disk, &large, "again", Act::Kept)
            .unwrap();
    });
}

#[test]
fn only_the_object_that_was_meant_is_committed() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        store.create(OWNER, 4).unwrap();
        store
            .write(&mut disk, OWNER, 4, &SharedRegion::with(b"that"))
            .unwrap();
        let found = digest(b"that");
        let other = store.commit(&mut disk, OWNER, &digest(b"this"));
        assert_eq!(other, Err(StoreError::Mismatch { found }));
        let over = store.commit(&mut disk, OWNER, &found);
        assert_eq!(over, Err(StoreError::NoUpload));
        let nothing = store.list(&mut disk, 0).unwrap_err();
        assert_eq!(nothing.0, StoreError::NoMore);
    });
}

#[test]
fn another_key_or_another_disk_s_id_opens_nothing_and_changes_nothing() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        put(&mut store, &mut disk, b"one", 9).unwrap();
        let before = disk.clone().bytes_mut().to_vec();
        for (key, id) in [([1; 32], ID), (KEY, [0; 16])] {
            let mut store = Store::new(memory);
            let opened = store.open(&mut disk, &key, &id);
            assert_eq!(opened, Err(StoreError::OtherKey));
            assert_eq!(store.create(OWNER, 1), Err(StoreError::Closed));
        }
        assert!(before == disk.bytes_mut());
        let mut small = FaultyDisk::new(18);
        let (_, opened) = open(&mut small, memory);
        assert_eq!(opened, Err(StoreError::TooSmall { blocks: 18 }));
    });
}

#[test]
fn one_damaged_superblock_is_mended_and_two_are_said() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        open(&mut disk, memory).1.unwrap();
        for block in [0, 1] {
            let mut disk = disk.clone();
            disk.bytes_mut()[block * BLOCK + 20] ^= 1;
            let opened = open(&mut disk, memory).1.unwrap();
            assert!(opened.superblock_damaged && !opened.formatted);
            // The damaged one was written anew.
            assert!(!open(&mut disk, memory).1.unwrap().superblock_damaged);
        }
        disk.bytes_mut()[20] ^= 1;
        disk.bytes_mut()[BLOCK + 20] ^= 1;
        assert_eq!(open(&mut disk, memory).1, Err(StoreError::Superblocks));
    });
}

#[test]
fn after_a_failed_flush_nothing_is_taken_and_everything_durable_is_served() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let mut ledger = Ledger::default();
        let (mut store, _) = open(&mut disk, memory);
        let one = publish(&mut store, &mut disk, &mut ledger, b"one", "1");
        let mut failures = 0;
        for operation in 0.. {
            let mut disk = disk.clone();
            let (mut store, _) = open(&mut disk, memory);
            disk.plan.fail = Some(disk.operations() + operation);
            let result = put(&mut store, &mut disk, b"two", 9);
            let Err(error) = result else { break };
            failures += 1;
            assert_eq!(get(&mut store, &mut disk, &one, 9).unwrap(), b"one");
            let again = put(&mut store, &mut disk, b"two", 9);
            if operation == 0 {
                // Writing content failed: only this object is lost, and it may be put again.
                assert!(matches!(error, StoreError::Disk(DiskError::Write { .. })));
                assert_eq!(again, Ok(NEW));
            } else {
                assert_eq!(again, Err(StoreError::Stopped), "operation {operation}");
            }
        }
        assert_eq!(failures, 4, "content, flush, entry, flush");
    });
}

#[test]
fn what_is_read_back_after_a_failed_flush_is_durable_once_it_is_acknowledged() {
    with_memory(|memory| {
        for operation in 0..4 {
            let mut disk = FaultyDisk::new(100);
            let (mut store, _) = open(&mut disk, memory);
            put(&mut store, &mut disk, b"one", 9).unwrap();
            disk.plan.fail = Some(disk.operations() + operation);
            put(&mut store, &mut disk, b"two", 9).unwrap_err();
            disk.plan.fail = None;
            // No power cut: what the flush lost is still read, out of a cache.
            let (mut store, _) = open(&mut disk, memory);
            put(&mut store, &mut disk, b"two", 9).unwrap();
            let mut disk = disk.cut(|_| false);
            let (mut store, _) = open(&mut disk, memory);
            for object in [b"one", b"two"] {
                let found = check(&mut store, &mut disk, &digest(object));
                assert_eq!(found, Ok(()), "operation {operation}");
            }
        }
    });
}

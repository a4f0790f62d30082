//! The rules of the vault, one test each.

mod common;

use common::{ID, KEY, OWNER, content, get, open, put, with_memory};
use portcullis_blk::{BLOCK, Disk, DiskError, testing::FaultyDisk};
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{CHUNK, CHUNK_BLOCKS, OBJECT_MAX, Store, StoreError};
use sha2::{Digest, Sha256};

/// A released, recorded object.
fn publish(store: &mut Store<'_>, disk: &mut FaultyDisk, bytes: &[u8], name: &str) -> [u8; 32] {
    let digest = put(store, disk, bytes, name, true, 100_000).unwrap().digest;
    store.record(disk, &digest, 1).unwrap();
    digest
}

#[test]
fn objects_of_every_shape_come_back_after_a_restart() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(400);
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
            let name = format!("public/{number}");
            let committed = put(&mut store, &mut disk, object, &name, true, 70_001).unwrap();
            assert_eq!(committed.digest, <[u8; 32]>::from(Sha256::digest(object)));
            assert!(!committed.already && !committed.recorded);
            store
                .record(&mut disk, &committed.digest, number as u64)
                .unwrap();
        }
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!(
            (opened.objects, opened.void, opened.formatted),
            (8, 0, false)
        );
        let mut cursor = 0;
        for (number, object) in objects.iter().enumerate() {
            let released = store.released(&mut disk, cursor).unwrap();
            cursor = released.next;
            assert_eq!(released.name, *format!("public/{number}"));
            assert_eq!(released.size, object.len() as u64);
            for piece in [1 << 18, 30_001] {
                let read = get(&mut store, &mut disk, &released.digest, piece).unwrap();
                assert!(read == *object, "object {number} in pieces of {piece}");
            }
            let stat = store.stat(&mut disk, &released.digest).unwrap();
            assert_eq!(stat.recorded, Some(number as u64));
        }
        let end = store.released(&mut disk, cursor).unwrap_err();
        assert_eq!(end, (StoreError::NoMore, cursor));
    });
}

#[test]
fn only_what_is_released_and_recorded_is_read() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        let digest = put(&mut store, &mut disk, b"draft", "draft", false, 9)
            .unwrap()
            .digest;
        let refused = Err(StoreError::NotReleased);
        assert_eq!(get(&mut store, &mut disk, &digest, 9), refused);
        store.record(&mut disk, &digest, 3).unwrap();
        assert_eq!(get(&mut store, &mut disk, &digest, 9), refused);
        // The same content is put again, to be released: under the new name.
        let again = put(&mut store, &mut disk, b"draft", "public/final", true, 9).unwrap();
        assert!(again.already && again.recorded);
        assert_eq!(get(&mut store, &mut disk, &digest, 9).unwrap(), b"draft");
        let released = store.released(&mut disk, 0).unwrap();
        assert_eq!(released.name, *"public/final");
        // And what is released is not taken back by a put that does not release.
        put(&mut store, &mut disk, b"draft", "private", false, 9).unwrap();
        assert_eq!(store.released(&mut disk, 0).unwrap().name, *"public/final");
        // Recorded once is recorded there.
        store.record(&mut disk, &digest, 4).unwrap();
        assert_eq!(store.stat(&mut disk, &digest).unwrap().recorded, Some(3));
        let unknown = store.record(&mut disk, &[0; 32], 4);
        assert_eq!(unknown, Err(StoreError::NotFound));
    });
}

#[test]
fn a_later_release_does_not_hide_behind_an_earlier_cursor() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        let late = put(&mut store, &mut disk, b"first in", "a", true, 9)
            .unwrap()
            .digest;
        publish(&mut store, &mut disk, b"second in", "b");
        let first = store.released(&mut disk, 0).unwrap();
        assert_eq!(first.name, *"b");
        store.record(&mut disk, &late, 9).unwrap();
        let second = store.released(&mut disk, first.next).unwrap();
        assert_eq!(second.name, *"a");
    });
}

#[test]
fn nothing_of_an_object_is_in_the_clear_on_the_disk() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        let object = b"a sentence that nobody may read".repeat(100);
        let digest = put(
            &mut store,
            &mut disk,
            &object,
            "a telling name",
            false,
            4_000,
        );
        let digest = digest.unwrap().digest;
        let bytes = disk.bytes_mut();
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!holds(b"sentence"));
        assert!(!holds(b"telling"));
        assert!(!holds(&digest[..8]));
    });
}

#[test]
fn a_damaged_byte_in_any_block_is_reported_with_its_chunk_and_not_served() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(200);
        let (mut store, opened) = open(&mut disk, memory);
        let data = 200 - opened.unwrap().blocks;
        let object = content(9, 2 * CHUNK + 9_000);
        let digest = publish(&mut store, &mut disk, &object, "o");
        let sound = disk.clone();
        // What follows the tag in the last block is padding; every byte before is authenticated.
        for block in 0..2 * CHUNK_BLOCKS + 3 {
            for offset in [0, 800, BLOCK - 1] {
                let in_padding = block == 2 * CHUNK_BLOCKS + 2 && offset > 9_000 + 16 - 2 * BLOCK;
                let mut disk = sound.clone();
                disk.bytes_mut()[(data as usize + block) * BLOCK + offset] ^= 1;
                let (mut store, _) = open(&mut disk, memory);
                let read = get(&mut store, &mut disk, &digest, CHUNK as u64);
                let chunk = (block / CHUNK_BLOCKS) as u32;
                if in_padding {
                    assert!(read.unwrap() == object);
                } else {
                    assert_eq!(
                        read,
                        Err(StoreError::Damaged { digest, chunk }),
                        "block {block}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_chunk_of_one_object_does_not_pass_for_another_s() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, opened) = open(&mut disk, memory);
        let data = 100 - opened.unwrap().blocks as usize;
        let one = publish(&mut store, &mut disk, &[1; 3_000], "1");
        let two = publish(&mut store, &mut disk, &[2; 3_000], "2");
        let bytes = disk.bytes_mut();
        let (first, second) = bytes[data * BLOCK..].split_at_mut(BLOCK);
        first.swap_with_slice(&mut second[..BLOCK]);
        for digest in [one, two] {
            let read = get(&mut store, &mut disk, &digest, 4_000);
            assert_eq!(read, Err(StoreError::Damaged { digest, chunk: 0 }));
        }
    });
}

#[test]
fn damaged_index_entries_are_counted_and_the_rest_is_served() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        let one = publish(&mut store, &mut disk, b"one", "1");
        let two = publish(&mut store, &mut disk, b"two", "2");
        disk.bytes_mut()[2 * BLOCK + 100] ^= 1;
        // While it runs: the entry is needed again, and is damaged.
        let gone = store.stat(&mut disk, &one);
        assert_eq!(gone, Err(StoreError::DamagedEntry { digest: one }));
        let passed = store.released(&mut disk, 0).unwrap_err();
        assert_eq!(passed.0, StoreError::DamagedEntry { digest: one });
        let next = store.released(&mut disk, passed.1).unwrap();
        assert_eq!(next.digest, two);
        // After a restart.
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.void), (1, 1));
        assert_eq!(
            get(&mut store, &mut disk, &one, 9),
            Err(StoreError::NotFound)
        );
        assert_eq!(get(&mut store, &mut disk, &two, 9).unwrap(), b"two");
        // Its slot is left as it is.
        publish(&mut store, &mut disk, b"three", "3");
        let (_, opened) = open(&mut disk, memory);
        assert_eq!(opened.unwrap().void, 1);
    });
}

#[test]
fn what_does_not_fit_is_refused_and_what_was_begun_frees_its_space() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let (mut store, opened) = open(&mut disk, memory);
        let blocks = opened.unwrap().blocks;
        let disk = &mut disk;
        let most = (blocks - 2) * BLOCK as u64;
        let too_large = store.create(disk, OWNER, OBJECT_MAX + 1, false, "n");
        assert_eq!(
            too_large,
            Err(StoreError::TooLarge {
                size: OBJECT_MAX + 1
            })
        );
        for name in ["", "a\0b", &"n".repeat(256)] {
            assert_eq!(
                store.create(disk, OWNER, 1, false, name),
                Err(StoreError::Name)
            );
        }
        assert!(matches!(
            store.create(disk, OWNER, (blocks + 1) * BLOCK as u64, false, "n"),
            Err(StoreError::NoSpace { .. })
        ));
        // Begun and forgotten, again and again: each has the whole space.
        for _ in 0..3 {
            store.create(disk, OWNER, most, false, "n").unwrap();
            store
                .write(disk, OWNER, 9_000, &SharedRegion::new(9_000))
                .unwrap();
        }
        // Somebody else's.
        let other = store.write(disk, OWNER + 1, 1, &SharedRegion::new(1));
        assert_eq!(other, Err(StoreError::NoUpload));
        let early = store.commit(disk, OWNER);
        let (size, written) = (most, 9_000);
        assert_eq!(early, Err(StoreError::TooShort { size, written }));
        let long = store.write(disk, OWNER, most, &SharedRegion::new(most as usize));
        assert_eq!(long, Err(StoreError::TooLong { size }));
        assert_eq!(store.commit(disk, OWNER), Err(StoreError::NoUpload));
        store.create(disk, OWNER, 5, false, "n").unwrap();
        let outside = store.write(disk, OWNER, 5, &SharedRegion::new(4));
        assert_eq!(outside, Err(StoreError::Buffer { length: 5, size: 4 }));
        // What is there already takes no more space.
        let once = put(
            &mut store,
            disk,
            &content(1, most as usize),
            "n",
            false,
            50_000,
        );
        assert!(!once.unwrap().already);
        assert_eq!(
            put(&mut store, disk, b"x", "n", false, 1).unwrap().digest[0],
            0x2d
        );
    });
}

#[test]
fn the_index_can_be_full() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(40);
        let (mut store, _) = open(&mut disk, memory);
        for number in 0..8u8 {
            put(&mut store, &mut disk, &[number], "n", false, 1).unwrap();
        }
        let full = put(&mut store, &mut disk, &[8], "n", false, 1);
        assert_eq!(full, Err(StoreError::IndexFull { slots: 8 }));
    });
}

#[test]
fn another_key_or_another_disk_s_id_opens_nothing_and_changes_nothing() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        let (mut store, _) = open(&mut disk, memory);
        publish(&mut store, &mut disk, b"one", "1");
        let before = disk.clone().bytes_mut().to_vec();
        for (key, id) in [([1; 32], ID), (KEY, [0; 16])] {
            let mut store = Store::new([0; 12], memory);
            let opened = store.open(&mut disk, &key, &id);
            assert_eq!(opened, Err(StoreError::OtherKey));
            assert_eq!(
                store.create(&mut disk, OWNER, 1, false, "n"),
                Err(StoreError::Closed)
            );
        }
        assert!(before == disk.bytes_mut());
        let mut small = FaultyDisk::new(18);
        let (_, opened) = open(&mut small, memory);
        assert_eq!(opened, Err(StoreError::TooSmall { blocks: 18 }));
    });
}

#[test]
fn one_damaged_superblock_is_survived_and_two_are_said() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(100);
        for _ in 0..3 {
            open(&mut disk, memory).1.unwrap();
        }
        for block in [0, 1] {
            let mut disk = disk.clone();
            disk.bytes_mut()[block * BLOCK + 20] ^= 1;
            let opened = open(&mut disk, memory).1.unwrap();
            assert!(opened.superblock_damaged && !opened.formatted);
            // The damaged one was written over.
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
        let (mut store, _) = open(&mut disk, memory);
        let one = publish(&mut store, &mut disk, b"one", "1");
        let mut failures = 0;
        for operation in 0.. {
            let mut disk = disk.clone();
            let (mut store, _) = open(&mut disk, memory);
            disk.plan.fail = Some(disk.operations() + operation);
            let result = put(&mut store, &mut disk, b"two", "2", false, 9);
            let Err(error) = result else { break };
            failures += 1;
            assert_eq!(get(&mut store, &mut disk, &one, 9).unwrap(), b"one");
            let again = put(&mut store, &mut disk, b"two", "2", false, 9);
            if operation == 0 {
                // Writing content failed: only this object is lost, and it may be put again.
                assert!(matches!(error, StoreError::Disk(DiskError::Write { .. })));
                assert!(again.is_ok());
            } else {
                assert_eq!(again, Err(StoreError::Stopped), "operation {operation}");
            }
        }
        assert_eq!(failures, 4, "content, flush, entry, flush");
    });
}

#[test]
fn no_nonce_is_used_twice_even_when_the_power_goes() {
    with_memory(|memory| {
        // Every sealed sector of the index begins with its nonce; so many starts, so many cuts.
        let mut disk = FaultyDisk::new(100);
        let mut seen = std::collections::BTreeMap::new();
        for round in 0..40u64 {
            let (mut store, opened) = open(&mut disk, memory);
            opened.unwrap();
            for number in 0..3 {
                let _ = put(
                    &mut store,
                    &mut disk,
                    &content(round * 3 + number, 10),
                    "n",
                    true,
                    9,
                );
            }
            let mut index = [0; BLOCK];
            disk.read(2, &mut index).unwrap();
            for (slot, sector) in index.chunks(512).enumerate() {
                let Some(first) = seen.insert((slot, sector[4..24].to_vec()), sector.to_vec())
                else {
                    continue;
                };
                assert!(first == sector, "a nonce met two contents");
            }
            disk.plan.power_off = Some(disk.operations() + 4);
            let _ = put(
                &mut store,
                &mut disk,
                &content(1_000 + round, 10),
                "n",
                true,
                9,
            );
            disk = disk.cut(|sector| sector % 2 == round as usize % 2);
            // Make room in the small index.
            if round % 2 == 1 {
                disk.bytes_mut()[2 * BLOCK..3 * BLOCK].fill(0);
            }
        }
    });
}

//! Damage: every kind of it is reported with its object, nothing of it is served, and to put the
//! object again mends it.

mod common;

use common::{Ledger, check, content, digest, get, open, publish, put, with_memory};
use portcullis_blk::{BLOCK, testing::FaultyDisk};
use portcullis_vault::{Act, CHUNK, CHUNK_BLOCKS, Committed, ObjectDigest, StoreError};

const BLOCKS: u64 = 200;

/// A disk with one released object, first in the data; the data's first byte.
fn disk_with(memory: &mut portcullis_vault::Memory, object: &[u8]) -> (FaultyDisk, Ledger, usize) {
    let mut disk = FaultyDisk::new(BLOCKS);
    let mut ledger = Ledger::default();
    let (mut store, opened) = open(&mut disk, memory);
    let data = (BLOCKS - opened.unwrap().blocks) as usize * BLOCK;
    publish(&mut store, &mut disk, &mut ledger, object, "o");
    (disk, ledger, data)
}

#[test]
fn a_damaged_byte_in_any_block_is_reported_with_its_chunk_and_not_served() {
    with_memory(|memory| {
        let object = content(9, 2 * CHUNK + 9_000);
        let digest = digest(&object);
        let (sound, _, data) = disk_with(memory, &object);
        // Two full chunks, one of three blocks, and the seals.
        for block in 0..2 * CHUNK_BLOCKS + 3 + 1 {
            for offset in [0, 800, BLOCK - 1] {
                let mut disk = sound.clone();
                disk.bytes_mut()[data + block * BLOCK + offset] ^= 1;
                let (mut store, _) = open(&mut disk, memory);
                let read = get(&mut store, &mut disk, &digest, CHUNK as u64);
                let expected = if block == 2 * CHUNK_BLOCKS + 3 {
                    StoreError::DamagedSeals { digest }
                } else {
                    let chunk = (block / CHUNK_BLOCKS) as u32;
                    StoreError::Damaged { digest, chunk }
                };
                assert_eq!(read, Err(expected), "block {block}");
                let checked = check(&mut store, &mut disk, &digest);
                assert_eq!(checked, Err(expected), "block {block}");
            }
        }
    });
}

#[test]
fn damage_is_found_on_the_disk_and_mended_though_the_object_was_just_read() {
    with_memory(|memory| {
        for (size, block) in [
            (5_000, 0),
            (2 * CHUNK, CHUNK_BLOCKS),
            (2 * CHUNK, 2 * CHUNK_BLOCKS),
        ] {
            let object = content(9, size);
            let digest = digest(&object);
            let (mut disk, _, data) = disk_with(memory, &object);
            let (mut store, _) = open(&mut disk, memory);
            assert!(get(&mut store, &mut disk, &digest, CHUNK as u64).unwrap() == object);
            disk.bytes_mut()[data + block * BLOCK] ^= 1;
            let checked = check(&mut store, &mut disk, &digest).unwrap_err();
            assert!(checked.is_damage(), "{checked}");
            // What is in memory is whole.
            let _ = get(&mut store, &mut disk, &digest, CHUNK as u64);
            let again = put(&mut store, &mut disk, &object, 70_000).unwrap();
            assert!(!again.already);
            assert_eq!(check(&mut store, &mut disk, &digest), Ok(()));
        }
    });
}

#[test]
fn a_block_that_was_written_elsewhere_is_found() {
    with_memory(|memory| {
        let object = content(3, CHUNK + BLOCK);
        let digest = digest(&object);
        let (sound, _, data) = disk_with(memory, &object);
        let chunk = |chunk| Err(StoreError::Damaged { digest, chunk });
        let cases = [
            // Within a chunk, from one chunk into another, and content in place of seals.
            (0, 1, chunk(0)),
            (0, CHUNK_BLOCKS, chunk(1)),
            (
                3,
                CHUNK_BLOCKS + 1,
                Err(StoreError::DamagedSeals { digest }),
            ),
        ];
        for (from, to, expected) in cases {
            let mut disk = sound.clone();
            let from = data + from * BLOCK;
            disk.bytes_mut()
                .copy_within(from..from + BLOCK, data + to * BLOCK);
            let (mut store, _) = open(&mut disk, memory);
            assert_eq!(check(&mut store, &mut disk, &digest), expected);
        }
    });
}

#[test]
fn a_chunk_of_one_object_does_not_pass_for_another_s() {
    with_memory(|memory| {
        let (mut disk, mut ledger, data) = disk_with(memory, &[1; 3_000]);
        let (mut store, _) = open(&mut disk, memory);
        let two = publish(&mut store, &mut disk, &mut ledger, &[2; 3_000], "2");
        let (first, second) = disk.bytes_mut()[data..].split_at_mut(BLOCK);
        first.swap_with_slice(&mut second[..BLOCK]);
        for digest in [digest(&[1; 3_000]), two] {
            let read = get(&mut store, &mut disk, &digest, 4_000);
            assert_eq!(read, Err(StoreError::Damaged { digest, chunk: 0 }));
        }
    });
}

#[test]
fn a_chunk_of_a_past_that_was_undone_does_not_pass_for_the_present_one_s() {
    with_memory(|memory| {
        let mut disk = FaultyDisk::new(BLOCKS);
        let (_, opened) = open(&mut disk, memory);
        let data = (BLOCKS - opened.unwrap().blocks) as usize * BLOCK;
        // Twice from the same state of the disk, so with the same numbers and of the same size.
        let [one, two] = [5, 6].map(|seed| {
            let mut disk = disk.clone();
            let object = content(seed, 2 * CHUNK);
            let (mut store, _) = open(&mut disk, memory);
            publish(&mut store, &mut disk, &mut Ledger::default(), &object, "o");
            (disk, digest(&object))
        });
        let (mut past, mut now) = (one.0, two.0);
        let digest = two.1;
        for chunk in [0, 1] {
            let place = data + chunk * CHUNK..data + (chunk + 1) * CHUNK;
            let mut disk = now.clone();
            disk.bytes_mut()[place.clone()].copy_from_slice(&past.bytes_mut()[place.clone()]);
            let (mut store, _) = open(&mut disk, memory);
            let chunk = chunk as u32;
            let damaged = Err(StoreError::Damaged { digest, chunk });
            assert_eq!(check(&mut store, &mut disk, &digest), damaged);
            // And no keystream was used for both.
            let both = past.bytes_mut()[place.clone()]
                .iter()
                .zip(&now.bytes_mut()[place]);
            let sums: Vec<u8> = both.map(|(a, b)| a ^ b).collect();
            let contents = content(5, 2 * CHUNK)[chunk as usize * CHUNK..][..CHUNK].to_vec();
            let others = content(6, 2 * CHUNK)[chunk as usize * CHUNK..][..CHUNK].to_vec();
            let plain: Vec<u8> = contents.iter().zip(&others).map(|(a, b)| a ^ b).collect();
            assert!(sums != plain);
        }
    });
}

/// Puts what is damaged again; it is whole afterwards, also after a restart, and takes no more space.
fn mend(
    memory: &mut portcullis_vault::Memory,
    disk: &mut FaultyDisk,
    object: &[u8],
    used: u64,
) -> Committed {
    let digest = digest(object);
    let (mut store, _) = open(disk, memory);
    let committed = put(&mut store, disk, object, 70_000).unwrap();
    assert_eq!(check(&mut store, disk, &digest), Ok(()));
    let (mut store, opened) = open(disk, memory);
    assert_eq!(opened.unwrap().used, used);
    assert_eq!(check(&mut store, disk, &digest), Ok(()));
    committed
}

#[test]
fn to_put_a_damaged_object_again_mends_it_and_forgets_nothing() {
    with_memory(|memory| {
        let object = content(9, 2 * CHUNK + 9_000);
        let digest = digest(&object);
        let (sound, _, data) = disk_with(memory, &object);
        let used = 2 * CHUNK_BLOCKS as u64 + 3 + 1;
        let blocks = [0, 2 * CHUNK_BLOCKS + 2, 2 * CHUNK_BLOCKS + 3];
        for block in blocks {
            let mut disk = sound.clone();
            disk.bytes_mut()[data + block * BLOCK] ^= 1;
            let mended = Committed {
                already: false,
                recorded: true,
                released: true,
            };
            assert_eq!(mend(memory, &mut disk, &object, used), mended);
            let (mut store, opened) = open(&mut disk, memory);
            assert!(!opened.unwrap().changed);
            assert!(get(&mut store, &mut disk, &digest, 50_000).unwrap() == object);
            let released = store.released(&mut disk, 0).unwrap();
            assert_eq!((&*released.name, released.stat.references), ("o", 1));
        }
        let mut disk = sound;
        let sound = Committed {
            already: true,
            recorded: true,
            released: true,
        };
        assert_eq!(mend(memory, &mut disk, &object, used), sound);
    });
}

#[test]
fn a_cut_while_an_object_is_mended_loses_nothing_that_was_there() {
    with_memory(|memory| {
        let object = content(4, CHUNK + 100);
        let digest = digest(&object);
        let (mut damaged, _, data) = disk_with(memory, &object);
        damaged.bytes_mut()[data] ^= 1;
        let mut damaged = FaultyDisk::from_bytes(damaged.bytes_mut().to_vec());
        let mut mended = damaged.clone();
        let (mut store, _) = open(&mut mended, memory);
        put(&mut store, &mut mended, &object, 70_000).unwrap();
        let mut whole = 0;
        for operation in 0..mended.operations() {
            damaged.plan.power_off = Some(operation);
            let mut disk = damaged.clone();
            let (mut store, _) = open(&mut disk, memory);
            put(&mut store, &mut disk, &object, 70_000).unwrap_err();
            for keep in [true, false] {
                let mut after = disk.cut(|_| keep);
                let (mut store, opened) = open(&mut after, memory);
                let opened = opened.unwrap();
                assert!(opened.objects == 1 && !opened.changed && opened.void == 0);
                match check(&mut store, &mut after, &digest) {
                    Ok(()) => whole += 1,
                    error => assert_eq!(error, Err(StoreError::Damaged { digest, chunk: 0 })),
                }
                assert_eq!(store.released(&mut after, 0).unwrap().name, *"o");
            }
        }
        assert_eq!(
            whole, 1,
            "the new entry was written, and its flush was cut off"
        );
    });
}

fn damage_entry(disk: &mut FaultyDisk, slot: usize) {
    disk.bytes_mut()[2 * BLOCK + slot * 512 + 100] ^= 1;
}

fn two(memory: &mut portcullis_vault::Memory) -> (FaultyDisk, Ledger, ObjectDigest, ObjectDigest) {
    let (mut disk, mut ledger, _) = disk_with(memory, b"one");
    let (mut store, _) = open(&mut disk, memory);
    let two = publish(&mut store, &mut disk, &mut ledger, b"two", "2");
    (disk, ledger, digest(b"one"), two)
}

#[test]
fn an_entry_that_is_damaged_at_run_time_is_reported_and_the_rest_is_served() {
    with_memory(|memory| {
        let (mut disk, _, one, two) = two(memory);
        let (mut store, _) = open(&mut disk, memory);
        damage_entry(&mut disk, 0);
        let gone = StoreError::DamagedEntry { digest: one };
        assert_eq!(store.stat(&mut disk, &one), Err(gone));
        let passed = store.released(&mut disk, 0).unwrap_err();
        assert_eq!(passed.0, gone);
        let next = store.released(&mut disk, passed.1).unwrap();
        assert_eq!(next.digest, two);
        // To put it again mends it, though what the ledger says of it is forgotten.
        let new = Committed {
            already: false,
            recorded: false,
            released: false,
        };
        assert_eq!(put(&mut store, &mut disk, b"one", 9), Ok(new));
        assert_eq!(check(&mut store, &mut disk, &one), Ok(()));
        let opened = open(&mut disk, memory).1.unwrap();
        assert_eq!((opened.objects, opened.void), (2, 0));
        assert!(!opened.changed);
    });
}

#[test]
fn an_entry_of_the_past_is_damage_too() {
    with_memory(|memory| {
        let (mut disk, mut ledger, one, _) = two(memory);
        let before = disk.bytes_mut()[2 * BLOCK..][..512].to_vec();
        let (mut store, _) = open(&mut disk, memory);
        ledger
            .record(&mut store, &mut disk, &one, "more", Act::Kept)
            .unwrap();
        disk.bytes_mut()[2 * BLOCK..][..512].copy_from_slice(&before);
        let gone = StoreError::DamagedEntry { digest: one };
        assert_eq!(store.stat(&mut disk, &one), Err(gone));
    });
}

#[test]
fn an_entry_that_is_damaged_at_the_start_is_counted_and_the_ledger_says_whose_it_was() {
    with_memory(|memory| {
        let (mut disk, mut ledger, one, two) = two(memory);
        damage_entry(&mut disk, 0);
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.void), (1, 1));
        assert!(opened.changed);
        let lost = get(&mut store, &mut disk, &one, 9);
        assert_eq!(lost, Err(StoreError::NotFound));
        assert_eq!(get(&mut store, &mut disk, &two, 9).unwrap(), b"two");
        let walk = ledger.catch_up(&mut store, &mut disk).unwrap();
        let missing: Vec<_> = walk
            .missing()
            .iter()
            .map(|missing| missing.digest)
            .collect();
        assert_eq!(missing, [one]);
        // Its slot is left as it is.
        publish(&mut store, &mut disk, &mut ledger, b"three", "3");
        let (_, opened) = open(&mut disk, memory);
        assert_eq!(opened.unwrap().void, 1);
    });
}

#[test]
fn a_block_that_cannot_be_read_is_damage_of_what_is_in_it_and_of_nothing_else() {
    with_memory(|memory| {
        let object = content(9, 2 * CHUNK);
        let (mut disk, mut ledger, data) = disk_with(memory, &object);
        let (mut store, _) = open(&mut disk, memory);
        let two = publish(&mut store, &mut disk, &mut ledger, b"two", "2");
        let one = digest(&object);
        let data = (data / BLOCK) as u64;
        // In a chunk, in the seals, in the index.
        disk.plan.unreadable = Some(data + CHUNK_BLOCKS as u64 + 1);
        let damaged = StoreError::Damaged {
            digest: one,
            chunk: 1,
        };
        assert_eq!(check(&mut store, &mut disk, &one), Err(damaged));
        assert_eq!(check(&mut store, &mut disk, &two), Ok(()));
        disk.plan.unreadable = Some(data + 2 * CHUNK_BLOCKS as u64);
        let (mut store, _) = open(&mut disk, memory);
        let damaged = StoreError::DamagedSeals { digest: one };
        assert_eq!(check(&mut store, &mut disk, &one), Err(damaged));
        assert!(put(&mut store, &mut disk, &object, 70_000).is_ok());
        assert_eq!(check(&mut store, &mut disk, &one), Ok(()));
        disk.plan.unreadable = Some(2);
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.void, opened.unread), (0, 0, 1));
        let followed = ledger.catch_up(&mut store, &mut disk);
        assert_eq!(followed.err(), Some(StoreError::Stopped));
        // What is put now could lie where the objects are that the block tells of.
        let refused = put(&mut store, &mut disk, &object, 70_000);
        assert_eq!(refused.err(), Some(StoreError::Stopped));
        disk.plan.unreadable = None;
        let (mut store, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.unread, opened.changes), (2, 0, 0));
        assert_eq!(check(&mut store, &mut disk, &one), Ok(()));
        // With entries in the next block too, which say what the others were.
        for number in 0..8 {
            put(&mut store, &mut disk, &content(20 + number, 100), 100).unwrap();
        }
        disk.plan.unreadable = Some(2);
        let (_, opened) = open(&mut disk, memory);
        let opened = opened.unwrap();
        assert_eq!((opened.objects, opened.void, opened.unread), (2, 0, 1));
        assert_eq!((opened.changed, opened.changes), (false, 0));
    });
}

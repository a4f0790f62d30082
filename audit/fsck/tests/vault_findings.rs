//! Each finding about the vault: superblocks, index, references, contents.

mod common;
#[path = "common/vault.rs"]
mod vault;

use std::io::Cursor;

use common::{after, at, content, digest, fsck, keys, lines, new_disk, run, sample, with_memories};
use portcullis_blk::BLOCK;
use portcullis_blk::api::Area;
use portcullis_fsck::check;
use portcullis_vault::wire::{Body, RECORDED, RELEASED, REMOVED, SEALS, Seal};
use portcullis_vault::{Act, CHUNK};
use sha2::{Digest, Sha256};
use vault::{DATA, Forger, associated};

/// Slots of the sample.
const LONG: u16 = 0;
const SHORT: u16 = 1;
const EMPTY: u16 = 2;
const PUBLIC: u16 = 3;
const GONE: u16 = 4;
const LAST: u16 = 5;

fn forger() -> Forger {
    Forger::new(sample())
}

/// What is found after an entry says something else.
fn edited(slot: u16, change: impl FnOnce(&mut Body)) -> Vec<String> {
    let mut forger = forger();
    forger.edit(slot, change);
    forger.found()
}

/// Where an object is, as a finding says.
fn place(content: &[u8]) -> String {
    let digest = digest(content);
    let short: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("vault, object {short}")
}

fn object(slot: u16) -> String {
    let contents = common::contents();
    match slot {
        LAST => place(&content(9, 4_096)),
        slot => place(&contents[usize::from(slot)]),
    }
}

/// What is found after the appliance was on once more, and did this.
fn done(
    act: impl FnOnce(&mut common::On<'_>) -> Result<(), common::Failed> + Send + 'static,
) -> Vec<String> {
    with_memories(move |memories| {
        let (mut disk, done) = run(after(3), 4, memories, act);
        done.unwrap();
        lines(&fsck(disk.bytes_mut()))
    })
}

#[test]
fn what_forges_nothing_changes_nothing() {
    assert_eq!(edited(SHORT, |_| ()), Vec::<String>::new());
    assert_eq!(done(|_| Ok(())), Vec::<String>::new());
}

#[test]
fn a_damaged_superblock_is_found() {
    for copy in 0..2 {
        let line = [format!("VIOLATION superblock: vault, block {copy}")];
        for byte in [0, 20, 450, 500] {
            let mut disk = sample();
            disk[at(Area::Vault, copy) + byte] ^= 1;
            assert_eq!(lines(&fsck(&disk)), line);
        }
        let forged = |change: &dyn Fn(&mut portcullis_vault::wire::Superblock)| {
            let mut forger = forger();
            forger.superblock(copy, change);
            forger.found()
        };
        assert_eq!(forged(&|it| it.version.set(9)), line);
        assert_eq!(forged(&|it| it.reserved[7] = 1), line);
        assert_eq!(forged(&|it| it.index_blocks.set(0)), line);
        assert_eq!(forged(&|it| it.index_blocks.set(3_000)), line);
        assert_eq!(forged(&|it| it.chunk_blocks.set(8)), line);
        assert_eq!(forged(&|it| it.data_blocks += 1), line);
        assert_eq!(forged(&|it| it.data_blocks.set(u64::MAX)), line);
        let mut wiped = sample();
        wiped[at(Area::Vault, copy)..][..BLOCK].fill(0);
        assert_eq!(lines(&fsck(&wiped)), line, "an index is there");
        let mut disk = sample();
        disk[at(Area::Vault, copy) + 900] = 1;
        assert_eq!(
            lines(&fsck(&disk)),
            [format!("VIOLATION not-zero: vault, block {copy}")]
        );
    }
}

#[test]
fn another_key_is_found() {
    let mut keys = keys();
    keys.vault = Some([1; 32].into());
    let report = check(&mut Cursor::new(sample()), &keys);
    let expected = [0, 1].map(|copy| format!("VIOLATION superblock: vault, block {copy}"));
    assert_eq!(lines(&report), expected);
}

#[test]
fn superblocks_that_differ_are_found() {
    let mut forger = forger();
    forger.superblock(1, |it| it.data_blocks -= 1);
    assert_eq!(forger.found(), ["VIOLATION superblocks-differ: vault"]);
}

#[test]
fn an_index_without_a_superblock_is_found() {
    let mut disk = sample();
    disk[at(Area::Vault, 0)..at(Area::Vault, 2)].fill(0);
    assert_eq!(lines(&fsck(&disk)), ["VIOLATION no-superblock: vault"]);
}

#[test]
fn a_second_superblock_that_a_cut_prevented_is_noted() {
    let found = with_memories(|memories| {
        let (mut disk, _) = run(new_disk(), 1, memories, |_| Ok(()));
        disk.bytes_mut()[at(Area::Vault, 1)..][..BLOCK].fill(0);
        lines(&fsck(disk.bytes_mut()))
    });
    assert_eq!(found, ["note one-superblock: vault, block 1"]);
}

#[test]
fn an_entry_that_does_not_open_is_found() {
    for byte in [0, 4, 30, 44, 511] {
        let mut disk = sample();
        disk[at(Area::Vault, 2) + usize::from(SHORT) * 512 + byte] ^= 1;
        let missing = object(SHORT);
        let expected = [
            "entry: vault, slot 1",
            "index-changed: vault",
            &format!("missing: {missing}"),
        ];
        assert_eq!(
            lines(&fsck(&disk)),
            expected.map(|line| format!("VIOLATION {line}"))
        );
    }
}

#[test]
fn an_entry_moved_to_another_slot_does_not_open() {
    let mut disk = sample();
    let from = at(Area::Vault, 2) + usize::from(SHORT) * 512;
    disk.copy_within(from..from + 512, at(Area::Vault, 3));
    assert_eq!(lines(&fsck(&disk)), ["VIOLATION entry: vault, slot 8"]);
}

#[test]
fn a_field_that_the_vault_never_writes_is_found() {
    type Change = fn(&mut Body);
    let cases: [(u16, Change); 15] = [
        (SHORT, |it| it.flags |= 8),
        (SHORT, |it| it.reserved[3] = 1),
        (SHORT, |it| it.name[0] = 0xff),
        (SHORT, |it| it.name[200] = b'x'),
        (SHORT, |it| it.size.set(u64::MAX)),
        (SHORT, |it| it.object = it.number),
        (SHORT, |it| it.available.set(2)),
        (PUBLIC, |it| it.available.set(0)),
        (PUBLIC, |it| it.available.set(1 << 40)),
        (PUBLIC, |it| it.flags = RELEASED),
        (SHORT, |it| it.flags = 0),
        (SHORT, |it| it.recorded = it.followed),
        (SHORT, |it| it.flags |= REMOVED),
        (GONE, |it| it.flags = RECORDED),
        (EMPTY, |it| it.root.tag[0] = 1),
    ];
    for (case, (slot, change)) in cases.into_iter().enumerate() {
        let line = format!("VIOLATION entry-field: vault, slot {slot}");
        let found = edited(slot, change);
        assert_eq!(found[0], line, "case {case}");
    }
}

#[test]
fn a_nonce_of_something_else_is_found() {
    let mut forger = forger();
    let newest = forger.newest();
    let body = forger.body(newest);
    forger.put(newest, &body, [7; 24]);
    assert_eq!(
        forger.found(),
        [format!("VIOLATION nonce: vault, slot {newest}")]
    );
}

#[test]
fn a_number_that_comes_twice_is_found() {
    let mut forger = forger();
    let number = forger.body(LONG).number;
    forger.edit(SHORT, |it| it.number = number);
    let line = "VIOLATION same-number: vault, slot 1";
    assert!(
        forger.found().contains(&line.to_owned()),
        "{:#?}",
        forger.found()
    );
    let mut forger = self::forger();
    let object_number = forger.body(LONG).object;
    forger.edit(PUBLIC, |it| it.object = object_number);
    let line = format!("VIOLATION same-number: {}", object(PUBLIC));
    assert!(forger.found().contains(&line), "{:#?}", forger.found());
}

#[test]
fn an_object_that_comes_twice_is_found() {
    let name = digest(&common::contents()[usize::from(LONG)]);
    let found = edited(PUBLIC, |it| it.digest = name);
    assert_eq!(found[0], format!("VIOLATION same-object: {}", object(LONG)));
}

#[test]
fn blocks_of_two_objects_are_found() {
    let mut forger = forger();
    let (first, blocks) = (forger.body(LONG).first, 34);
    // In the middle of the long one, at its end, and around the small one before it.
    for at in [first + 5, first + blocks - 1] {
        forger.edit(SHORT, |it| it.first = at);
        let line = format!("VIOLATION shared: {}", object(SHORT));
        assert!(forger.found().contains(&line), "{:#?}", forger.found());
    }
    let behind = forger.body(PUBLIC).first;
    forger.edit(SHORT, |it| it.first = behind + 1);
    let line = format!("VIOLATION shared: {}", object(SHORT));
    assert!(forger.found().contains(&line), "{:#?}", forger.found());
}

#[test]
fn blocks_outside_the_vault_are_found() {
    for first in [fsck(&sample()).summary.vault.blocks, u64::MAX] {
        let found = edited(SHORT, |it| it.first.set(first));
        assert_eq!(found, [format!("VIOLATION outside: {}", object(SHORT))]);
    }
}

#[test]
fn an_index_that_is_gone_or_old_is_found() {
    // An entry is as it was a boot before: the short one had one reference then.
    let mut disk = sample();
    let slot = at(Area::Vault, 2) + usize::from(SHORT) * 512;
    disk[slot..][..512].copy_from_slice(&after(1).bytes_mut()[slot..][..512]);
    let found = lines(&fsck(&disk));
    assert_eq!(
        found,
        [
            "VIOLATION index-changed: vault",
            &format!("note not-followed: {}", object(SHORT))
        ]
    );
    let times = edited(LAST, |it| it.changes.set(2));
    assert_eq!(times, ["note changed-before: vault"]);
}

#[test]
fn a_ledger_that_is_older_than_the_vault_is_found() {
    let line = ["VIOLATION ledger-older: vault"];
    assert_eq!(edited(LAST, |it| it.through.set(50)), line);
    assert_eq!(edited(SHORT, |it| it.followed.set(50)), line);
    // The ledger's last commit is gone, and the marks with it.
    let mut disk = sample();
    let end = fsck(&disk).summary.worm.blocks;
    disk[at(Area::Worm, end - 1)..][..BLOCK].fill(0);
    disk[BLOCK..3 * BLOCK].fill(0);
    assert!(lines(&fsck(&disk)).contains(&line[0].to_owned()));
}

#[test]
fn references_are_those_that_the_ledger_says() {
    let place = object(SHORT);
    let few = edited(SHORT, |it| it.references.set(1));
    assert_eq!(few, [format!("VIOLATION references: {place}")]);
    let many = edited(SHORT, |it| it.references.set(3));
    assert_eq!(many, [format!("note not-removed: {place}")]);
}

#[test]
fn what_the_ledger_says_of_an_object_is_what_the_vault_says() {
    let line = [format!("VIOLATION other-than-ledger: {}", object(PUBLIC))];
    assert_eq!(edited(PUBLIC, |it| it.recorded -= 1), line);
    assert_eq!(edited(PUBLIC, |it| it.name[0] = b'P'), line);
    let kept = edited(PUBLIC, |it| {
        it.flags = RECORDED;
        it.available.set(0);
    });
    assert_eq!(kept, line);
}

#[test]
fn an_object_that_only_the_ledger_knows_is_missing() {
    let unknown = content(77, 20);
    let line = format!("VIOLATION missing: {}", place(&unknown));
    let found = done(move |on| on.say(&unknown, "never put", Act::Kept).map(drop));
    assert_eq!(found, [line]);
    // One that the ledger removed is not.
    let unknown = content(77, 20);
    let found = done(move |on| {
        on.say(&unknown, "never put", Act::Kept)?;
        on.say(&unknown, "", Act::Removed).map(drop)
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_a_cut_leaves_between_vault_and_ledger_is_noted() {
    let put = content(77, 20);
    let line = format!("note not-recorded: {}", place(&put));
    assert_eq!(done(move |on| on.put(&put)), [line]);
    let put = content(77, 20);
    let line = format!("note not-followed: {}", place(&put));
    let found = done(move |on| {
        on.put(&put)?;
        on.say(&put, "put", Act::Kept).map(drop)
    });
    assert_eq!(found, [line]);
    let line = format!("note not-removed: {}", object(LAST));
    let found = done(|on| on.say(&content(9, 4_096), "", Act::Removed).map(drop));
    assert_eq!(found, [line]);
}

#[test]
fn an_object_that_comes_back_has_a_new_history() {
    let gone = common::contents()[usize::from(GONE)].clone();
    let found = done(move |on| on.take_in(&gone, "back", Act::Released));
    assert_eq!(found, Vec::<String>::new());
    // One that was released is not, once it was removed.
    let public = common::contents()[usize::from(PUBLIC)].clone();
    let found = done(move |on| {
        on.record(&public, "", Act::Removed)?;
        on.take_in(&public, "back", Act::Kept)
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_damaged_chunk_is_found() {
    for (slot, block, chunk) in [(LONG, 0, 0), (LONG, 20, 1), (LONG, 32, 2), (SHORT, 0, 0)] {
        let mut forger = forger();
        let first = forger.body(slot).first.get();
        forger.disk[at(Area::Vault, DATA + first + block) + 9] ^= 4;
        let line = format!("VIOLATION chunk: {}, chunk {chunk}", object(slot));
        assert_eq!(forger.found(), [line]);
    }
}

#[test]
fn damaged_seals_are_found() {
    let mut forger = forger();
    let first = forger.body(LONG).first.get();
    forger.disk[at(Area::Vault, DATA + first + 33) + 9] ^= 4;
    assert_eq!(
        forger.found(),
        [format!("VIOLATION seals: {}", object(LONG))]
    );
}

/// Seals the short object's only chunk anew; what is found.
fn resealed(
    change: impl FnOnce(&mut [u8]),
    nonce: impl FnOnce([u8; 24]) -> [u8; 24],
) -> Vec<String> {
    let mut forger = forger();
    let body = forger.body(SHORT);
    let part = (body.object.get(), body.size.get(), 0);
    let place = (body.first.get(), 1);
    let seal = forger.reseal(part, place, &body.root, change, |forger, bytes| {
        let digest = Sha256::digest(&bytes[..300]);
        nonce(forger.hash("object nonce", &associated(part), &digest))
    });
    forger.edit(SHORT, |it| it.root = seal);
    forger.found()
}

#[test]
fn what_a_chunk_holds_beside_its_content_is_found() {
    assert_eq!(resealed(|_| (), |it| it), Vec::<String>::new());
    let place = format!("{}, chunk 0", object(SHORT));
    let padding = resealed(|bytes| bytes[300] = 1, |it| it);
    assert_eq!(padding, [format!("VIOLATION padding: {place}")]);
    let nonce = resealed(|_| (), |_| [3; 24]);
    assert_eq!(nonce, [format!("VIOLATION nonce: {place}")]);
}

#[test]
fn content_of_another_name_is_found() {
    let other = resealed(|bytes| bytes[0] ^= 1, |it| it);
    assert_eq!(other, [format!("VIOLATION digest: {}", object(SHORT))]);
}

#[test]
fn what_the_seals_hold_beside_seals_is_found() {
    let found = |change: fn(&mut [u8]), other: bool| {
        let mut forger = forger();
        let body = forger.body(LONG);
        let part = (body.object.get(), body.size.get(), SEALS);
        let place = (body.first.get() + 33, 1);
        let seal = forger.reseal(part, place, &body.root, change, |forger, bytes| {
            let digest = Sha256::digest(bytes);
            let nonce = forger.hash("object nonce", &associated(part), &digest);
            if other { [3; 24] } else { nonce }
        });
        forger.edit(LONG, |it| it.root = seal);
        forger.found()
    };
    assert_eq!(common::contents()[0].len().div_ceil(CHUNK), 3);
    let behind = |bytes: &mut [u8]| bytes[3 * size_of::<Seal>()] = 1;
    let place = object(LONG);
    assert_eq!(found(|_| (), false), Vec::<String>::new());
    assert_eq!(
        found(behind, false),
        [format!("VIOLATION padding: {place}")]
    );
    assert_eq!(found(|_| (), true), [format!("VIOLATION nonce: {place}")]);
}

/// The tests above know the sample's slots.
#[test]
fn the_sample_is_as_these_tests_believe() {
    let mut forger = forger();
    let contents = common::contents();
    for slot in [LONG, SHORT, EMPTY, PUBLIC, GONE] {
        let name = digest(&contents[usize::from(slot)]);
        assert_eq!(forger.body(slot).digest, name, "{slot}");
    }
    assert_eq!(forger.body(GONE).flags & REMOVED, REMOVED);
    assert_eq!(
        (forger.newest(), forger.body(LAST).size.get()),
        (LAST, 4_096)
    );
}

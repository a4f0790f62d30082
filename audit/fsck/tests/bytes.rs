//! Every kind of byte of a small disk, changed one after another: each is found, or nobody reads it.

mod common;

use std::io::Cursor;
use std::ops::Range;

use common::{at, fsck, header, keys, sample};
use portcullis_blk::BLOCK;
use portcullis_blk::api::Area;
use portcullis_fsck::{Keys, Report, check};

/// Bytes of a part of a log's block before the records, and after them.
const LOG_HEAD: usize = 88;
const LOG_TAIL: usize = 104;
const SECTOR: usize = 512;

/// Positions of a block that are tried: all of `fields`, and one byte in `step` of the others.
fn positions(block: usize, fields: &[Range<usize>], step: usize) -> Vec<usize> {
    let is_field = |byte: &usize| fields.iter().any(|field| field.contains(byte));
    let tried = (0..BLOCK).filter(|byte| is_field(byte) || byte % step == step / 2);
    tried.map(|byte| block + byte).collect()
}

/// Changes a bit of each of these bytes in turn, and shows what is found.
fn change_each(bytes: impl IntoIterator<Item = usize>, mut show: impl FnMut(usize, Report)) {
    let mut disk = sample();
    for byte in bytes {
        let bit = 1 << (byte % 8);
        disk[byte] ^= bit;
        show(byte, fsck(&disk));
        disk[byte] ^= bit;
    }
}

fn assert_violated(byte: usize, report: &Report) {
    let (block, offset) = (byte / BLOCK, byte % BLOCK);
    assert!(!report.holds(), "block {block} of the disk, byte {offset}");
}

#[test]
fn every_byte_of_header_and_marks_is_held() {
    let last = header().blocks() as usize - 1;
    for block in [0, 1, 2, last] {
        let step = if block == 0 || block == 1 { 97 } else { 397 };
        let fields: &[_] = if step == 97 {
            &[0..64, 64..SECTOR]
        } else {
            &[0..64, 480..SECTOR]
        };
        let bytes = positions(block * BLOCK, fields, step);
        change_each(bytes, |byte, report| assert_violated(byte, &report));
    }
}

/// The blocks of a log: all but the last commit.
fn log_bytes(area: Area, blocks: Range<u64>) -> Vec<usize> {
    let fields = [0..LOG_HEAD, BLOCK - LOG_TAIL..BLOCK];
    let of_block = |block| {
        let (fields, step) = if block == 0 {
            (&fields[..], 37)
        } else {
            (&fields[..0], 113)
        };
        positions(at(area, block), fields, step)
    };
    blocks.flat_map(of_block).collect()
}

#[test]
fn every_byte_of_a_log_before_its_last_commit_is_held() {
    let summary = fsck(&sample()).summary;
    let logs = [(Area::Grants, summary.grants), (Area::Worm, summary.worm)];
    for (area, log) in logs {
        let bytes = log_bytes(area, 0..log.blocks - 1);
        change_each(bytes, |byte, report| assert_violated(byte, &report));
    }
}

/// Of the last commit, a block that says that it is of another place looks like one that a disk put in
/// the wrong place: found, and for want of more knowledge no violation. A checkpoint from elsewhere, or
/// the vault, makes it one.
#[test]
fn every_byte_of_a_log_s_last_commit_is_found() {
    let disk = sample();
    let summary = fsck(&sample()).summary;
    let logs = [(Area::Grants, summary.grants), (Area::Worm, summary.worm)];
    for (area, log) in logs {
        let block = at(area, log.blocks - 1);
        let mut sectors = disk[block..][..BLOCK].chunks(SECTOR);
        let end = sectors
            .rposition(|it| it != [0; SECTOR])
            .map_or(0, |last| (last + 1) * SECTOR);
        let bytes = positions(block, &[0..LOG_HEAD, BLOCK - LOG_TAIL..BLOCK], 37);
        change_each(bytes, |byte, report| {
            let offset = byte - block;
            assert!(!report.findings.is_empty(), "byte {offset}");
            // Its number, and its position in the commit.
            let place = (24..32).contains(&offset) || (16..18).contains(&offset);
            // Behind a sector that is zero, behind its end: as a commit that was cut off.
            let is_behind = offset >= end + SECTOR;
            if !is_behind && (!place || area == Area::Worm) {
                assert_violated(byte, &report);
            }
        });
    }
}

#[test]
fn every_byte_of_the_vault_s_index_is_held() {
    for block in 0..2 {
        let bytes = positions(at(Area::Vault, block), &[0..64, 440..SECTOR], 397);
        change_each(bytes, |byte, report| assert_violated(byte, &report));
    }
    let entries = at(Area::Vault, 2);
    let first = (0..SECTOR).filter(|byte| *byte < 64 || byte % 7 == 0);
    let others = (SECTOR..6 * SECTOR).step_by(101);
    // Where no entry was written, one that is none is found.
    let free = (6 * SECTOR..BLOCK).step_by(307);
    let bytes = first.chain(others).chain(free).map(|byte| entries + byte);
    change_each(bytes, |byte, report| assert_violated(byte, &report));
}

/// First block of the vault's data: superblocks, and the index of a vault of this size.
const DATA: u64 = 2 + 3;

#[test]
fn every_byte_of_an_object_is_held() {
    let summary = fsck(&sample()).summary;
    let (from, to) = (
        at(Area::Vault, DATA),
        at(Area::Vault, DATA + summary.vault.used),
    );
    // What was removed left a block behind, which the last object took.
    let bytes = (from..to).step_by(1_021);
    change_each(bytes, |byte, report| assert_violated(byte, &report));
}

/// What the index gives to no object may hold anything: what was removed, or put and not committed.
#[test]
fn nobody_reads_what_is_free() {
    let clean = fsck(&sample());
    let summary = &clean.summary;
    let free = at(Area::Vault, DATA + summary.vault.used)..at(Area::Grants, 0);
    assert_eq!(
        summary.vault.blocks,
        (free.end - at(Area::Vault, DATA)) as u64 / BLOCK as u64
    );
    change_each(free.step_by(10_007), |byte, report| {
        assert_eq!(report, clean, "byte {byte}");
    });
}

/// Where a log was never written, a byte that is not zero is a block that is none.
#[test]
fn what_lies_behind_the_end_of_a_log_is_found() {
    let summary = fsck(&sample()).summary;
    let logs = [(Area::Grants, summary.grants), (Area::Worm, summary.worm)];
    for (area, log) in logs {
        let free = at(area, log.blocks)..at(area, log.region);
        change_each(free.step_by(4_001), |byte, report| {
            assert!(!report.findings.is_empty(), "byte {byte}");
        });
    }
}

/// All 655,360 of them, some seven minutes in a release build:
/// `cargo test --release -p portcullis-fsck --test bytes -- --ignored`. Where no signature lies, none is
/// verified, since that takes most of the time.
#[test]
#[ignore = "some minutes, even in a release build"]
fn every_byte_of_the_disk_is_found_or_free() {
    let mut disk = sample();
    let summary = fsck(&disk).summary;
    let logs = at(Area::Grants, 0)..disk.len() - BLOCK;
    let free = at(Area::Vault, DATA + summary.vault.used)..logs.start;
    let unsigned = Keys {
        grants: Vec::new(),
        worm: Vec::new(),
        ..keys()
    };
    for byte in 0..disk.len() {
        let keys = if logs.contains(&byte) {
            keys()
        } else {
            unsigned.clone()
        };
        let bit = 1 << (byte % 8);
        disk[byte] ^= bit;
        let report = check(&mut Cursor::new(&disk), &keys);
        disk[byte] ^= bit;
        let is_free = free.contains(&byte);
        assert_eq!(report.findings.is_empty(), is_free, "byte {byte}");
    }
}

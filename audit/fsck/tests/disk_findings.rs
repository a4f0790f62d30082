//! Each finding about the disk as a whole: its header, its marks.

mod common;

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use common::{BLOCKS, at, fsck, keys, lines, sample};
use portcullis_blk::BLOCK;
use portcullis_blk::api::Area;
use portcullis_blk::wire::{HASHED, Header, Marks, SECTOR};
use portcullis_fsck::{FINDINGS_MAX, check};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const LAST: usize = BLOCKS as usize - 1;

/// What is found on the sample once it was changed.
fn found(change: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
    let mut disk = sample();
    change(&mut disk);
    lines(&fsck(&disk))
}

/// Changes what a block begins with, and hashes it anew.
fn edit<T: FromBytes + IntoBytes + Immutable + KnownLayout>(
    disk: &mut [u8],
    block: usize,
    change: impl FnOnce(&mut T),
) {
    let sector = &mut disk[block * BLOCK..][..SECTOR];
    let mut content = T::read_from_bytes(sector).unwrap();
    change(&mut content);
    sector.copy_from_slice(content.as_bytes());
    let hash = Sha256::digest(&sector[..HASHED]);
    sector[HASHED..].copy_from_slice(&hash);
}

fn header(change: impl Fn(&mut Header)) -> Vec<String> {
    found(|disk| edit(disk, 0, change))
}

fn marks(block: usize, change: impl Fn(&mut Marks)) -> Vec<String> {
    found(|disk| edit(disk, block, change))
}

/// The block of the newer marks.
fn newer(disk: &[u8]) -> usize {
    let sequence = |block: usize| {
        let (marks, _) = Marks::read_from_prefix(&disk[block * BLOCK..]).unwrap();
        marks.sequence.get()
    };
    if sequence(1) > sequence(2) { 1 } else { 2 }
}

#[test]
fn another_file_is_not_a_disk() {
    let line = "VIOLATION not-a-disk: disk";
    for other in [vec![], vec![0; 99], vec![7; 80 * BLOCK]] {
        assert_eq!(lines(&fsck(&other)), [line]);
    }
    let wiped = found(|disk| {
        disk[0] ^= 1;
        disk[LAST * BLOCK] ^= 1;
    });
    assert_eq!(wiped, [line]);
}

#[test]
fn a_disk_that_was_cut_is_short() {
    let found = found(|disk| disk.truncate((BLOCKS as usize - 3) * BLOCK + 9));
    assert_eq!(found[0], "VIOLATION short-disk: disk");
}

#[test]
fn bytes_behind_the_end_are_noted() {
    let found = found(|disk| disk.resize(disk.len() + BLOCK + 9, 1));
    assert_eq!(found, ["note long-disk: disk"]);
}

#[test]
fn bytes_that_nobody_writes_are_zero() {
    for block in [0, 1, 2, LAST] {
        let line = format!("VIOLATION not-zero: disk, block {block}");
        assert_eq!(found(|disk| disk[block * BLOCK + SECTOR] = 1), [line]);
    }
}

#[test]
fn either_copy_of_the_header_can_be_damaged() {
    for (block, byte) in [(0, 3), (0, 44), (LAST, 3), (LAST, 44)] {
        let line = format!("VIOLATION header: disk, block {block}");
        assert_eq!(found(|disk| disk[block * BLOCK + byte] ^= 1), [line]);
    }
}

#[test]
fn a_header_of_another_kind_is_named() {
    let line = ["VIOLATION header: disk, block 0"];
    assert_eq!(header(|it| it.version.set(1)), line);
    assert_eq!(header(|it| it.block_size.set(512)), line);
    assert_eq!(header(|it| it.reserved[5] = 1), line);
    assert_eq!(header(|it| it.areas.swap(1, 2)), line);
    assert_eq!(header(|it| it.areas[0].start.set(2)), line);
    assert_eq!(header(|it| it.areas[2].length.set(u64::MAX)), line);
    assert_eq!(header(|it| it.blocks.set(99)), line);
}

#[test]
fn headers_that_differ_are_found() {
    let found = header(|it| it.areas[2].length -= 1);
    assert_eq!(
        found,
        [format!("VIOLATION headers-differ: disk, block {LAST}")]
    );
}

#[test]
fn marks_that_are_none_are_found() {
    for block in [1, 2] {
        let line = [format!("VIOLATION marks: disk, block {block}")];
        for byte in [0, 30, 500] {
            let found = found(|disk| disk[block * BLOCK + byte] ^= 1);
            assert_eq!(found[0], line[0]);
        }
        for change in [
            (|it| it.version.set(1)) as fn(&mut Marks),
            |it| it.unused.set(1),
            |it| it.reserved[9] = 1,
            |it| it.sequence -= 1,
            |it| it.sequence.set(u64::MAX),
            |it| it.grants.flushed = it.grants.mark + 1,
            |it| it.worm.mark.set(1 << 40),
        ] {
            assert_eq!(marks(block, change)[0], line[0]);
        }
    }
}

#[test]
fn marks_that_do_not_follow_one_another_are_noted() {
    let older = 3 - newer(&sample());
    let line = ["note marks-apart: disk, block 1"];
    assert_eq!(marks(older, |it| it.sequence -= 2), line);
}

#[test]
fn a_flushed_block_that_is_gone_is_found() {
    for (area, name) in [(Area::Grants, "grants"), (Area::Worm, "worm")] {
        let summary = fsck(&sample()).summary;
        let log = if area == Area::Grants {
            summary.grants
        } else {
            summary.worm
        };
        let last = log.blocks - 1;
        let found = found(|disk| disk[at(area, last)..][..BLOCK].fill(0));
        let line = format!("VIOLATION flushed-gone: {name}, block {last}");
        assert!(found.contains(&line), "{found:#?}");
        let behind = found.iter().any(|line| line.contains("behind-mark"));
        assert!(!behind, "it is said once");
    }
}

/// What a cut leaves lies behind what was flushed: there, each is a violation.
#[test]
fn a_flushed_commit_that_does_not_count_is_found() {
    let (disk, summary) = (sample(), fsck(&sample()).summary);
    let logs = [
        (Area::Grants, "grants", summary.grants.blocks - 1),
        (Area::Worm, "worm", summary.worm.blocks - 1),
    ];
    for (area, name, last) in logs {
        let start = at(area, last);
        let edits: [(&str, usize, &[u8]); 3] = [
            ("no beginning", 0, &[0; 512]),
            ("misplaced", 24, &[disk[start + 24] ^ 1]),
            ("orphan", 16, &[disk[start + 16] ^ 1]),
        ];
        for (what, from, bytes) in edits {
            let found = found(|disk| disk[start + from..][..bytes.len()].copy_from_slice(bytes));
            let gone = format!("VIOLATION flushed-gone: {name}, block {last}");
            // What shares the block goes on from nothing.
            let chain = format!("VIOLATION chain: {name}, block {last}");
            let said = [gone, chain].iter().any(|line| found.contains(line));
            assert!(said, "{what}: {found:#?}");
            let notes = found.iter().filter(|line| line.starts_with("note"));
            assert_eq!(notes.count(), 0, "{what}: {found:#?}");
        }
    }
}

#[test]
fn marks_before_or_behind_the_end_are_noted() {
    let newer = newer(&sample());
    let end = fsck(&sample()).summary.grants.blocks;
    let ahead = marks(newer, |it| it.grants.mark += 2);
    assert_eq!(ahead, [format!("note behind-mark: grants, block {end}")]);
    let behind = marks(newer, |it| {
        it.grants.mark -= 1;
        it.grants.flushed -= 1;
    });
    assert_eq!(
        behind,
        [format!("note beyond-mark: grants, block {}", end - 1)]
    );
}

/// A disk with a block that cannot be read.
struct Broken(Cursor<Vec<u8>>, u64);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (from, bad) = (self.0.position(), self.1 * BLOCK as u64);
        if (from..from + buffer.len() as u64).contains(&bad) {
            return Err(io::Error::other("a bad sector"));
        }
        self.0.read(buffer)
    }
}

impl Seek for Broken {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_block_that_cannot_be_read_is_named() {
    let places = [
        (0, "disk, block 0"),
        (at(Area::Grants, 1) / BLOCK, "grants, block 1"),
        (at(Area::Worm, 2) / BLOCK, "worm, block 2"),
        (at(Area::Vault, 2) / BLOCK, "vault, block 2"),
        // A chunk.
        (at(Area::Vault, 9) / BLOCK, "vault, block 9"),
    ];
    for (block, place) in places {
        let mut disk = Broken(Cursor::new(sample()), block as u64);
        let report = check(&mut disk, &keys());
        assert!(!report.holds());
        let line = format!("VIOLATION unreadable: {place}");
        assert!(lines(&report).contains(&line), "{:#?}", lines(&report));
    }
}

#[test]
fn of_very_many_findings_the_rest_is_counted() {
    let header = portcullis_blk::Header::new(5_000, common::ID).unwrap();
    let mut disk = vec![0; 5_000 * BLOCK];
    disk[..BLOCK].copy_from_slice(&header.encode());
    // No copy of the header, and no marks. Each block of the logs has a sector
    // that is not zero, and none before it: it is torn.
    let mut tear = |blocks| {
        for block in 0..blocks {
            for area in [Area::Grants, Area::Worm] {
                disk[(header.start(area) + block) as usize * BLOCK + 512] = 1;
            }
        }
        let report = fsck(&disk);
        (report.findings.len(), report.more_findings)
    };
    assert_eq!(tear(300), (603, 0));
    assert_eq!(tear(600), (FINDINGS_MAX, 203));
}

//! Each finding about a log: its blocks, its commits, its records.

mod common;

use std::io::Cursor;

use common::{ID, after, fsck, keys, ledger_key, lines};
use ed25519_dalek::SigningKey;
use portcullis_audit::testing::{boot, encoded};
use portcullis_blk::api::Area;
use portcullis_blk::testing::FaultyDisk;
use portcullis_blk::{BLOCK, Driver};
use portcullis_fsck::{Finding, Keys, Verdict, check};
use portcullis_log::block::{Footer, LogId, LogKind};
use portcullis_log::builder::{Builder, Tip};
use portcullis_log::entry::{Entry, Kind};
use portcullis_log::merkle::Frontier;
use portcullis_log::{BootId, Cause, Operation, Record};

type Block = [u8; BLOCK];

/// Writes a log's blocks, true or not.
struct Writer {
    kind: LogKind,
    log: LogId,
    key: SigningKey,
    blocks: Vec<Block>,
    /// The tree before the last commit, and after it.
    base: Frontier,
    tree: Frontier,
}

impl Writer {
    fn new(kind: LogKind) -> Self {
        Self {
            kind,
            log: LogId(ID),
            key: ledger_key(),
            blocks: Vec::new(),
            base: Frontier::new(),
            tree: Frontier::new(),
        }
    }

    /// A commit of a block for each of these, after `tree`.
    fn commit_after(&mut self, tree: &Frontier, blocks: &[&[Vec<u8>]]) {
        let first = self.blocks.len() as u64;
        let mut builder = Builder::new(Tip::new(self.kind, self.log, first, tree));
        self.base = tree.clone();
        self.tree = tree.clone();
        for (number, records) in (1..).zip(blocks) {
            for record in *records {
                builder.push(record).unwrap();
                self.tree.append(record);
            }
            let block = if number < blocks.len() {
                builder.seal()
            } else {
                let (size, root) = (self.tree.size(), self.tree.root());
                builder.commit(Footer::sign(self.kind, self.log, size, &root, &self.key))
            };
            self.blocks.push(*block.unwrap());
        }
    }

    /// A commit that extends the log.
    fn commit(&mut self, blocks: &[&[Vec<u8>]]) {
        self.commit_after(&self.tree.clone(), blocks);
    }

    /// The last commit, written again.
    fn again(&mut self, blocks: &[&[Vec<u8>]]) {
        self.commit_after(&self.base.clone(), blocks);
    }
}

/// A disk with this ledger.
fn disk(blocks: &[Block]) -> Vec<u8> {
    disk_of(Area::Worm, blocks)
}

fn disk_of(area: Area, blocks: &[Block]) -> Vec<u8> {
    let mut driver = Driver::new(common::new_disk());
    driver.open(&mut [0; BLOCK]).unwrap();
    let header = common::header();
    driver.flush().unwrap();
    let mut bytes = driver.disk_mut().bytes_mut().to_vec();
    let start = header.start(area) as usize * BLOCK;
    bytes[start..][..blocks.len() * BLOCK].copy_from_slice(blocks.as_flattened());
    bytes
}

/// Behind the last sector of a block that holds something.
fn end(block: &Block) -> usize {
    let used = block.chunks(512).rposition(|it| it != [0; 512]);
    512 * used.map_or(0, |last| last + 1)
}

/// What is found in this ledger; that the marks do not know of it, each time.
fn found(blocks: &[Block]) -> Vec<String> {
    let mut found = lines(&fsck(&disk(blocks)));
    assert_eq!(
        found.pop().as_deref(),
        Some("note beyond-mark: worm, block 0")
    );
    found
}

fn entries(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number; 700]).collect()
}

/// Three commits, the second of three blocks.
fn honest() -> Writer {
    let mut writer = Writer::new(LogKind::Worm);
    let entries = entries(15);
    writer.commit(&[&entries[..2]]);
    writer.commit(&[&entries[2..5], &entries[5..9], &entries[9..11]]);
    writer.commit(&[&entries[11..]]);
    writer
}

/// What is found after a change of the honest log.
fn changed(change: impl FnOnce(&mut Vec<Block>)) -> Vec<String> {
    let Writer { mut blocks, .. } = honest();
    change(&mut blocks);
    found(&blocks)
}

#[test]
fn an_honest_log_holds() {
    assert_eq!(changed(|_| ()), Vec::<String>::new());
    let again = found(&{
        let mut writer = honest();
        writer.again(&[&entries(15)[11..]]);
        writer.blocks
    });
    assert_eq!(again, Vec::<String>::new());
}

/// What is found first after a byte of a block was changed.
fn first_of(block: usize, byte: usize, change: u8) -> String {
    changed(|blocks| blocks[block][byte] ^= change)[0].clone()
}

#[test]
fn what_is_no_block_is_found() {
    // Magic, format, log, flags, records, payload, position, zeros; then the records' lengths.
    for byte in [0, 8, 10, 11, 13, 15, 17, 20, 89] {
        // Block 0 ends a commit, and block 1 does not.
        for block in 0..2 {
            let line = format!("VIOLATION block: worm, block {block}");
            assert_eq!(first_of(block, byte, 0x40), line, "byte {byte}");
        }
    }
    let line = "VIOLATION block: worm, block 0";
    assert_eq!(first_of(0, 16, 1), line, "its commit begins before the log");
    assert_eq!(
        first_of(0, 3_000, 1),
        line,
        "something lies behind the records"
    );
    let line = "VIOLATION block: worm, block 1";
    assert_eq!(
        first_of(1, 4_095, 1),
        line,
        "a tree head where no commit ends"
    );
}

#[test]
fn a_record_that_is_longer_than_any_is_found() {
    // Two records of 700 bytes become one, and all lengths add up.
    let found = changed(|blocks| {
        blocks[0][88..90].copy_from_slice(&1_402_u16.to_le_bytes());
        blocks[0][12] = 1;
    });
    assert_eq!(found[0], "VIOLATION block: worm, block 0");
}

#[test]
fn a_block_without_records_is_none() {
    let found = changed(|blocks| {
        let (last, end) = (blocks[4], end(&blocks[4]));
        let head = &last[end - 104..end];
        let mut empty = [0; BLOCK];
        empty[..88].copy_from_slice(&last[..88]);
        // No records, in no bytes; the next block; what the last one ends with.
        empty[12..16].fill(0);
        empty[24] = 5;
        empty[32..40].copy_from_slice(&head[..8]);
        empty[56..88].copy_from_slice(&head[8..40]);
        empty[512 - 104..512].copy_from_slice(head);
        blocks.push(empty);
    });
    assert_eq!(found, ["VIOLATION block: worm, block 5"]);
}

#[test]
fn a_torn_block_is_noted() {
    let found = changed(|blocks| {
        blocks.truncate(4);
        blocks[3][..512].fill(0);
    });
    assert_eq!(
        found,
        [
            "note unfinished: worm, block 1",
            "note block: worm, block 3"
        ]
    );
}

#[test]
fn a_block_of_another_log_is_noted_unless_it_continues_this_one() {
    let stranger = |log: LogId, kind| {
        let mut writer = Writer {
            log,
            ..Writer::new(kind)
        };
        writer.commit(&[&[vec![1]]]);
        writer.blocks[0]
    };
    for block in [
        stranger(LogId([9; 16]), LogKind::Worm),
        stranger(LogId(ID), LogKind::Grants),
    ] {
        let found = changed(|blocks| blocks.push(block));
        assert_eq!(found, ["note foreign: worm, block 5"]);
        // The first block of any log goes on from nothing.
        assert_eq!(self::found(&[block]), ["note foreign: worm, block 0"]);
    }
    for block in [2, 4] {
        let found = changed(|blocks| blocks[block][45] ^= 1);
        assert!(
            found.contains(&format!("VIOLATION block: worm, block {block}")),
            "{found:#?}"
        );
    }
}

#[test]
fn a_block_that_belongs_elsewhere_is_noted() {
    let found = changed(|blocks| blocks.push(blocks[0]));
    assert_eq!(found, ["note misplaced: worm, block 5"]);
}

/// No cut moves a block: what is signed for a log that went on, or another, says that this one is not all.
#[test]
fn a_misplaced_block_is_a_checkpoint() {
    let written = |range: std::ops::Range<usize>| {
        let records = entries(30);
        let mut writer = Writer::new(LogKind::Worm);
        for index in range {
            writer.commit(&[&records[index..=index]]);
        }
        writer.blocks
    };
    let whole = written(0..4);
    let misplaced = "note misplaced: worm, block 2";
    // What was before is still there.
    let found_with = |block| found(&[whole[0], whole[1], block]);
    assert_eq!(found_with(whole[1]), [misplaced]);
    // What came after is not.
    let gone = [
        "VIOLATION misplaced: worm, block 2",
        "VIOLATION truncated: worm",
    ];
    assert_eq!(found_with(whole[3]), gone);
    // Another history's, which the log reaches only later.
    let mut writer = Writer::new(LogKind::Worm);
    writer.blocks.push(written(4..6)[1]);
    for record in &entries(3) {
        writer.commit(&[std::slice::from_ref(record)]);
    }
    let forked = ["note misplaced: worm, block 0", "VIOLATION rewritten: worm"];
    assert_eq!(found(&writer.blocks), forked);
    // Another key's says nothing.
    let mut stranger = Writer::new(LogKind::Worm);
    stranger.key = SigningKey::from_bytes(&[9; 32]);
    for record in &entries(4) {
        stranger.commit(&[std::slice::from_ref(record)]);
    }
    assert_eq!(found_with(stranger.blocks[3]), [misplaced]);
}

#[test]
fn a_block_without_those_before_is_an_orphan() {
    let found = changed(|blocks| {
        blocks.truncate(4);
        blocks[1] = [0; BLOCK];
    });
    assert_eq!(
        found,
        ["note orphan: worm, block 2", "note orphan: worm, block 3"]
    );
}

#[test]
fn a_commit_without_its_end_is_unfinished() {
    let found = changed(|blocks| blocks.truncate(3));
    assert_eq!(found, ["note unfinished: worm, block 1"]);
}

#[test]
fn a_gap_in_the_chain_is_found_with_its_cause() {
    let found = changed(|blocks| blocks[2] = [0; BLOCK]);
    let expected = [
        "VIOLATION unfinished: worm, block 1",
        "VIOLATION orphan: worm, block 3",
        "VIOLATION chain: worm, block 4",
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_block_of_a_commit_says_what_it_continues() {
    for block in [2, 3] {
        // Its position in the commit, its first record, the root before the commit.
        for byte in [16, 32, 56] {
            let found = changed(|blocks| blocks[block][byte] ^= 3);
            assert_eq!(found[0], "VIOLATION unfinished: worm, block 1", "{byte}");
            assert_eq!(found[1], format!("VIOLATION orphan: worm, block {block}"));
            assert_eq!(found.last().unwrap(), "VIOLATION chain: worm, block 4");
        }
    }
}

#[test]
fn a_commit_says_how_many_records_there_are() {
    let found = changed(|blocks| {
        let at = end(&blocks[4]) - 104;
        blocks[4][at] ^= 1;
    });
    assert_eq!(found, ["VIOLATION root: worm, block 4"]);
}

/// What a cut left before the last commit is not the cause of damage after it.
#[test]
fn an_old_cut_is_not_accused() {
    let records = entries(15);
    let mut writer = Writer::new(LogKind::Worm);
    writer.commit(&[&records[..2]]);
    writer.blocks.push(writer.blocks[0]);
    writer.again(&[&records[..2]]);
    writer.commit(&[&records[2..5]]);
    writer.blocks[3][100] ^= 1;
    let expected = [
        "note misplaced: worm, block 1",
        "VIOLATION root: worm, block 3",
    ];
    assert_eq!(found(&writer.blocks), expected);
}

#[test]
fn a_torn_commit_is_noted() {
    let found = changed(|blocks| {
        blocks.truncate(4);
        blocks[2][1_536..2_048].fill(0);
    });
    assert_eq!(found, ["note torn: worm, block 3"]);
}

#[test]
fn a_changed_record_gives_another_root() {
    let found = changed(|blocks| blocks[2][200] ^= 1);
    assert_eq!(
        found,
        [
            "VIOLATION root: worm, block 3",
            "VIOLATION unread: worm, block 4"
        ]
    );
}

#[test]
fn a_commit_that_another_key_signed_is_found() {
    let found = changed(|blocks| {
        let at = end(&blocks[3]) - 6;
        blocks[3][at] ^= 1;
    });
    assert_eq!(found, ["VIOLATION signature: worm, block 3"]);
}

/// The vault flushes while the ledger writes a commit: its first block is flushed, and no whole commit.
#[test]
fn a_commit_that_was_under_way_may_be_flushed_in_part() {
    let Writer { blocks, .. } = honest();
    let mut driver = Driver::new(common::new_disk());
    driver.open(&mut [0; BLOCK]).unwrap();
    for (first, part) in [(0, &blocks[..2]), (2, &blocks[2..3])] {
        driver
            .write(Area::Worm, first, part.as_flattened())
            .unwrap();
        driver.flush().unwrap();
    }
    let mut disk = driver.disk_mut().bytes_mut().to_vec();
    assert_eq!(lines(&fsck(&disk)), ["note unfinished: worm, block 1"]);
    // The second flush may have been cut, but not the first.
    let [second, third] = [1, 2].map(|block| common::at(Area::Worm, block));
    disk[third..][..BLOCK].fill(0);
    let found = lines(&fsck(&disk));
    assert!(found.iter().all(|it| it.starts_with("note")), "{found:?}");
    disk[second..][512..1_024].fill(0);
    let found = lines(&fsck(&disk));
    let gone = "VIOLATION flushed-gone: worm, block 1".to_owned();
    assert!(found.contains(&gone), "{found:?}");
}

/// Keys are named oldest first: of two, the first signs nothing after the second, be it a commit that is
/// written again.
#[test]
fn a_key_signs_no_more_once_another_took_its_place() {
    let newer = SigningKey::from_bytes(&[0x44; 32]);
    let found = |again: bool, keys: [&SigningKey; 2]| {
        let mut writer = honest();
        writer.key = newer.clone();
        if again {
            writer.again(&[&entries(15)[11..]]);
        } else {
            writer.commit(&[&entries(2)]);
        }
        let keys = Keys {
            worm: keys.map(|key| key.verifying_key().into()).into(),
            ..Keys::default()
        };
        lines(&check(&mut Cursor::new(disk(&writer.blocks)), &keys))[0].clone()
    };
    let older = ledger_key();
    for again in [false, true] {
        let beyond = "note beyond-mark: worm, block 0";
        assert_eq!(found(again, [&older, &newer]), beyond);
        let retired = "VIOLATION retired-key: worm, block 5";
        assert_eq!(found(again, [&newer, &older]), retired);
    }
}

/// With keys that did not come with the disk; a checkpoint of nothing vouches for nothing.
#[test]
fn an_empty_log_is_vouched_for_or_holds_in_part() {
    let root = Frontier::new().root();
    let both = [LogKind::Grants, LogKind::Worm].map(|kind| (kind, 0, root).into());
    for (named, checkpoints, expected) in [
        (false, Vec::new(), Verdict::Holds),
        (true, Vec::new(), Verdict::HoldsInPart),
        (true, both[..1].to_vec(), Verdict::HoldsInPart),
        (true, both.to_vec(), Verdict::Holds),
    ] {
        let keys = Keys {
            named,
            checkpoints,
            ..keys()
        };
        let report = check(&mut Cursor::new(disk(&[])), &keys);
        let unvouched = report.findings.iter();
        let unvouched = unvouched.filter(|it| it.what.rule() == "unvouched").count();
        assert_eq!(report.verdict(), expected, "{:#?}", report.findings);
        assert_eq!(unvouched > 0, expected == Verdict::HoldsInPart);
    }
}

#[test]
fn a_commit_written_again_has_more_or_the_disk_went_back_or_the_log_is_forked() {
    let records = entries(20);
    let again = |part: &[Vec<u8>]| {
        let mut writer = honest();
        writer.again(&[part]);
        let tree = writer.tree.clone();
        writer.commit_after(&tree, &[&[vec![7]]]);
        found(&writer.blocks)
    };
    assert_eq!(again(&records[11..16]), ["note superseded: worm, block 4"]);
    assert_eq!(again(&records[12..16]), ["VIOLATION fork: worm, block 4"]);
    let back = ["VIOLATION went-back: worm, block 4"];
    assert_eq!(again(&records[11..13]), back);
}

/// A commit that takes the last one's place and is torn leaves the last one where it was. Then that is
/// written again, before anything goes on from it.
#[test]
fn a_torn_copy_takes_no_place() {
    let records = entries(20);
    let (base, tree) = (honest().base, honest().tree);
    let torn = |is_cut: bool, is_written_again: bool| {
        let mut writer = honest();
        writer.commit_after(&base, &[&records[11..13], &records[13..15]]);
        if is_cut {
            writer.blocks.pop();
        } else {
            writer.blocks[5][1_024..1_536].fill(0);
        }
        if is_written_again {
            writer.commit_after(&base, &[&records[11..15]]);
        }
        writer.commit_after(&tree, &[&records[15..]]);
        found(&writer.blocks)
    };
    for (is_cut, found) in [
        (false, "torn: worm, block 6"),
        (true, "unfinished: worm, block 5"),
    ] {
        assert_eq!(torn(is_cut, true), [format!("note {found}")]);
        assert_eq!(torn(is_cut, false), [format!("VIOLATION {found}")]);
    }
}

/// Commits that share blocks, and what a cut leaves of the last one in its block.
#[test]
fn commits_that_share_a_block_are_read_and_held_as_others_are() {
    let records = entries(9);
    let mut builder = Builder::new(Tip::empty(LogKind::Worm, LogId(ID)));
    let (mut tree, mut block) = (Frontier::new(), [0; BLOCK]);
    for record in &records[..3] {
        builder.push(record).unwrap();
        tree.append(record);
        let (size, root) = (tree.size(), tree.root());
        let footer = Footer::sign(LogKind::Worm, LogId(ID), size, &root, &ledger_key());
        block = *builder.commit(footer).unwrap();
    }
    // Two sectors each, and two that are free.
    assert_eq!(end(&block), 6 * 512);
    assert_eq!(found(&[block]), Vec::<String>::new());
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = block;
        change(&mut block);
        found(&[block])
    };
    let torn = ["note block: worm, block 0"];
    assert_eq!(changed(&|it| it[4 * 512..5 * 512].fill(0)), torn);
    assert_eq!(
        changed(&|it| it[5 * 512..].fill(0)),
        ["note torn: worm, block 0"]
    );
    // What something lies behind was there.
    let lost = ["VIOLATION block: worm, block 0"];
    assert_eq!(
        changed(&|it| it[3 * 512..4 * 512].fill(0))[0],
        "VIOLATION root: worm, block 0"
    );
    for change in [18, 8, 12, 16, 24] {
        let found = changed(&|it| it[2 * 512 + change] ^= 4);
        assert!(
            found.iter().any(|it| it.starts_with("VIOLATION")),
            "{change}: {found:?}"
        );
    }
    assert_eq!(changed(&|it| it[6 * 512] = 1), lost);
    assert_eq!(changed(&|it| it[7 * 512] = 1), torn);
}

#[test]
fn a_log_is_held_against_checkpoints() {
    let Writer { blocks, .. } = honest();
    let mut tree = Frontier::new();
    let mut heads = vec![(0, tree.root())];
    for entry in entries(15) {
        tree.append(&entry);
        heads.push((tree.size(), tree.root()));
    }
    let against = |blocks: &[Block], heads: &[(u64, [u8; 32])]| {
        let mut keys = keys();
        let worm = heads
            .iter()
            .map(|(size, root)| (LogKind::Worm, *size, *root).into());
        keys.checkpoints = worm.collect();
        let report = check(&mut Cursor::new(disk(blocks)), &keys);
        let mut lines = lines(&report);
        lines.retain(|line| !line.contains("beyond-mark"));
        lines
    };
    assert_eq!(
        against(&blocks, &heads),
        Vec::<String>::new(),
        "also within a commit"
    );
    let truncated = "VIOLATION truncated: worm";
    assert_eq!(against(&blocks[..4], &heads[15..]), [truncated]);
    assert_eq!(against(&[], &heads[1..2]), [truncated]);
    // What looked like the trace of a cut is the cause.
    let mut torn = blocks.clone();
    torn[4][1_536..2_048].fill(0);
    assert_eq!(
        against(&torn, &heads[..15]),
        [
            "VIOLATION torn: worm, block 4",
            truncated,
            truncated,
            truncated
        ]
    );
    for size in [0, 1, 7, 11, 15] {
        let other = [(size, [5; 32])];
        assert_eq!(
            against(&blocks, &other),
            ["VIOLATION rewritten: worm"],
            "{size}"
        );
    }
}

#[test]
fn an_entry_that_the_ledger_takes_from_nobody_is_found() {
    let mut writer = Writer::new(LogKind::Worm);
    writer.commit(&[&[vec![1; 896], vec![], vec![1; 897]]]);
    let expected = [1, 2].map(|entry| format!("VIOLATION entry-length: worm, record {entry}"));
    assert_eq!(found(&writer.blocks), expected);
}

#[test]
fn a_region_that_is_nearly_full_is_noted() {
    let region = common::header().length(Area::Worm);
    let noted = |blocks: u64| {
        let mut writer = Writer::new(LogKind::Worm);
        (0..blocks).for_each(|_| writer.commit(&[&[vec![7]]]));
        let note = "note nearly-full: worm".to_owned();
        lines(&fsck(&disk(&writer.blocks))).contains(&note)
    };
    let first = (region * 4).div_ceil(5);
    assert_eq!([first - 1, first, region].map(noted), [false, true, true]);
}

/// It is kept, and the log holds in part: what it says of the vault's objects is not known.
#[test]
fn an_entry_of_a_kind_that_came_later_is_said() {
    let entry = Entry::new(Kind::Document, b"?");
    let mut buffer = [0; 100];
    let mut entry = entry.encode(&mut buffer).unwrap().to_vec();
    let mut writer = Writer::new(LogKind::Worm);
    entry[9] = 77;
    writer.commit(&[&[b"anything".to_vec(), entry]]);
    let report = check(&mut Cursor::new(disk(&writer.blocks)), &keys());
    assert_eq!(report.verdict(), Verdict::HoldsInPart);
    let unknown = |it: &&Finding| it.what.rule() == "unknown-entry";
    let found: Vec<_> = report.findings.iter().filter(unknown).collect();
    assert_eq!(found[0].place.to_string(), "worm, record 1");
    assert_eq!(found.len(), 1);
}

/// What is found in a grant log of these records.
fn records(change: impl FnOnce(&mut Vec<Record>)) -> Vec<String> {
    let mut records = [boot(1), boot(2)].concat();
    change(&mut records);
    let mut writer = Writer::new(LogKind::Grants);
    writer.commit(&[&encoded(&records)]);
    let mut found = lines(&fsck(&disk_of(Area::Grants, &writer.blocks)));
    found.retain(|line| !line.contains("beyond-mark"));
    found
}

#[test]
fn bytes_that_are_no_record_are_found() {
    let mut writer = Writer::new(LogKind::Grants);
    let mut records = encoded(&boot(1));
    records[3].push(0);
    writer.commit(&[&records]);
    let found = lines(&fsck(&disk_of(Area::Grants, &writer.blocks)));
    let expected = [
        "not-a-record: grants, record 3",
        "sequence: grants, record 4",
    ];
    assert_eq!(found[..2], expected.map(|line| format!("VIOLATION {line}")));
}

#[test]
fn a_boot_that_does_not_begin_is_found() {
    assert_eq!(records(|_| ()), Vec::<String>::new());
    let line = ["VIOLATION no-boot: grants, record 7"];
    assert_eq!(
        records(|it| it.retain(|record| record != &boot(2)[0])),
        line
    );
    assert_eq!(records(|it| it[7].operation = Operation::Update), line);
    assert_eq!(records(|it| it[7].sequence = 1)[0], line[0]);
    assert_eq!(
        records(|it| it[7].cause = Cause::Complete { grants: 0 }),
        line
    );
}

#[test]
fn a_boot_that_comes_again_is_found() {
    let twice = records(|it| it.extend(boot(1)));
    assert_eq!(twice, ["VIOLATION boot-again: grants, record 14"]);
    let anew = records(|it| {
        it.truncate(7);
        it.extend(boot(1));
    });
    assert_eq!(anew[0], "VIOLATION boot-again: grants, record 7");
    let other = records(|it| it[5].boot = BootId([9; 16]));
    let expected = ["no-boot: grants, record 5", "boot-again: grants, record 6"];
    assert_eq!(other, expected.map(|line| format!("VIOLATION {line}")));
}

#[test]
fn a_gap_in_the_numbers_is_found() {
    let line = ["VIOLATION sequence: grants, record 3"];
    assert_eq!(
        records(|it| it.retain(|record| record != &boot(1)[3])),
        line
    );
}

#[test]
fn a_time_that_goes_back_is_found() {
    assert_eq!(
        records(|it| it[3].time.utc = Some(5)),
        ["VIOLATION time: grants, record 3"]
    );
}

/// Of a disk with damage in the ledger, the vault is not held against what was not read.
#[test]
fn a_damaged_ledger_accuses_nobody_else() {
    let mut disk: FaultyDisk = after(3);
    let bytes = disk.bytes_mut();
    bytes[common::at(Area::Worm, 1) + 100] ^= 1;
    let report = fsck(bytes);
    assert_eq!(
        lines(&report),
        [
            "VIOLATION root: worm, block 1",
            "VIOLATION unread: worm, block 2"
        ]
    );
    let unchecked = report.summary.unchecked.iter();
    let whys: Vec<_> = unchecked.map(|it| (it.what, it.why)).collect();
    assert_eq!(whys, [("references", "the ledger is damaged")]);
}

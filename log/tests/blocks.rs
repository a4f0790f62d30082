//! Blocks as they are written and read back: round trips, faults of the disk, damage.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use portcullis_log::block::{
    BLOCK_SIZE, COMMIT_PARTS, ENTRY_MAX, FORMAT, Footer, LogId, LogKind, PAYLOAD, Part, SECTOR,
};
use portcullis_log::builder::{Builder, PushError, Tip};
use portcullis_log::merkle::Frontier;
use portcullis_log::scanner::{Commit, Damage, Scanner, Skipped, Step, Watch};
use proptest::prelude::*;

const KIND: LogKind = LogKind::Grants;
const LOG: LogId = LogId([7; 16]);
const VOID: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];

type Disk = Vec<[u8; BLOCK_SIZE]>;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// The number of the first block of one commit of `records`, its blocks, and the tree after it.
fn commit_at(builder: &mut Builder, tree: &Frontier, records: &[Vec<u8>]) -> (u64, Disk, Frontier) {
    let mut tree = tree.clone();
    let mut blocks = Disk::new();
    let mut first = None;
    for record in records {
        if builder.push(record) == Err(PushError::BlockFull) {
            blocks.push(*builder.seal().unwrap());
            builder.push(record).unwrap();
        }
        first.get_or_insert(builder.tip().block);
        tree.append(record);
    }
    let footer = Footer::sign(KIND, LOG, tree.size(), &tree.root(), &key());
    blocks.push(*builder.commit(footer).unwrap());
    (first.unwrap(), blocks, tree)
}

/// The blocks of one commit of `records`, which begins with a block of its own.
fn commit(builder: &mut Builder, tree: &Frontier, records: &[Vec<u8>]) -> (Disk, Frontier) {
    builder.next_block();
    let (_, blocks, tree) = commit_at(builder, tree, records);
    (blocks, tree)
}

/// A log of commits that all went well, each with blocks of its own.
fn written(commits: &[Vec<Vec<u8>>]) -> Disk {
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let mut tree = Frontier::new();
    let mut disk = Disk::new();
    for records in commits {
        let (blocks, after) = commit(&mut builder, &tree, records);
        disk.extend(blocks);
        tree = after;
    }
    disk
}

/// The same, which share blocks.
fn shared(commits: &[Vec<Vec<u8>>]) -> Disk {
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let mut tree = Frontier::new();
    let mut disk = Disk::new();
    for records in commits {
        let (first, blocks, after) = commit_at(&mut builder, &tree, records);
        disk.truncate(first as usize);
        disk.extend(blocks);
        tree = after;
    }
    disk
}

#[derive(Debug, Default)]
struct Read {
    steps: Vec<Step>,
    records: Vec<Vec<u8>>,
    commits: Vec<Commit>,
}

/// Keeps every record at its position: the last one shown there counts.
#[derive(Default)]
struct Records(BTreeMap<u64, Vec<u8>>);

impl Watch for Records {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        self.0.insert(index, bytes.to_vec());
    }
}

fn scan(disk: &Disk) -> (Read, Scanner) {
    scan_from(Scanner::new(KIND, LOG), disk)
}

fn scan_from(mut scanner: Scanner, disk: &Disk) -> (Read, Scanner) {
    let mut read = Read::default();
    let mut seen = Records::default();
    for block in &disk[scanner.block() as usize..] {
        scanner.feed(block, &mut seen, |_, step| {
            if let Step::Committed(commit) = &step {
                read.commits.push(*commit);
            }
            read.steps.push(step);
            false
        });
    }
    let size = scanner.tree().size();
    read.records = seen.0.into_values().take(size as usize).collect();
    (read, scanner)
}

/// Three commits, of one block, three blocks and one block.
fn sample() -> Vec<Vec<Vec<u8>>> {
    let of = |count: usize, length: usize| -> Vec<Vec<u8>> {
        (0..count).map(|n| vec![n as u8 + 1; length]).collect()
    };
    vec![of(3, 40), of(9, ENTRY_MAX), of(2, 0)]
}

#[test]
fn what_is_written_is_read() {
    let disk = written(&sample());
    let (read, scanner) = scan(&disk);
    assert_eq!(disk.len(), 5);
    assert_eq!(read.records, sample().concat());
    let places: Vec<_> = read
        .commits
        .iter()
        .map(|it| (it.first_block, it.last_block))
        .collect();
    assert_eq!(places, [(0, 0), (1, 3), (4, 4)]);
    for commit in &read.commits {
        assert!(commit.footer.is_signed(KIND, LOG, &key().verifying_key()));
        assert!(
            !commit
                .footer
                .is_signed(LogKind::Worm, LOG, &key().verifying_key())
        );
    }
    assert_eq!((scanner.end(), scanner.tree().size()), (5, 14));
    assert_eq!((scanner.base().size(), scanner.damage()), (12, None));
}

#[test]
fn void_blocks_do_not_count_and_a_log_goes_on_behind_them() {
    let mut disk = written(&sample());
    disk.extend([VOID; 70]);
    assert_eq!(scan(&disk).1.end(), 5);
    let tree = scan(&disk).1.tree().clone();
    let mut builder = Builder::new(Tip::new(KIND, LOG, 75, &tree));
    disk.extend(commit(&mut builder, &tree, &[vec![7]]).0);
    let (read, scanner) = scan(&disk);
    assert_eq!((scanner.end(), read.records.len()), (76, 15));
}

/// From any block on, with the tree up to any record in it, the scanner goes on as if it had read
/// all that comes before.
#[test]
fn a_scan_that_starts_in_the_middle_ends_the_same() {
    let disk = written(&sample());
    let (read, whole) = scan(&disk);
    for (number, bytes) in (0..).zip(&disk) {
        let block = Part::read(bytes).unwrap();
        for record in 0..u64::from(block.record_count()) {
            let mut tree = Frontier::new();
            let before = block.first_record() + record;
            read.records[..before as usize].iter().for_each(|record| {
                tree.append(record);
            });
            let mut scanner = Scanner::resume(KIND, LOG, number, tree);
            let mut seen = Shown::default();
            for bytes in &disk[number as usize..] {
                scanner.feed(bytes, &mut seen, |_, _| false);
            }
            assert_eq!(scanner.tree(), whole.tree());
            assert_eq!(seen.0, (before..14).collect::<Vec<_>>());
        }
    }
    // With another tree it does not.
    let mut other = Frontier::new();
    other.append(b"another log");
    let (read, scanner) = scan_from(Scanner::resume(KIND, LOG, 0, other), &disk);
    assert_eq!((read.commits, scanner.tree().size()), (vec![], 0));
}

/// Keeps the positions of records.
#[derive(Default)]
struct Shown(Vec<u64>);

impl Watch for Shown {
    fn record(&mut self, index: u64, _: &[u8]) {
        self.0.push(index);
    }
}

#[test]
fn the_builder_refuses_what_the_format_cannot_hold() {
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    assert_eq!(builder.seal(), None);
    assert_eq!(
        builder.push(&[0; ENTRY_MAX + 1]),
        Err(PushError::TooLong {
            length: ENTRY_MAX + 1
        })
    );
    let footer = Footer::sign(KIND, LOG, 0, &Frontier::new().root(), &key());
    assert_eq!(builder.commit(footer), None);
    for part in 1..=COMMIT_PARTS {
        let mut pushed = 0;
        let full = loop {
            match builder.push(&[1; ENTRY_MAX]) {
                Ok(_) => pushed += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(pushed, PAYLOAD / (ENTRY_MAX + 2));
        if part < COMMIT_PARTS {
            assert_eq!(full, PushError::BlockFull);
            assert!(builder.seal().is_some());
        } else {
            assert_eq!(full, PushError::CommitFull);
            assert_eq!(builder.seal(), None);
        }
    }
    assert!(builder.commit(footer).is_some());
}

/// Sectors of a block that hold something.
fn length(block: &[u8; BLOCK_SIZE]) -> usize {
    let used = block.chunks(SECTOR).rposition(|it| it != &VOID[..SECTOR]);
    used.map_or(0, |last| last + 1)
}

/// Every byte of every block: the commit with the changed one is not taken, and the log is damaged.
/// What no root covers, the signature does.
#[test]
fn every_changed_byte_is_found() {
    let disk = written(&sample());
    let honest = scan(&disk).0;
    for block in 0..disk.len() {
        for byte in 0..BLOCK_SIZE {
            let mut changed = disk.clone();
            changed[block][byte] ^= 1 << (byte % 8);
            let (read, scanner) = scan(&changed);
            let commit = [0, 1, 1, 1, 2][block];
            let skipped = |step: &&Step| matches!(step, Step::Skipped(_));
            if read.commits.len() > commit && byte / SECTOR >= length(&disk[block]) {
                // Where nothing was written, and nothing but this sector: no part, and none is missed.
                assert!(read.steps.iter().find(skipped).is_some() || scanner.damage().is_some());
            } else if read.commits.len() > commit {
                let Commit { footer, .. } = read.commits[commit];
                let is_signed = footer.is_signed(KIND, LOG, &key().verifying_key());
                assert!(!is_signed, "block {block}, byte {byte}");
            } else {
                assert_eq!(read.commits, honest.commits[..commit]);
                let is_last = block == 4;
                let is_place = (16..18).contains(&byte) || (24..56).contains(&byte);
                assert!(
                    scanner.damage().is_some() || (is_last && is_place),
                    "block {block}, byte {byte}"
                );
            }
        }
    }
}

/// Commits that share blocks are read as if each had its own.
#[test]
fn commits_share_blocks() {
    let short: Vec<Vec<Vec<u8>>> = (0..40_u8)
        .map(|n| vec![vec![n; 98]; 1 + usize::from(n) % 3])
        .collect();
    let disk = shared(&short);
    let (read, scanner) = scan(&disk);
    assert_eq!(
        disk.len(),
        5,
        "eight commits of up to three records in a block"
    );
    assert_eq!(read.records, short.concat());
    assert_eq!((read.commits.len(), scanner.damage()), (40, None));
    assert!(!scanner.is_trailed());
    // From the middle of a block on, too.
    for (first, commit) in read
        .commits
        .iter()
        .map(|it| it.first_record)
        .zip(&read.commits)
    {
        let mut tree = Frontier::new();
        read.records[..first as usize].iter().for_each(|record| {
            tree.append(record);
        });
        let scanner = Scanner::resume(KIND, LOG, commit.first_block, tree);
        let (rest, resumed) = scan_from(scanner, &disk);
        assert_eq!(*resumed.tree(), scanner_tree(&read));
        assert_eq!(rest.records, read.records[first as usize..]);
    }
    // Long ones go on behind short ones, and fill blocks.
    let mixed = vec![
        short[0].clone(),
        vec![vec![7; ENTRY_MAX]; 9],
        short[1].clone(),
    ];
    let disk = shared(&mixed);
    let (read, _) = scan(&disk);
    let places: Vec<_> = read
        .commits
        .iter()
        .map(|it| (it.first_block, it.last_block))
        .collect();
    assert_eq!((places, disk.len()), (vec![(0, 0), (0, 2), (2, 2)], 3));
    assert_eq!(read.records, mixed.concat());
}

fn scanner_tree(read: &Read) -> Frontier {
    let mut tree = Frontier::new();
    read.records.iter().for_each(|record| {
        tree.append(record);
    });
    tree
}

/// A sector that is zero in the middle of a block, or another, is damage: what lies behind it goes on from
/// nothing.
#[test]
fn a_lost_sector_of_a_shared_block_is_found() {
    let commits: Vec<_> = (0..20_u8).map(|n| vec![vec![n + 1; 98]; 3]).collect();
    let disk = shared(&commits);
    let last = scan(&disk).0.commits.len() - 1;
    for block in 0..disk.len() {
        for sector in 0..length(&disk[block]) {
            let mut torn = disk.clone();
            torn[block][sector * SECTOR..][..SECTOR].fill(0);
            let (read, scanner) = scan(&torn);
            let number = block * 8 + sector;
            assert_eq!(read.records, commits[..number].concat());
            // In the last block nothing behind tells that it was more than what a cut leaves.
            let is_last = block + 1 == disk.len();
            assert_eq!(scanner.damage().is_some(), !is_last, "{number} of {last}");
            let is_end = is_last && sector + 1 == length(&disk[block]);
            assert!(scanner.damage().is_some() || scanner.is_trailed() || is_end);
        }
    }
}

/// What format 2 wrote, a part in each block and its footer at the end, is read, and gone on from.
#[test]
fn blocks_of_the_format_before_are_read() {
    let commits = sample();
    let mut disk = written(&commits);
    for block in &mut disk {
        let end = length(block) * SECTOR;
        let is_commit = block[11] == 1;
        (block[8], block[18]) = (2, 0);
        if is_commit {
            block.copy_within(end - 104..end, BLOCK_SIZE - 104);
            let moved = end.min(BLOCK_SIZE - 104);
            block[(end - 104).min(moved)..moved].fill(0);
        }
    }
    let (read, scanner) = scan(&disk);
    assert_eq!((read.records, scanner.damage()), (commits.concat(), None));
    let tree = scanner.tree().clone();
    let mut builder = Builder::new(Tip::new(KIND, LOG, 5, &tree));
    disk.extend(commit(&mut builder, &tree, &[vec![7]]).0);
    let (read, scanner) = scan(&disk);
    assert_eq!((read.records.len(), scanner.damage()), (15, None));
    // Such a part begins nowhere but with its block.
    let mut moved = VOID;
    moved[SECTOR..].copy_from_slice(&disk[0][..BLOCK_SIZE - SECTOR]);
    assert!(Part::read(&moved[SECTOR..]).is_err());
}

/// A sector that is not there is the trace of a cut, at the end of a log; anywhere else it is damage.
#[test]
fn every_torn_block_is_found() {
    let disk = written(&sample());
    let honest = scan(&disk).0;
    for block in 0..disk.len() {
        for sector in 0..BLOCK_SIZE / SECTOR {
            let mut torn = disk.clone();
            torn[block][sector * SECTOR..][..SECTOR].fill(0);
            if torn == disk {
                continue;
            }
            let (read, scanner) = scan(&torn);
            let commit = [0, 1, 1, 1, 2][block];
            assert_eq!(read.commits, honest.commits[..commit]);
            assert_eq!(scanner.damage().is_some(), block < 4);
        }
    }
}

#[test]
fn another_version_of_the_format_is_not_written_over() {
    let mut disk = written(&sample());
    disk[3][8] ^= 3;
    let (block, version) = (3, FORMAT ^ 3);
    let damage = Damage::Format { block, version };
    assert_eq!(scan(&disk).1.damage(), Some(damage));
}

#[test]
fn dropped_and_swapped_blocks_are_found() {
    let disk = written(&sample());
    for first in 0..disk.len() {
        let mut changed = disk.clone();
        changed[first] = VOID;
        let (read, scanner) = scan(&changed);
        assert_eq!(scanner.damage().is_some(), first < 4, "block {first}");
        assert!(read.commits.len() < 3);
        for second in 0..first {
            let mut changed = disk.clone();
            changed.swap(first, second);
            let (read, _) = scan(&changed);
            assert_eq!(
                read.steps[second],
                Step::Skipped(Skipped::Misplaced {
                    number: first as u64
                })
            );
            assert!(read.commits.len() < 3);
        }
    }
}

/// A forger without the key has no signed root for the records that he likes.
#[test]
fn a_forged_record_does_not_have_the_signed_root() {
    let commits = sample();
    let honest = scan(&written(&commits)).0.commits;
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    builder.push(&[9; 40]).unwrap();
    builder.push(&commits[0][1]).unwrap();
    builder.push(&commits[0][2]).unwrap();
    let forged = *builder.commit(honest[0].footer).unwrap();
    let (read, _) = scan(&vec![forged]);
    let damage = Damage::Changed { block: 0 };
    assert_eq!(read.steps, [Step::Damaged(damage)]);
}

#[test]
fn a_block_of_another_log_is_skipped() {
    let mut builder = Builder::new(Tip::empty(LogKind::Worm, LOG));
    let (foreign, _) = commit(&mut builder, &Frontier::new(), &[vec![1]]);
    assert_eq!(scan(&foreign).0.steps, [Step::Skipped(Skipped::Foreign)]);
}

/// The commit that was written again, as often as it takes, is one commit.
#[test]
fn a_commit_that_was_written_again_is_superseded() {
    let records = sample().concat();
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let (mut disk, base) = commit(&mut builder, &Frontier::new(), &records[..1]);
    let mut tree = base.clone();
    for _ in 0..3 {
        let tip = Tip::new(KIND, LOG, disk.len() as u64, &base);
        builder = Builder::new(tip);
        let (again, after) = commit(&mut builder, &base, &records[1..10]);
        // Of one attempt the first block was lost.
        disk.extend(again);
        if disk.len() == 7 {
            disk[4] = VOID;
        }
        tree = after;
    }
    disk.extend(commit(&mut builder, &tree, &records[10..]).0);
    let (read, scanner) = scan(&disk);
    let supersedes: Vec<_> = read.commits.iter().map(|it| it.supersedes).collect();
    assert_eq!(supersedes, [false, false, true, false]);
    assert_eq!(read.records, records);
    assert_eq!((scanner.tree().size(), scanner.damage()), (14, None));
}

/// What the disk did with a block of a commit that was cut short.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    Torn(usize),
    Kept,
}

#[derive(Clone, Debug)]
enum Event {
    /// A commit of records of these lengths, acknowledged.
    Commit(Vec<usize>),
    /// A commit during which the power failed; recovery follows.
    Cut(Vec<usize>, Vec<Fate>),
    /// The last commit is written again, and the power may fail.
    Again(Vec<Fate>),
}

fn event() -> impl Strategy<Value = Event> {
    let lengths = || prop::collection::vec(0..=ENTRY_MAX, 1..12);
    let fate = prop_oneof![
        Just(Fate::Lost),
        (1..8_usize).prop_map(Fate::Torn),
        Just(Fate::Kept)
    ];
    let fates = move || prop::collection::vec(fate.clone(), 12);
    prop_oneof![
        lengths().prop_map(Event::Commit),
        (lengths(), fates()).prop_map(|(lengths, fates)| Event::Cut(lengths, fates)),
        fates().prop_map(Event::Again),
    ]
}

/// The log beside what it must hold: every acknowledged record, in order.
struct Store {
    disk: Disk,
    builder: Builder,
    tree: Frontier,
    acknowledged: Vec<Vec<u8>>,
    counter: u8,
}

impl Store {
    fn records(&mut self, lengths: &[usize]) -> Vec<Vec<u8>> {
        let record = |length: &usize| {
            self.counter = self.counter.wrapping_add(1);
            vec![self.counter; *length]
        };
        lengths.iter().map(record).collect()
    }

    /// Writes blocks. What a block holds already is there in any case.
    fn put(&mut self, first: u64, blocks: &Disk, fates: &[Fate]) {
        let fates = fates.iter().chain(std::iter::repeat(&Fate::Kept));
        for (number, (block, fate)) in (first as usize..).zip(blocks.iter().zip(fates)) {
            if self.disk.len() <= number {
                self.disk.resize(number + 1, VOID);
            }
            let bytes = &mut self.disk[number];
            let before = length(bytes) * SECTOR;
            assert_eq!(bytes[..before], block[..before], "no sector changes");
            let kept = match fate {
                Fate::Lost => before,
                Fate::Torn(sectors) => BLOCK_SIZE.min(before + sectors * SECTOR),
                Fate::Kept => BLOCK_SIZE,
            };
            let from = if matches!(fate, Fate::Torn(5..)) {
                // What comes last of it is there, and what comes first is not.
                BLOCK_SIZE.min(before + SECTOR)..BLOCK_SIZE
            } else {
                before..kept
            };
            bytes[from.clone()].copy_from_slice(&block[from]);
        }
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Commit(lengths) => {
                let records = self.records(lengths);
                let (first, blocks, tree) = commit_at(&mut self.builder, &self.tree, &records);
                self.put(first, &blocks, &[]);
                self.tree = tree;
                self.acknowledged.extend(records);
            }
            Event::Cut(lengths, fates) => {
                let records = self.records(lengths);
                let (first, blocks, _) = commit_at(&mut self.builder, &self.tree, &records);
                self.put(first, &blocks, fates);
                self.recover();
            }
            Event::Again(fates) => {
                self.again(fates);
                self.recover();
            }
        }
    }

    /// Writes the last commit again, if there is one.
    fn again(&mut self, fates: &[Fate]) {
        let base = scan(&self.disk).1.base().clone();
        let records = self.acknowledged[base.size() as usize..].to_vec();
        if !records.is_empty() {
            let end = self.disk.len() as u64;
            let mut builder = Builder::new(Tip::new(KIND, LOG, end, &base));
            let (first, blocks, _) = commit_at(&mut builder, &base, &records);
            self.put(first, &blocks, fates);
        }
    }

    fn recover(&mut self) {
        let (read, scanner) = scan(&self.disk);
        assert_eq!(scanner.damage(), None, "nothing acknowledged was touched");
        let size = scanner.tree().size();
        assert!(size >= self.acknowledged.len() as u64);
        // Blocks that were lost at the very end leave no trace, and their places are used again.
        self.disk.truncate(scanner.end() as usize);
        let has_last = !read.commits.is_empty();
        if has_last && scanner.is_trailed() {
            self.acknowledged = self.read_as_committed();
            self.again(&[]);
        }
        let (read, scanner) = scan(&self.disk);
        assert!(read.records.starts_with(&self.acknowledged));
        let end = self.disk.len() as u64;
        self.builder = Builder::new(Tip::new(KIND, LOG, end, scanner.tree()));
        self.tree = scanner.tree().clone();
        self.acknowledged = read.records;
    }

    /// The records up to the last commit, without what lies behind it.
    fn read_as_committed(&self) -> Vec<Vec<u8>> {
        let (read, _) = scan(&self.disk);
        let last = *read.commits.last().unwrap();
        let mut disk = self.disk[..=last.last_block as usize].to_vec();
        // Behind the commit in its own block.
        let block = disk.last_mut().unwrap();
        let parts = Part::all(block).filter(|it| it.first_record() < last.footer.tree_size.get());
        let end: usize = parts.map(|part| part.length()).sum();
        block[end..].fill(0);
        let records = scan(&disk).0.records;
        assert!(records.starts_with(&self.acknowledged));
        records
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_acknowledged_record_is_lost(events in prop::collection::vec(event(), 1..12)) {
        let mut store = Store {
            disk: Disk::new(),
            builder: Builder::new(Tip::empty(KIND, LOG)),
            tree: Frontier::new(),
            acknowledged: Vec::new(),
            counter: 0,
        };
        for event in &events {
            store.step(event);
        }
        store.recover();
        let (read, _) = scan(&store.disk);
        prop_assert_eq!(read.records, store.acknowledged);
    }

    #[test]
    fn any_bytes_are_a_block_or_not(at in 0..BLOCK_SIZE, bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut block = written(&sample())[1];
        let end = BLOCK_SIZE.min(at + bytes.len());
        block[at..end].copy_from_slice(&bytes[..end - at]);
        if let Ok(block) = Part::read(&block) {
            prop_assert_eq!(block.records().count(), usize::from(block.record_count()));
        }
    }
}

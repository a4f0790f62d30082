//! Blocks as they are written and read back: round trips, faults of the disk, damage.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use portcullis_log::block::{
    BLOCK_SIZE, Block, COMMIT_BLOCKS, ENTRY_MAX, FORMAT, Footer, LogId, LogKind, PAYLOAD, SECTOR,
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

/// The blocks of one commit of `records`, and the tree after it.
fn commit(builder: &mut Builder, tree: &Frontier, records: &[Vec<u8>]) -> (Disk, Frontier) {
    let mut tree = tree.clone();
    let mut blocks = Disk::new();
    for record in records {
        if builder.push(record) == Err(PushError::BlockFull) {
            blocks.push(*builder.seal().unwrap());
            builder.push(record).unwrap();
        }
        tree.append(record);
    }
    let footer = Footer::sign(KIND, LOG, tree.size(), &tree.root(), &key());
    blocks.push(*builder.commit(footer).unwrap());
    (blocks, tree)
}

/// A log of commits that all went well.
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
        let step = scanner.feed(block, &mut seen);
        if let Step::Committed(commit) = &step {
            read.commits.push(*commit);
        }
        read.steps.push(step);
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
        let block = Block::read(bytes).unwrap();
        for record in 0..u64::from(block.record_count()) {
            let mut tree = Frontier::new();
            let before = block.first_record() + record;
            read.records[..before as usize].iter().for_each(|record| {
                tree.append(record);
            });
            let mut scanner = Scanner::resume(KIND, LOG, number, tree);
            let mut seen = Shown::default();
            for bytes in &disk[number as usize..] {
                scanner.feed(bytes, &mut seen);
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
    for part in 1..=COMMIT_BLOCKS {
        let mut pushed = 0;
        let full = loop {
            match builder.push(&[1; ENTRY_MAX]) {
                Ok(_) => pushed += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(pushed, PAYLOAD / (ENTRY_MAX + 2));
        if part < COMMIT_BLOCKS {
            assert_eq!(full, PushError::BlockFull);
            assert!(builder.seal().is_some());
        } else {
            assert_eq!(full, PushError::CommitFull);
            assert_eq!(builder.seal(), None);
        }
    }
    assert!(builder.commit(footer).is_some());
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
            if read.commits.len() > commit {
                let Commit { footer, .. } = read.commits[commit];
                assert!(!footer.is_signed(KIND, LOG, &key().verifying_key()));
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

    fn put(&mut self, blocks: &Disk, fates: &[Fate]) {
        for (block, fate) in blocks
            .iter()
            .zip(fates.iter().chain(std::iter::repeat(&Fate::Kept)))
        {
            let mut bytes = VOID;
            match fate {
                Fate::Lost => {}
                Fate::Torn(sectors) => {
                    bytes[..sectors * 512].copy_from_slice(&block[..sectors * 512])
                }
                Fate::Kept => bytes = *block,
            }
            self.disk.push(bytes);
        }
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Commit(lengths) => {
                let records = self.records(lengths);
                let (blocks, tree) = commit(&mut self.builder, &self.tree, &records);
                self.put(&blocks, &[]);
                self.tree = tree;
                self.acknowledged.extend(records);
            }
            Event::Cut(lengths, fates) => {
                let records = self.records(lengths);
                let (blocks, _) = commit(&mut self.builder, &self.tree, &records);
                self.put(&blocks, fates);
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
            let (blocks, _) = commit(&mut builder, &base, &records);
            self.put(&blocks, fates);
        }
    }

    fn recover(&mut self) {
        let (read, scanner) = scan(&self.disk);
        assert_eq!(scanner.damage(), None, "nothing acknowledged was touched");
        let size = scanner.tree().size();
        assert!(size >= self.acknowledged.len() as u64);
        // Blocks that were lost at the very end leave no trace, and their places are used again.
        self.disk.truncate(scanner.end() as usize);
        let last = read.commits.last();
        if last.is_some_and(|commit| commit.last_block + 1 < scanner.end()) {
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
        let last = *scan(&self.disk).0.commits.last().unwrap();
        let disk = self.disk[..=last.last_block as usize].to_vec();
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
        if let Ok(block) = Block::read(&block) {
            prop_assert_eq!(block.records().count(), usize::from(block.record_count()));
        }
    }
}

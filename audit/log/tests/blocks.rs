//! Blocks as they are written and read back: round trips, faults of the disk, damage.

use ed25519_dalek::SigningKey;
use portcullis_log::block::{
    BLOCK_SIZE, Block, BlockFault, COMMIT_BLOCKS, ENTRY_MAX, Footer, LogId, LogKind, PAYLOAD,
    VOID_BLOCKS,
};
use portcullis_log::builder::{Builder, PushError, Tip};
use portcullis_log::merkle::Frontier;
use portcullis_log::scanner::{Commit, Damage, Scanner, Skipped, Step};
use proptest::prelude::*;

const KIND: LogKind = LogKind::Grants;
const LOG: LogId = LogId([7; 16]);
const VOID: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];

type Disk = Vec<[u8; BLOCK_SIZE]>;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// The blocks of one commit of `records`, and the tree after it. The builder is left undecided.
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
        builder.durable();
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

fn scan(disk: &Disk) -> (Read, Scanner) {
    let mut read = Read::default();
    let mut seen: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut scanner = Scanner::new(KIND, LOG);
    for block in disk {
        if scanner.done() {
            break;
        }
        let step = scanner.feed_with(block, |index, record, _| {
            seen.push((index, record.to_vec()))
        });
        if let Step::Committed(commit) = &step {
            // What came of interrupted commits in between has the same numbers; the last counts.
            read.records.truncate(commit.first_record as usize);
            for index in commit.first_record..commit.footer.tree_size.get() {
                let (_, record) = seen.iter().rfind(|(at, _)| *at == index).unwrap();
                read.records.push(record.clone());
            }
            seen.clear();
            read.commits.push(*commit);
        }
        read.steps.push(step);
    }
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
    let (tip, tree) = scanner.finish().unwrap();
    assert_eq!((tip.block, tip.records, tree.size()), (5, 14, 14));
}

#[test]
fn the_scan_ends_after_as_many_void_blocks_as_a_writer_can_leave() {
    let mut disk = written(&sample());
    disk.extend(std::iter::repeat_n(VOID, VOID_BLOCKS as usize + 9));
    let (read, scanner) = scan(&disk);
    assert!(scanner.done());
    assert_eq!(read.steps.len(), 5 + VOID_BLOCKS as usize);
    assert_eq!(scanner.finish().unwrap().0.block, 5);
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

/// Every bit of every block: a changed block is never sound, and the log behind it is damaged
/// (where a later commit chains to it) or ends before it (where none does).
#[test]
fn every_changed_byte_is_found() {
    let disk = written(&sample());
    let honest = scan(&disk).0;
    for block in 0..disk.len() {
        for byte in 0..BLOCK_SIZE {
            let mut changed = disk[block];
            changed[byte] ^= 1 << (byte % 8);
            assert!(Block::read(&changed).is_err(), "block {block}, byte {byte}");
        }
        let mut changed = disk.clone();
        changed[block][BLOCK_SIZE / 2] ^= 1;
        let (read, scanner) = scan(&changed);
        if block < 4 {
            assert_eq!(scanner.finish().err(), Some(Damage::Chain), "block {block}");
        } else {
            assert_eq!(
                read.steps[4],
                Step::Skipped(Skipped::Fault(BlockFault::Digest))
            );
            assert_eq!(read.commits, honest.commits[..2]);
        }
    }
}

#[test]
fn dropped_and_swapped_blocks_are_found() {
    let disk = written(&sample());
    for first in 0..disk.len() {
        let mut changed = disk.clone();
        changed[first] = VOID;
        let (read, scanner) = scan(&changed);
        assert_eq!(scanner.finish().is_err(), first < 4, "block {first}");
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

/// A forger without the key recomputes digests and chain, and fails on the root.
#[test]
fn a_forged_record_does_not_have_the_signed_root() {
    let commits = sample();
    let honest = scan(&written(&commits)).0.commits;
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    builder.push(&[9; 40]).unwrap();
    builder.push(&commits[0][1]).unwrap();
    builder.push(&commits[0][2]).unwrap();
    let forged = *builder.commit(honest[0].footer).unwrap();
    assert_eq!(scan(&vec![forged]).0.steps, [Step::Damaged(Damage::Root)]);
}

#[test]
fn a_block_of_another_log_is_skipped() {
    let mut builder = Builder::new(Tip::empty(LogKind::Worm, LOG));
    let (foreign, _) = commit(&mut builder, &Frontier::new(), &[vec![1]]);
    assert_eq!(scan(&foreign).0.steps, [Step::Skipped(Skipped::Foreign)]);
}

#[test]
fn a_commit_that_failed_and_is_there_all_the_same_is_superseded() {
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let records = sample().concat();
    let (mut disk, tree) = commit(&mut builder, &Frontier::new(), &records[..1]);
    builder.durable();
    for retry in [2, 3] {
        let (failed, _) = commit(&mut builder, &tree, &records[1..retry]);
        builder.abandon().unwrap();
        disk.extend(failed);
    }
    let (blocks, after) = commit(&mut builder, &tree, &records[1..4]);
    builder.durable();
    disk.extend(blocks);
    let (blocks, _) = commit(&mut builder, &after, &records[4..5]);
    disk.extend(blocks);
    let (read, scanner) = scan(&disk);
    let supersedes: Vec<_> = read.commits.iter().map(|it| it.supersedes).collect();
    assert_eq!(supersedes, [false, false, true, true, false]);
    assert_eq!(read.records, records[..5]);
    assert_eq!(scanner.finish().unwrap().0.records, 5);
}

#[test]
fn commits_that_fail_without_end_stop_the_writer_before_a_reader_would_miss_one() {
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let (mut disk, tree) = commit(&mut builder, &Frontier::new(), &[vec![1]]);
    builder.durable();
    let records = vec![vec![2; ENTRY_MAX]; 3 * COMMIT_BLOCKS];
    let mut failed = 0;
    loop {
        let (blocks, _) = commit(&mut builder, &tree, &records);
        assert_eq!(blocks.len(), COMMIT_BLOCKS);
        if builder.abandon().is_err() {
            break;
        }
        failed += 1;
        disk.extend(vec![VOID; blocks.len()]);
        let (next, _) = commit(&mut Builder::new(*builder.tip()), &tree, &records);
        let all: Disk = disk.iter().chain(&next).copied().collect();
        assert_eq!(
            scan(&all).1.finish().unwrap().0.records,
            1 + records.len() as u64
        );
    }
    assert_eq!(failed, 15);
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
    /// A commit that failed with an error and was abandoned; the same records come again.
    Failed(Vec<usize>, Vec<Fate>),
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
        (lengths(), fates()).prop_map(|(lengths, fates)| Event::Failed(lengths, fates)),
    ]
}

/// The log beside what it must hold: every acknowledged record, in order.
struct Store {
    disk: Disk,
    builder: Builder,
    tree: Frontier,
    acknowledged: Vec<Vec<u8>>,
    /// Records of a failed commit, which the writer owes.
    owed: Vec<Vec<u8>>,
    counter: u8,
}

impl Store {
    fn records(&mut self, lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut records = self.owed.clone();
        for length in lengths {
            self.counter = self.counter.wrapping_add(1);
            records.push(vec![self.counter; *length]);
        }
        records
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
                self.builder.durable();
                self.tree = tree;
                self.acknowledged.extend(records);
                self.owed.clear();
            }
            Event::Failed(lengths, fates) => {
                let records = self.records(lengths);
                let (blocks, _) = commit(&mut self.builder, &self.tree, &records);
                self.put(&blocks, fates);
                self.builder.abandon().unwrap();
                self.owed = records;
            }
            Event::Cut(lengths, fates) => {
                let records = self.records(lengths);
                let (blocks, _) = commit(&mut self.builder, &self.tree, &records);
                self.put(&blocks, fates);
                self.recover();
            }
        }
    }

    fn recover(&mut self) {
        let (read, scanner) = scan(&self.disk);
        let (tip, tree) = scanner.finish().expect("nothing acknowledged was touched");
        assert!(read.records.starts_with(&self.acknowledged));
        assert_eq!(tip.records, read.records.len() as u64);
        // Blocks that were lost at the very end leave no trace, and their places are used again.
        self.disk.truncate(tip.block as usize);
        self.builder = Builder::new(tip.to_owned());
        self.tree = tree.clone();
        self.acknowledged = read.records;
        self.owed.clear();
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
            owed: Vec::new(),
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
        // Beyond the digest's reach: a forger recomputes it.
        let digest = {
            use sha2::Digest;
            sha2::Sha256::digest(&block[..BLOCK_SIZE - 32])
        };
        block[BLOCK_SIZE - 32..].copy_from_slice(&digest);
        if let Ok(block) = Block::read(&block) {
            prop_assert_eq!(block.records().count(), usize::from(block.record_count()));
        }
    }
}

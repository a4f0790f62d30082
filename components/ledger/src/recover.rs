//! Recovery: reads the whole log, as any reader does, and finds where it goes on.

use ed25519_dalek::VerifyingKey;
use portcullis_blk::{BLOCK, Disk};
use portcullis_log::{
    Operation, Record,
    block::{BlockFault, Footer, LogId, LogKind},
    builder::{Builder, Tip},
    merkle::{Frontier, Hash},
    scanner::{Damage, Scanner, Skipped, Step},
};

use crate::{LogError, index::Index, log::LogMemory};

/// What recovery found in a log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Recovered {
    /// Records.
    pub records: u64,
    /// Commits.
    pub commits: u64,
    /// Of the grant log: boots.
    pub boots: u64,
    /// Blocks read.
    pub blocks: u64,
    /// Blocks that belong to no commit: of writes that were never acknowledged.
    pub void: u64,
    /// Of these, blocks that are torn or not of this log.
    pub torn: u64,
    /// Where the log is damaged, if it is; what comes before is served.
    pub damage: Option<Damage>,
    /// The last tree head was not signed with the ledger's key.
    pub other_key: bool,
}

/// What recovery leaves: where the log goes on, and its last tree head.
pub(crate) struct Outcome {
    pub(crate) found: Recovered,
    pub(crate) head: Option<Footer>,
    pub(crate) end: u64,
}

/// The trees that are kept beside the scanner's, for the index.
#[derive(Debug)]
pub(crate) struct Trees {
    /// Where the last commit was chained to: what a superseding one goes on from.
    base: Growing,
    last: Growing,
    open: Growing,
}

#[derive(Clone, Debug)]
struct Growing {
    tree: Frontier,
    boots: u64,
}

impl Trees {
    pub(crate) const fn new() -> Self {
        const EMPTY: Growing = Growing {
            tree: Frontier::new(),
            boots: 0,
        };
        Self {
            base: EMPTY,
            last: EMPTY,
            open: EMPTY,
        }
    }

    /// Takes a record that may be of the log, at the place where its number belongs.
    fn take(&mut self, index: &mut Index, number: u64, leaf: &Hash, is_boot: bool) {
        if number != self.open.tree.size() {
            let from = if number == self.last.tree.size() {
                &self.last
            } else {
                &self.base
            };
            self.open.clone_from(from);
        }
        index.append(&mut self.open.tree, leaf);
        self.open.boots += u64::from(is_boot);
    }

    fn commit(&mut self, supersedes: bool) {
        if !supersedes {
            self.base.clone_from(&self.last);
        }
        self.last.clone_from(&self.open);
    }
}

/// Reads blocks 0 to `mark` of the log, fills `memory`, and verifies the last signature.
pub(crate) fn recover(
    disk: &mut impl Disk,
    memory: &mut LogMemory,
    (kind, log): (LogKind, LogId),
    mark: u64,
    key: &VerifyingKey,
) -> Result<Outcome, LogError> {
    let LogMemory {
        blocks,
        index,
        builder,
        tree,
        scanner,
        trees,
        ..
    } = memory;
    index.reset();
    let scanner = scanner.insert(Scanner::new(kind, log));
    *trees = Trees::new();
    let mut found = Recovered::default();
    let mut head = None;
    let mut in_commits = 0;
    'scan: while scanner.block() < mark {
        let at_a_time = (blocks.len() / BLOCK) as u64;
        let count = (mark - scanner.block()).min(at_a_time) as usize;
        let part = &mut blocks[..count * BLOCK];
        disk.read(scanner.block(), part)?;
        let (part, _) = part.as_chunks::<BLOCK>();
        for block in part {
            found.blocks += 1;
            let step = scanner.feed_with(block, |number, bytes, leaf| {
                let is_boot = kind == LogKind::Grants && is_boot(bytes);
                trees.take(index, number, leaf, is_boot);
            });
            match step {
                Step::Committed(commit) => {
                    if commit.supersedes {
                        index.forget(commit.first_record);
                    }
                    trees.commit(commit.supersedes);
                    index.place(commit.first_record, commit.first_block);
                    in_commits += commit.last_block - commit.first_block + 1;
                    found.commits += u64::from(!commit.supersedes);
                    head = Some(commit.footer);
                }
                Step::Skipped(Skipped::Fault(BlockFault::Digest) | Skipped::Foreign) => {
                    found.torn += 1;
                }
                Step::Damaged(damage) => found.damage = Some(damage),
                Step::Void | Step::Pending | Step::Skipped(_) => {}
            }
            if scanner.done() {
                break 'scan;
            }
        }
    }
    found.void = found.blocks - in_commits;
    found.records = trees.last.tree.size();
    found.boots = trees.last.boots;
    found.other_key = head.is_some_and(|head: Footer| !head.is_signed(kind, log, key));
    tree.clone_from(&trees.last.tree);
    let tip = scanner.finish().map(|(tip, _)| tip);
    // Where the log is damaged, nothing is ever built.
    let tip = tip.unwrap_or(Tip::empty(kind, log));
    let end = mark.max(tip.block);
    *builder = Some(Builder::new(Tip { block: end, ..tip }));
    Ok(Outcome { found, head, end })
}

fn is_boot(bytes: &[u8]) -> bool {
    Record::decode(bytes).is_some_and(|record| record.operation == Operation::Boot)
}

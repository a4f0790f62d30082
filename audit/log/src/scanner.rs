//! Reads a log back, block after block: what the ledger recovers from.
//!
//! The scanner is fed every block of the region from block 0 on, until it [is done](Scanner::done)
//! or the region ends, and says of each what it is. It rebuilds the tree on the way and holds it
//! against every commit's root. Memory is constant: what was read is not kept. It checks no
//! signature: [`Commit::footer`](Commit) is at hand where the caller has the key.
//!
//! Damage is final: a log of which an acknowledged block is missing or changed is not written to
//! again. At the very end of a log, damage to the last commits and a commit that was interrupted
//! look the same; both are reported as [`Step::Skipped`], and only a checkpoint kept elsewhere can
//! tell them apart.

use core::fmt;

use crate::block::{BLOCK_SIZE, Block, BlockFault, Footer, LogId, LogKind, VOID_BLOCKS};
use crate::builder::Tip;
use crate::merkle::{Frontier, Hash};

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing was written here.
    Void,
    /// It belongs to no commit of the log.
    Skipped(Skipped),
    /// It belongs to a commit that is not complete yet.
    Pending,
    /// It completes a commit.
    Committed(Commit),
    /// An acknowledged block is missing or changed, here or before.
    Damaged(Damage),
}

/// A commit that was read whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Its first block.
    pub first_block: u64,
    /// Its last block.
    pub last_block: u64,
    /// Position of its first record.
    pub first_record: u64,
    /// Its tree head: size and root hold; the signature was not checked.
    pub footer: Footer,
    /// It takes the place of the commit before it, which failed and was never acknowledged.
    pub supersedes: bool,
}

/// Why a block belongs to no commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// It is not a sound block.
    Fault(BlockFault),
    /// It belongs to another log.
    Foreign,
    /// It belongs elsewhere in the log.
    Misplaced {
        /// The block that it says it is.
        number: u64,
    },
    /// It continues a commit whose block before it is not there.
    Orphan,
}

/// Why a log is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// A commit chains to a block that is not there, or not as it was.
    Chain,
    /// A block's first record has not the number after the last one's.
    Sequence {
        /// The number it should have.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// A commit's tree size is not the number of records.
    Size {
        /// Records in the log.
        expected: u64,
        /// The size in its footer.
        found: u64,
    },
    /// A commit's root is not that of the records.
    Root,
}

/// The log as far as a commit.
#[derive(Clone, Debug)]
struct State {
    digest: Hash,
    tree: Frontier,
}

/// A commit that is being read.
#[derive(Clone, Debug)]
struct Pending {
    state: State,
    first_block: u64,
    first_record: u64,
    supersedes: bool,
}

/// Reads a log back.
#[derive(Clone, Debug)]
pub struct Scanner {
    kind: LogKind,
    log: LogId,
    /// Position of the next block that is fed.
    block: u64,
    /// Blocks up to and with the last that holds anything.
    used: u64,
    /// Where the last commit was chained to.
    base: State,
    /// The last commit.
    last: State,
    pending: Option<Pending>,
    damage: Option<Damage>,
}

impl Scanner {
    /// Before block 0 of a log.
    pub const fn new(kind: LogKind, log: LogId) -> Self {
        let empty = State {
            digest: [0; 32],
            tree: Frontier::new(),
        };
        let base = State {
            digest: [0; 32],
            tree: Frontier::new(),
        };
        Self {
            kind,
            log,
            block: 0,
            used: 0,
            base,
            last: empty,
            pending: None,
            damage: None,
        }
    }

    /// Position of the block to feed next.
    pub const fn block(&self) -> u64 {
        self.block
    }

    /// Whether the log ends here: no block of it can follow.
    pub const fn done(&self) -> bool {
        self.damage.is_some() || self.block - self.used >= VOID_BLOCKS
    }

    /// Reads the next block.
    pub fn feed(&mut self, bytes: &[u8; BLOCK_SIZE]) -> Step {
        self.feed_with(bytes, |_, _, _| ())
    }

    /// Reads the next block, and shows every record that may be of the log: its position, its
    /// bytes, its leaf hash. It *is* of the log only once its commit is.
    pub fn feed_with(
        &mut self,
        bytes: &[u8; BLOCK_SIZE],
        record: impl FnMut(u64, &[u8], &Hash),
    ) -> Step {
        if let Some(damage) = self.damage {
            return Step::Damaged(damage);
        }
        let number = self.block;
        self.block += 1;
        let block = match Block::read(bytes) {
            Ok(block) => block,
            Err(fault) => return self.fault(fault),
        };
        self.used = self.block;
        if block.log() != (self.kind, self.log) {
            return self.skip(Skipped::Foreign);
        }
        if block.number() != number {
            return self.skip(Skipped::Misplaced {
                number: block.number(),
            });
        }
        let step = self.take(&block, record);
        step.unwrap_or_else(|damage| {
            self.damage = Some(damage);
            Step::Damaged(damage)
        })
    }

    /// Where the log goes on, and its tree; or why it must not.
    pub fn finish(&self) -> Result<(Tip, &Frontier), Damage> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        let tip = Tip {
            kind: self.kind,
            log: self.log,
            block: self.used,
            records: self.last.tree.size(),
            previous: self.last.digest,
        };
        Ok((tip, &self.last.tree))
    }

    fn fault(&mut self, fault: BlockFault) -> Step {
        if fault == BlockFault::Void {
            self.pending = None;
            return Step::Void;
        }
        self.used = self.block;
        self.skip(Skipped::Fault(fault))
    }

    fn skip(&mut self, skipped: Skipped) -> Step {
        self.pending = None;
        Step::Skipped(skipped)
    }

    fn take(
        &mut self,
        block: &Block<'_>,
        mut record: impl FnMut(u64, &[u8], &Hash),
    ) -> Result<Step, Damage> {
        let Some(mut pending) = self.place(block)? else {
            return Ok(self.skip(Skipped::Orphan));
        };
        let tree = &mut pending.state.tree;
        let (expected, found) = (tree.size(), block.first_record());
        if expected != found {
            return Err(Damage::Sequence { expected, found });
        }
        for bytes in block.records() {
            let index = tree.size();
            let leaf = tree.append(bytes);
            record(index, bytes, &leaf);
        }
        pending.state.digest = *block.digest();
        match block.footer() {
            None => {
                self.pending = Some(pending);
                Ok(Step::Pending)
            }
            Some(footer) => self
                .commit(pending, block.number(), footer)
                .map(Step::Committed),
        }
    }

    /// The commit that a block starts or continues; `None`: one that is not there.
    fn place(&mut self, block: &Block<'_>) -> Result<Option<Pending>, Damage> {
        let open = self.pending.take();
        if block.part() > 0 {
            return Ok(open.filter(|open| {
                open.state.digest == *block.previous()
                    && open.first_block + u64::from(block.part()) == block.number()
            }));
        }
        let supersedes = *block.previous() != self.last.digest;
        let from = if !supersedes {
            &self.last
        } else if *block.previous() == self.base.digest {
            &self.base
        } else {
            return Err(Damage::Chain);
        };
        Ok(Some(Pending {
            state: from.clone(),
            first_block: block.number(),
            first_record: from.tree.size(),
            supersedes,
        }))
    }

    fn commit(
        &mut self,
        pending: Pending,
        last_block: u64,
        footer: &Footer,
    ) -> Result<Commit, Damage> {
        let tree = &pending.state.tree;
        let (expected, found) = (tree.size(), footer.tree_size.get());
        if expected != found {
            return Err(Damage::Size { expected, found });
        }
        if tree.root() != footer.root {
            return Err(Damage::Root);
        }
        let previous = core::mem::replace(&mut self.last, pending.state);
        if !pending.supersedes {
            self.base = previous;
        }
        Ok(Commit {
            first_block: pending.first_block,
            last_block,
            first_record: pending.first_record,
            footer: *footer,
            supersedes: pending.supersedes,
        })
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Foreign => f.write_str("the block belongs to another log"),
            Self::Misplaced { number } => write!(f, "the block belongs at {number}"),
            Self::Orphan => f.write_str("the block continues a commit whose beginning is missing"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str(
                "the commit chains to a block that is missing or was changed after it was written",
            ),
            Self::Sequence { expected, found } => {
                write!(
                    f,
                    "the block's first record is number {found} and should be {expected}"
                )
            }
            Self::Size { expected, found } => write!(
                f,
                "the commit was signed for {found} records, and there are {expected}"
            ),
            Self::Root => f.write_str("the commit's signed root is not that of the records"),
        }
    }
}

impl core::error::Error for Skipped {}
impl core::error::Error for Damage {}

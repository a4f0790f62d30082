//! Reads a log back, block after block: what the ledger recovers from, and serves records from.
//!
//! The scanner is fed blocks in order and says of each part in them what it is. It rebuilds the tree on the way,
//! and takes a commit only when the tree has the root that the commit's footer says: see
//! [`crate::block`]. It starts with the first block, or [in the middle](Scanner::resume) where
//! the tree up to there is known. Memory is constant: what was read is not kept; whoever wants some
//! of it [watches](Watch). It checks no signature: [`Commit::footer`](Commit) is at hand where the
//! caller has the key.
//!
//! Damage is final: a log of which an acknowledged block is missing or changed is not written to
//! again. What a cut or a failed write can leave is no damage and reported as [`Step::Skipped`]. At
//! the very end of a log, blocks that are gone look the same, and only a checkpoint kept elsewhere
//! can tell.

use core::fmt;

use crate::block::{BLOCK_SIZE, BlockFault, Footer, LogId, LogKind, Part, is_zero, may_be_torn};
use crate::merkle::{Frontier, Hash, leaf_hash};

/// Sees a log go by, as it is read or written, in order.
///
/// What is shown is of the log only once its commit is. Where it turns out not to be, the positions
/// that the log does have are shown again, with what is there, since a writer writes the last commit
/// again where anything lies behind it: the last time counts.
pub trait Watch {
    /// A record, and its position.
    fn record(&mut self, index: u64, bytes: &[u8]) {
        let _ = (index, bytes);
    }

    /// A complete subtree: the one of 2^`level` leaves that is number `index` of its level.
    fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        let _ = (level, index, hash);
    }

    /// A part of a block, after its records: the block's number, the position of its first record, how
    /// many it has.
    fn block(&mut self, number: u64, first: u64, records: u64) {
        let _ = (number, first, records);
    }
}

/// Sees nothing.
impl Watch for () {}

impl<W: Watch> Watch for &mut W {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        W::record(self, index, bytes);
    }

    fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        W::node(self, level, index, hash);
    }

    fn block(&mut self, number: u64, first: u64, records: u64) {
        W::block(self, number, first, records);
    }
}

/// Both see it.
impl<A: Watch, B: Watch> Watch for (A, B) {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        self.0.record(index, bytes);
        self.1.record(index, bytes);
    }

    fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        self.0.node(level, index, hash);
        self.1.node(level, index, hash);
    }

    fn block(&mut self, number: u64, first: u64, records: u64) {
        self.0.block(number, first, records);
        self.1.block(number, first, records);
    }
}

/// What a part of a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing was written to the block.
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
    /// It takes the place of the commit before it, which was written again.
    pub supersedes: bool,
}

/// Why a part belongs to no commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// It is torn, such that it is not well-formed.
    Fault(BlockFault),
    /// It belongs to another log.
    Foreign,
    /// It belongs elsewhere in the log.
    Misplaced {
        /// The block that it says it is in.
        number: u64,
    },
    /// It continues a commit whose part before it is not there.
    Orphan,
    /// It ends a commit that is torn: its records are not those that its root was signed for.
    Torn,
}

/// Why a log is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// A commit goes on from records that are not there, or not as they were.
    Chain {
        /// The commit's first block.
        block: u64,
    },
    /// A block, or a commit that ends with it, is not as it was written, and no cut can leave it so.
    Changed {
        /// The block.
        block: u64,
    },
    /// A block is of another version of the format.
    Format {
        /// The block.
        block: u64,
        /// The version.
        version: u16,
    },
}

/// The log as far as a commit.
#[derive(Clone, Debug)]
struct State {
    root: Hash,
    tree: Frontier,
}

/// A commit that is being read.
#[derive(Clone, Debug)]
struct Pending {
    /// The log with the commit's records so far; `None` where it goes on from nothing that is there.
    tree: Option<Frontier>,
    /// The root that each of its parts says the log had before it.
    previous: Hash,
    first_block: u64,
    first_record: u64,
    /// Records behind the last one read.
    next_record: u64,
    supersedes: bool,
    /// A part of it may be torn.
    torn: bool,
}

/// Reads a log back.
#[derive(Clone, Debug)]
pub struct Scanner {
    kind: LogKind,
    log: LogId,
    /// Position of the next block that is fed.
    block: u64,
    /// Behind the last block that held anything.
    used: u64,
    /// What the last commit goes on from.
    base: State,
    last: State,
    pending: Option<Pending>,
    /// The tree up to a record in the middle of the block that is fed first.
    resumed: Option<Frontier>,
    /// Whether anything lies behind the last commit.
    is_trailed: bool,
    damage: Option<Damage>,
}

impl Scanner {
    /// A scanner at block 0 of a log.
    pub fn new(kind: LogKind, log: LogId) -> Self {
        let empty = State {
            root: Frontier::new().root(),
            tree: Frontier::new(),
        };
        Self {
            kind,
            log,
            block: 0,
            used: 0,
            base: empty.clone(),
            last: empty,
            pending: None,
            resumed: None,
            is_trailed: false,
            damage: None,
        }
    }

    /// A scanner that starts at `block`, which is of the log and holds the record that `tree` ends
    /// before. Records before that one are passed over.
    pub fn resume(kind: LogKind, log: LogId, block: u64, tree: Frontier) -> Self {
        let mut scanner = Self::new(kind, log);
        scanner.block = block;
        scanner.used = block;
        scanner.resumed = Some(tree);
        scanner
    }

    /// Position of the block to feed next.
    pub const fn block(&self) -> u64 {
        self.block
    }

    /// Behind the last block that held anything.
    pub const fn end(&self) -> u64 {
        self.used
    }

    /// The tree up to the last commit that was read.
    pub const fn tree(&self) -> &Frontier {
        &self.last.tree
    }

    /// The tree that the last commit goes on from.
    pub const fn base(&self) -> &Frontier {
        &self.base.tree
    }

    /// Whether anything lies behind the last commit: what was under way, or a copy of it that is damaged.
    pub const fn is_trailed(&self) -> bool {
        self.is_trailed
    }

    /// Whether the log must not go on, and why.
    pub const fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// Reads the next block, and shows what each part of it is until `until` says so; whether it did.
    pub fn feed(
        &mut self,
        bytes: &[u8; BLOCK_SIZE],
        watch: &mut impl Watch,
        mut until: impl FnMut(&Self, Step) -> bool,
    ) -> bool {
        let number = self.block;
        self.block += 1;
        let mut rest = &bytes[..];
        loop {
            let (step, length) = self.part(number, rest, watch);
            if until(self, step) {
                return true;
            }
            rest = rest.get(length..).unwrap_or_default();
            // Behind the last part is nothing.
            if self.damage.is_some() || is_zero(rest) {
                return false;
            }
        }
    }

    /// Reads what the rest of a block begins with; how many bytes that takes.
    fn part(&mut self, number: u64, rest: &[u8], watch: &mut impl Watch) -> (Step, usize) {
        let all = rest.len();
        if let Some(damage) = self.damage {
            return (Step::Damaged(damage), all);
        }
        let part = match Part::read(rest) {
            Ok(part) => part,
            Err(BlockFault::Void) => {
                self.pending = None;
                return (Step::Void, all);
            }
            Err(BlockFault::Format(version)) => {
                let block = number;
                return (self.damaged(Damage::Format { block, version }), all);
            }
            Err(fault) if may_be_torn(rest) => return (self.skip(Skipped::Fault(fault)), all),
            Err(_) => return (self.damaged(Damage::Changed { block: number }), all),
        };
        let length = part.length();
        if part.log() != (self.kind, self.log) {
            return (self.skip(Skipped::Foreign), length);
        }
        if part.block() != number {
            let number = part.block();
            return (self.skip(Skipped::Misplaced { number }), length);
        }
        if self.comes_before(&part, length < all) {
            return (Step::Pending, length);
        }
        let Some(pending) = self.place(&part) else {
            return (self.skip(Skipped::Orphan), length);
        };
        self.used = self.block;
        (self.take(pending, &part, may_be_torn(rest), watch), length)
    }

    /// Whether a part comes before the record that the scanner starts at, which may lie behind it.
    fn comes_before(&self, part: &Part<'_>, has_more: bool) -> bool {
        let end = part
            .first_record()
            .saturating_add(part.record_count().into());
        let first = self.resumed.as_ref().map(Frontier::size);
        has_more && first.is_some_and(|first| end <= first)
    }

    fn skip(&mut self, skipped: Skipped) -> Step {
        self.used = self.block;
        self.is_trailed = true;
        self.pending = None;
        Step::Skipped(skipped)
    }

    fn damaged(&mut self, damage: Damage) -> Step {
        self.used = self.block;
        self.damage = Some(damage);
        Step::Damaged(damage)
    }

    /// The commit that a part starts or continues; `None`: one that is not there.
    fn place(&mut self, part: &Part<'_>) -> Option<Pending> {
        if let Some(tree) = self.resumed.take() {
            return Self::middle(tree, part);
        }
        let open = self.pending.take();
        if part.part() > 0 {
            return open.filter(|open| {
                open.previous == *part.previous()
                    && open.next_record == part.first_record()
                    && open.first_block + u64::from(part.part()) == part.block()
            });
        }
        let extends = |state: &State| {
            state.root == *part.previous() && state.tree.size() == part.first_record()
        };
        let supersedes = !extends(&self.last) && extends(&self.base);
        let from = if supersedes { &self.base } else { &self.last };
        Some(Pending {
            tree: extends(from).then(|| from.tree.clone()),
            previous: *part.previous(),
            first_block: part.block(),
            first_record: part.first_record(),
            next_record: part.first_record(),
            supersedes,
            torn: false,
        })
    }

    /// The commit in the middle of which the scanner starts.
    fn middle(tree: Frontier, part: &Part<'_>) -> Option<Pending> {
        let first = part.first_record();
        let records = first..first.checked_add(part.record_count().into())?;
        records.contains(&tree.size()).then(|| Pending {
            tree: Some(tree),
            previous: *part.previous(),
            first_block: part.block().saturating_sub(part.part().into()),
            first_record: first,
            next_record: first,
            supersedes: false,
            torn: false,
        })
    }

    fn take(
        &mut self,
        mut pending: Pending,
        part: &Part<'_>,
        torn: bool,
        watch: &mut impl Watch,
    ) -> Step {
        let records = u64::from(part.record_count());
        if let Some(tree) = &mut pending.tree {
            for (index, bytes) in (pending.next_record..).zip(part.records()) {
                if index == tree.size() {
                    watch.record(index, bytes);
                    let node = |level, index, hash: &Hash| watch.node(level, index, hash);
                    tree.append_leaf_with(&leaf_hash(bytes), node);
                }
            }
            watch.block(part.block(), pending.next_record, records);
        }
        // What goes on from nothing may say any number.
        pending.next_record = pending.next_record.saturating_add(records);
        pending.torn |= torn;
        let Some(footer) = part.footer() else {
            self.is_trailed = true;
            self.pending = Some(pending);
            return Step::Pending;
        };
        self.commit(pending, part.block(), footer)
    }

    fn commit(&mut self, pending: Pending, last_block: u64, footer: &Footer) -> Step {
        let Pending {
            tree,
            first_block,
            first_record,
            supersedes,
            torn,
            ..
        } = pending;
        let Some(tree) = tree else {
            return self.damaged(Damage::Chain { block: first_block });
        };
        if (tree.size(), tree.root()) != (footer.tree_size.get(), footer.root) {
            return if torn {
                self.skip(Skipped::Torn)
            } else {
                self.damaged(Damage::Changed { block: last_block })
            };
        }
        self.is_trailed = false;
        let root = footer.root;
        let previous = core::mem::replace(&mut self.last, State { root, tree });
        if !supersedes {
            self.base = previous;
        }
        Step::Committed(Commit {
            first_block,
            last_block,
            first_record,
            footer: *footer,
            supersedes,
        })
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Foreign => f.write_str("the part belongs to another log"),
            Self::Misplaced { number } => write!(f, "the part belongs into block {number}"),
            Self::Orphan => f.write_str("the part continues a commit whose beginning is missing"),
            Self::Torn => f.write_str("the commit is torn"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { block } => write!(
                f,
                "the commit at block {block} goes on from records that are missing or were changed \
                 after they were written"
            ),
            Self::Changed { block } => write!(
                f,
                "block {block}, or the commit that ends with it, was changed after it was written"
            ),
            Self::Format { block, version } => {
                write!(f, "block {block}: {}", BlockFault::Format(*version))
            }
        }
    }
}

impl core::error::Error for Skipped {}
impl core::error::Error for Damage {}

//! Walks over a log's blocks: chain, roots, signatures.
//!
//! Shares with the ledger the layout of a block and nothing of how it reads one. A commit is held
//! back until a whole one goes on from it: one that failed and was written again never reaches the
//! [`Sink`], so whoever takes records needs no way to take them back.

use std::collections::BTreeMap;
use std::io;

use ed25519_dalek::VerifyingKey;
use portcullis_log::Record;
use portcullis_log::block::{
    BLOCK_SIZE, Block, BlockFault, Footer, LogId, LogKind, RECORD_OVERHEAD, Records, may_be_torn,
};
use portcullis_log::merkle::Hash;
use serde::Serialize;

use crate::finding::{Finding, Place, Severity, What};
use crate::tree::Tree;

/// Takes the records of a log, in order.
pub trait Sink {
    /// The records of a commit, of which the first is at position `first` of the log. They lie in
    /// `payload`, each behind its length: see [`portcullis_log::block::Records::over`].
    fn commit(&mut self, first: u64, payload: &[u8]);
}

/// Collects the records, without those that do not decode.
impl Sink for Vec<Record> {
    fn commit(&mut self, _: u64, payload: &[u8]) {
        self.extend(Records::over(payload).filter_map(Record::decode));
    }
}

/// Where blocks come from: from block 0 on, a multiple of [`BLOCK_SIZE`] bytes at a time.
pub trait Blocks {
    /// Fills `buffer` with the next blocks; gives back how many bytes there were, 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Which log is walked, and what it is held against.
#[derive(Clone, Debug)]
pub struct Trust<'a> {
    /// Which log.
    pub kind: LogKind,
    /// Whose.
    pub log: LogId,
    /// The key that signs its checkpoints; `None`: signatures are not checked.
    pub key: Option<&'a VerifyingKey>,
    /// Sizes and roots of checkpoints from elsewhere.
    pub checkpoints: &'a [(u64, Hash)],
}

/// What a walk found out.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Walked {
    /// Records.
    pub records: u64,
    /// Blocks in use, those that belong to no commit included.
    pub blocks: u64,
    /// Commits.
    pub commits: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// The last tree head; `None` for an empty log.
    #[serde(skip)]
    pub head: Option<Footer>,
    /// What is wrong, in the order of the disk.
    pub findings: Vec<Finding>,
}

/// Bytes that are read at once: large enough that the system calls do not count.
const READ: usize = 256 * BLOCK_SIZE;

/// Walks over a whole log.
pub fn walk(
    blocks: &mut impl Blocks,
    trust: &Trust<'_>,
    sink: &mut impl Sink,
    mut progress: impl FnMut(u64),
) -> io::Result<Walked> {
    let mut walker = Walker::new(trust, sink);
    let mut buffer = vec![0; READ];
    loop {
        let length = blocks.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        let (whole, _) = buffer[..length].as_chunks::<BLOCK_SIZE>();
        for block in whole {
            walker.block(block);
        }
        progress(walker.number);
    }
    Ok(walker.finish())
}

/// The log up to a commit.
#[derive(Clone)]
struct Tip {
    root: Hash,
    tree: Tree,
}

/// What a commit goes on from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The commit that is held back.
    Held,
    /// What that one goes on from.
    Base,
    /// Nothing that is there.
    Nothing,
}

/// A commit, as far as it was read.
struct Commit {
    first_block: u64,
    blocks: u64,
    first_record: u64,
    next_record: u64,
    previous: Hash,
    from: From,
    /// The records of all its blocks, each behind its length.
    payload: Vec<u8>,
    tree: Tree,
    /// The roots at the watched sizes that lie in it.
    roots: Vec<(u64, Hash)>,
    /// A block of it may be torn.
    torn: bool,
}

impl Commit {
    /// Whether a block is the next of it.
    fn goes_on(&self, block: &Block<'_>) -> bool {
        self.blocks == u64::from(block.part())
            && self.previous == *block.previous()
            && self.next_record == block.first_record()
    }
}

struct Walker<'a, S> {
    trust: &'a Trust<'a>,
    sink: &'a mut S,
    /// Number of the next block.
    number: u64,
    /// Blocks up to and with the last that holds anything.
    used: u64,
    /// Where the commit that is held back starts.
    base: Tip,
    /// The last commit, not yet handed on, and its tree head.
    held: Option<(Commit, Footer)>,
    /// The commit being read.
    open: Option<Commit>,
    /// Memory of the commit before.
    spare: Vec<u8>,
    /// Sizes at which the root is wanted, and the root found there.
    watched: BTreeMap<u64, Option<Hash>>,
    superseded: Vec<Superseded>,
    /// The first block that is not of the log any more, and how many hold something.
    unread: Option<(u64, u64)>,
    /// Findings that are violations if something turns out to be missing.
    suspects: Vec<usize>,
    walked: Walked,
}

/// A commit whose place another took.
struct Superseded {
    first_block: u64,
    size: u64,
    root: Hash,
}

impl<'a, S: Sink> Walker<'a, S> {
    fn new(trust: &'a Trust<'a>, sink: &'a mut S) -> Self {
        Self {
            trust,
            sink,
            number: 0,
            used: 0,
            base: Tip {
                root: Tree::default().root(),
                tree: Tree::default(),
            },
            held: None,
            open: None,
            spare: Vec::new(),
            watched: trust
                .checkpoints
                .iter()
                .map(|(size, _)| (*size, None))
                .collect(),
            superseded: Vec::new(),
            unread: None,
            suspects: Vec::new(),
            walked: Walked::default(),
        }
    }

    fn block(&mut self, bytes: &[u8; BLOCK_SIZE]) {
        let number = self.number;
        self.number += 1;
        let read = Block::read(bytes);
        if matches!(read, Err(BlockFault::Void)) {
            self.unfinished();
            return;
        }
        self.used = self.number;
        if let Some((_, blocks)) = &mut self.unread {
            *blocks += 1;
            return;
        }
        match read {
            Err(fault) if may_be_torn(bytes) => self.suspect(number, What::Unsound(fault)),
            Err(fault) => self.damaged(number, What::Unsound(fault)),
            Ok(block) if block.log() != (self.trust.kind, self.trust.log) => {
                self.suspect(number, What::Foreign);
            }
            Ok(block) if block.number() != number => {
                self.suspect(
                    number,
                    What::Misplaced {
                        number: block.number(),
                    },
                );
            }
            Ok(block) => self.sound(&block, may_be_torn(bytes)),
        }
    }

    /// A block that lies where it belongs.
    fn sound(&mut self, block: &Block<'_>, torn: bool) {
        let opened = if block.part() == 0 {
            self.unfinished();
            Some(self.start(block))
        } else {
            self.open.take_if(|open| open.goes_on(block))
        };
        let Some(mut commit) = opened else {
            self.unfinished();
            return self.suspect(block.number(), What::Orphan);
        };
        commit.blocks += 1;
        commit.torn |= torn;
        if commit.from != From::Nothing {
            self.append(&mut commit, block);
        }
        commit.next_record = commit
            .next_record
            .saturating_add(block.record_count().into());
        match block.footer() {
            None => self.open = Some(commit),
            Some(footer) => self.commit(commit, block.number(), *footer),
        }
    }

    /// The commit that starts with this block.
    fn start(&mut self, block: &Block<'_>) -> Commit {
        let (previous, first_record) = (*block.previous(), block.first_record());
        let ends_here = |root: &Hash, tree: &Tree| (*root, tree.size()) == (previous, first_record);
        let (from, tree) = match &self.held {
            Some((held, footer)) if ends_here(&footer.root, &held.tree) => {
                (From::Held, held.tree.clone())
            }
            held if ends_here(&self.base.root, &self.base.tree) => {
                if let Some((_, footer)) = held {
                    self.watched.entry(footer.tree_size.get()).or_default();
                }
                (From::Base, self.base.tree.clone())
            }
            _ => (From::Nothing, Tree::default()),
        };
        Commit {
            first_block: block.number(),
            blocks: 0,
            first_record,
            next_record: first_record,
            previous,
            from,
            payload: std::mem::take(&mut self.spare),
            tree,
            roots: Vec::new(),
            torn: false,
        }
    }

    fn append(&mut self, commit: &mut Commit, block: &Block<'_>) {
        commit.payload.extend_from_slice(block.payload());
        let Commit { tree, roots, .. } = commit;
        let mut watched = self.watched.range(tree.size() + 1..).peekable();
        for record in block.records() {
            tree.append(record);
            if watched.next_if(|(size, _)| **size == tree.size()).is_some() {
                roots.push((tree.size(), tree.root()));
            }
        }
    }

    /// All blocks of a commit are there.
    fn commit(&mut self, commit: Commit, last_block: u64, footer: Footer) {
        if commit.from == From::Nothing {
            return self.damaged(commit.first_block, What::Chain);
        }
        if (commit.tree.size(), commit.tree.root()) != (footer.tree_size.get(), footer.root) {
            return if commit.torn {
                self.suspect(last_block, What::Torn);
            } else {
                self.damaged(last_block, What::Root);
            };
        }
        let Trust { kind, log, key, .. } = *self.trust;
        if key.is_some_and(|key| !footer.is_signed(kind, log, key)) {
            let finding = Finding::violation(Place::Block(last_block), What::Signature);
            self.walked.findings.push(finding);
        }
        match commit.from {
            From::Held => self.hand_on(),
            From::Base | From::Nothing => self.supersede(&footer),
        }
        self.walked.commits += 1;
        self.suspects.clear();
        self.held = Some((commit, footer));
    }

    /// The commit that was held back is written again. With the same records, that is how a writer
    /// makes sure of it.
    fn supersede(&mut self, again: &Footer) {
        let Some((Commit { first_block, .. }, footer)) = self.held.take() else {
            return;
        };
        self.walked.commits -= 1;
        let (size, root) = (footer.tree_size.get(), footer.root);
        if (again.tree_size.get(), again.root) != (size, root) {
            self.superseded.push(Superseded {
                first_block,
                size,
                root,
            });
        }
    }

    /// Gives the records of the commit that was held back to the sink.
    fn hand_on(&mut self) {
        let Some((commit, footer)) = self.held.take() else {
            return;
        };
        let Commit {
            first_record,
            mut payload,
            tree,
            roots,
            ..
        } = commit;
        for (size, root) in roots {
            self.watched.insert(size, Some(root));
        }
        self.sink.commit(first_record, &payload);
        let records = tree.size() - first_record;
        self.walked.bytes += payload.len() as u64 - records * RECORD_OVERHEAD as u64;
        self.walked.records = tree.size();
        self.walked.head = Some(footer);
        self.base = Tip {
            root: footer.root,
            tree,
        };
        payload.clear();
        self.spare = payload;
    }

    fn suspect(&mut self, number: u64, what: What) {
        self.unfinished();
        self.suspects.push(self.walked.findings.len());
        self.walked
            .findings
            .push(Finding::note(Place::Block(number), what));
    }

    fn unfinished(&mut self) {
        if let Some(Commit {
            first_block,
            blocks,
            ..
        }) = self.open.take()
        {
            self.suspects.push(self.walked.findings.len());
            let what = What::Unfinished { blocks };
            self.walked
                .findings
                .push(Finding::note(Place::Block(first_block), what));
        }
    }

    /// Something that was acknowledged is missing: what looked like the trace of a cut is the cause.
    fn convict(&mut self) {
        for suspect in std::mem::take(&mut self.suspects) {
            if let Some(finding) = self.walked.findings.get_mut(suspect) {
                finding.severity = Severity::Violation;
            }
        }
    }

    /// Nothing after this can be held against anything.
    fn damaged(&mut self, number: u64, what: What) {
        self.open = None;
        self.convict();
        self.walked
            .findings
            .push(Finding::violation(Place::Block(number), what));
        self.unread = Some((number + 1, 0));
    }

    fn finish(mut self) -> Walked {
        self.unfinished();
        self.hand_on();
        if let Some((number, blocks)) = self.unread.filter(|(_, blocks)| *blocks > 0) {
            let finding = Finding::violation(Place::Block(number), What::Unread { blocks });
            self.walked.findings.push(finding);
        }
        for Superseded {
            first_block,
            size,
            root,
        } in std::mem::take(&mut self.superseded)
        {
            let place = Place::Block(first_block);
            self.walked.findings.push(match self.watched.get(&size) {
                Some(Some(found)) if *found != root => {
                    Finding::violation(place, What::Fork { size })
                }
                _ => Finding::note(place, What::Superseded { size }),
            });
        }
        self.hold_against_checkpoints();
        self.walked.blocks = self.used;
        self.walked
    }

    fn hold_against_checkpoints(&mut self) {
        let records = self.walked.records;
        let trust = self.trust;
        for (size, root) in trust.checkpoints {
            let what = if *size > records {
                self.convict();
                What::Truncated {
                    expected: *size,
                    found: records,
                }
            } else {
                let found = match size {
                    0 => Some(Tree::default().root()),
                    _ => self.watched.get(size).copied().flatten(),
                };
                if found == Some(*root) {
                    continue;
                }
                What::Rewritten { size: *size }
            };
            self.walked
                .findings
                .push(Finding::violation(Place::Log, what));
        }
    }
}

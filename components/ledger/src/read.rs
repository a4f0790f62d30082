//! Reads and proves records of an open log.
//!
//! A record is read with the whole range of the [`Index`] that it lies in, by the same scanner that
//! recovers a log, and the range must lead to the hash that is in memory: nothing is served, and
//! nothing proved, that is not what was appended.

use core::cell::Cell;

use portcullis_blk::Disk;
use portcullis_log::{
    block::Footer,
    merkle::{
        Frontier, Hash,
        generate::{NodeSource, Proof, prove_inclusion},
    },
    scanner::{Scanner, Step, Watch},
};

use crate::{Index, Log, LogError, Scratch, index::Range, recover::scan};

/// Levels of a tree: a leaf's index has 64 bits.
const LEVELS: usize = 64;

/// That a record is in the log, at a size that was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proved {
    /// The signed tree head. Its signature is as it lies on the disk: whoever gets it checks it.
    pub head: Footer,
    /// The inclusion proof.
    pub proof: Proof,
}

impl Log<'_, &mut Index> {
    /// Copies record `index` to `buffer`; its length.
    pub fn read(
        &mut self,
        disk: &mut impl Disk,
        scratch: &mut Scratch,
        index: u64,
        buffer: &mut [u8],
    ) -> Result<usize, LogError> {
        self.check(index, self.size())?;
        let mut copy = Copy {
            index,
            buffer,
            length: None,
        };
        self.range(disk, scratch, index, &mut copy)?;
        copy.length.ok_or(LogError::Lost { index })
    }

    /// Proves that record `index` is in the log of `size` records, a size that was signed.
    pub fn prove(
        &mut self,
        disk: &mut impl Disk,
        scratch: &mut Scratch,
        index: u64,
        size: u64,
    ) -> Result<Proved, LogError> {
        self.check(index, size)?;
        let (head, edge) = match self.head() {
            Some(head) if head.tree_size.get() == size => (*head, self.memory.durable.clone()),
            _ => self.earlier(disk, scratch, size)?,
        };
        let mut siblings = Siblings {
            index,
            hashes: [[0; 32]; LEVELS],
        };
        self.range(disk, scratch, index, &mut siblings)?;
        let mut source = Source {
            kept: &*self.watch,
            edge: &edge,
            siblings: &siblings,
        };
        let proof = prove_inclusion(&mut source, index, size)?;
        let proof = proof.ok_or(LogError::NoRecord { index, size })?;
        Ok(Proved { head, proof })
    }

    fn check(&self, index: u64, size: u64) -> Result<(), LogError> {
        if !self.is_open() {
            return Err(LogError::Closed);
        }
        if size > self.size() {
            return Err(LogError::NoCheckpoint { size });
        }
        if index >= size {
            return Err(LogError::NoRecord { index, size });
        }
        Ok(())
    }

    /// The tree head of an earlier size, and its tree.
    fn earlier(
        &self,
        disk: &mut impl Disk,
        scratch: &mut Scratch,
        size: u64,
    ) -> Result<(Footer, Frontier), LogError> {
        let mut head = None;
        let last = size - 1;
        self.start(scratch, last)?;
        let found = scan(disk, scratch, self.end(), &mut (), |scanner, step| {
            if let Step::Committed(commit) = step {
                head = Some(commit.footer);
            }
            scanner.tree().size() >= size
        })?;
        let scanner = scratch.scanner.as_ref().filter(|_| found);
        let tree = scanner.ok_or(LogError::Lost { index: last })?.tree();
        let head = head.filter(|_| tree.size() == size);
        Ok((head.ok_or(LogError::NoCheckpoint { size })?, tree.clone()))
    }

    /// Reads the range that a record lies in, until it leads to the hash that is in memory.
    fn range(
        &self,
        disk: &mut impl Disk,
        scratch: &mut Scratch,
        record: u64,
        watch: &mut impl Watch,
    ) -> Result<(), LogError> {
        let range = self.start(scratch, record)?;
        let size = self.size();
        let is_whole = range.end <= size;
        let expected = self.watch.hash(&range).filter(|_| is_whole);
        let seen = Cell::new(None);
        let root = Root {
            level: (range.end - range.first).ilog2(),
            first: range.first,
            hash: &seen,
        };
        let mut until = |scanner: &Scanner, _| match expected {
            Some(hash) => seen.get() == Some(*hash),
            None => *scanner.tree() == self.memory.durable,
        };
        let watch = &mut (root, watch);
        // As a rule it lies where the index says. Behind that are copies of what was in doubt.
        let near = (range.last_block + 1).min(self.end());
        let found = scan(disk, scratch, near, watch, &mut until)?
            || scan(disk, scratch, self.end(), watch, &mut until)?;
        found.then_some(()).ok_or(LogError::Lost { index: record })
    }

    /// Has the scanner start at the range that a record lies in.
    fn start(&self, scratch: &mut Scratch, record: u64) -> Result<Range, LogError> {
        let lost = LogError::Lost { index: record };
        let (kind, log) = self.id();
        let range = self.watch.range(record).ok_or(lost)?;
        let tree = self.watch.tree_before(&range).map_err(|_| lost)?;
        scratch.scanner = Some(Scanner::resume(kind, log, range.block, tree));
        Ok(range)
    }
}

/// Copies one record.
struct Copy<'b> {
    index: u64,
    buffer: &'b mut [u8],
    length: Option<usize>,
}

impl Watch for Copy<'_> {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        if index == self.index
            && let Some(place) = self.buffer.get_mut(..bytes.len())
        {
            place.copy_from_slice(bytes);
            self.length = Some(bytes.len());
        }
    }
}

/// Keeps the hash of a whole range.
struct Root<'c> {
    level: u32,
    first: u64,
    hash: &'c Cell<Option<Hash>>,
}

impl Watch for Root<'_> {
    fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        if level == self.level && index << level == self.first {
            self.hash.set(Some(*hash));
        }
    }
}

/// Keeps, of each level, the subtree beside the one that a record lies in.
struct Siblings {
    index: u64,
    hashes: [Hash; LEVELS],
}

impl Watch for Siblings {
    fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        if index == self.index >> level ^ 1
            && let Some(place) = self.hashes.get_mut(level as usize)
        {
            *place = *hash;
        }
    }
}

/// Where the hashes of a proof come from: what is kept of the log, the right edge of its tree, and
/// what was seen beside the record.
struct Source<'a> {
    kept: &'a Index,
    edge: &'a Frontier,
    siblings: &'a Siblings,
}

impl NodeSource for Source<'_> {
    type Error = LogError;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, LogError> {
        let at_the_edge = || self.edge.node(level, index);
        let beside = || {
            let is_beside = index == self.siblings.index >> level ^ 1;
            let hash = self.siblings.hashes.get(level as usize);
            hash.filter(|_| is_beside)
        };
        let hash = self.kept.subtree(level, index);
        let hash = hash.or_else(at_the_edge).or_else(beside);
        hash.copied().ok_or(LogError::Lost {
            index: index << level,
        })
    }
}

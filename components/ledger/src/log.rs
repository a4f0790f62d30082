//! One append-only log, without system calls.

use ed25519_dalek::SigningKey;
use portcullis_blk::{BLOCK, Block, Disk, DiskError};
use portcullis_log::{
    block::{Footer, LogId, LogKind, PAYLOAD, RECORD_OVERHEAD},
    builder::{Builder, PushError},
    merkle::{
        Frontier, Hash,
        generate::{NodeSource, Proof, prove_inclusion},
    },
    scanner::Scanner,
};

use crate::{
    Index, LogError, Recovered,
    index::Place,
    recover::{Trees, recover},
    walk::{Copy, Extent, Head, Subtree, Visitor, walk},
};

/// Blocks that recovery reads at a time: 64 KiB, so that a request to the driver costs little beside
/// the hashing of what it brings.
const AT_A_TIME: usize = 16;

/// The working memory of one log, for the platform to place: 220 KiB, whatever the log's size.
#[derive(Debug)]
pub struct LogMemory {
    pub(crate) index: Index,
    pub(crate) tree: Frontier,
    pub(crate) builder: Option<Builder>,
    // Of recovery: too large for a protection domain's stack.
    pub(crate) scanner: Option<Scanner>,
    pub(crate) trees: Trees,
    pub(crate) blocks: [u8; AT_A_TIME * BLOCK],
    block: Block,
}

impl LogMemory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            index: Index::new(),
            tree: Frontier::new(),
            builder: None,
            scanner: None,
            trees: Trees::new(),
            blocks: [0; _],
            block: [0; _],
        }
    }
}

impl Default for LogMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// That a record is in the log, at a size that was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proved {
    /// The signed tree head.
    pub head: Footer,
    /// The inclusion proof.
    pub proof: Proof,
}

/// Whether records can be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open,
    Refusing(LogError),
}

/// A log.
#[derive(Debug)]
pub struct Log<'m> {
    kind: LogKind,
    log: LogId,
    memory: &'m mut LogMemory,
    state: State,
    /// Blocks of the region.
    blocks: u64,
    /// The block that is being filled.
    next_block: u64,
    /// Where the commit that is being filled begins.
    commit: Place,
    /// Bytes used of its records.
    used: usize,
    /// The last durable tree head.
    head: Option<Footer>,
}

impl<'m> Log<'m> {
    /// A log that is not open.
    pub const fn new(kind: LogKind, memory: &'m mut LogMemory) -> Self {
        Self {
            kind,
            log: LogId([0; 16]),
            memory,
            state: State::Closed,
            blocks: 0,
            next_block: 0,
            commit: Place {
                record: 0,
                block: 0,
            },
            used: 0,
            head: None,
        }
    }

    /// Reads the log on `disk` up to block `mark`, where the next goes, and makes durable what it
    /// finds before anything of it is served. A log that is damaged, or that another key signed, is
    /// open for reading only.
    pub fn open(
        &mut self,
        disk: &mut impl Disk,
        log: LogId,
        mark: u64,
        key: &SigningKey,
    ) -> Result<Recovered, LogError> {
        self.state = State::Closed;
        self.log = log;
        self.blocks = disk.blocks();
        let which = (self.kind, log);
        let outcome = recover(disk, self.memory, which, mark, &key.verifying_key())?;
        let found = outcome.found;
        self.head = outcome.head;
        self.next_block = outcome.end;
        self.commit = Place {
            record: found.records,
            block: outcome.end,
        };
        self.used = 0;
        self.state = match (found.damage, found.other_key) {
            (Some(damage), _) => State::Refusing(LogError::Damaged(damage)),
            (None, true) => State::Refusing(LogError::OtherKey),
            (None, false) => State::Open,
        };
        if let Err(error) = disk.flush() {
            self.stop(error);
        }
        Ok(found)
    }

    /// Durable records.
    pub fn size(&self) -> u64 {
        self.head.map_or(0, |head| head.tree_size.get())
    }

    /// The last durable tree head; `None` where there is no record yet.
    pub const fn head(&self) -> Option<&Footer> {
        self.head.as_ref()
    }

    /// Which log it is.
    pub const fn id(&self) -> (LogKind, LogId) {
        (self.kind, self.log)
    }

    /// Whether a record of `length` bytes can be added, as far as is known before it is tried.
    pub fn admits(&self, length: usize) -> Result<(), LogError> {
        match self.state {
            State::Closed => return Err(LogError::Closed),
            State::Refusing(error) => return Err(error),
            State::Open => {}
        }
        let fits = self.used + RECORD_OVERHEAD + length <= PAYLOAD;
        let block = self.next_block + u64::from(!fits);
        let full = Err(LogError::Full {
            blocks: self.blocks,
        });
        if block < self.blocks { Ok(()) } else { full }
    }

    /// Adds a record to the commit that is being filled; its index. It is not durable yet.
    pub fn add(
        &mut self,
        disk: &mut impl Disk,
        record: &[u8],
        key: &SigningKey,
    ) -> Result<u64, LogError> {
        self.admits(record.len())?;
        let index = loop {
            match self.builder()?.push(record) {
                Ok(index) => break index,
                Err(PushError::TooLong { length }) => return Err(LogError::TooLong { length }),
                Err(PushError::BlockFull) => self.seal(disk)?,
                Err(PushError::CommitFull) => self.commit(disk, key)?,
            }
        };
        self.used += RECORD_OVERHEAD + record.len();
        let LogMemory {
            index: kept, tree, ..
        } = &mut *self.memory;
        kept.append(tree, &portcullis_log::merkle::leaf_hash(record));
        Ok(index)
    }

    /// Makes every added record durable. Nothing to do where there is none.
    pub fn commit(&mut self, disk: &mut impl Disk, key: &SigningKey) -> Result<(), LogError> {
        if let State::Refusing(error) = self.state {
            return Err(error);
        }
        let (kind, log) = self.id();
        let LogMemory {
            builder,
            tree,
            index,
            ..
        } = &mut *self.memory;
        let builder = builder.as_mut().ok_or(LogError::Closed)?;
        if builder.pending() == 0 {
            return Ok(());
        }
        let head = Footer::sign(kind, log, tree.size(), &tree.root(), key);
        let block = builder.commit(head).ok_or(LogError::Closed)?;
        let written = disk.write(self.next_block, block);
        if let Err(error) = written.and_then(|()| disk.flush()) {
            self.stop(error);
            return Err(error.into());
        }
        builder.durable();
        index.place(self.commit.record, self.commit.block);
        self.head = Some(head);
        self.next_block += 1;
        self.used = 0;
        self.commit = Place {
            record: tree.size(),
            block: self.next_block,
        };
        Ok(())
    }

    /// Copies record `index` to `buffer`; its length.
    pub fn read(
        &mut self,
        disk: &mut impl Disk,
        index: u64,
        buffer: &mut [u8],
    ) -> Result<usize, LogError> {
        self.check(index, self.size())?;
        let mut copy = Copy {
            index,
            buffer,
            length: None,
        };
        self.walk(disk, index, &mut copy)?;
        copy.length.ok_or(LogError::Lost { index })
    }

    /// Proves that record `index` is in the log of `size` records, a size that was signed.
    pub fn prove(
        &mut self,
        disk: &mut impl Disk,
        index: u64,
        size: u64,
    ) -> Result<Proved, LogError> {
        self.check(index, size)?;
        let head = self.head_of(disk, size)?;
        let mut source = Source { log: self, disk };
        let proof = prove_inclusion(&mut source, index, size)?;
        let proof = proof.ok_or(LogError::NoRecord { index, size })?;
        Ok(Proved { head, proof })
    }

    fn check(&self, index: u64, size: u64) -> Result<(), LogError> {
        if self.state == State::Closed {
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

    fn head_of(&mut self, disk: &mut impl Disk, size: u64) -> Result<Footer, LogError> {
        if let Some(head) = self.head
            && head.tree_size.get() == size
        {
            return Ok(head);
        }
        let mut found = Head { size, footer: None };
        self.walk(disk, size - 1, &mut found)?;
        found.footer.ok_or(LogError::NoCheckpoint { size })
    }

    /// Walks from the last known commit at or before a record.
    fn walk(
        &mut self,
        disk: &mut impl Disk,
        record: u64,
        visitor: &mut impl Visitor,
    ) -> Result<(), LogError> {
        let from = self.memory.index.before(record);
        let from = from.ok_or(LogError::Lost { index: record })?;
        let extent = Extent {
            kind: self.kind,
            log: self.log,
            end: self.next_block,
        };
        walk(disk, &mut self.memory.block, extent, from, visitor).map(drop)
    }

    fn seal(&mut self, disk: &mut impl Disk) -> Result<(), LogError> {
        let builder = self.memory.builder.as_mut().ok_or(LogError::Closed)?;
        let Some(block) = builder.seal() else {
            return Ok(());
        };
        if let Err(error) = disk.write(self.next_block, block) {
            self.stop(error);
            return Err(error.into());
        }
        self.next_block += 1;
        self.used = 0;
        Ok(())
    }

    fn builder(&mut self) -> Result<&mut Builder, LogError> {
        self.memory.builder.as_mut().ok_or(LogError::Closed)
    }

    /// After a write or flush that failed nobody knows what the disk holds.
    fn stop(&mut self, error: DiskError) {
        debug_assert!(!matches!(error, DiskError::Unaligned { .. }));
        self.state = State::Refusing(LogError::Stopped);
    }
}

/// Where the hashes of a proof come from: memory, or the records hashed again.
struct Source<'a, 'm, D> {
    log: &'a mut Log<'m>,
    disk: &'a mut D,
}

impl<D: Disk> NodeSource for Source<'_, '_, D> {
    type Error = LogError;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, LogError> {
        if let Some(hash) = self.log.memory.index.node(level, index) {
            return Ok(hash);
        }
        let first = index << level;
        let mut subtree = Subtree::new(first, first + (1 << level));
        self.log.walk(self.disk, first, &mut subtree)?;
        subtree.root().ok_or(LogError::Lost { index: first })
    }
}

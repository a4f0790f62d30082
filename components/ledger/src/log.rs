//! One append-only log, without system calls: opening and appending.

use ed25519_dalek::SigningKey;
use portcullis_blk::{BLOCK, Disk, Extent, UNDER_WAY_MAX};
use portcullis_log::{
    block::{COMMIT_PARTS, Footer, LogId, LogKind, Part, RECORD_OVERHEAD},
    builder::{Builder, PushError, Tip},
    merkle::{Frontier, Hash, leaf_hash},
    scanner::{Commit, Watch},
};

use crate::{LogError, Recovered, Scratch, recover::recover};

/// The working memory of one log, for the platform to place: 9 KiB, whatever the log's size.
#[derive(Debug)]
pub struct LogMemory {
    /// The tree with every record that was added.
    tree: Frontier,
    /// The tree of the durable ones.
    pub(crate) durable: Frontier,
    builder: Option<Builder>,
}

impl LogMemory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            tree: Frontier::new(),
            durable: Frontier::new(),
            builder: None,
        }
    }
}

impl Default for LogMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether records can be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open,
    Refusing(LogError),
}

/// A log. `W` sees every record of it: an [`Index`](crate::Index), where records are read back.
#[derive(Debug)]
pub struct Log<'m, W> {
    kind: LogKind,
    log: LogId,
    pub(crate) memory: &'m mut LogMemory,
    pub(crate) watch: W,
    state: State,
    /// Blocks of the region.
    blocks: u64,
    /// Blocks that are kept free: see [`commit_max`].
    reserve: u64,
    /// First block of the commit that is being filled.
    commit: u64,
    /// The last durable tree head.
    head: Option<Footer>,
}

const _: () = assert!(
    COMMIT_PARTS as u64 <= UNDER_WAY_MAX,
    "the driver finds all that a cut leaves of a commit"
);

/// Most blocks of a commit in a region of this many. As many stay free at the region's end: for the
/// last commit, if it has to be written again.
const fn commit_max(blocks: u64) -> u64 {
    match blocks / 8 {
        0 => 1,
        eighth if eighth < COMMIT_PARTS as u64 => eighth,
        _ => COMMIT_PARTS as u64,
    }
}

impl<'m, W: Watch> Log<'m, W> {
    /// A log that is not open.
    pub const fn new(kind: LogKind, memory: &'m mut LogMemory, watch: W) -> Self {
        Self {
            kind,
            log: LogId([0; 16]),
            memory,
            watch,
            state: State::Closed,
            blocks: 0,
            reserve: 0,
            commit: 0,
            head: None,
        }
    }

    /// Reads the log on `disk`, of which `extent` says how far it is written. Where the last commit was
    /// not surely flushed, or anything lies behind it, that is written again, and flushed, before
    /// anything is served. A log that is damaged, or that another key signed, is open for reading only.
    pub fn open(
        &mut self,
        disk: &mut impl Disk,
        scratch: &mut Scratch,
        log: LogId,
        extent: Extent,
        key: &SigningKey,
    ) -> Result<Recovered, LogError> {
        self.state = State::Closed;
        self.head = None;
        self.log = log;
        self.blocks = disk.blocks();
        self.reserve = commit_max(self.blocks);
        let (which, verifying) = ((self.kind, log), key.verifying_key());
        let watch = &mut self.watch;
        let (mut found, last) = recover(disk, scratch, which, extent.mark, &verifying, watch)?;
        let scanner = scratch.scanner.as_ref().ok_or(LogError::Closed)?;
        let end = extent.mark.max(scanner.end());
        self.memory.durable.clone_from(scanner.tree());
        self.go_on(end, scanner.tree());
        self.head = last.map(|commit| commit.footer);
        self.state = match (found.damage, found.other_key) {
            (Some(damage), _) => State::Refusing(LogError::Damaged(damage)),
            (None, true) => State::Refusing(LogError::OtherKey),
            (None, false) => State::Open,
        };
        let is_trailed = scanner.is_trailed();
        let in_doubt = last.filter(|commit| commit.last_block >= extent.flushed || is_trailed);
        if let (State::Open, Some(commit)) = (self.state, in_doubt) {
            let base = scanner.base().clone();
            match self.write_again(disk, scratch, &base, &commit, key) {
                Ok(()) => found.rewritten = found.records - base.size(),
                Err(error) => {
                    self.stop(error);
                    found.not_rewritten = Some(error);
                }
            }
        }
        Ok(found)
    }

    /// Writes the last commit again behind block `end`, record by record, as it was written first.
    fn write_again(
        &mut self,
        disk: &mut impl Disk,
        scratch: &mut Scratch,
        base: &Frontier,
        commit: &Commit,
        key: &SigningKey,
    ) -> Result<(), LogError> {
        let lost = LogError::Lost { index: base.size() };
        let end = self.builder()?.tip().block;
        self.go_on(end, base);
        // This is what it is kept free for.
        self.reserve = 0;
        let (block, _) = scratch
            .blocks
            .split_first_chunk_mut::<BLOCK>()
            .ok_or(lost)?;
        for number in commit.first_block..=commit.last_block {
            disk.read(number, block)?;
            let records = base.size()..commit.footer.tree_size.get();
            let of_it = |part: &Part<'_>| records.contains(&part.first_record());
            for part in Part::all(block).filter(of_it) {
                for record in part.records() {
                    self.add(disk, record, key)?;
                }
            }
        }
        if self.memory.tree.root() != commit.footer.root {
            return Err(lost);
        }
        self.commit(disk, key)?;
        // Says on the disk that the flush before succeeded: the next start does not do this again.
        disk.flush()?;
        self.reserve = commit_max(self.blocks);
        Ok(())
    }

    /// Goes on with a new commit at block `end`, behind the records of `tree`.
    fn go_on(&mut self, end: u64, tree: &Frontier) {
        self.memory.tree.clone_from(tree);
        self.memory.builder = Some(Builder::new(Tip::new(self.kind, self.log, end, tree)));
        self.commit = end;
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

    /// Whether it is open, if only for reading.
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Behind the last block.
    pub(crate) fn end(&self) -> u64 {
        let builder = self.memory.builder.as_ref();
        builder.map_or(0, Builder::end)
    }

    /// Blocks in use, of how many, once four fifths of the region are.
    pub fn nearly_full(&self) -> Option<(u64, u64)> {
        let (used, blocks) = (self.end(), self.blocks);
        (self.is_open() && used * 5 >= blocks * 4).then_some((used, blocks))
    }

    /// Whether records that take `length` bytes can be added, their lengths included, as far as is
    /// known before it is tried. They fit one block.
    pub fn admits(&self, length: usize) -> Result<(), LogError> {
        match self.state {
            State::Closed => return Err(LogError::Closed),
            State::Refusing(error) => return Err(error),
            State::Open => {}
        }
        let builder = self.memory.builder.as_ref().ok_or(LogError::Closed)?;
        let last = builder.tip().block + u64::from(!builder.fits(length));
        if last + self.reserve < self.blocks {
            Ok(())
        } else {
            let blocks = self.blocks;
            Err(LogError::Full { blocks })
        }
    }

    /// Adds a record to the commit that is being filled; its index. It is not durable yet.
    pub fn add(
        &mut self,
        disk: &mut impl Disk,
        record: &[u8],
        key: &SigningKey,
    ) -> Result<u64, LogError> {
        self.admits(RECORD_OVERHEAD + record.len())?;
        let index = loop {
            match self.builder()?.push(record) {
                Ok(index) => break index,
                Err(PushError::TooLong { length }) => return Err(LogError::TooLong { length }),
                Err(PushError::BlockFull) if self.has_room() => self.seal(disk)?,
                Err(PushError::BlockFull | PushError::CommitFull) => self.commit(disk, key)?,
            }
        };
        let (tree, watch) = (&mut self.memory.tree, &mut self.watch);
        watch.record(index, record);
        let node = |level, index, hash: &Hash| watch.node(level, index, hash);
        tree.append_leaf_with(&leaf_hash(record), node);
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
            durable,
        } = &mut *self.memory;
        let builder = builder.as_mut().ok_or(LogError::Closed)?;
        let (number, records) = (builder.tip().block, u64::from(builder.pending()));
        if records == 0 {
            return Ok(());
        }
        let head = Footer::sign(kind, log, tree.size(), &tree.root(), key);
        let block = builder.commit(head).ok_or(LogError::Closed)?;
        if let Err(error) = disk.write(number, block).and_then(|()| disk.flush()) {
            self.stop(error.into());
            return Err(error.into());
        }
        self.commit = builder.tip().block;
        self.watch.block(number, tree.size() - records, records);
        durable.clone_from(tree);
        self.head = Some(head);
        Ok(())
    }

    /// Whether the commit may have another block.
    fn has_room(&self) -> bool {
        let builder = self.memory.builder.as_ref();
        let block = builder.map_or(0, |builder| builder.tip().block);
        block + 1 - self.commit < commit_max(self.blocks)
    }

    fn seal(&mut self, disk: &mut impl Disk) -> Result<(), LogError> {
        let builder = self.memory.builder.as_mut().ok_or(LogError::Closed)?;
        let (tip, records) = (*builder.tip(), u64::from(builder.pending()));
        let Some(block) = builder.seal() else {
            return Ok(());
        };
        if let Err(error) = disk.write(tip.block, block) {
            self.stop(error.into());
            return Err(error.into());
        }
        self.watch.block(tip.block, tip.records - records, records);
        Ok(())
    }

    fn builder(&mut self) -> Result<&mut Builder, LogError> {
        self.memory.builder.as_mut().ok_or(LogError::Closed)
    }

    /// After a write or flush that failed nobody knows what the disk holds.
    fn stop(&mut self, error: LogError) {
        self.state = State::Refusing(match error {
            LogError::Full { .. } => error,
            _ => LogError::Stopped,
        });
    }
}

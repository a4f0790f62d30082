//! Packs records into blocks: what the writer of a log hands to the disk.
//!
//! The builder holds one block and the place where the next goes. It writes nothing itself: its
//! caller writes each finished block, in order, and flushes. Only when all of that succeeded may it
//! acknowledge the records. After a failure it builds no more: the log must be recovered first.

use core::fmt;

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::block::{
    BLOCK_SIZE, COMMIT_BLOCKS, ENTRY_MAX, FLAG_COMMIT, FORMAT, Footer, Layout, LogId, LogKind,
    MAGIC, PAYLOAD, RECORD_OVERHEAD,
};
use crate::merkle::{Frontier, Hash};

/// Where the next block of a log goes, and what it goes on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Which log it is.
    pub kind: LogKind,
    /// Whose log it is.
    pub log: LogId,
    /// Number of the block.
    pub block: u64,
    /// Records in the log.
    pub records: u64,
    /// Merkle root of the log before the commit that the block belongs to.
    pub previous: Hash,
}

impl Tip {
    /// Where a commit goes that starts at `block` and extends the log whose tree this is.
    pub fn new(kind: LogKind, log: LogId, block: u64, tree: &Frontier) -> Self {
        Self {
            kind,
            log,
            block,
            records: tree.size(),
            previous: tree.root(),
        }
    }

    /// A log that nothing was written to.
    pub fn empty(kind: LogKind, log: LogId) -> Self {
        Self::new(kind, log, 0, &Frontier::new())
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PushError {
    /// No record is that long.
    TooLong {
        /// Bytes of the record.
        length: usize,
    },
    /// The block is full: [`Builder::seal`] it, write it, and push again.
    BlockFull,
    /// The block is full and is the last that a commit can have: [`Builder::commit`].
    CommitFull,
}

/// Packs records into blocks.
#[derive(Debug)]
pub struct Builder {
    tip: Tip,
    part: u16,
    block: Layout,
    used: usize,
    /// The block was handed out: the next record starts another.
    sealed: bool,
}

impl Builder {
    /// Goes on at `tip`.
    pub fn new(tip: Tip) -> Self {
        Self {
            tip,
            part: 0,
            block: Layout::new_zeroed(),
            used: 0,
            sealed: false,
        }
    }

    /// Where the next block goes.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Records in the block that was not handed out yet.
    pub fn pending(&self) -> u16 {
        if self.sealed {
            0
        } else {
            self.block.header.records.get()
        }
    }

    /// Takes a record; returns its position in the log.
    pub fn push(&mut self, record: &[u8]) -> Result<u64, PushError> {
        let length = record.len();
        if length > ENTRY_MAX {
            return Err(PushError::TooLong { length });
        }
        if self.sealed {
            self.clear();
        }
        let Some(place) = self
            .block
            .payload
            .get_mut(self.used..)
            .and_then(|free| free.get_mut(..RECORD_OVERHEAD + length))
        else {
            let last = usize::from(self.part) + 1 >= COMMIT_BLOCKS;
            return Err(if last {
                PushError::CommitFull
            } else {
                PushError::BlockFull
            });
        };
        let (prefix, bytes) = place.split_at_mut(RECORD_OVERHEAD);
        prefix.copy_from_slice(&(length as u16).to_le_bytes());
        bytes.copy_from_slice(record);
        self.used += RECORD_OVERHEAD + length;
        self.block.header.records += 1;
        let index = self.tip.records;
        self.tip.records += 1;
        Ok(index)
    }

    /// Finishes the block, with more of the commit to follow. `None` where it has no record, or is
    /// the last that the commit can have.
    pub fn seal(&mut self) -> Option<&[u8; BLOCK_SIZE]> {
        let last = usize::from(self.part) + 1 >= COMMIT_BLOCKS;
        if last || self.pending() == 0 {
            return None;
        }
        let block = self.finish(0, Footer::new_zeroed());
        Some(zerocopy::transmute_ref!(block))
    }

    /// Finishes the block and the commit. `None` where it has no record. The footer is of the tree
    /// that ends with the last record pushed.
    pub fn commit(&mut self, footer: Footer) -> Option<&[u8; BLOCK_SIZE]> {
        if self.pending() == 0 {
            return None;
        }
        self.finish(FLAG_COMMIT, footer);
        self.part = 0;
        self.tip.previous = footer.root;
        Some(zerocopy::transmute_ref!(&self.block))
    }

    fn finish(&mut self, flags: u8, footer: Footer) -> &Layout {
        let records = self.block.header.records;
        let first_record = self.tip.records - u64::from(records.get());
        let header = &mut self.block.header;
        header.magic = MAGIC;
        header.format = U16::new(FORMAT);
        header.kind = self.tip.kind.code();
        header.flags = flags;
        header.payload = U16::new(self.used as u16);
        header.part = U16::new(self.part);
        header.block = U64::new(self.tip.block);
        header.first_record = U64::new(first_record);
        header.log = self.tip.log.0;
        header.previous = self.tip.previous;
        self.block.footer = footer;
        self.tip.block += 1;
        self.part += 1;
        self.sealed = true;
        &self.block
    }

    fn clear(&mut self) {
        self.block.as_mut_bytes().fill(0);
        self.used = 0;
        self.sealed = false;
    }
}

const _: () = assert!(PAYLOAD <= u16::MAX as usize && ENTRY_MAX + RECORD_OVERHEAD <= PAYLOAD);

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(
                    f,
                    "a record has {length} bytes, and {ENTRY_MAX} is the most: store what is \
                           long in the vault and log its digest"
                )
            }
            Self::BlockFull => f.write_str("the block is full: seal it first"),
            Self::CommitFull => write!(f, "the commit has {COMMIT_BLOCKS} full blocks: commit it"),
        }
    }
}

impl core::error::Error for PushError {}

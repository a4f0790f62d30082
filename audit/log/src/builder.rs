//! Packs records into blocks: what the writer of a log hands to the disk.
//!
//! The builder holds one block and the place where the next goes. It writes nothing itself: its
//! caller writes each finished block, in order, flushes, and then says whether the commit is
//! [`durable`](Builder::durable) or must be [`abandoned`](Builder::abandon). Only then may it
//! acknowledge the records.

use core::fmt;

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::block::{
    BLOCK_SIZE, COMMIT_BLOCKS, ENTRY_MAX, FLAG_COMMIT, FORMAT, Footer, Layout, LogId, LogKind,
    MAGIC, PAYLOAD, RECORD_OVERHEAD, VOID_BLOCKS,
};
use crate::merkle::Hash;

/// Where the next commit of a log goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Which log it is.
    pub kind: LogKind,
    /// Whose log it is.
    pub log: LogId,
    /// Block that the next commit starts at.
    pub block: u64,
    /// Records in the log.
    pub records: u64,
    /// Digest of the last block of the last durable commit; zeros where there is none.
    pub previous: Hash,
}

impl Tip {
    /// A log that nothing was written to.
    pub const fn empty(kind: LogKind, log: LogId) -> Self {
        Self {
            kind,
            log,
            block: 0,
            records: 0,
            previous: [0; 32],
        }
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

/// Commits failed until this many blocks in a row might be void.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyFailures {
    /// Blocks that were tried.
    pub blocks: u64,
}

/// Packs records into blocks.
#[derive(Debug)]
pub struct Builder {
    durable: Tip,
    /// End of the blocks that surely hold something.
    end: u64,
    next: Tip,
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
            durable: tip,
            end: tip.block,
            next: tip,
            part: 0,
            block: Layout::new_zeroed(),
            used: 0,
            sealed: false,
        }
    }

    /// Where the last durable commit left the log.
    pub const fn tip(&self) -> &Tip {
        &self.durable
    }

    /// Position in the log that the next record gets.
    pub const fn next_record(&self) -> u64 {
        self.next.records
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
        let index = self.next.records;
        self.next.records += 1;
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
        Some(zerocopy::transmute_ref!(&self.block))
    }

    /// The commit is durable: the next chains to it.
    pub fn durable(&mut self) {
        self.durable = self.next;
        self.end = self.durable.block;
    }

    /// The commit failed. The next chains to where this one did, and starts after it: the same
    /// records must be pushed again, first and in the same order, since this one may be on the
    /// disk all the same. Where too many failed in a row, the next could lie behind more void blocks
    /// than a reader looks past: the builder is not changed, and the log must be recovered first.
    pub fn abandon(&mut self) -> Result<(), TooManyFailures> {
        let blocks = self.next.block - self.end;
        if blocks + COMMIT_BLOCKS as u64 > VOID_BLOCKS {
            return Err(TooManyFailures { blocks });
        }
        self.durable.block = self.next.block;
        self.next = self.durable;
        self.part = 0;
        self.clear();
        Ok(())
    }

    fn finish(&mut self, flags: u8, footer: Footer) -> &Layout {
        let records = self.block.header.records;
        let first_record = self.next.records - u64::from(records.get());
        let header = &mut self.block.header;
        header.magic = MAGIC;
        header.format = U16::new(FORMAT);
        header.kind = self.next.kind.code();
        header.flags = flags;
        header.payload = U16::new(self.used as u16);
        header.part = U16::new(self.part);
        header.block = U64::new(self.next.block);
        header.first_record = U64::new(first_record);
        header.log = self.next.log.0;
        header.previous = self.next.previous;
        self.block.footer = footer;
        self.block.digest = self.block.computed_digest();
        self.next.block += 1;
        self.next.previous = self.block.digest;
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
impl core::error::Error for TooManyFailures {}

impl fmt::Display for TooManyFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "commits failed over {} blocks in a row: the log must be recovered before more is written",
            self.blocks
        )
    }
}

//! Packs records into the parts of blocks: what the writer of a log hands to the disk.
//!
//! The builder holds one block and the place where the next part goes. It writes nothing itself: its
//! caller writes each block that it is handed, in order, and flushes. Only when all of that succeeded may it
//! acknowledge the records. A block is handed out again with more parts behind those that it had, whose
//! sectors are the same. After a failure it builds no more: the log must be recovered first.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U64};

use crate::block::{
    BLOCK_SIZE, COMMIT_PARTS, ENTRY_MAX, FLAG_COMMIT, FORMAT, Footer, Header, LogId, LogKind,
    MAGIC, PART_OVERHEAD, PAYLOAD, RECORD_OVERHEAD, SECTOR, part_length,
};
use crate::merkle::{Frontier, Hash};

/// Where the next part of a log goes, and what it goes on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Which log it is.
    pub kind: LogKind,
    /// Whose log it is.
    pub log: LogId,
    /// Number of its block.
    pub block: u64,
    /// Records in the log.
    pub records: u64,
    /// Merkle root of the log before the commit that the part belongs to.
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
    /// The block is full and has the last part that a commit can have: [`Builder::commit`].
    CommitFull,
}

/// Packs records into parts.
#[derive(Debug)]
pub struct Builder {
    tip: Tip,
    /// Position in its commit of the part that fills up.
    part: u16,
    block: [u8; BLOCK_SIZE],
    /// Where in the block that part begins.
    start: usize,
    /// Bytes of records in it.
    used: usize,
    records: u16,
}

impl Builder {
    /// Goes on at `tip`, with a block of its own.
    pub fn new(tip: Tip) -> Self {
        Self {
            tip,
            part: 0,
            block: [0; BLOCK_SIZE],
            start: 0,
            used: 0,
            records: 0,
        }
    }

    /// Where the next part goes.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Behind the last block that was handed out, or holds a record.
    pub fn end(&self) -> u64 {
        let is_in_use = self.start > 0 || self.records > 0;
        self.tip.block + u64::from(is_in_use)
    }

    /// Records that were not handed out yet.
    pub const fn pending(&self) -> u16 {
        self.records
    }

    /// Whether a record of so many bytes, its length included, fits the block.
    pub const fn fits(&self, length: usize) -> bool {
        self.start + PART_OVERHEAD + self.used + length <= BLOCK_SIZE
    }

    /// Takes a record; returns its position in the log.
    pub fn push(&mut self, record: &[u8]) -> Result<u64, PushError> {
        let length = RECORD_OVERHEAD + record.len();
        if record.len() > ENTRY_MAX {
            let length = record.len();
            return Err(PushError::TooLong { length });
        }
        if !self.fits(length) {
            if self.records > 0 {
                return Err(if usize::from(self.part) + 1 >= COMMIT_PARTS {
                    PushError::CommitFull
                } else {
                    PushError::BlockFull
                });
            }
            self.next_block();
        } else if self.records == 0 && self.start == 0 {
            // What a sealed block held was handed out.
            self.block.fill(0);
        }
        let at = self.start + size_of::<Header>() + self.used;
        if let Some((prefix, bytes)) = self
            .block
            .get_mut(at..at + length)
            .and_then(|place| place.split_first_chunk_mut())
        {
            *prefix = (record.len() as u16).to_le_bytes();
            bytes.copy_from_slice(record);
        }
        self.used += length;
        self.records += 1;
        let index = self.tip.records;
        self.tip.records += 1;
        Ok(index)
    }

    /// Finishes the block, with more of the commit to follow. `None` where it has no record, or the
    /// last part that the commit can have.
    pub fn seal(&mut self) -> Option<&[u8; BLOCK_SIZE]> {
        let last = usize::from(self.part) + 1 >= COMMIT_PARTS;
        if last || self.records == 0 {
            return None;
        }
        self.finish(0);
        self.part += 1;
        self.tip.block += 1;
        self.start = 0;
        Some(&self.block)
    }

    /// Finishes the commit, and its block as far as it is in use. `None` where it has no record. The
    /// footer is of the tree that ends with the last record pushed.
    pub fn commit(&mut self, footer: Footer) -> Option<&[u8; BLOCK_SIZE]> {
        if self.records == 0 {
            return None;
        }
        let end = self.start + part_length(self.used);
        let place = self.block.get_mut(end - size_of::<Footer>()..end)?;
        place.copy_from_slice(footer.as_bytes());
        self.finish(FLAG_COMMIT);
        self.part = 0;
        self.tip.previous = footer.root;
        self.start = end;
        if end == BLOCK_SIZE {
            self.tip.block += 1;
            self.start = 0;
        }
        Some(&self.block)
    }

    /// Has the next part begin with the next block, where this one is in use.
    pub fn next_block(&mut self) {
        if self.start > 0 && self.records == 0 {
            self.tip.block += 1;
            self.start = 0;
            self.block.fill(0);
        }
    }

    fn finish(&mut self, flags: u8) {
        let header = Header {
            magic: MAGIC,
            format: U16::new(FORMAT),
            kind: self.tip.kind.code(),
            flags,
            records: U16::new(self.records),
            payload: U16::new(self.used as u16),
            part: U16::new(self.part),
            sector: 1 + (self.start / SECTOR) as u8,
            reserved: [0; 5],
            block: U64::new(self.tip.block),
            first_record: U64::new(self.tip.records - u64::from(self.records)),
            log: self.tip.log.0,
            previous: self.tip.previous,
        };
        if let Some(place) = self
            .block
            .get_mut(self.start..self.start + size_of::<Header>())
        {
            place.copy_from_slice(header.as_bytes());
        }
        (self.used, self.records) = (0, 0);
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
            Self::CommitFull => write!(f, "the commit has {COMMIT_PARTS} full blocks: commit it"),
        }
    }
}

impl core::error::Error for PushError {}

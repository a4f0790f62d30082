//! A disk that keeps a journal of its writes and flushes, in the same file, behind its last block.
//!
//! A process that is killed loses nothing of what it wrote: the page cache survives it. What a power
//! cut leaves is computed from this journal, by `tests/kills`, which includes this file.
//!
//! An entry is a block of words, then the blocks that were written. It is there once its block of
//! words is, which is written last; and it is written when what it says was done. So what it lacks of
//! a write that was cut off was never flushed.
//!
//! The last block of the file may name the operation after which the driver is to die.

use portcullis_appliance::FileDisk;
use portcullis_blk::{BLOCK, Block, Disk, DiskError, Header};

/// First word of an entry.
const MAGIC: u64 = u64::from_le_bytes(*b"JOURNAL1");
/// First word of the last block, where that says when to die.
const DIES: u64 = u64::from_le_bytes(*b"DIES NOW");

/// A disk, and where its journal goes on.
pub(crate) struct Journaled {
    file: FileDisk,
    /// Blocks of the disk; the rest of the file is the journal. Without a rest there is none.
    blocks: u64,
    next: u64,
    /// Operations until the driver dies.
    left: Option<u64>,
}

/// An entry of the journal.
pub(crate) enum Entry {
    /// Blocks were written from this one on.
    Write { first: u64, data: Vec<u8> },
    /// What was written before is durable.
    Flush,
}

impl Journaled {
    /// The disk that the header in a file describes.
    pub(crate) fn new(mut file: FileDisk) -> Self {
        let mut block = [0; BLOCK];
        let read = file.read(0, &mut block);
        let header = read.ok().and_then(|()| Header::decode(&block).ok());
        let blocks = header.map_or(file.blocks(), |header| header.blocks());
        let last = file.read(file.blocks() - 1, &mut block);
        let [magic, left] = last.map_or([0; 2], |()| words(&block));
        Self {
            file,
            blocks,
            next: blocks,
            left: (magic == DIES).then_some(left),
        }
    }

    /// The last block of a file whose driver is to die after this many writes and flushes.
    pub(crate) fn dies_after(operations: u64) -> Block {
        block([DIES, operations])
    }

    /// The next entry, for who reads the journal of a disk that is at rest.
    pub(crate) fn entry(&mut self) -> Option<Entry> {
        let mut block: Block = [0; BLOCK];
        self.file.read(self.next, &mut block).ok()?;
        let [magic, first, count] = words(&block);
        if magic != MAGIC {
            return None;
        }
        let mut data = vec![0; count as usize * BLOCK];
        self.file.read(self.next + 1, &mut data).ok()?;
        self.next += 1 + count;
        Some(if count == 0 {
            Entry::Flush
        } else {
            Entry::Write { first, data }
        })
    }

    fn append(&mut self, first: u64, data: &[u8]) {
        if self.file.blocks() == self.blocks {
            return;
        }
        let count = (data.len() / BLOCK) as u64;
        let block = block([MAGIC, first, count]);
        let written = self
            .file
            .write(self.next + 1, data)
            .and_then(|()| self.file.write(self.next, &block));
        written.expect("the file has room for the journal");
        self.next += 1 + count;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).expect("as the test asked");
        }
    }

    /// Checks that the blocks lie on the disk: behind it lies the journal.
    fn check(&self, first: u64, length: usize) -> Result<(), DiskError> {
        let (count, blocks) = ((length / BLOCK) as u64, self.blocks);
        match first.checked_add(count) {
            Some(end) if end <= blocks => Ok(()),
            _ => Err(DiskError::OutOfRange {
                first,
                count,
                blocks,
            }),
        }
    }
}

fn block<const N: usize>(words: [u64; N]) -> Block {
    let mut block = [0; BLOCK];
    for (place, word) in block.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    block
}

fn words<const N: usize>(block: &Block) -> [u64; N] {
    let (words, _) = block.as_chunks::<8>();
    std::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

impl Disk for Journaled {
    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        self.check(first, data.len())?;
        self.file.read(first, data)
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.check(first, data.len())?;
        self.file.write(first, data)?;
        self.append(first, data);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.flush()?;
        self.append(0, &[]);
        Ok(())
    }
}

//! Reads records of an open log back from the disk.
//!
//! Starts at a commit that recovery or the writer knows, follows the chain from there, and takes a
//! commit only once it is whole: blocks of a commit that was interrupted lie between the others and
//! are passed over.

use portcullis_blk::{Block as Bytes, Disk};
use portcullis_log::{
    block::{Block, Footer, LogId, LogKind},
    merkle::{Frontier, Hash},
};

use crate::{LogError, index::Place};

/// Which blocks belong to the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) kind: LogKind,
    pub(crate) log: LogId,
    /// Blocks written.
    pub(crate) end: u64,
}

/// What looks at the records.
pub(crate) trait Visitor {
    /// A record that may be of the log.
    fn record(&mut self, index: u64, bytes: &[u8]);
    /// The records since the last commit are of the log; `true` ends the walk.
    fn commit(&mut self, footer: &Footer) -> bool;
    /// The records since the last commit are not of the log.
    fn discard(&mut self);
}

/// Where the walk stands: the last commit taken, or the part of one.
#[derive(Clone, Copy)]
struct Stand {
    /// Digest of the last block; `None` before the first commit.
    digest: Option<Hash>,
    records: u64,
    part: u16,
}

/// Walks from a commit on; `false` where the log ends before the visitor does.
pub(crate) fn walk(
    disk: &mut impl Disk,
    bytes: &mut Bytes,
    extent: Extent,
    from: Place,
    visitor: &mut impl Visitor,
) -> Result<bool, LogError> {
    let mut taken = Stand {
        digest: None,
        records: from.record,
        part: 0,
    };
    let mut open: Option<Stand> = None;
    for number in from.block..extent.end {
        disk.read(number, bytes)?;
        let block = Block::read(bytes)
            .ok()
            .filter(|block| block.log() == (extent.kind, extent.log) && block.number() == number);
        if open.is_some_and(|open| !block.is_some_and(|block| follows(&block, open, open.part))) {
            visitor.discard();
            open = None;
        }
        let Some(block) = block.filter(|block| open.is_some() || follows(block, taken, 0)) else {
            continue;
        };
        let mut stand = open.take().unwrap_or(taken);
        for record in block.records() {
            visitor.record(stand.records, record);
            stand.records += 1;
        }
        stand.digest = Some(*block.digest());
        match block.footer() {
            None => {
                stand.part = block.part() + 1;
                open = Some(stand);
            }
            Some(footer) if visitor.commit(footer) => return Ok(true),
            Some(_) => taken = stand,
        }
    }
    if open.is_some() {
        visitor.discard();
    }
    Ok(false)
}

fn follows(block: &Block<'_>, stand: Stand, part: u16) -> bool {
    block.part() == part
        && block.first_record() == stand.records
        && stand
            .digest
            .is_none_or(|digest| digest == *block.previous())
}

/// Copies one record.
pub(crate) struct Copy<'b> {
    pub(crate) index: u64,
    pub(crate) buffer: &'b mut [u8],
    pub(crate) length: Option<usize>,
}

impl Visitor for Copy<'_> {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        if index == self.index
            && let Some(place) = self.buffer.get_mut(..bytes.len())
        {
            place.copy_from_slice(bytes);
            self.length = Some(bytes.len());
        }
    }

    fn commit(&mut self, _: &Footer) -> bool {
        self.length.is_some()
    }

    fn discard(&mut self) {
        self.length = None;
    }
}

/// Hashes a run of records.
pub(crate) struct Subtree {
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) tree: Frontier,
    /// The tree at the last commit.
    pub(crate) taken: Frontier,
}

impl Subtree {
    pub(crate) const fn new(first: u64, end: u64) -> Self {
        Self {
            first,
            end,
            tree: Frontier::new(),
            taken: Frontier::new(),
        }
    }

    /// The hash, where every record was there.
    pub(crate) fn root(&self) -> Option<Hash> {
        (self.taken.size() == self.end - self.first).then(|| self.taken.root())
    }
}

impl Visitor for Subtree {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        if (self.first..self.end).contains(&index) {
            self.tree.append(bytes);
        }
    }

    fn commit(&mut self, _: &Footer) -> bool {
        self.taken.clone_from(&self.tree);
        self.taken.size() == self.end - self.first
    }

    fn discard(&mut self) {
        self.tree.clone_from(&self.taken);
    }
}

/// Finds the tree head of a size.
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) footer: Option<Footer>,
}

impl Visitor for Head {
    fn record(&mut self, _: u64, _: &[u8]) {}

    fn commit(&mut self, footer: &Footer) -> bool {
        let size = footer.tree_size.get();
        if size == self.size {
            self.footer = Some(*footer);
        }
        size >= self.size
    }

    fn discard(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_blk::{BLOCK, testing::FaultyDisk};
    use portcullis_log::builder::{Builder, Tip};

    const KIND: LogKind = LogKind::Worm;
    const LOG: LogId = LogId([9; 16]);
    const START: Place = Place {
        record: 0,
        block: 0,
    };

    /// Fills a block with records of one byte; the commit ends with it, or goes on.
    fn fill(disk: &mut FaultyDisk, builder: &mut Builder, at: u64, records: &[u8], ends: bool) {
        for record in records {
            builder.push(&[*record]).unwrap();
        }
        let footer = Footer {
            tree_size: builder.next_record().into(),
            root: [0; 32],
            signature: [0; 64],
        };
        let block = if ends {
            builder.commit(footer)
        } else {
            builder.seal()
        };
        disk.write(at, block.unwrap()).unwrap();
        if ends {
            builder.durable();
        }
    }

    /// A commit; three blocks of one that was interrupted, of which the second was lost; two commits.
    fn interrupted() -> (FaultyDisk, Extent) {
        let mut disk = FaultyDisk::new(8);
        let mut builder = Builder::new(Tip::empty(KIND, LOG));
        fill(&mut disk, &mut builder, 0, &[1, 2], true);
        let tip = *builder.tip();
        fill(&mut disk, &mut builder, 1, &[90, 91, 92, 93], false);
        fill(&mut disk, &mut builder, 2, &[94, 95], false);
        fill(&mut disk, &mut builder, 3, &[96], true);
        disk.write(2, &[0; BLOCK]).unwrap();
        let mut builder = Builder::new(Tip { block: 4, ..tip });
        fill(&mut disk, &mut builder, 4, &[3], true);
        fill(&mut disk, &mut builder, 5, &[4, 5], true);
        let extent = Extent {
            kind: KIND,
            log: LOG,
            end: 6,
        };
        (disk, extent)
    }

    #[test]
    fn records_of_an_interrupted_commit_are_never_served() {
        let (mut disk, extent) = interrupted();
        for index in 0..5 {
            let mut buffer = [0; 8];
            let mut copy = Copy {
                index,
                buffer: &mut buffer,
                length: None,
            };
            let found = walk(&mut disk, &mut [0; BLOCK], extent, START, &mut copy);
            assert_eq!(found, Ok(true));
            assert_eq!((copy.length, buffer[0]), (Some(1), index as u8 + 1));
        }
        let mut copy = Copy {
            index: 5,
            buffer: &mut [0; 8],
            length: None,
        };
        let found = walk(&mut disk, &mut [0; BLOCK], extent, START, &mut copy);
        assert_eq!((found, copy.length), (Ok(false), None));
    }

    #[test]
    fn records_of_an_interrupted_commit_are_not_hashed() {
        let (mut disk, extent) = interrupted();
        let mut subtree = Subtree::new(1, 5);
        let found = walk(&mut disk, &mut [0; BLOCK], extent, START, &mut subtree);
        assert_eq!(found, Ok(true));
        let mut expected = Frontier::new();
        for record in 2..=5 {
            expected.append(&[record]);
        }
        assert_eq!(subtree.root(), Some(expected.root()));
    }

    #[test]
    fn a_log_that_ends_in_an_interrupted_commit_ends_before_it() {
        let (mut disk, extent) = interrupted();
        let extent = Extent { end: 4, ..extent };
        let mut head = Head {
            size: 9,
            footer: None,
        };
        let found = walk(&mut disk, &mut [0; BLOCK], extent, START, &mut head);
        assert_eq!((found, head.footer), (Ok(false), None));
    }
}

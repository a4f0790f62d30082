//! How far the append regions are written: what makes them append-only.
//!
//! An append region's *mark* is the number of its next block. Blocks below it are never written
//! again, but for the last one, which this driver wrote: into its sectors that are zero, behind all others,
//! more may be put. The driver writes the marks of all append regions to one of two blocks, in turn, before
//! each flush that finds them changed, so that the flush makes blocks and mark durable together:
//! **the durable mark is never below an acknowledged block**.
//!
//! With each mark goes how far the region was *flushed* before the marks were written. What lies
//! between the two is in doubt when the disk is opened: its flush may have failed, and reading it
//! back proves nothing, since that may come from a cache. It stays in doubt, whatever is flushed, until
//! something is appended behind it: the ledger first writes again what the last commit had. A block that
//! more was put into is in doubt again.
//!
//! What a cut leaves: marks without all of their blocks, or blocks without their mark. When the
//! disk is opened, each mark is therefore put right behind the last block that holds anything: back
//! over blocks of zeros, which are never acknowledged because they are never taken, though never
//! back over what was flushed; and on behind the last block that is not zero, of which a cut leaves
//! each with or without those before it. So what is appended always goes where all is zero: a torn
//! block that lay over an older one could not be told from one that was changed. That also covers the
//! case that the newer of the two mark blocks is damaged and the other is one flush behind. It needs
//! an append region to be zero before its first use, and a client that flushes in time
//! ([`UNDER_WAY_MAX`](crate::UNDER_WAY_MAX)).

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    BLOCK, Block, Disk, DiskError, Header,
    api::Area,
    wire::{self, HASHED, MARK_BLOCKS, MARKS_MAGIC, MARKS_VERSION, SECTOR},
};

/// A block number in an append region: where the next block goes.
pub type Mark = u64;

/// How far an append region is written, in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extent {
    /// Where the next block goes.
    pub mark: Mark,
    /// Blocks that were surely flushed: at most the mark.
    pub flushed: Mark,
}

/// The extents of both append regions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    sequence: u64,
    grants: Extent,
    worm: Extent,
}

/// What was found of the marks when the disk was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Both blocks: the newer one counts.
    Both(Marks),
    /// One block: it may be one flush behind.
    One(Marks),
    /// None: how far the append regions are written is not known.
    None,
}

impl Marks {
    /// The marks of a new disk.
    pub(crate) const EMPTY: Marks = Marks {
        sequence: 0,
        grants: Extent {
            mark: 0,
            flushed: 0,
        },
        worm: Extent {
            mark: 0,
            flushed: 0,
        },
    };

    /// The extent of an append region; `None` for the vault's, which has none.
    pub const fn of(&self, area: Area) -> Option<Extent> {
        match area {
            Area::Vault => None,
            Area::Grants => Some(self.grants),
            Area::Worm => Some(self.worm),
        }
    }

    pub(crate) const fn set(&mut self, area: Area, mark: Mark) {
        match area {
            Area::Vault => {}
            Area::Grants => self.grants.mark = mark,
            Area::Worm => self.worm.mark = mark,
        }
    }

    /// Blocks from `first` on were written, `first` maybe once more.
    pub(crate) const fn written(&mut self, area: Area, first: Mark, end: Mark) {
        let extent = match area {
            Area::Vault => return,
            Area::Grants => &mut self.grants,
            Area::Worm => &mut self.worm,
        };
        extent.mark = end;
        if extent.flushed > first {
            extent.flushed = first;
        }
    }

    /// All that was written since these were as `found` is flushed. Who appends has made sure of the
    /// blocks that are in doubt, so they count too; where nothing was appended, they stay in doubt.
    pub(crate) const fn flushed(&mut self, found: &Self) {
        if self.grants.mark > found.grants.mark {
            self.grants.flushed = self.grants.mark;
        }
        if self.worm.mark > found.worm.mark {
            self.worm.flushed = self.worm.mark;
        }
    }

    /// Both mark blocks of a new disk.
    pub(crate) fn initial(self) -> [Block; 2] {
        let second = Self {
            sequence: self.sequence + 1,
            ..self
        };
        [self.encode(), second.encode()]
    }

    /// Writes the marks to the block whose turn it is. The caller flushes.
    pub(crate) fn store(&mut self, disk: &mut impl Disk) -> Result<(), DiskError> {
        self.sequence += 1;
        disk.write(self.block(), &self.encode())
    }

    const fn block(&self) -> u64 {
        1 + self.sequence % MARK_BLOCKS
    }

    fn encode(&self) -> Block {
        let mut raw = wire::Marks {
            magic: MARKS_MAGIC,
            version: MARKS_VERSION.into(),
            unused: 0.into(),
            sequence: self.sequence.into(),
            grants: self.grants.into(),
            worm: self.worm.into(),
            reserved: [0; _],
            sha256: [0; 32],
        };
        raw.sha256 = Sha256::digest(&raw.as_bytes()[..HASHED]).into();
        let mut block = [0; BLOCK];
        block[..SECTOR].copy_from_slice(raw.as_bytes());
        block
    }

    /// `None` where the block holds no marks, or not at its place, or beyond the regions' ends.
    fn decode(block: &Block, at: u64, header: &Header) -> Option<Self> {
        let (raw, _) = wire::Marks::read_from_prefix(block).expect("a block is larger than marks");
        let hash: [u8; 32] = Sha256::digest(&raw.as_bytes()[..HASHED]).into();
        let marks = Self {
            sequence: raw.sequence.get(),
            grants: raw.grants.into(),
            worm: raw.worm.into(),
        };
        let within = |extent: Extent, area| {
            extent.flushed <= extent.mark && extent.mark <= header.length(area)
        };
        let valid = raw.magic == MARKS_MAGIC
            && raw.version.get() == MARKS_VERSION
            && raw.sha256 == hash
            && marks.block() == at
            && marks.sequence < u64::MAX
            && within(marks.grants, Area::Grants)
            && within(marks.worm, Area::Worm);
        valid.then_some(marks)
    }

    pub(crate) fn load(disk: &mut impl Disk, header: &Header, block: &mut Block) -> Found {
        let mut at = |number| {
            disk.read(number, block).ok()?;
            Self::decode(block, number, header)
        };
        match (at(1), at(2)) {
            (Some(a), Some(b)) if a.sequence.abs_diff(b.sequence) == 1 => {
                Found::Both(if a.sequence > b.sequence { a } else { b })
            }
            // Two that are not neighbours: one write in between went elsewhere.
            (Some(a), Some(b)) => Found::One(if a.sequence > b.sequence { a } else { b }),
            (Some(marks), None) | (None, Some(marks)) => Found::One(marks),
            (None, None) => Found::None,
        }
    }

    /// Marks that let nothing be appended: how far the regions are written is not known.
    pub(crate) const fn full(header: &Header) -> Self {
        let mut marks = Self::EMPTY;
        marks.grants.mark = header.length(Area::Grants);
        marks.worm.mark = header.length(Area::Worm);
        marks
    }
}

impl From<Extent> for wire::Extent {
    fn from(extent: Extent) -> Self {
        Self {
            mark: extent.mark.into(),
            flushed: extent.flushed.into(),
        }
    }
}

impl From<wire::Extent> for Extent {
    fn from(raw: wire::Extent) -> Self {
        Self {
            mark: raw.mark.get(),
            flushed: raw.flushed.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(grants: Extent, worm: Extent) -> Marks {
        Marks {
            sequence: 8,
            grants,
            worm,
        }
    }

    fn extent(mark: Mark, flushed: Mark) -> Extent {
        Extent { mark, flushed }
    }

    #[test]
    fn marks_survive_and_damage_is_found() {
        let header = Header::new(1_000, [1; 16]).unwrap();
        let marks = marks(extent(5, 3), extent(124, 124));
        let block = marks.encode();
        assert_eq!(Marks::decode(&block, 1, &header), Some(marks));
        assert_eq!(Marks::decode(&block, 2, &header), None, "not its place");
        for byte in 0..512 {
            let mut bad = block;
            bad[byte] ^= 1;
            assert_eq!(Marks::decode(&bad, 1, &header), None, "byte {byte}");
        }
    }

    #[test]
    fn a_mark_past_the_region_or_before_what_was_flushed_is_refused() {
        let header = Header::new(1_000, [1; 16]).unwrap();
        let past = header.length(Area::Grants) + 1;
        for bad in [extent(past, 0), extent(3, 4)] {
            let block = marks(bad, extent(0, 0)).encode();
            assert_eq!(Marks::decode(&block, 1, &header), None);
        }
    }
}

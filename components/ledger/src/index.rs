//! What is kept in memory of a log of any size: hashes to prove with, places to read from.
//!
//! Both tables have a fixed number of places: the hashes of the largest complete subtrees that fit,
//! with all above them, and for each of these *ranges* the block that its first record lies in. When
//! the tables are full, the ranges become twice as long: every other place goes, and the hashes move
//! up. So reading or proving a record takes the blocks of one range, a four-thousandth of the log,
//! and memory stays what it was.

use portcullis_log::{
    merkle::{Frontier, Hash, generate::NodeSource},
    scanner::Watch,
};

/// Ranges kept: with their hashes and those above 256 KiB, with their places 32 KiB more. At a million
/// records a range has 256 of them: 17 blocks of records of 256 bytes.
const RANGES: usize = 4096;

/// Hashes and places of a log.
#[derive(Debug)]
pub struct Index {
    /// Row by row, each half as long as the one before: the hashes of ranges, of pairs of them, ...
    nodes: [Hash; 2 * RANGES],
    /// Block of the first record of each range, and of the one that will be one too many.
    blocks: [u64; RANGES + 1],
    /// A range has 2^`level` records.
    level: u32,
}

/// A run of records that the index has the hash of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    /// Its first record.
    pub(crate) first: u64,
    /// Behind its last record, were it full.
    pub(crate) end: u64,
    /// The block of the first record.
    pub(crate) block: u64,
    /// The block of the next range's first record, where the log has come so far.
    pub(crate) last_block: u64,
}

/// A node that is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotKept;

impl Index {
    /// The index of an empty log.
    pub const fn new() -> Self {
        Self {
            nodes: [[0; 32]; 2 * RANGES],
            blocks: [0; RANGES + 1],
            level: 0,
        }
    }

    /// The range that a record of the log lies in.
    pub(crate) fn range(&self, record: u64) -> Option<Range> {
        let number = record >> self.level;
        let first = number << self.level;
        let number = usize::try_from(number).ok()?;
        let block = *self.blocks.get(number)?;
        let last_block = self.blocks.get(number + 1).copied();
        Some(Range {
            first,
            end: first + (1 << self.level),
            block,
            last_block: last_block.unwrap_or(block),
        })
    }

    /// The hash of a range, which the log has as a whole.
    pub(crate) fn hash(&self, range: &Range) -> Option<&Hash> {
        self.subtree(self.level, range.first >> self.level)
    }

    /// The tree of all records before a range.
    pub(crate) fn tree_before(&self, range: &Range) -> Result<Frontier, NotKept> {
        Frontier::of(&mut Kept(self), range.first)
    }

    /// The hash of a complete subtree of the log; `None` where it is smaller than a range.
    pub(crate) fn subtree(&self, level: u32, index: u64) -> Option<&Hash> {
        self.nodes.get(self.place(level, index)?)
    }

    fn place(&self, level: u32, index: u64) -> Option<usize> {
        let row = level.checked_sub(self.level)?;
        let length = RANGES.checked_shr(row)?;
        let index = usize::try_from(index).ok().filter(|it| *it < length)?;
        Some(2 * (RANGES - length) + index)
    }

    /// Makes ranges twice as long. Every row is full, and half of the next holds all of it.
    fn halve(&mut self) {
        for row in 0..RANGES.ilog2() {
            let [to, from] = [row, row + 1].map(|row| 2 * (RANGES - (RANGES >> row)));
            self.nodes
                .copy_within(from..from + (RANGES >> (row + 1)), to);
        }
        for kept in 0..=RANGES / 2 {
            self.blocks[kept] = self.blocks[2 * kept];
        }
        self.level += 1;
    }
}

impl Watch for Index {
    fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        if level == self.level && index == RANGES as u64 {
            self.halve();
        }
        if let Some(place) = self.place(level, index) {
            self.nodes[place] = *hash;
        }
    }

    fn block(&mut self, number: u64, first: u64, records: u64) {
        let ranges = first.div_ceil(1 << self.level)..(first + records).div_ceil(1 << self.level);
        for range in ranges {
            let range = usize::try_from(range).ok();
            if let Some(block) = range.and_then(|range| self.blocks.get_mut(range)) {
                *block = number;
            }
        }
    }
}

/// The nodes that are kept.
struct Kept<'a>(&'a Index);

impl NodeSource for Kept<'_> {
    type Error = NotKept;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, NotKept> {
        self.0.subtree(level, index).copied().ok_or(NotKept)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_log::merkle::leaf_hash;
    use std::{boxed::Box, vec::Vec};

    #[test]
    fn hashes_stay_right_when_they_move_up() {
        let mut index = Box::new(Index::new());
        let mut tree = Frontier::new();
        let leaves: Vec<Hash> = (0..3 * RANGES as u64 + 5)
            .map(|number| leaf_hash(&number.to_le_bytes()))
            .collect();
        for leaf in &leaves {
            tree.append_leaf_with(leaf, |level, number, hash| index.node(level, number, hash));
        }
        assert_eq!(index.level, 2);
        assert_eq!(index.subtree(1, 0), None);
        for level in 2..14 {
            for number in 0..tree.size() >> level {
                let mut expected = Frontier::new();
                let first = (number << level) as usize;
                let part = &leaves[first..first + (1 << level)];
                part.iter().for_each(|leaf| expected.append_leaf(leaf));
                let kept = index.subtree(level, number);
                assert_eq!(kept, Some(&expected.root()), "{level} {number}");
            }
        }
        let range = index.range(9_001).unwrap();
        let mut before = Frontier::new();
        leaves[..9_000]
            .iter()
            .for_each(|leaf| before.append_leaf(leaf));
        assert_eq!((range.first, range.end), (9_000, 9_004));
        let tree = index.tree_before(&range).unwrap();
        assert_eq!((tree.size(), tree.root()), (9_000, before.root()));
    }

    #[test]
    fn the_block_of_every_range_s_first_record_is_known() {
        let mut index = Box::new(Index::new());
        let mut tree = Frontier::new();
        let mut blocks: Vec<(u64, u64)> = Vec::new();
        for number in 0..15_000 {
            let (first, records) = (tree.size(), 1 + number % 40);
            for _ in 0..records {
                tree.append_leaf_with(&[1; 32], |level, at, hash| index.node(level, at, hash));
            }
            index.block(number, first, records);
            blocks.push((first, number));
        }
        for record in (0..tree.size()).step_by(23) {
            let range = index.range(record).unwrap();
            assert!(range.first <= record && record < range.end);
            let behind = blocks.partition_point(|(first, _)| *first <= range.first);
            assert_eq!(blocks[behind - 1].1, range.block, "record {record}");
        }
    }
}

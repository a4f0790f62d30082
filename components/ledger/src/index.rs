//! What is kept in memory of a log of any size: hashes to prove with, places to look from.
//!
//! Both tables have a fixed number of places. When one is full, every other entry goes and the rest
//! stands for twice as much: the hashes move up one level of the tree, the places lie twice as far
//! apart. So a proof or a read costs the disk one more block each time the log doubles past what
//! the tables hold exactly, and memory stays what it was.

use portcullis_log::merkle::{Frontier, Hash, node_hash};

/// Hashes kept: 128 KiB. At a million records each stands for 256 of them, three blocks or so.
const NODES: usize = 4096;
/// Places kept: 16 KiB. At a million records they lie about as far apart as the hashes reach.
const PLACES: usize = 1024;

/// A commit to look from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Index of its first record.
    pub(crate) record: u64,
    /// Its first block.
    pub(crate) block: u64,
}

/// Hashes and places of a log.
#[derive(Debug)]
pub struct Index {
    nodes: [Hash; NODES],
    /// Level of the subtrees whose hashes `nodes` holds.
    level: u32,
    places: [Place; PLACES],
    placed: usize,
    /// Records that two places are apart, at least.
    apart: u64,
}

impl Index {
    /// The index of an empty log.
    pub const fn new() -> Self {
        Self {
            nodes: [[0; 32]; NODES],
            level: 0,
            places: [Place {
                record: 0,
                block: 0,
            }; PLACES],
            placed: 0,
            apart: 1,
        }
    }

    pub(crate) const fn reset(&mut self) {
        self.level = 0;
        self.placed = 0;
        self.apart = 1;
    }

    /// Appends a leaf to `tree` and keeps the hashes that it completes. Hashes of leaves that turn
    /// out not to be of the log are kept over when their place is appended to again.
    pub(crate) fn append(&mut self, tree: &mut Frontier, leaf: &Hash) {
        tree.append_leaf_with(leaf, |level, index, hash| self.keep(level, index, hash));
    }

    fn keep(&mut self, level: u32, index: u64, hash: &Hash) {
        if level != self.level {
            return;
        }
        let full = index >= NODES as u64;
        if full {
            for pair in 0..NODES / 2 {
                self.nodes[pair] = node_hash(&self.nodes[2 * pair], &self.nodes[2 * pair + 1]);
            }
            // NODES is even, so the hash at hand is a left one, and its parent comes later.
            self.level += 1;
        } else {
            self.nodes[index as usize] = *hash;
        }
    }

    /// The hash of a complete subtree; `None` where it is below what is kept.
    pub(crate) fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let above = level.checked_sub(self.level)?;
        let first = usize::try_from(index.checked_shl(above)?).ok()?;
        let count = 1_usize.checked_shl(above)?;
        let nodes = self.nodes.get(first..first.checked_add(count)?)?;
        let mut tree = Frontier::new();
        nodes.iter().for_each(|hash| tree.append_leaf(hash));
        Some(tree.root())
    }

    /// Keeps the place of a commit, if it lies far enough from the last.
    pub(crate) fn place(&mut self, record: u64, block: u64) {
        let last = self.placed.checked_sub(1).map(|last| self.places[last]);
        if last.is_some_and(|last| record < last.record + self.apart) {
            return;
        }
        if self.placed == PLACES {
            for kept in 0..PLACES / 2 {
                self.places[kept] = self.places[2 * kept];
            }
            self.placed = PLACES / 2;
            let (first, end) = (self.places[0].record, self.places[self.placed - 1].record);
            self.apart = (end - first).div_ceil(PLACES as u64 / 2).max(self.apart);
        }
        self.places[self.placed] = Place { record, block };
        self.placed += 1;
    }

    /// Forgets the places of records from `record` on.
    pub(crate) fn forget(&mut self, record: u64) {
        let places = &self.places[..self.placed];
        self.placed = places.partition_point(|place| place.record < record);
    }

    /// The last place at or before a record.
    pub(crate) fn before(&self, record: u64) -> Option<Place> {
        let places = &self.places[..self.placed];
        let after = places.partition_point(|place| place.record <= record);
        places.get(after.checked_sub(1)?).copied()
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
        let leaves: Vec<Hash> = (0..3 * NODES as u64 + 5)
            .map(|number| leaf_hash(&number.to_le_bytes()))
            .collect();
        leaves.iter().for_each(|leaf| index.append(&mut tree, leaf));
        assert_eq!(index.level, 2);
        assert_eq!(index.node(1, 0), None);
        for (level, number) in [(2, 0), (2, 3_071), (5, 11), (13, 0), (12, 2)] {
            let mut expected = Frontier::new();
            let first = (number << level) as usize;
            let part = &leaves[first..first + (1 << level)];
            part.iter().for_each(|leaf| expected.append_leaf(leaf));
            assert_eq!(
                index.node(level, number),
                Some(expected.root()),
                "{level} {number}"
            );
        }
    }

    #[test]
    fn places_thin_out_and_one_is_always_near() {
        let mut index = Box::new(Index::new());
        let mut record = 0;
        for block in 0..100_000 {
            index.place(record, block);
            record += 1 + block % 40;
        }
        assert!(index.placed > PLACES / 4);
        for wanted in [0, 1, 77, record / 3, record - 1] {
            let place = index.before(wanted).unwrap();
            assert!(place.record <= wanted && wanted - place.record < record / 200);
        }
        index.forget(1_000);
        assert!(index.before(u64::MAX).unwrap().record < 1_000);
    }
}

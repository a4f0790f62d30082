//! The Merkle tree of RFC 6962, all of it, from its leaves.
//!
//! Keeps every complete subtree's hash, level by level, so the root over the first `n` leaves is what
//! section 2.1 of the RFC says it is, word for word. A log never goes back before the commit that its
//! last one goes on from, so below level [`KEPT`] the nodes before that commit are
//! [forgotten](Tree::forget): memory is one hash for every thousand leaves, and a few thousand.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// The level from which on nodes are kept for ever: a 1,024th of the leaves.
const KEPT: usize = 10;
/// Nodes of a level that may be forgotten before it is worth moving the others.
const LITTER: usize = 4096;

/// Hash of a record.
pub(crate) fn leaf(record: &[u8]) -> Hash {
    let hasher = Sha256::new().chain_update([0]);
    hasher.chain_update(record).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    // Hashed as one piece, which is a tenth quicker than as three.
    let mut bytes = [1; 1 + 2 * size_of::<Hash>()];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The complete subtrees of one height.
#[derive(Clone, Default)]
struct Level {
    /// Nodes that were forgotten: the first so many.
    first: u64,
    nodes: Vec<Hash>,
}

/// The tree over a log's records.
#[derive(Clone, Default)]
pub(crate) struct Tree {
    size: u64,
    levels: Vec<Level>,
}

impl Level {
    fn get(&self, number: u64) -> &Hash {
        let at = number - self.first;
        &self.nodes[at as usize]
    }
}

impl Tree {
    /// Number of leaves.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: &[u8]) {
        let mut hash = leaf(record);
        let mut number = self.size;
        self.size += 1;
        for height in 0.. {
            if self.levels.len() == height {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[height];
            level.nodes.push(hash);
            if number.is_multiple_of(2) {
                return;
            }
            hash = node(level.get(number - 1), &hash);
            number /= 2;
        }
    }

    /// Takes the last leaves away, down to `size`, which is not below what was last forgotten.
    pub(crate) fn truncate(&mut self, size: u64) {
        self.size = size;
        for (height, level) in self.levels.iter_mut().enumerate() {
            level
                .nodes
                .truncate(((size >> height) - level.first) as usize);
        }
    }

    /// From here on nothing is asked of the tree at a smaller size.
    pub(crate) fn forget(&mut self, size: u64) {
        for (height, level) in self.levels.iter_mut().enumerate().take(KEPT) {
            let first = size >> KEPT << (KEPT - height);
            let litter = (first - level.first) as usize;
            if litter >= LITTER {
                level.nodes.drain(..litter);
                level.first = first;
            }
        }
    }

    /// `MTH(D[0:size])`, for a size that is not above this one.
    pub(crate) fn root(&self, size: u64) -> Hash {
        match size {
            0 => Sha256::digest([]).into(),
            _ => self.over(0, size),
        }
    }

    /// `MTH(D[first:first + count])`, count above 0.
    fn over(&self, first: u64, count: u64) -> Hash {
        if count.is_power_of_two() {
            let height = count.trailing_zeros();
            return *self.levels[height as usize].get(first >> height);
        }
        // The largest power of two below count.
        let split = 1 << count.ilog2();
        let left = self.over(first, split);
        node(&left, &self.over(first + split, count - split))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> [u8; 8] {
        number.to_le_bytes()
    }

    /// The RFC's definition over a list.
    fn definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                node(&definition(&many[..split]), &definition(&many[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_the_rfc_s_at_every_size() {
        let leaves: Vec<Hash> = (0..300).map(|number| leaf(&record(number))).collect();
        let mut tree = Tree::default();
        for size in 0..=300 {
            assert_eq!(tree.root(size), definition(&leaves[..size as usize]));
            assert_eq!(
                tree.root(size / 2),
                definition(&leaves[..size as usize / 2])
            );
            tree.push(&record(size));
        }
        // RFC 6962 has no vectors; this one is of the reference implementation's tests (certificate-
        // transparency, merkle_tree_test.cc): the empty leaf.
        let empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        let hex: String = leaf(b"").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, empty);
    }

    #[test]
    fn a_tree_that_went_back_and_forgot_is_the_same() {
        let (mut tree, mut other) = (Tree::default(), Tree::default());
        for number in 0..20_000 {
            other.push(&record(number));
        }
        let mut forgotten = 0;
        for number in 0..20_000_u64 {
            tree.push(&record(number));
            let base = match (number % 1_024, number % 700) {
                // From where nothing but what is kept for ever comes before.
                (50, _) => forgotten.max(number - 50),
                (_, 699) => forgotten.max(number - 99),
                _ => continue,
            };
            tree.forget(base);
            tree.truncate(base);
            (base..=number).for_each(|number| tree.push(&record(number)));
            for size in base..=number + 1 {
                assert_eq!(tree.root(size), other.root(size), "{size}");
            }
            forgotten = base;
        }
        assert!(tree.levels[0].nodes.len() < 2 * LITTER, "it forgets");
    }
}

//! A tree that grows: the roots of its complete subtrees, and nothing below them.

use super::generate::NodeSource;
use super::{Hash, empty_root, leaf_hash, node_hash};

/// Levels of a tree: a leaf's index has 64 bits.
pub const LEVELS: usize = 64;

/// The right edge of a tree (its *compact range*): one hash for every bit of its size. Appending
/// takes one inner hash on average, and no memory.
#[derive(Clone, Debug)]
pub struct Frontier {
    size: u64,
    /// Root of the complete subtree of 2^n leaves, where bit n of the size is set; else stale.
    roots: [Hash; LEVELS],
}

impl Frontier {
    /// The tree without leaves.
    pub const fn new() -> Self {
        Self {
            size: 0,
            roots: [[0; 32]; LEVELS],
        }
    }

    /// The tree of the first `size` leaves of one whose complete subtrees are at hand.
    pub fn of<S: NodeSource>(source: &mut S, size: u64) -> Result<Self, S::Error> {
        let mut tree = Self::new();
        tree.size = size;
        for (level, root) in (0..).zip(&mut tree.roots) {
            if size >> level & 1 == 1 {
                *root = source.node(level, (size >> level) - 1)?;
            }
        }
        Ok(tree)
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry; returns its leaf hash.
    pub fn append(&mut self, entry: &[u8]) -> Hash {
        let leaf = leaf_hash(entry);
        self.append_leaf(&leaf);
        leaf
    }

    /// Appends a leaf of which only the hash is at hand.
    pub fn append_leaf(&mut self, leaf: &Hash) {
        self.append_leaf_with(leaf, |_, _, _| ());
    }

    /// Appends a leaf and shows every subtree that it completes: its level (the leaf is level 0),
    /// its index among those of the level, its hash. Whoever keeps these can make proofs.
    pub fn append_leaf_with(&mut self, leaf: &Hash, mut complete: impl FnMut(u32, u64, &Hash)) {
        complete(0, self.size, leaf);
        let mut hash = *leaf;
        let full = self.size.trailing_ones();
        for (level, left) in (0..full).zip(&self.roots) {
            hash = node_hash(left, &hash);
            complete(level + 1, self.size >> (level + 1), &hash);
        }
        // All 64 bits set would mean 2^64 - 1 leaves: at 10^9 a second, 584 years.
        if let Some(root) = self.roots.get_mut(full as usize) {
            *root = hash;
            self.size += 1;
        }
    }

    /// The hash of a complete subtree, where it is one of those that the tree is made of.
    pub fn node(&self, level: u32, index: u64) -> Option<&Hash> {
        let subtrees = self.size.checked_shr(level)?;
        let is_last = subtrees & 1 == 1 && index == subtrees - 1;
        self.roots.get(level as usize).filter(|_| is_last)
    }

    /// The tree's root hash.
    pub fn root(&self) -> Hash {
        let mut root = None;
        for (level, hash) in self.roots.iter().enumerate() {
            if self.size >> level & 1 == 1 {
                root = Some(root.map_or(*hash, |right| node_hash(hash, &right)));
            }
        }
        root.unwrap_or_else(empty_root)
    }
}

/// The same leaves: what is stale does not count.
impl PartialEq for Frontier {
    fn eq(&self, other: &Self) -> bool {
        let roots = self.roots.iter().zip(&other.roots).enumerate();
        let mut current = roots.filter(|(level, _)| self.size >> level & 1 == 1);
        self.size == other.size && current.all(|(_, (ours, theirs))| ours == theirs)
    }
}

impl Eq for Frontier {}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

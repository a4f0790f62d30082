//! The Merkle tree as the auditor builds it, apart from the ledger's own.

use portcullis_log::merkle::{Hash, empty_root, leaf_hash, node_hash};

/// A tree that grows. Keeps the roots of its complete subtrees, the largest first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tree {
    size: u64,
    roots: Vec<Hash>,
}

impl Tree {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn append(&mut self, entry: &[u8]) {
        let mut hash = leaf_hash(entry);
        self.size += 1;
        // Every trailing zero of the new size is a subtree that this leaf completes.
        for _ in 0..self.size.trailing_zeros() {
            let left = self
                .roots
                .pop()
                .expect("a set bit of the old size has its root");
            hash = node_hash(&left, &hash);
        }
        self.roots.push(hash);
    }

    pub(crate) fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else {
            return empty_root();
        };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

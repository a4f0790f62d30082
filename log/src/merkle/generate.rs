//! Makes inclusion and consistency proofs, given the hashes of complete subtrees.

use super::proof::PROOF_MAX;
use super::{Hash, empty_root, node_hash};

/// Where the hashes of a tree come from: memory, a file, or the entries hashed again.
pub trait NodeSource {
    /// Why a hash could not be had.
    type Error;

    /// The hash of the complete subtree of 2^`level` leaves that is number `index` of its level:
    /// leaves `index << level` up to `(index + 1) << level`.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The hashes of a proof, in the order in which they are verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    hashes: [Hash; PROOF_MAX],
    length: usize,
}

impl Proof {
    const fn empty() -> Self {
        Self {
            hashes: [[0; 32]; PROOF_MAX],
            length: 0,
        }
    }

    /// The hashes.
    pub fn hashes(&self) -> &[Hash] {
        self.hashes.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, hash: Hash) {
        // At most one hash a level, and one more: PROOF_MAX.
        if let Some(place) = self.hashes.get_mut(self.length) {
            *place = hash;
            self.length += 1;
        }
    }
}

/// Proves that leaf `index` is in the tree of the first `size` leaves; `Ok(None)` where it is not.
pub fn prove_inclusion<S: NodeSource>(
    source: &mut S,
    index: u64,
    size: u64,
) -> Result<Option<Proof>, S::Error> {
    if index >= size {
        return Ok(None);
    }
    let mut proof = Proof::empty();
    walk(source, &mut proof, index, index + 1, 0, size)?;
    Ok(Some(proof))
}

/// Proves that the tree of the first `second` leaves begins with the tree of the first `first`;
/// `Ok(None)` where there is no such proof: the first is empty, or larger than the second.
pub fn prove_consistency<S: NodeSource>(
    source: &mut S,
    first: u64,
    second: u64,
) -> Result<Option<Proof>, S::Error> {
    if first == 0 || first > second {
        return Ok(None);
    }
    let mut proof = Proof::empty();
    if first == second {
        return Ok(Some(proof));
    }
    // The path leads to the largest complete subtree that ends the earlier tree. Its own hash comes
    // first, except where the verifier has it: where it is the whole earlier tree.
    let level = first.trailing_zeros();
    let start = first - (1 << level);
    if start > 0 {
        proof.push(source.node(level, start >> level)?);
    }
    walk(source, &mut proof, start, first, 0, second)?;
    Ok(Some(proof))
}

/// Root of the tree of the first `size` leaves.
pub fn root<S: NodeSource>(source: &mut S, size: u64) -> Result<Hash, S::Error> {
    if size == 0 {
        return Ok(empty_root());
    }
    subtree(source, 0, size)
}

/// Adds the siblings on the way from the subtree `start..end` up to the subtree `low..high`, those
/// nearest to it first.
fn walk<S: NodeSource>(
    source: &mut S,
    proof: &mut Proof,
    start: u64,
    end: u64,
    low: u64,
    high: u64,
) -> Result<(), S::Error> {
    // Recursion is as deep as the tree, 64 at most; written as two passes to need no stack.
    let mut sides = [(0, 0); u64::BITS as usize];
    let mut depth = 0;
    let (mut low, mut high) = (low, high);
    while (low, high) != (start, end) {
        let middle = low + split(high - low);
        let sibling = if start < middle {
            (middle, core::mem::replace(&mut high, middle))
        } else {
            (core::mem::replace(&mut low, middle), middle)
        };
        if let Some(side) = sides.get_mut(depth) {
            *side = sibling;
        }
        depth += 1;
    }
    for (low, high) in sides.iter().take(depth).rev() {
        proof.push(subtree(source, *low, *high)?);
    }
    Ok(())
}

/// Root of the leaves `low..high`, where `low` is a multiple of the largest power of two in between.
fn subtree<S: NodeSource>(source: &mut S, low: u64, high: u64) -> Result<Hash, S::Error> {
    let mut rest = high - low;
    let mut end = high;
    let mut root = None;
    while rest != 0 {
        let level = rest.trailing_zeros();
        rest &= rest - 1;
        end -= 1 << level;
        let hash = source.node(level, end >> level)?;
        root = Some(root.map_or(hash, |right| node_hash(&hash, &right)));
    }
    Ok(root.unwrap_or_else(empty_root))
}

/// Largest power of two below `size`, which is at least two.
const fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

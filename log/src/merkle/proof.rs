//! Inclusion and consistency proofs: RFC 9162, 2.1.3 and 2.1.4 (the same as RFC 6962's).

use core::fmt;

use super::{Hash, node_hash};

/// Most hashes of a proof: for inclusion one a level, for consistency one more.
pub const PROOF_MAX: usize = 65;

/// Why a proof does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProofError {
    /// There is no leaf with this index in a tree of this size.
    Index {
        /// The leaf.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The earlier tree is empty or larger than the later.
    Sizes {
        /// Leaves in the earlier tree.
        first: u64,
        /// Leaves in the later tree.
        second: u64,
    },
    /// The proof has another number of hashes than the sizes ask for.
    Length {
        /// Hashes that it should have.
        expected: usize,
        /// Hashes that it has.
        found: usize,
    },
    /// The hashes lead to another root.
    Root,
}

/// Checks that the leaf with this hash is number `index` of the tree with `size` leaves and `root`.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let (inner, border) = decompose(index, size);
    check_length(inner + border, proof)?;
    let (low, high) = proof.split_at(inner as usize);
    let hash = chain_inner(*leaf, low, index);
    if chain_border(hash, high) == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree with `second` leaves begins with the whole tree with `first` leaves.
pub fn verify_consistency(
    first: u64,
    second: u64,
    proof: &[Hash],
    first_root: &Hash,
    second_root: &Hash,
) -> Result<(), ProofError> {
    if first == 0 || first > second {
        return Err(ProofError::Sizes { first, second });
    }
    if first == second {
        check_length(0, proof)?;
        return if first_root == second_root {
            Ok(())
        } else {
            Err(ProofError::Root)
        };
    }
    // The proof starts at the largest complete subtree at the right edge of the earlier tree. Where
    // that is the whole of it, its hash is the earlier root and is left out.
    let level = first.trailing_zeros();
    let (inner, border) = decompose(first - 1, second);
    let inner = inner - level;
    let whole = first.is_power_of_two();
    check_length(inner + border + u32::from(!whole), proof)?;
    let (seed, rest) = match proof.split_first() {
        Some((seed, rest)) if !whole => (*seed, rest),
        _ => (*first_root, proof),
    };
    let (low, high) = rest.split_at(inner as usize);
    let path = (first - 1) >> level;
    let earlier = chain_border(chain_inner_right(seed, low, path), high);
    let later = chain_border(chain_inner(seed, low, path), high);
    if earlier == *first_root && later == *second_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Splits the path from leaf `index` to the root: levels below the point where it joins the path
/// of the last leaf, and hashes above it (all of them to the left).
fn decompose(index: u64, size: u64) -> (u32, u32) {
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner, border)
}

fn check_length(expected: u32, proof: &[Hash]) -> Result<(), ProofError> {
    let (expected, found) = (expected as usize, proof.len());
    if expected == found {
        Ok(())
    } else {
        Err(ProofError::Length { expected, found })
    }
}

fn chain_inner(seed: Hash, proof: &[Hash], path: u64) -> Hash {
    (0..)
        .zip(proof)
        .fold(seed, |hash, (level, sibling): (u32, _)| {
            if path >> level & 1 == 0 {
                node_hash(&hash, sibling)
            } else {
                node_hash(sibling, &hash)
            }
        })
}

fn chain_inner_right(seed: Hash, proof: &[Hash], path: u64) -> Hash {
    (0..)
        .zip(proof)
        .fold(seed, |hash, (level, sibling): (u32, _)| {
            if path >> level & 1 == 0 {
                hash
            } else {
                node_hash(sibling, &hash)
            }
        })
}

fn chain_border(seed: Hash, proof: &[Hash]) -> Hash {
    proof
        .iter()
        .fold(seed, |hash, sibling| node_hash(sibling, &hash))
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { index, size } => {
                write!(f, "there is no record {index} in a log of {size} records")
            }
            Self::Sizes { first, second } => write!(
                f,
                "a log of {second} records cannot be held against one of {first}: the earlier must \
                 have at least one record and no more than the later"
            ),
            Self::Length { expected, found } => {
                write!(
                    f,
                    "the proof has {found} hashes, and these sizes ask for {expected}"
                )
            }
            Self::Root => f.write_str("the proof's hashes do not lead to the root"),
        }
    }
}

impl core::error::Error for ProofError {}

//! The Merkle tree of RFC 6962: hashes, the growing tree, proofs.
//!
//! [`Frontier`] is the tree as its writer and its readers keep it: 64 hashes, whatever the size.
//! [`proof`] verifies inclusion and consistency proofs, [`generate`] makes them. Nothing here stores
//! a tree.

pub mod frontier;
pub mod generate;
pub mod proof;

pub use frontier::Frontier;

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hash of the tree without leaves: SHA-256 of nothing (RFC 6962, 2.1).
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Hash of a leaf: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(entry)
        .finalize()
        .into()
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(left);
    input[33..].copy_from_slice(right);
    Sha256::digest(input).into()
}

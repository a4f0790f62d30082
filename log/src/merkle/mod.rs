//! The Merkle tree of RFC 6962: hashes, the growing tree, proofs.
//!
//! [`Frontier`] is the tree as its writer and its readers keep it: 64 hashes, whatever the size.
//! [`proof`] verifies inclusion and consistency proofs, [`generate`] makes them. Nothing here stores
//! a tree.

pub mod frontier;
pub mod generate;
mod hash;
pub mod proof;

pub use frontier::Frontier;
pub use hash::{empty_root, leaf_hash, node_hash};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

//! The two hashes of the tree, with SHA-256's padding laid out beforehand.
//!
//! A node's input has 65 bytes and most records fit a few SHA-256 blocks, so what a general hasher
//! does around the compression function (buffering, counting, padding) costs as much as the
//! function itself. Here the padding is written directly, and the blocks are given to `sha2`'s
//! compression function. A test holds the results against the general hasher.

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use super::Hash;

/// What comes before a leaf's entry (RFC 6962, 2.1).
const LEAF: u8 = 0;
/// What comes before an inner node's two hashes.
const NODE: u8 = 1;

/// Bytes of a SHA-256 block.
const BLOCK: usize = 64;
/// The byte that starts SHA-256's padding.
const PADDING: u8 = 0x80;
/// Bytes of the length in bits that ends SHA-256's padding.
const LENGTH: usize = 8;

/// SHA-256's initial hash value (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Hash of the tree without leaves: SHA-256 of nothing (RFC 6962, 2.1).
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Hash of a leaf: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut state = INITIAL;
    let mut tail = [[0; BLOCK]; 2];
    let mut used = 1;
    let mut rest = entry;
    tail[0][0] = LEAF;
    if let Some((first, more)) = entry.split_at_checked(BLOCK - 1) {
        tail[0][1..].copy_from_slice(first);
        compress256(&mut state, &tail[..1]);
        let (whole, more) = more.as_chunks();
        compress256(&mut state, whole);
        tail[0] = [0; BLOCK];
        (used, rest) = (0, more);
    }
    let bytes = tail.as_flattened_mut();
    bytes[used..][..rest.len()].copy_from_slice(rest);
    used += rest.len();
    bytes[used] = PADDING;
    let blocks = (used + 1 + LENGTH).div_ceil(BLOCK);
    let bits = 8 * (1 + entry.len()) as u64;
    bytes[blocks * BLOCK - LENGTH..][..LENGTH].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &tail[..blocks]);
    to_bytes(state)
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    const BITS: u64 = 8 * (1 + 32 + 32);
    let mut blocks = [[0; BLOCK]; 2];
    let input = blocks.as_flattened_mut();
    input[0] = NODE;
    input[1..33].copy_from_slice(left);
    input[33..65].copy_from_slice(right);
    input[65] = PADDING;
    input[2 * BLOCK - LENGTH..].copy_from_slice(&BITS.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    to_bytes(state)
}

fn to_bytes(state: [u32; 8]) -> Hash {
    let mut hash = Hash::default();
    for (place, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_general_hasher() {
        for length in 0..1_100_usize {
            let entry: std::vec::Vec<u8> = (0..length).map(|n| (n * 7 + length) as u8).collect();
            let leaf = leaf_hash(&entry);
            let hasher = Sha256::new().chain_update([0]);
            assert_eq!(
                leaf[..],
                hasher.chain_update(&entry).finalize()[..],
                "{length} bytes"
            );
            let (left, right) = (leaf_hash(&[length as u8]), leaf);
            let hasher = Sha256::new().chain_update([1]).chain_update(left);
            assert_eq!(
                node_hash(&left, &right)[..],
                hasher.chain_update(right).finalize()[..]
            );
        }
    }
}

//! The Merkle tree against public vectors, and against the recursive definition of RFC 6962.

mod common;

use common::{hash, hashes, vectors};
use portcullis_log::merkle::generate::{NodeSource, prove_consistency, prove_inclusion, root};
use portcullis_log::merkle::proof::{ProofError, verify_consistency, verify_inclusion};
use portcullis_log::merkle::{Frontier, Hash, empty_root, leaf_hash, node_hash};
use proptest::prelude::*;

/// MTH of RFC 6962, 2.1, word for word.
fn reference_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&reference_root(left), &reference_root(right))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_le_bytes())).collect()
}

fn frontier(leaves: &[Hash]) -> Frontier {
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.append_leaf(leaf));
    tree
}

/// Gives complete subtrees by hashing their leaves again.
struct Leaves(Vec<Hash>);

impl NodeSource for Leaves {
    type Error = (u32, u64);

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, (u32, u64)> {
        let range = (index << level) as usize..((index + 1) << level) as usize;
        self.0.get(range).map(reference_root).ok_or((level, index))
    }
}

#[test]
fn public_inclusion_vectors() {
    let cases = vectors("merkle_inclusion.json");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 98);
    for case in cases {
        let verified = (|| {
            let proof = hashes(&case["proof"])?;
            let (index, size) = (case["leafIdx"].as_u64()?, case["treeSize"].as_u64()?);
            let leaf = hash(&case["leafHash"])?;
            verify_inclusion(&leaf, index, size, &proof, &hash(&case["root"])?).ok()
        })();
        let wanted = !case["wantErr"].as_bool().unwrap();
        assert_eq!(
            verified.is_some(),
            wanted,
            "{} {}",
            case["file"],
            case["desc"]
        );
    }
}

#[test]
fn public_consistency_vectors() {
    let cases = vectors("merkle_consistency.json");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 98);
    for case in cases {
        let verified = (|| {
            let proof = hashes(&case["proof"])?;
            let (first, second) = (case["size1"].as_u64()?, case["size2"].as_u64()?);
            let (first_root, second_root) =
                (common::root(&case["root1"])?, common::root(&case["root2"])?);
            verify_consistency(first, second, &proof, &first_root, &second_root).ok()
        })();
        let wanted = !case["wantErr"].as_bool().unwrap();
        assert_eq!(
            verified.is_some(),
            wanted,
            "{} {}",
            case["file"],
            case["desc"]
        );
    }
}

#[test]
fn public_reference_tree() {
    let tree = vectors("rfc6962_reference_tree.json");
    let hex = |value: &serde_json::Value| -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    };
    let roots: Vec<_> = tree["root_hashes_hex_by_size"]
        .as_array()
        .unwrap()
        .iter()
        .map(hex)
        .collect();
    let levels = tree["node_hashes_hex_by_level"].as_array().unwrap();
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root()[..], roots[0][..]);
    let mut completed = 0;
    for (input, root) in tree["leaf_inputs_hex"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&roots[1..])
    {
        frontier.append_leaf_with(&leaf_hash(&hex(input)), |level, index, hash| {
            assert_eq!(hash[..], hex(&levels[level as usize][index as usize])[..]);
            completed += 1;
        });
        assert_eq!(frontier.root()[..], root[..]);
    }
    assert_eq!((frontier.size(), completed), (8, 8 + 4 + 2 + 1));
}

#[test]
fn every_proof_of_every_small_tree() {
    const LARGEST: u64 = 40;
    let mut source = Leaves(leaves(LARGEST));
    for size in 1..=LARGEST {
        let tree = source.0[..size as usize].to_vec();
        let tree_root = reference_root(&tree);
        assert_eq!(frontier(&tree).root(), tree_root);
        assert_eq!(root(&mut source, size), Ok(tree_root));
        for index in 0..size {
            let proof = prove_inclusion(&mut source, index, size).unwrap().unwrap();
            let leaf = &tree[index as usize];
            assert_eq!(
                verify_inclusion(leaf, index, size, proof.hashes(), &tree_root),
                Ok(())
            );
        }
        for first in 1..=size {
            let earlier = reference_root(&tree[..first as usize]);
            let proof = prove_consistency(&mut source, first, size)
                .unwrap()
                .unwrap();
            let verified = verify_consistency(first, size, proof.hashes(), &earlier, &tree_root);
            assert_eq!(verified, Ok(()), "{first} of {size}");
        }
        assert_eq!(prove_inclusion(&mut source, size, size), Ok(None));
        assert_eq!(prove_consistency(&mut source, 0, size), Ok(None));
        assert_eq!(prove_consistency(&mut source, size + 1, size), Ok(None));
    }
    assert_eq!(root(&mut source, 0), Ok(empty_root()));
}

#[test]
fn a_source_that_fails_fails_the_proof() {
    let mut source = Leaves(leaves(4));
    assert_eq!(prove_inclusion(&mut source, 0, 8), Err((2, 1)));
}

#[test]
fn the_largest_trees_are_handled() {
    let all = [[7; 32]; 65];
    for size in [u64::MAX, 1 << 63, (1 << 63) + 1] {
        for index in [0, 1, size / 2, size - 1, size] {
            for length in [0, 1, 63, 64, 65] {
                let proof = &all[..length];
                assert!(verify_inclusion(&[1; 32], index, size, proof, &[2; 32]).is_err());
                assert!(verify_consistency(index, size, proof, &[1; 32], &[2; 32]).is_err());
            }
        }
    }
    assert_eq!(
        verify_inclusion(&[1; 32], 5, 5, &[], &[2; 32]),
        Err(ProofError::Index { index: 5, size: 5 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_proof_is_refused(
        size in 2_u64..200, at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(),
        bit in 0_usize..256,
    ) {
        let mut source = Leaves(leaves(size));
        let root = frontier(&source.0).root();
        let index = at.index(size as usize) as u64;
        let leaf = source.0[index as usize];
        let mut proof = prove_inclusion(&mut source, index, size).unwrap().unwrap().hashes().to_vec();
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root).is_ok());
        prop_assert!(verify_inclusion(&leaf, index ^ 1, size, &proof, &root).is_err());
        let changed = which.index(proof.len());
        proof[changed][bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Err(ProofError::Root));
    }

    #[test]
    fn a_history_that_was_changed_is_not_consistent(
        size in 2_u64..200, at in any::<prop::sample::Index>(), first in any::<prop::sample::Index>(),
    ) {
        let honest = leaves(size);
        let first = first.index(size as usize - 1) as u64 + 1;
        let earlier = frontier(&honest[..first as usize]).root();
        let mut source = Leaves(honest);
        let changed = at.index(first as usize);
        source.0[changed] = [9; 32];
        let root = frontier(&source.0).root();
        let proof = prove_consistency(&mut source, first, size).unwrap().unwrap();
        let verified = verify_consistency(first, size, proof.hashes(), &earlier, &root);
        prop_assert_eq!(verified, Err(ProofError::Root));
    }
}

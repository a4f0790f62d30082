//! The Merkle tree beside the `ct-merkle` crate, on the same leaves.
//!
//! Both keep every node in memory: ours is the tree that `portcullis log prove` collects. The
//! ledger itself keeps less (see `ledger.rs`); what it does for an append is measured too.

use std::hint::black_box;
use std::time::Instant;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use portcullis_audit::proof::Hashes;
use portcullis_fsck::Records;
use portcullis_log::merkle::Frontier;
use sha2::Sha256;

use crate::Line;
use crate::ledger::{RECORD, record};

/// Leaves: not a power of two, so that the tree's right edge is as ragged as any.
const LEAVES: u64 = 1_000_000;
/// Proofs of each round, over the whole tree: few, so that a round is over before somebody else
/// wants the processor.
const PROOFS: u64 = 5_000;
/// Rounds of appending, and of proving; the quickest of each kind counts, since noise only ever adds.
const APPENDING: usize = 3;
const PROVING: usize = 60;

pub(crate) fn measure() -> Vec<Line> {
    let [their_append, our_append, ledger_append] = quickest(APPENDING, || {
        [timed(their_tree).1, timed(our_tree).1, timed(ledger_tree).1]
    });
    let (theirs, mut ours) = (their_tree(), our_tree());
    let index = 123_456;
    let proof = ours.inclusion(index, LEAVES).expect("it is in the tree");
    let their_proof = theirs.prove_inclusion(index as usize);
    assert_eq!(proof.as_flattened(), their_proof.as_bytes());
    let [their_proofs, our_proofs] = quickest(PROVING, || {
        let their_proofs = || {
            for index in indices() {
                black_box(theirs.prove_inclusion(index as usize));
            }
        };
        let our_proofs = || {
            for index in indices() {
                black_box(ours.inclusion(index, LEAVES));
            }
        };
        [timed(their_proofs).1, timed(our_proofs).1]
    });
    let line = |name, value| Line {
        name,
        value,
        unit: "times",
        bar: ">= 1",
        holds: value >= 1.0,
    };
    vec![
        line(
            "Merkle append, all nodes kept, as fast as ct-merkle",
            their_append / our_append,
        ),
        line(
            "Merkle append as the ledger does it, as fast as ct-merkle",
            their_append / ledger_append,
        ),
        line(
            "inclusion proof, as fast as ct-merkle",
            their_proofs / our_proofs,
        ),
    ]
}

/// The least of each kind over all rounds, which take turns.
fn quickest<const KINDS: usize>(
    rounds: usize,
    mut round: impl FnMut() -> [f64; KINDS],
) -> [f64; KINDS] {
    let mut best = [f64::INFINITY; KINDS];
    for _ in 0..rounds {
        for (best, time) in best.iter_mut().zip(round()) {
            *best = best.min(time);
        }
    }
    best
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed().as_secs_f64())
}

/// Spread over the tree, and the same for both.
fn indices() -> impl Iterator<Item = u64> {
    (0..PROOFS).map(|n| n * 7_919 % LEAVES)
}

fn their_tree() -> MemoryBackedTree<Sha256, [u8; RECORD]> {
    let mut tree = MemoryBackedTree::new();
    (0..LEAVES).for_each(|number| tree.push(record(number)));
    tree
}

fn our_tree() -> Hashes {
    let mut tree = Hashes::new(None);
    let mut payload = [0; 2 + RECORD];
    payload[..2].copy_from_slice(&(RECORD as u16).to_le_bytes());
    for number in 0..LEAVES {
        payload[2..].copy_from_slice(&record(number));
        tree.records(Records::new(number, &payload));
    }
    tree
}

fn ledger_tree() -> Frontier {
    let mut tree = Frontier::new();
    for number in 0..LEAVES {
        tree.append(&record(number));
    }
    black_box(tree.root());
    tree
}

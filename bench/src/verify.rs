//! `log verify` of a large grant log, beside hashing the same records and nodes with sha2 alone.

use std::hint::black_box;
use std::io::Cursor;
use std::time::{Duration, Instant};

use portcullis_audit::policies::Policies;
use portcullis_audit::verify::verify;
use portcullis_fsck::{Keys, Verdict, Which, read_blocks};
use portcullis_kernel::{Generation, Grant, MethodSet, Mode};
use portcullis_log::block::{Footer, LogId, LogKind, Records};
use portcullis_log::builder::{Builder, PushError, Tip};
use portcullis_log::merkle::Frontier;
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record, Time};
use sha2::{Digest, Sha256};

use crate::Line;

const RECORDS: u64 = 1_000_000;
/// Grants that are issued and revoked in turn.
const GRANTS: u64 = 1_000;
/// Times that both sides are measured, in turn; the best of each counts.
const ROUNDS: usize = 5;

const KIND: LogKind = LogKind::Grants;
const LOG: LogId = LogId([5; 16]);

/// Measures it.
pub(crate) fn measure() -> Vec<Line> {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let records = encoded();
    let disk = write(&records, &key);
    let (mut hashing, mut verifying) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        hashing = hashing.min(time(|| hash_alone(&records)));
        verifying = verifying.min(time(|| verify_all(&disk, &key.verifying_key())));
    }
    let value = hashing.as_secs_f64() / verifying.as_secs_f64();
    vec![
        Line {
            name: "log verify, 1,000,000 records, against sha2 alone",
            value,
            unit: "ratio",
            bar: ">= 0.7",
            holds: value >= 0.7,
        },
        Line {
            name: "log verify, 1,000,000 records",
            value: verifying.as_secs_f64(),
            unit: "s",
            bar: "",
            holds: true,
        },
    ]
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// A boot, then grants issued and revoked.
fn record(sequence: u64) -> Record {
    let turn = sequence.saturating_sub(1);
    let (index, round) = (turn % GRANTS, turn / GRANTS);
    let grant = GrantFields {
        // Counted up by each that is issued; a revocation names the one before.
        id: round / 2 * GRANTS + index + 1,
        index: index as u16,
        generation: Generation::new((round / 2) as u16).expect("a thousand rounds"),
        grant: Grant {
            subject: (index % 40) as u16,
            slot: (index / 40) as u16,
            object: 7,
            interface: 2,
            methods: MethodSet(0b10111),
            mode: Mode::Call,
        },
        parent: None,
        lease_ms: None,
    };
    let (operation, grant, cause) = match sequence {
        0 => (
            Operation::Boot,
            None,
            Cause::Load {
                policy: [3; 32],
                system: [4; 32],
                image: [5; 32],
            },
        ),
        _ if round % 2 == 0 => (Operation::Mint, Some(grant), Cause::Policy { line: 120 }),
        _ => (Operation::Revoke, Some(grant), Cause::Policy { line: 120 }),
    };
    Record {
        sequence,
        boot: BootId([0xb0; 16]),
        time: Time {
            monotonic: sequence * 1_000,
            utc: Some(1_700_000_000_000_000_000 + sequence * 1_000),
        },
        policy: 1,
        operation,
        grant,
        cause,
        outcome: Outcome::Done,
    }
}

/// All records, each behind its length.
fn encoded() -> Vec<u8> {
    let mut records = Vec::new();
    for sequence in 0..RECORDS {
        let encoded = record(sequence).encode();
        let bytes = encoded.record();
        records.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        records.extend_from_slice(bytes);
    }
    records
}

/// The log as the ledger writes it under load: commits as large as they can be.
fn write(records: &[u8], key: &ed25519_dalek::SigningKey) -> Vec<u8> {
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let mut tree = Frontier::new();
    let mut disk = Vec::new();
    for record in Records::over(records) {
        match builder.push(record) {
            Ok(_) => {}
            Err(PushError::BlockFull) => {
                disk.extend_from_slice(builder.seal().expect("the block is full"));
                builder
                    .push(record)
                    .expect("an empty block takes any record");
            }
            Err(_) => {
                commit(&mut builder, &tree, &mut disk, key);
                builder
                    .push(record)
                    .expect("an empty block takes any record");
            }
        }
        tree.append(record);
    }
    commit(&mut builder, &tree, &mut disk, key);
    disk
}

fn commit(
    builder: &mut Builder,
    tree: &Frontier,
    disk: &mut Vec<u8>,
    key: &ed25519_dalek::SigningKey,
) {
    let footer = Footer::sign(KIND, LOG, tree.size(), &tree.root(), key);
    disk.extend_from_slice(builder.commit(footer).expect("there are records"));
    builder.next_block();
}

fn verify_all(disk: &[u8], key: &ed25519_dalek::VerifyingKey) {
    let keys = Keys::new(*key, [0; 32]);
    let which = Which {
        kind: KIND,
        keys: &keys,
        in_use: false,
    };
    let report = verify((KIND, LOG), &Policies::default(), |sink| {
        read_blocks(&mut Cursor::new(disk), LOG, which, sink).expect("memory is read")
    });
    assert!(
        report.verdict == Verdict::HoldsInPart && report.summary.records == RECORDS,
        "{:?}",
        report.findings
    );
}

/// One hash a record, and one for every inner node: as many as the tree has leaves, less one.
fn hash_alone(records: &[u8]) {
    let mut left = [0; 32];
    for record in Records::over(records) {
        let leaf = Sha256::new()
            .chain_update([0])
            .chain_update(record)
            .finalize();
        let node = Sha256::new()
            .chain_update([1])
            .chain_update(left)
            .chain_update(leaf)
            .finalize();
        left = node.into();
    }
    black_box(left);
}

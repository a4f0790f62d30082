//! Prints the test vectors of the log's formats, as they stand in `vectors/log.json`.
//!
//!     cargo run -p portcullis-log --example vectors > log/vectors/log.json

use ed25519_dalek::SigningKey;
use portcullis_kernel::{Behind, Fault, Generation, Grant, MethodSet, Mode, Principal};
use portcullis_log::block::{Footer, LogId, LogKind, Part};
use portcullis_log::builder::{Builder, Tip};
use portcullis_log::checkpoint::{origin, text};
use portcullis_log::merkle::Frontier;
use portcullis_log::note::{self, Verifier};
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record, Time};
use serde_json::{Value, json};

fn main() {
    println!("{:#}", vectors());
}

/// A seed, an id, records; what they encode, hash, sign and pack to.
pub(crate) fn vectors() -> Value {
    let key = SigningKey::from_bytes(&[0x42; 32]);
    let (kind, log) = (LogKind::Grants, LogId([0xab; 16]));
    let mut builder = Builder::new(Tip::empty(kind, log));
    let mut tree = Frontier::new();
    let mut records = Vec::new();
    for record in samples() {
        let encoded = record.encode();
        let bytes = encoded.record();
        let leaf = tree.append(bytes);
        builder.push(bytes).expect("they fit one block");
        records.push(json!({
            "record": format!("{record:?}"),
            "bytes": hex(bytes),
            "leaf_hash": hex(&leaf),
            "root_after": hex(&tree.root()),
        }));
    }
    let (size, root) = (tree.size(), tree.root());
    let footer = Footer::sign(kind, log, size, &root, &key);
    let name = origin(kind, log);
    let text = text(kind, log, size, &root);
    let mut note = format!("{text}\n");
    note::sign(&mut note, &text, &name, &key).expect("a String takes any text");
    let verifier = Verifier::new(&name, key.verifying_key()).expect("an origin is a sound name");
    let block = builder.commit(footer).expect("there are records");
    let length = Part::read(block).expect("it is one").length();
    json!({
        "seed": hex(&key.to_bytes()),
        "log": hex(&log.0),
        "records": records,
        "verifier_key": verifier.to_string(),
        "checkpoint": note,
        "block_header": hex(&block[..88]),
        "block_footer": hex(&block[length - 104..length]),
    })
}

/// One record of each shape.
fn samples() -> Vec<Record> {
    let grant = GrantFields {
        id: 1 << 40,
        index: 300,
        generation: Generation::new(2).expect("below the last"),
        grant: Grant {
            subject: 3,
            slot: 130,
            object: 5,
            interface: 1,
            methods: MethodSet(0x8000_0005),
            mode: Mode::Call,
        },
        parent: None,
        lease_ms: None,
    };
    let leased = GrantFields {
        grant: Grant {
            mode: Mode::Notify,
            ..grant.grant
        },
        parent: Some(1 << 33),
        lease_ms: Some(60_000),
        ..grant
    };
    let load = Cause::Load {
        policy: [0xcd; 32],
        system: [0xce; 32],
        image: [0xcf; 32],
    };
    let by = Principal::component(3);
    let asked = |line| Cause::Request { by, line };
    let for_key = Principal {
        behind: Some(Behind::Key([0xe0; 32])),
        ..by
    };
    let fault = |fault| Cause::Fault {
        component: 4,
        fault,
    };
    let [ip, address] = [0x20_0134, u64::MAX];
    [
        (Operation::Boot, None, load, Outcome::Done),
        (
            Operation::Mint,
            Some(grant),
            Cause::Policy { line: 128 },
            Outcome::Done,
        ),
        (
            Operation::Copy,
            Some(leased),
            asked(Some(64)),
            Outcome::Unavailable,
        ),
        (Operation::Deny, None, asked(None), Outcome::NotPermitted),
        (Operation::Deny, None, asked(Some(12)), Outcome::Forbidden),
        (
            Operation::Mint,
            Some(grant),
            Cause::Request {
                by: for_key,
                line: Some(65),
            },
            Outcome::Done,
        ),
        (
            Operation::Fault,
            None,
            fault(Fault::VmFault {
                ip,
                address,
                instruction: false,
                status: 0x9200_0046,
            }),
            Outcome::Done,
        ),
        (
            Operation::Fault,
            None,
            fault(Fault::CapFault {
                ip,
                pointer: address,
                receiving: true,
                lookup: 4,
            }),
            Outcome::Done,
        ),
        (
            Operation::Fault,
            None,
            fault(Fault::UnknownSyscall { ip, number: 1_000 }),
            Outcome::Done,
        ),
        (
            Operation::Fault,
            None,
            fault(Fault::Timeout {
                data: 0,
                consumed: 1_000,
            }),
            Outcome::Done,
        ),
        (
            Operation::Fault,
            None,
            fault(Fault::Other { label: 8 }),
            Outcome::Done,
        ),
        (
            Operation::Revoke,
            Some(grant),
            fault(Fault::UserException {
                ip,
                number: 2,
                code: 0,
            }),
            Outcome::Error(2),
        ),
        (
            Operation::Seal,
            None,
            Cause::Complete { grants: 1 },
            Outcome::Done,
        ),
    ]
    .into_iter()
    .zip(0..)
    .map(|((operation, grant, cause, outcome), sequence)| Record {
        sequence,
        boot: BootId([0x77; 16]),
        time: Time {
            monotonic: 1_000_000 + sequence,
            utc: (sequence > 1).then_some(1_700_000_000_000_000_000 + sequence),
        },
        policy: 7,
        operation,
        grant,
        cause,
        outcome,
    })
    .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

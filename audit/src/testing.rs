//! State directories for tests: a disk with logs, keys, policies, checkpoints.

use std::fs;
use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_blk::api::Area;
use portcullis_blk::testing::FaultyDisk;
use portcullis_blk::{BLOCK, Driver, Header, MIN_BLOCKS, initialise};
use portcullis_kernel::{Generation, Grant, MethodSet, Mode, Principal};
use portcullis_log::block::{BLOCK_SIZE, Footer, LogId, LogKind};
use portcullis_log::builder::{Builder, PushError, Tip};
use portcullis_log::checkpoint::origin;
use portcullis_log::merkle::Frontier;
use portcullis_log::note::Verifier;
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record, Time};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{
    AllowedGrant, Component, Domain, Interface, InterfaceMethod, OnFault, Tail, When,
};

use crate::policies::PolicyTable;
use crate::verify::checkpoint_note;

/// The id of the sample's disk and logs.
pub const LOG: LogId = LogId([0x5a; 16]);
/// Blocks of the sample's disk: append regions of ten blocks or so, read in no time.
pub const BLOCKS: u64 = MIN_BLOCKS + 32;

/// The key that signs the sample's checkpoints.
pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[0x11; 32])
}

/// A compiled policy of three components and five grants: three of the boot, one on request, and one
/// that `ingest` may delegate to the manager.
pub fn policy() -> Vec<u8> {
    policy_without(4, None)
}

/// That policy as this version, without the grant of this subject and slot.
pub fn policy_without(version: u32, taken: Option<(u16, u16)>) -> Vec<u8> {
    let method = |number| portcullis_kernel::Method::new(number).expect("below 32");
    let named = |number, name| InterfaceMethod {
        interface: 0,
        method: method(number),
        name,
    };
    let component = |name, channel| Component {
        name,
        domain: 0,
        channel,
        on_fault: OnFault::Stop,
    };
    let allowed = |subject, slot, line| AllowedGrant {
        grant: grant(0, subject, slot).grant,
        notification: None,
        when: When::Boot,
        lease_ms: None,
        line,
    };
    let draft = Draft {
        name: "sample",
        version,
        domains: [Domain { name: "inner" }].into(),
        interfaces: [Interface { name: "worm" }].into(),
        methods: [named(0, "append"), named(1, "read")].into(),
        components: [
            component("manager", None),
            component("ingest", Some(3)),
            component("ledger", Some(4)),
        ]
        .into(),
        flows: [].into(),
        nevers: [].into(),
        grants: [
            allowed(0, 1, 30),
            AllowedGrant {
                when: When::Delegated(1),
                ..allowed(0, 2, 70)
            },
            allowed(1, 1, 40),
            allowed(1, 2, 50),
            AllowedGrant {
                when: When::Request,
                ..allowed(2, 1, 60)
            },
        ]
        .into_iter()
        .filter(|it| taken != Some((it.grant.subject, it.grant.slot)))
        .collect(),
        tail: Tail::default(),
    };
    draft.sign(&SigningKey::from_bytes(&[0x22; 32]))
}

/// One of the policy's grants: its subject and slot, as grant number `index`.
pub fn grant(index: u16, subject: u16, slot: u16) -> GrantFields {
    GrantFields {
        id: u64::from(index) + 1,
        index,
        generation: Generation::default(),
        grant: Grant {
            subject,
            slot,
            object: 2,
            interface: 0,
            methods: MethodSet(0b11),
            mode: Mode::Call,
        },
        parent: None,
        lease_ms: None,
    }
}

/// The records of a boot in which all went well: three grants, one taken back, one request denied.
pub fn boot(number: u8) -> Vec<Record> {
    let sha256 = PolicyTable::read(&policy())
        .expect("the sample policy is sound")
        .sha256;
    let load = Cause::Load {
        policy: sha256,
        system: [0; 32],
        image: [0; 32],
    };
    let by = |line| Cause::Policy { line };
    let by_one = Principal::component(1);
    let asked = |line| Cause::Request { by: by_one, line };
    let done = Outcome::Done;
    [
        (Operation::Boot, None, load, done),
        (Operation::Mint, Some(grant(0, 0, 1)), by(30), done),
        (Operation::Mint, Some(grant(1, 1, 1)), by(40), done),
        (Operation::Mint, Some(grant(2, 1, 2)), by(50), done),
        (Operation::Seal, None, Cause::Complete { grants: 3 }, done),
        (
            Operation::Deny,
            Some(grant(0, 1, 2)),
            asked(None),
            Outcome::NotPermitted,
        ),
        (
            Operation::Revoke,
            Some(grant(2, 1, 2)),
            asked(Some(50)),
            done,
        ),
    ]
    .into_iter()
    .zip(0..)
    .map(|((operation, grant, cause, outcome), sequence)| Record {
        sequence,
        boot: BootId([number; 16]),
        time: Time {
            monotonic: sequence,
            utc: Some(1_700_000_000_000_000_000 + 60_000_000_000 * u64::from(number) + sequence),
        },
        policy: 4,
        operation,
        grant,
        cause,
        outcome,
    })
    .collect()
}

/// The bytes of records.
pub fn encoded(records: &[Record]) -> Vec<Vec<u8>> {
    records
        .iter()
        .map(|record| record.encode().record().to_vec())
        .collect()
}

/// The blocks of a log of these commits, each of which has its own, and its tree head.
pub fn blocks(kind: LogKind, commits: &[Vec<Vec<u8>>]) -> (Vec<[u8; BLOCK_SIZE]>, Option<Footer>) {
    let mut builder = Builder::new(Tip::empty(kind, LOG));
    let mut tree = Frontier::new();
    let mut blocks = Vec::new();
    let mut head = None;
    for records in commits {
        builder.next_block();
        for record in records {
            if builder.push(record) == Err(PushError::BlockFull) {
                blocks.push(*builder.seal().expect("the block is full"));
                builder
                    .push(record)
                    .expect("an empty block takes any record");
            }
            tree.append(record);
        }
        let footer = Footer::sign(kind, LOG, tree.size(), &tree.root(), &key());
        blocks.push(*builder.commit(footer).expect("there are records"));
        head = Some(footer);
    }
    (blocks, head)
}

/// Writes a state directory: a disk with these blocks, the keys, the policy and, where there are
/// tree heads, the checkpoints.
pub fn write_state(
    directory: &Path,
    grants: &[[u8; BLOCK_SIZE]],
    worm: &[[u8; BLOCK_SIZE]],
    heads: &[(LogKind, Footer)],
) {
    // The grant log has a sixteenth of a disk at least.
    let size = BLOCKS.max(16 * grants.len() as u64);
    let header = Header::new(size, LOG.0).expect("the disk is large enough");
    let mut disk = FaultyDisk::new(size);
    initialise(&mut disk, &header).expect("nothing is to go wrong with the disk");
    let mut driver = Driver::new(disk);
    driver.open(&mut [0; BLOCK]).expect("the disk was made");
    for (area, blocks) in [(Area::Grants, grants), (Area::Worm, worm)] {
        let written = driver.write(area, 0, blocks.as_flattened());
        written.expect("the blocks fit their region, and hold something");
    }
    driver
        .flush()
        .expect("nothing is to go wrong with the disk");
    let verifying = key().verifying_key();
    let keys: Vec<String> = [LogKind::Grants, LogKind::Worm]
        .map(|kind| {
            let origin = origin(kind, LOG);
            let verifier = Verifier::new(&origin, verifying).expect("an origin is a sound name");
            format!("{verifier}\n")
        })
        .into();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(directory.join(name), bytes).expect("the test's folder can be written");
    };
    fs::create_dir_all(directory.join("policies")).expect("the test's folder can be written");
    write("disk.img", driver.disk_mut().bytes_mut());
    write("ledger.vkey", keys.concat().as_bytes());
    write("policies/sample.policy", &policy());
    for (kind, head) in heads {
        let note = checkpoint_note(*kind, LOG, head, &verifying);
        write(&format!("{}.checkpoint", kind.name()), note.as_bytes());
    }
}

/// A state directory of two boots in three commits, and a ledger of three entries.
pub fn write_sample(directory: &Path) {
    let (first, second) = (encoded(&boot(1)), encoded(&boot(2)));
    let (one, two) = first.split_at(5);
    let (grants, grants_head) = blocks(
        LogKind::Grants,
        &[one.to_vec(), two.to_vec(), second.clone()],
    );
    let entries = vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    let (worm, worm_head) = blocks(LogKind::Worm, &[entries]);
    let heads: Vec<_> = [(LogKind::Grants, grants_head), (LogKind::Worm, worm_head)]
        .into_iter()
        .filter_map(|(kind, head)| Some((kind, head?)))
        .collect();
    write_state(directory, &grants, &worm, &heads);
}

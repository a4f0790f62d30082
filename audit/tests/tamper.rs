//! Every way to change a small log, one after another: each is found.

use std::io::Cursor;

use ed25519_dalek::VerifyingKey;
use portcullis_audit::policies::{Policies, PolicyTable};
use portcullis_audit::replay::Replay;
use portcullis_audit::testing::{LOG, blocks, boot, encoded, grant, key, policy, policy_without};
use portcullis_audit::verify::{Report, verify};
use portcullis_fsck::{
    At, Finding, Keys, Place, Region, Severity, Verdict, What, Which, read_blocks,
};
use portcullis_kernel::Principal;
use portcullis_log::block::{BLOCK_SIZE, Footer, LogKind, Part, SECTOR};
use portcullis_log::builder::{Builder, Tip};
use portcullis_log::merkle::{Frontier, Hash};
use portcullis_log::record::OPERATION;
use portcullis_log::{BootId, Cause, Operation, Outcome, Record, Time};

const KIND: LogKind = LogKind::Grants;

type Disk = Vec<[u8; BLOCK_SIZE]>;

/// A place in the log: a block of its region, a record, all of it.
fn block(number: u64) -> Place {
    Place::new(Region::Grants, At::Block(number))
}

fn record(index: u64) -> Place {
    Place::new(Region::Grants, At::Record(index))
}

const WHOLE: Place = Place::new(Region::Grants, At::Whole);

fn audit(disk: &[[u8; BLOCK_SIZE]], checkpoints: &[(u64, Hash)]) -> Report {
    audit_with(disk, checkpoints, &key().verifying_key())
}

fn audit_with(
    disk: &[[u8; BLOCK_SIZE]],
    checkpoints: &[(u64, Hash)],
    key: &VerifyingKey,
) -> Report {
    let mut policies = Policies::default();
    policies.add(PolicyTable::read(&policy()).unwrap());
    let mut keys = Keys::new(*key, [0; 32]);
    let checkpoints = checkpoints.iter();
    let checkpoints = checkpoints.map(|(size, root)| (KIND, *size, *root).into());
    keys.checkpoints = checkpoints.collect();
    audit_against(disk, &keys, &policies)
}

fn audit_against(disk: &[[u8; BLOCK_SIZE]], keys: &Keys, policies: &Policies) -> Report {
    let which = Which {
        kind: KIND,
        keys,
        in_use: false,
    };
    verify((KIND, LOG), policies, |sink| {
        read_blocks(&mut Cursor::new(disk.as_flattened()), LOG, which, sink).unwrap()
    })
}

fn violations(report: &Report) -> Vec<(Place, String)> {
    let findings = report
        .findings
        .iter()
        .filter(|finding| finding.is_violation());
    findings
        .map(|finding| (finding.place, finding.what.to_string()))
        .collect()
}

/// Four commits: a boot in two, another in one of several blocks, its end.
fn sample() -> (Vec<Vec<Vec<u8>>>, Disk, Footer) {
    let (first, mut second) = (encoded(&boot(1)), boot(2));
    for sequence in 7..200 {
        second.push(Record {
            sequence,
            time: Time {
                monotonic: sequence,
                utc: second[6].time.utc.map(|it| it + sequence),
            },
            ..second[5]
        });
    }
    let second = encoded(&second);
    let commits = vec![
        first[..4].to_vec(),
        first[4..].to_vec(),
        second[..190].to_vec(),
        second[190..].to_vec(),
    ];
    let (disk, head) = blocks(KIND, &commits);
    (commits, disk, head.unwrap())
}

fn checkpoint(head: &Footer) -> [(u64, Hash); 1] {
    [(head.tree_size.get(), head.root)]
}

#[test]
fn an_honest_log_holds() {
    let (_, disk, head) = sample();
    let report = audit(&disk, &checkpoint(&head));
    assert_eq!(report.findings, []);
    assert!(report.holds);
    assert_eq!(
        (
            report.summary.records,
            report.summary.commits,
            report.grants_in_force
        ),
        (207, 4, 2)
    );
    assert_eq!(report.boots.len(), 2);
    assert_eq!((report.boots[0].records, report.boots[0].denials), (7, 1));
    assert!(disk.len() > 4, "a commit has several blocks");
}

#[test]
fn an_empty_log_holds() {
    assert!(audit(&[], &[]).holds);
    assert!(audit(&vec![[0; BLOCK_SIZE]; 3], &[]).holds);
}

#[test]
fn every_changed_byte_is_found() {
    let records = encoded(&boot(1));
    let (disk, head) = blocks(KIND, &[records[..5].to_vec(), records[5..].to_vec()]);
    let checkpoints = checkpoint(&head.unwrap());
    for block in 0..disk.len() {
        for byte in 0..BLOCK_SIZE {
            let mut changed = disk.clone();
            changed[block][byte] ^= 1 << (byte % 8);
            let report = audit(&changed, &checkpoints);
            let place = self::block(block as u64);
            let found = violations(&report).iter().any(|(at, _)| *at == place);
            // Behind the end, and a sector of zeros: as a commit that was cut off.
            let end = Part::all(&disk[block])
                .map(|part| part.length())
                .sum::<usize>();
            let noted = report.findings.iter().any(|it| it.place == place);
            let is_last = block + 1 == disk.len();
            let is_excused = is_last && byte >= end + SECTOR && noted;
            assert!(
                !report.holds && found || is_excused,
                "block {block}, byte {byte}"
            );
        }
    }
}

/// The chain alone, without a checkpoint, finds a change in any commit but the last.
#[test]
fn a_change_before_the_last_commit_is_found_without_a_checkpoint() {
    let (_, disk, _) = sample();
    for block in 0..disk.len() - 1 {
        for byte in (0..BLOCK_SIZE).step_by(97) {
            let mut changed = disk.clone();
            changed[block][byte] ^= 0x10;
            assert!(!audit(&changed, &[]).holds, "block {block}, byte {byte}");
        }
    }
}

#[test]
fn every_dropped_block_is_found() {
    let (_, disk, head) = sample();
    for block in 0..disk.len() {
        let mut voided = disk.clone();
        voided[block] = [0; BLOCK_SIZE];
        assert!(
            !audit(&voided, &checkpoint(&head)).holds,
            "block {block} void"
        );
        let mut closed = disk.clone();
        closed.remove(block);
        assert!(
            !audit(&closed, &checkpoint(&head)).holds,
            "block {block} removed"
        );
    }
}

#[test]
fn every_swapped_pair_of_blocks_is_found() {
    let (_, disk, head) = sample();
    for first in 0..disk.len() {
        for second in 0..first {
            let mut changed = disk.clone();
            changed.swap(first, second);
            let report = audit(&changed, &checkpoint(&head));
            assert!(!report.holds, "{first} and {second}");
            assert!(
                report
                    .findings
                    .iter()
                    .any(|it| it.place == block(second as u64))
            );
        }
    }
}

#[test]
fn every_truncation_is_found_against_a_checkpoint() {
    let (_, disk, head) = sample();
    for length in 0..disk.len() {
        let report = audit(&disk[..length], &checkpoint(&head));
        let last = violations(&report).pop().unwrap();
        assert_eq!(last.0, WHOLE);
        assert!(last.1.ends_with("was signed for 207"), "{}", last.1);
    }
}

#[test]
fn truncation_to_a_commit_is_not_found_without_a_checkpoint() {
    // No log can tell by itself. The documents say so; this test keeps them true.
    let (_, disk, _) = sample();
    assert!(audit(&disk[..2], &[]).holds);
}

/// Somebody without the key writes the log anew, with all else in order.
#[test]
fn every_forged_record_is_found() {
    let (commits, disk, _) = sample();
    for commit in 0..commits.len() {
        for record in (0..commits[commit].len()).step_by(17) {
            let mut changed = commits.clone();
            let last = changed[commit][record].len() - 1;
            changed[commit][record][last] ^= 1;
            assert_forgery_is_found(&changed, &disk);
            let mut dropped = commits.clone();
            dropped[commit].remove(record);
            assert_forgery_is_found(&dropped, &disk);
            if record + 1 < commits[commit].len() {
                let mut swapped = commits.clone();
                swapped[commit].swap(record, record + 1);
                assert_forgery_is_found(&swapped, &disk);
            }
            let mut twice = commits.clone();
            twice[commit].insert(record, commits[commit][record].clone());
            assert_forgery_is_found(&twice, &disk);
        }
    }
}

fn assert_forgery_is_found(forged: &[Vec<Vec<u8>>], disk: &Disk) {
    let honest = footers(disk);
    let mut builder = Builder::new(Tip::empty(KIND, LOG));
    let mut blocks = Disk::new();
    for (records, footer) in forged.iter().zip(honest) {
        builder.next_block();
        for record in records {
            if builder.push(record).is_err() {
                blocks.push(*builder.seal().unwrap());
                builder.push(record).unwrap();
            }
        }
        blocks.push(*builder.commit(footer).unwrap());
    }
    assert!(!audit(&blocks, &[]).holds);
}

fn footers(disk: &Disk) -> Vec<Footer> {
    let blocks = disk.iter().map(|block| Part::read(block).unwrap());
    blocks.filter_map(|block| block.footer().copied()).collect()
}

#[test]
fn another_key_is_found() {
    let (_, disk, _) = sample();
    let other = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
    let report = audit_with(&disk, &[], &other);
    assert_eq!(violations(&report).len(), 4, "one a commit");
}

#[test]
fn a_rewritten_history_is_found_against_a_checkpoint() {
    // The key's owner rewrites the log: everything in it is in order, and only the checkpoint knows.
    let (mut commits, _, head) = sample();
    commits[3].truncate(5);
    let (disk, _) = blocks(KIND, &commits);
    assert!(audit(&disk, &[]).holds);
    assert!(!audit(&disk, &checkpoint(&head)).holds);
    let (commits, _, _) = sample();
    let mut tree = Frontier::new();
    commits.concat().iter().take(9).for_each(|record| {
        tree.append(record);
    });
    let (disk, _) = blocks(KIND, &commits);
    assert!(
        audit(&disk, &[(9, tree.root())]).holds,
        "a checkpoint within a commit"
    );
    let report = audit(&disk, &[(9, [1; 32])]);
    assert_eq!(violations(&report)[0].0, WHOLE);
}

#[test]
fn what_a_power_cut_leaves_is_a_note() {
    let (_, mut disk, head) = sample();
    let unfinished = disk[2];
    disk.truncate(2);
    disk.push(unfinished);
    let mut torn = unfinished;
    torn[2048..].fill(0);
    disk.push(torn);
    let report = audit(&disk, &[]);
    assert!(report.holds, "{:?}", report.findings);
    let places: Vec<_> = report
        .findings
        .iter()
        .map(|it| (it.place, it.severity))
        .collect();
    assert_eq!(places, [2, 3].map(|number| (block(number), Severity::Note)));
    // The same two blocks, where a checkpoint says that more was there, are the cause.
    assert_eq!(violations(&audit(&disk, &checkpoint(&head))).len(), 3);
}

/// Two records; then the next two, and in their place `again`, up to which the log goes on.
fn written_again(records: &[Vec<u8>], again: &[Vec<u8>]) -> Disk {
    let mut disk = Disk::new();
    let mut put = |tree: &Frontier, records: &[Vec<u8>]| {
        let mut builder = Builder::new(Tip::new(KIND, LOG, disk.len() as u64, tree));
        let mut tree = tree.clone();
        for record in records {
            builder.push(record).unwrap();
            tree.append(record);
        }
        let footer = Footer::sign(KIND, LOG, tree.size(), &tree.root(), &key());
        disk.push(*builder.commit(footer).unwrap());
        tree
    };
    let base = put(&Frontier::new(), &records[..2]);
    put(&base, &records[2..4]);
    put(&base, again);
    disk
}

#[test]
fn a_commit_written_again_is_nothing_and_with_other_records_a_violation() {
    let records = encoded(&boot(1));
    for (again, findings, holds) in [
        (&records[2..4], 0, true),
        (&records[2..6], 1, true),
        (&records[3..7], 1, false),
    ] {
        let report = audit(&written_again(&records, again), &[]);
        assert_eq!(report.holds, holds, "{:?}", report.findings);
        assert_eq!(report.summary.records, 2 + again.len() as u64);
        assert_eq!(report.summary.commits, 2);
        let of_the_first = report.findings.iter();
        let of_the_first = of_the_first.filter(|it| it.place == block(1));
        assert_eq!(of_the_first.count(), findings);
    }
}

/// The writer went on, was interrupted, and wrote its last commit again: the interrupted one, whole or
/// torn, is not of the log.
#[test]
fn what_lies_between_a_commit_and_its_copy_is_not_of_the_log() {
    let records = encoded(&boot(1));
    let mut disk = written_again(&records, &records[2..4]);
    let copy = disk.pop().unwrap();
    let mut tree = Frontier::new();
    for record in &records[..4] {
        tree.append(record);
    }
    let mut builder = Builder::new(Tip::new(KIND, LOG, 2, &tree));
    builder.push(&records[5]).unwrap();
    disk.push(*builder.seal().unwrap());
    let mut base = Frontier::new();
    for record in &records[..2] {
        base.append(record);
    }
    let mut builder = Builder::new(Tip::new(KIND, LOG, 3, &base));
    for record in &records[2..4] {
        builder.push(record).unwrap();
    }
    let footer = *Part::read(&copy).unwrap().footer().unwrap();
    disk.push(*builder.commit(footer).unwrap());
    builder.next_block();
    builder.push(&records[4]).unwrap();
    tree.append(&records[4]);
    let footer = Footer::sign(KIND, LOG, tree.size(), &tree.root(), &key());
    disk.push(*builder.commit(footer).unwrap());
    let report = audit(&disk, &[(5, tree.root())]);
    assert!(report.holds, "{:?}", report.findings);
    assert_eq!((report.summary.records, report.summary.commits), (5, 3));
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].place, block(2));
}

#[test]
fn blocks_after_the_end_are_not_accepted_in_silence() {
    let (_, mut disk, _) = sample();
    let (stray, _) = blocks(KIND, &[encoded(&boot(9))]);
    disk.resize(disk.len() + 1_000, [0; BLOCK_SIZE]);
    disk.extend(stray);
    let report = audit(&disk, &[]);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].place, block(disk.len() as u64 - 1));
}

/// A log of one commit whose records went wrong: what the replay says of it.
fn replayed(records: &[Record]) -> Vec<String> {
    let (disk, _) = blocks(KIND, &[encoded(records)]);
    violations(&audit(&disk, &[]))
        .into_iter()
        .map(|(place, what)| format!("{place}: {what}").replace("grants, ", ""))
        .collect()
}

#[test]
fn every_wrong_record_is_named() {
    let honest = boot(1);
    let case = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = honest.clone();
        change(&mut records);
        replayed(&records)
    };
    assert_eq!(case(&|_| ()), Vec::<String>::new());
    assert_eq!(
        case(&|it| {
            it.remove(5);
        }),
        ["record 5: the record has number 6, not 5"]
    );
    assert_eq!(
        case(&|it| it[3].time.utc = Some(5)),
        ["record 3: the time, UTC, is 5 ns, after one of 1700000060000000002 ns"]
    );
    assert_eq!(
        case(&|it| it
            .iter_mut()
            .skip(4)
            .for_each(|record| record.boot = BootId([2; 16]))),
        [
            "record 4: the boot does not begin with record 0, a boot's",
            "record 4: 3 grants were sealed, and 0 are in force",
            "record 6: grant 2, generation 0, is not in force",
        ]
    );
    assert_eq!(case(&|it| it[6].boot = BootId([2; 16])).len(), 2);
    assert_eq!(
        case(&|it| it[2].grant = Some(grant(0, 1, 1))),
        [
            "record 2: grant 0 is in force already",
            "record 2: grant id 1 was issued before",
            "record 4: 3 grants were sealed, and 2 are in force"
        ]
    );
    assert_eq!(
        case(&|it| it[3].grant = Some(grant(2, 1, 1))),
        [
            "record 3: the record names line 50 of the policy, and line 40 allows it",
            "record 3: slot 1 already holds grant 1",
        ]
    );
    assert_eq!(
        case(&|it| it[3].grant = Some(grant(2, 2, 2))),
        [
            "record 3: the policy gives ledger nothing in slot 2",
            "record 6: component 1 neither holds grant 2 nor delegated it",
        ]
    );
    assert_eq!(
        case(&|it| it[3].grant.as_mut().unwrap().grant.methods.0 = 0b111),
        ["record 3: the grant's methods goes beyond line 50 of the policy"]
    );
    assert_eq!(
        case(&|it| it[3].grant.as_mut().unwrap().parent = Some(9)),
        [
            "record 3: it has a parent, and line 50 delegates nothing",
            "record 3: the parent, grant id 9, is not in force"
        ]
    );
    assert_eq!(
        case(&|it| it[4].cause = Cause::Complete { grants: 4 }),
        ["record 4: 4 grants were sealed, and 3 are in force"]
    );
    assert_eq!(
        case(&|it| it[5].outcome = Outcome::Done),
        ["record 5: a denial has the outcome done"]
    );
    assert_eq!(
        case(&|it| it[6].grant = Some(grant(7, 1, 2))),
        ["record 6: grant 7, generation 0, is not in force"]
    );
    assert_eq!(
        case(&|it| it[6].cause = asked(2, 50)),
        ["record 6: component 2 neither holds grant 2 nor delegated it"]
    );
    assert_eq!(
        case(&|it| {
            it[6].operation = Operation::Mint;
            it[6].outcome = Outcome::Error(2);
        }),
        Vec::<String>::new(),
        "what did not happen changes nothing"
    );
}

#[test]
fn what_failed_after_it_was_recorded_is_not_in_force() {
    let mut records = boot(1);
    records.truncate(4);
    // The kernel refused the third grant after its record was written.
    records.push(Record {
        outcome: Outcome::Error(8),
        ..records[3]
    });
    records.push(Record {
        operation: Operation::Seal,
        grant: None,
        ..records[0]
    });
    records[5].cause = Cause::Complete { grants: 2 };
    for (record, sequence) in records.iter_mut().zip(0..) {
        (record.sequence, record.time) = (sequence, Time::since_start(sequence));
    }
    assert_eq!(replayed(&records), Vec::<String>::new());
}

/// That `ingest` delegates its grant to the manager, as the sample's policy lets it.
fn delegated() -> Record {
    let grant = portcullis_log::GrantFields {
        parent: Some(2),
        ..grant(3, 0, 2)
    };
    Record {
        operation: Operation::Copy,
        grant: Some(grant),
        cause: asked(1, 70),
        ..boot(1)[3]
    }
}

fn asked(component: u16, line: u32) -> Cause {
    Cause::Request {
        by: Principal::component(component),
        line: Some(line),
    }
}

/// A policy says not only what a grant may be, but when, who asks for it, and whose it derives from.
#[test]
fn a_grant_that_nobody_was_entitled_to_is_found() {
    let case = |change: &dyn Fn(&mut Record), from: &Record| {
        let mut records = boot(1);
        records.truncate(5);
        let mut record = *from;
        change(&mut record);
        records.push(Record {
            sequence: 5,
            time: Time {
                monotonic: 5,
                utc: Some(u64::MAX),
            },
            ..record
        });
        replayed(&records)
    };
    let copy = delegated();
    let request = Record {
        operation: Operation::Mint,
        grant: Some(grant(3, 2, 1)),
        cause: asked(2, 60),
        ..copy
    };
    assert_eq!(case(&|_| (), &copy), Vec::<String>::new());
    assert_eq!(case(&|_| (), &request), Vec::<String>::new());
    let unasked = Cause::Policy { line: 60 };
    assert_eq!(
        case(&|it| it.cause = unasked, &request),
        ["record 5: nobody asked for it, and line 60 issues it when ledger asks"]
    );
    assert_eq!(
        case(&|it| it.cause = asked(1, 60), &request),
        ["record 5: ingest asked for it, and line 60 issues it when ledger asks"]
    );
    assert_eq!(
        case(&|it| it.cause = asked(0, 70), &copy),
        ["record 5: manager asked for it, and line 70 issues it when ingest asks"]
    );
    let from_nothing = |it: &mut Record| {
        it.operation = Operation::Mint;
        it.grant.as_mut().unwrap().parent = None;
    };
    assert_eq!(
        case(&from_nothing, &copy),
        ["record 5: it derives from no grant in force of ingest, which line 70 names"]
    );
    let of_another = |it: &mut Record| it.grant.as_mut().unwrap().parent = Some(1);
    assert_eq!(
        case(&of_another, &copy),
        ["record 5: it derives from no grant in force of ingest, which line 70 names"]
    );
    let mut records = boot(1);
    records[3].cause = asked(1, 50);
    assert_eq!(
        replayed(&records),
        ["record 3: ingest asked for it, and line 50 issues it at boot"]
    );
}

/// What follows the sample's boot, numbered and dated: what the replay says of it.
fn after_boot(more: &[Record]) -> Vec<String> {
    let mut records = boot(1);
    records.truncate(5);
    records.extend(more);
    for (record, sequence) in records.iter_mut().zip(0..) {
        (record.sequence, record.time) = (sequence, Time::since_start(sequence));
    }
    replayed(&records)
}

/// `ledger` asks for its grant, and gets it.
fn requested() -> Record {
    Record {
        operation: Operation::Mint,
        grant: Some(grant(3, 2, 1)),
        cause: asked(2, 60),
        ..boot(1)[3]
    }
}

/// Grants of a component that faulted are revoked before anything else is issued.
#[test]
fn a_fault_that_ends_no_grant_is_found() {
    let fault = portcullis_kernel::Fault::Other { label: 0 };
    let cause = Cause::Fault {
        component: 1,
        fault,
    };
    let faulted = Record {
        operation: Operation::Fault,
        grant: None,
        cause,
        ..boot(1)[3]
    };
    let revoked = |slot, outcome| Record {
        operation: Operation::Revoke,
        grant: Some(grant(slot, 1, slot)),
        cause,
        outcome,
        ..boot(1)[3]
    };
    let (one, other) = (revoked(1, Outcome::Done), revoked(2, Outcome::Done));
    let issued = requested();
    let left =
        |number| format!("record {number}: component 1 faulted, and grant 2 was not revoked");
    assert_eq!(
        after_boot(&[faulted, one, other, issued]),
        Vec::<String>::new()
    );
    assert_eq!(after_boot(&[faulted, one, issued, other]), [left(7)]);
    assert_eq!(
        after_boot(&[faulted, one]),
        Vec::<String>::new(),
        "cut short"
    );
    let denied = Record {
        operation: Operation::Deny,
        outcome: Outcome::NotPermitted,
        cause: asked(2, 60),
        ..faulted
    };
    assert_eq!(
        after_boot(&[faulted, denied, one, other]),
        Vec::<String>::new()
    );
    // What the kernel did not take back stays in force, on record.
    let refused = revoked(2, Outcome::Error(2));
    assert_eq!(
        after_boot(&[faulted, refused, one, issued]),
        Vec::<String>::new()
    );
}

#[test]
fn an_update_that_leaves_what_it_does_not_allow_in_force_is_found() {
    let old = PolicyTable::read(&policy()).unwrap();
    let new = PolicyTable::read(&policy_without(5, Some((1, 2)))).unwrap();
    let cause = Cause::Load {
        policy: new.sha256,
        system: [0; 32],
        image: [0; 32],
    };
    let mut policies = Policies::default();
    policies.add(old);
    policies.add(new);
    let update = Record {
        operation: Operation::Update,
        policy: 5,
        grant: None,
        cause,
        ..boot(1)[3]
    };
    let revoked = Record {
        operation: Operation::Revoke,
        grant: Some(grant(2, 1, 2)),
        cause: Cause::Policy { line: 50 },
        ..update
    };
    let issued = Record {
        policy: 5,
        ..requested()
    };
    let case = |more: &[Record]| {
        let mut replay = Replay::new(&policies);
        let records = boot(1).into_iter().take(5).chain(more.iter().copied());
        for (index, record) in (0..).zip(records) {
            let time = Time::since_start(index);
            replay.take(
                index,
                &Record {
                    sequence: index,
                    time,
                    ..record
                },
            );
        }
        let found = replay.findings().list.iter();
        found.map(|it| it.what.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(case(&[update, revoked, issued]), Vec::<String>::new());
    assert_eq!(
        case(&[update, issued]),
        ["the policy in force does not allow grant 2, which was not revoked"]
    );
}

#[test]
fn a_record_that_contradicts_its_boot_is_found() {
    let with = |change: &dyn Fn(&mut Record)| {
        let mut record = requested();
        change(&mut record);
        after_boot(&[record])
    };
    assert_eq!(with(&|_| ()), Vec::<String>::new());
    assert_eq!(
        with(&|it| it.policy = 99),
        ["record 5: the record names policy version 99, and 4 is in force"]
    );
    assert_eq!(
        with(&|it| it.grant.as_mut().unwrap().grant.methods.0 = 0),
        ["record 5: the grant's methods goes beyond line 60 of the policy"]
    );
    assert_eq!(
        with(&|it| it.grant.as_mut().unwrap().id = 1 << 63 | 3),
        ["record 5: the bytes are no record"]
    );
    assert_eq!(
        after_boot(&[boot(1)[4]]),
        ["record 5: the boot was sealed before"]
    );
    let mut narrowed = grant(1, 1, 1);
    narrowed.id = 77;
    let narrowed = Record {
        operation: Operation::Attenuate,
        grant: Some(narrowed),
        cause: Cause::Policy { line: 40 },
        ..boot(1)[3]
    };
    assert_eq!(
        after_boot(&[narrowed]),
        ["record 5: grant 1 was not narrowed but changed"]
    );
    // UTC that goes back across a record that has none.
    let mut records = boot(1);
    (records[2].time.utc, records[3].time.utc) = (None, Some(5));
    assert_eq!(
        replayed(&records),
        [
            "record 2: the time, UTC, is 0 ns, after one of 1700000060000000001 ns",
            "record 3: the time, UTC, is 5 ns, after one of 1700000060000000001 ns",
        ]
    );
}

#[test]
fn a_derived_grant_is_revoked_first_or_stays_by_itself() {
    let mut derived = boot(1);
    derived.truncate(4);
    derived[3] = Record {
        sequence: 3,
        ..delegated()
    };
    let revoke = |index: usize, outcome| Record {
        operation: Operation::Revoke,
        outcome,
        ..derived[index]
    };
    let case = |more: &[Record]| {
        let mut records = [&derived[..], more].concat();
        for (record, sequence) in records.iter_mut().zip(0..) {
            (record.sequence, record.time) = (sequence, Time::since_start(sequence));
        }
        replayed(&records)
    };
    let (child, parent) = (revoke(3, Outcome::Done), revoke(2, Outcome::Done));
    assert_eq!(case(&[child, parent]), Vec::<String>::new());
    assert_eq!(
        case(&[parent]),
        ["record 4: grants derived from grant 1 are in force"]
    );
    let stuck = revoke(3, Outcome::Error(2));
    assert_eq!(case(&[stuck, parent]), Vec::<String>::new());
}

#[test]
fn a_boot_that_comes_twice_is_found() {
    let (one, two) = (boot(1), boot(2));
    let found = replayed(&[one.clone(), two, one].concat());
    assert_eq!(
        found,
        ["record 14: the boot was over, or had begun already"]
    );
}

#[test]
fn bytes_that_are_no_record_are_found() {
    let mut records = encoded(&boot(1));
    records[5].push(0);
    let (disk, _) = blocks(KIND, &[records]);
    let found = violations(&audit(&disk, &[]));
    assert_eq!(found[0], (record(5), "the bytes are no record".to_owned()));
}

#[test]
fn a_log_without_its_policy_holds_in_part() {
    let (disk, _) = blocks(KIND, &[encoded(&boot(1))]);
    let keys = Keys::new(key().verifying_key(), [0; 32]);
    let report = audit_against(&disk, &keys, &Policies::default());
    assert_eq!(report.verdict, Verdict::HoldsInPart);
    assert!(!report.holds);
    let what = &report.findings[0].what;
    assert!(
        what.to_string()
            .ends_with("not found: its grants were not checked")
    );
}

/// What it did to the grants is not known, so that the rest of its boot is not held against them.
#[test]
fn a_record_of_a_kind_that_came_later_leaves_the_log_in_part() {
    let mut records = encoded(&[boot(1), boot(2)].concat());
    // The second of the three grants is issued by an operation that nobody here knows.
    records[2][OPERATION] = 200;
    let (disk, _) = blocks(KIND, &[records]);
    let report = audit(&disk, &[]);
    assert_eq!(violations(&report), []);
    assert_eq!(report.verdict, Verdict::HoldsInPart);
    let unknown = |it: &&Finding| it.what == What::UnknownRecord;
    let found: Vec<_> = report.findings.iter().filter(unknown).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, record(2));
    // The next boot is known as a whole.
    assert_eq!(report.grants_in_force, 2);
}

//! From the policy to sealed boot grants, and every way not to get there.

mod support;

use ed25519_dalek::SigningKey;
use portcullis_kernel::{Caller, KernelError, Mode, Refusal, Rights};
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager::{Refused, Report, Unissued};
use portcullis_manager_api::{REASON, UNAVAILABLE};
use portcullis_model::Capability;
use portcullis_policy_format::testing::{Draft, sign};
use portcullis_policy_format::{HEADER_SIZE, Header, Part, Policy, PolicyError, When, key_id};
use zerocopy::IntoBytes;

use support::draft::{call, empty, key, small};
use support::machine::{Machine, endpoint_capability};
use support::world::{BOOT, IMAGE, ROOMY, TABLE, World};

/// Indices of the boot grants of [`small`].
const BOOT_GRANTS: [u16; 6] = [0, 1, 2, 3, 4, 9];

#[test]
fn boot_grants_are_issued_logged_and_sealed() {
    let world = World::booted(&small());
    let mut expected = vec![(Operation::Boot, None, Outcome::Done)];
    expected.extend(BOOT_GRANTS.map(|index| (Operation::Mint, Some(index), Outcome::Done)));
    expected.push((Operation::Seal, None, Outcome::Done));
    assert_eq!(world.log(), expected);
    assert!(BOOT_GRANTS.iter().all(|index| world.is_in_force(*index)));
    assert_eq!(
        world.manager.platform().reports,
        [Report::InForce { grants: 6 }]
    );
}

#[test]
fn records_say_which_policy_and_which_line() {
    let draft = small();
    let world = World::booted(&draft);
    let bytes = draft.sign(&key());
    let sha256 = *Policy::inspect(&bytes).unwrap().sha256();
    let records = &world.machine.records;
    let load = Cause::Load {
        policy: sha256,
        system: draft.tail.system,
        image: IMAGE,
    };
    assert_eq!(records[0].cause, load);
    assert_eq!(records[3].cause, Cause::Policy { line: 131 });
    let grant = records[3].grant.unwrap();
    assert_eq!(grant.grant, call(3, 1, 1).grant);
    assert_eq!(records[7].cause, Cause::Complete { grants: 6 });
    assert!(records.iter().all(|record| record.boot == BOOT));
}

#[test]
fn two_boots_of_one_policy_write_the_same_records() {
    let [first, second] = [(); 2].map(|()| World::booted(&small()).machine.records);
    assert_eq!(first, second);
}

#[test]
fn the_ledger_is_signalled_once_for_all_boot_grants_and_once_when_others_are_announced() {
    let mut world = World::new(&small(), ROOMY);
    world.start();
    assert_eq!(world.machine.signals, 1);
    world.notify();
    assert_eq!(world.machine.signals, 1, "there was nothing new");
    world.acknowledge();
    world.notify();
    assert_eq!(world.machine.signals, 2, "the seal");
    world.revoke(1).unwrap();
    world.revoke(2).unwrap();
    assert_eq!(world.machine.signals, 2, "nobody announced it yet");
    for _ in 0..2 {
        world.manager.announce(&mut world.machine);
        assert_eq!(
            world.machine.signals, 3,
            "both at once, and then nothing new"
        );
    }
    world.revoke(3).unwrap();
    world.notify();
    assert_eq!(world.machine.signals, 4, "the manager's turn ends with it");
}

#[test]
fn an_empty_policy_grants_nothing() {
    let world = World::booted(&empty(3));
    assert_eq!(world.machine.invocations, 0);
    let operations: Vec<_> = world.log().into_iter().map(|it| it.0).collect();
    assert_eq!(operations, [Operation::Boot, Operation::Seal]);
}

/// Boots with bytes that are no policy to take, and checks that nothing at all comes of it.
#[track_caller]
fn refused(world: World) -> Refused {
    let mut world = world;
    world.boot();
    assert_eq!(world.machine.invocations, 0);
    assert_eq!(world.machine.records, []);
    assert!(world.machine.scan().is_empty());
    assert_eq!(world.machine.signals, 0);
    for channel in 0..8 {
        let answer = world.find(channel, "ledger", "worm", Mode::Call);
        assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
    }
    let reason = world
        .manager
        .refused()
        .expect("a refused policy has a reason");
    assert_eq!(world.manager.platform().reports, [Report::Refused(reason)]);
    for channel in 0..8 {
        let told = world.call(Caller::Channel(channel), REASON, &(), &mut [0; _]);
        assert_eq!(told, Ok(reason));
    }
    reason
}

fn refused_bytes(bytes: &[u8]) -> PolicyError {
    match refused(World::with_policy(&small(), bytes.to_vec(), ROOMY)) {
        Refused::Policy(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_truncated_at_any_length_is_refused() {
    let bytes = small().sign(&key());
    for found in 0..bytes.len() {
        let expected = if found < HEADER_SIZE {
            HEADER_SIZE
        } else {
            bytes.len()
        };
        let refusal = PolicyError::Truncated { expected, found };
        assert_eq!(refused_bytes(&bytes[..found]), refusal);
    }
}

#[test]
fn a_policy_with_a_bit_flipped_in_any_byte_is_refused() {
    let bytes = small().sign(&key());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        refused_bytes(&flipped);
    }
}

#[test]
fn a_wrong_hash_is_refused() {
    let mut bytes = small().sign(&key());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(refused_bytes(&bytes), PolicyError::Hash);
}

#[test]
fn an_unknown_key_is_refused() {
    let other = SigningKey::from_bytes(&[1; 32]);
    let id = key_id(&other.verifying_key());
    assert_eq!(
        refused_bytes(&small().sign(&other)),
        PolicyError::UnknownKey(id)
    );
}

#[test]
fn an_unsigned_policy_is_refused() {
    let body = small().body();
    let bytes = [Header::unsigned(1, &body).as_bytes(), &body].concat();
    assert_eq!(refused_bytes(&bytes), PolicyError::UnknownKey([0; 8]));
}

#[test]
fn a_bad_signature_is_refused() {
    let mut bytes = small().sign(&key());
    bytes[HEADER_SIZE - 1] ^= 1;
    assert_eq!(refused_bytes(&bytes), PolicyError::Signature);
}

#[test]
fn a_version_that_is_not_above_the_one_in_force_is_refused() {
    for in_force in [1, 2] {
        let bytes = small().sign(&key());
        let world = World::with_key(&small(), bytes, ROOMY, &key(), in_force);
        let refusal = PolicyError::Version {
            in_force,
            offered: 1,
        };
        assert_eq!(refused(world), Refused::Policy(refusal));
    }
}

#[test]
fn a_signed_body_that_is_not_sound_is_refused() {
    let mut draft = small();
    draft.grants[2].grant.subject = 60;
    let world = World::with_policy(&small(), draft.sign(&key()), ROOMY);
    assert_eq!(
        refused(world),
        Refused::Policy(PolicyError::Body(Part::Grant))
    );
    let garbage = sign(1, b"no body", &key());
    assert!(matches!(refused_bytes(&garbage), PolicyError::Body(_)));
}

#[test]
fn more_grants_than_the_table_holds_are_refused() {
    let grants = |count: u16| Draft {
        grants: (1..=count).map(|slot| call(1, slot, 2)).collect(),
        ..empty(3)
    };
    let room = TABLE as u32;
    let world = World::new(&grants(TABLE as u16 + 1), ROOMY);
    let allowed = room + 1;
    assert_eq!(refused(world), Refused::TableTooSmall { allowed, room });
    assert_eq!(
        World::booted(&grants(TABLE as u16)).manager.in_force(),
        room
    );
}

#[test]
fn the_kernel_refuses_each_invocation_in_turn() {
    let count = World::booted(&small()).machine.invocations;
    assert!(count > 12, "there are invocations to refuse");
    for refused in 0..count {
        for code in 1..=10 {
            let error = KernelError::from_code(code).unwrap();
            let mut world = World::new(&small(), ROOMY);
            world.refuse(refused, error);
            world.boot();
            assert!(world.manager.is_sealed());
            let failed: Vec<_> = world
                .log()
                .into_iter()
                .filter(|it| it.2 == Outcome::from(error))
                .collect();
            // The console's endpoint, a source too, has no grant at boot.
            assert!(
                !failed.is_empty() || unsound(&world) == 1,
                "invocation {refused} is not in the log"
            );
            let missing = failed.len() as u32;
            assert_eq!(world.manager.in_force(), 6 - missing);
            assert_eq!(
                world.manager.platform().reports.len() as u32,
                1 + missing + unsound(&world)
            );
        }
    }
}

/// Reports about sources.
fn unsound(world: &World) -> u32 {
    let reports = world.manager.platform().reports.iter();
    let unsound = reports.filter(|it| matches!(it, Report::Unsound { .. }));
    unsound.count() as u32
}

#[test]
fn a_failed_grant_has_two_records_and_takes_nothing_with_it() {
    let mut world = World::new(&small(), ROOMY);
    // Sources of five endpoints are checked; grant 0 is one Mint, grant 1 a Mint and a Copy.
    let sources = world
        .machine
        .draft
        .grants
        .iter()
        .filter(|it| it.notification.is_none());
    let sources: std::collections::BTreeSet<_> = sources.map(|it| it.grant.object).collect();
    world.refuse(sources.len() as u64 + 2, KernelError::DeleteFirst);
    world.boot();
    let of_grant: Vec<_> = world
        .log()
        .into_iter()
        .filter(|it| it.1 == Some(1))
        .collect();
    assert_eq!(
        of_grant,
        [
            (Operation::Mint, Some(1), Outcome::Done),
            (Operation::Mint, Some(1), Outcome::Error(8)),
        ]
    );
    assert!(!world.is_in_force(1));
    assert_eq!(world.manager.in_force(), 5);
    let root = world.machine.layout.root(1).into();
    assert_eq!(
        world
            .machine
            .kernel
            .capability(world.machine.authority, root),
        Some(Capability::Null),
        "the root is freed"
    );
    assert_eq!(
        world.manager.platform().reports[0],
        Report::Unissued {
            subject: 1,
            object: 2,
            line: 111,
            reason: Unissued::Kernel(KernelError::DeleteFirst),
        }
    );
}

/// A machine whose `object` gives the manager less than the whole endpoint.
fn with_source(draft: &Draft<'static>, object: u16, rights: Rights) -> World {
    let mut world = World::new(draft, ROOMY);
    let machine: &mut Machine = &mut world.machine;
    machine.replace_source(object, |endpoint| endpoint_capability(endpoint, rights));
    world
}

#[test]
fn a_source_that_lacks_a_right_issues_nothing() {
    let lacking = |lack: fn(&mut Rights)| {
        let mut rights = Rights::ALL;
        lack(&mut rights);
        rights
    };
    for rights in [
        lacking(|it| it.read = false),
        lacking(|it| it.write = false),
        lacking(|it| it.grant = false),
        lacking(|it| it.grant_reply = false),
        Rights::CALL,
        Rights::NONE,
    ] {
        let mut world = with_source(&small(), 2, rights);
        world.boot();
        // Grants 1 and 3 are of the vault.
        for index in [1, 3] {
            assert!(!world.is_in_force(index));
            let refused = (Operation::Mint, Some(index), Outcome::Error(3));
            assert!(world.log().contains(&refused), "{rights:?}");
            let done = (Operation::Mint, Some(index), Outcome::Done);
            assert!(!world.log().contains(&done), "{rights:?}");
        }
        assert_eq!(world.manager.in_force(), 4);
        assert!(world.manager.is_sealed());
    }
}

#[test]
fn grants_wait_for_room_in_the_ring_and_keep_their_order() {
    let expected = World::booted(&small()).log();
    for slots in 2..12 {
        let mut world = World::new(&small(), slots);
        world.boot();
        for _ in 0..20 {
            if world.manager.is_sealed() {
                break;
            }
            let before = world.manager.in_force();
            world.notify();
            assert_eq!(world.manager.in_force(), before, "nothing was acknowledged");
            world.acknowledge();
            world.notify();
        }
        assert!(world.manager.is_sealed(), "{slots} slots");
        assert_eq!(world.log(), expected, "{slots} slots");
    }
}

#[test]
fn a_ring_without_room_for_a_failure_issues_nothing() {
    let mut world = World::new(&small(), 1);
    world.boot();
    for _ in 0..10 {
        world.acknowledge();
        world.notify();
    }
    assert_eq!(world.manager.in_force(), 0);
    let answer = world.find(3, "ledger", "worm", Mode::Call);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn a_grant_with_a_lease_is_not_issued_while_nothing_would_end_it() {
    let mut draft = small();
    draft.grants[2].lease_ms = Some(1_000);
    let world = World::booted(&draft);
    assert!(!world.is_in_force(2));
    assert!(
        world
            .log()
            .contains(&(Operation::Mint, Some(2), Outcome::Unavailable))
    );
    assert!(world.manager.is_sealed());
}

#[test]
fn what_is_not_for_boot_is_not_issued_at_boot() {
    let mut draft = small();
    for grant in &mut draft.grants {
        grant.when = When::Request;
    }
    assert_eq!(World::booted(&draft).manager.in_force(), 0);
}

//! What a component learns on its static channel, and what the log learns of it.

mod support;

use portcullis_kernel::{Caller, Method, MethodSet, Mode, Principal, Refusal, cspace, label};
use portcullis_log::{Cause, Operation, Outcome, Record};
use portcullis_manager::{DENIAL_RECORDS, DENIAL_ROOM};
use portcullis_manager_api::{
    DELEGATE, FIND, FORBIDDEN, Find, Found, NOT_PERMITTED, RELEASE, REQUEST, REVOKE, SIGNAL,
    UNAVAILABLE,
};

use support::draft::{NAMES, small};
use support::world::{FAULT, World};

#[test]
fn each_component_finds_its_own_grants_and_no_others() {
    let draft = small();
    let mut world = World::booted(&draft);
    for channel in 1..7u8 {
        for object in NAMES {
            for interface in ["inspect", "worm"] {
                for mode in [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream] {
                    let found = world.find(channel, object, interface, mode).ok();
                    let grants = (0..).zip(draft.grants.iter().map(|it| &it.grant));
                    let own = grants.clone().find(|(index, grant)| {
                        grant.subject == channel.into()
                            && NAMES[usize::from(grant.object)] == object
                            && ["inspect", "worm"][usize::from(grant.interface)] == interface
                            && grant.mode == mode
                            && world.is_in_force(*index)
                    });
                    let expected = own.map(|(_, grant)| Found {
                        slot: grant.slot,
                        methods: grant.methods,
                    });
                    assert_eq!(found, expected);
                }
            }
        }
    }
}

#[test]
fn a_found_slot_is_the_pointer_of_the_grant() {
    let mut world = World::booted(&small());
    let found = world.find(3, "vault", "worm", Mode::Call).unwrap();
    assert_eq!(found.cptr(), cspace::grant(2));
    assert_eq!(found.methods, MethodSet(0b11));
}

#[test]
fn each_component_finds_the_signals_of_the_grants_to_it_and_no_others() {
    let draft = small();
    let mut world = World::booted(&draft);
    let records = world.machine.records.len();
    for channel in 1..7u8 {
        for subject in NAMES {
            for interface in ["inspect", "worm"] {
                for mode in [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream] {
                    let found = world.find_signal(channel, subject, interface, mode);
                    let sets = draft.grants.iter().find(|grant| {
                        grant.grant.object == channel.into()
                            && NAMES[usize::from(grant.grant.subject)] == subject
                            && ["inspect", "worm"][usize::from(grant.grant.interface)] == interface
                            && grant.grant.mode == mode
                    });
                    let bit = sets.and_then(|grant| grant.notification);
                    let expected = bit.ok_or(Refusal::Object(NOT_PERMITTED));
                    assert_eq!(found, expected);
                }
            }
        }
    }
    assert_eq!(world.machine.records.len(), records, "no denial is one");
}

/// The last record, where it is of a denial.
fn denial(world: &World) -> Option<&Record> {
    let last = world.machine.records.last()?;
    (last.operation == Operation::Deny).then_some(last)
}

#[test]
fn what_no_rule_allows_is_not_permitted() {
    let mut world = World::booted(&small());
    for (object, interface, mode) in [
        ("ledger", "worm", Mode::Send),
        ("edge", "worm", Mode::Notify),
        ("ledger", "inspect", Mode::Call),
        ("nobody", "worm", Mode::Call),
        ("ledger", "nothing", Mode::Call),
    ] {
        let answer = world.find(3, object, interface, mode);
        assert_eq!(
            answer,
            Err(Refusal::Object(NOT_PERMITTED)),
            "{object} {interface}"
        );
        let denial = denial(&world).unwrap();
        assert_eq!(denial.outcome, Outcome::NotPermitted);
        let (by, line) = (Principal::component(3), None);
        assert_eq!(denial.cause, Cause::Request { by, line });
        assert_eq!(denial.grant, None);
    }
}

#[test]
fn what_a_rule_forbids_is_forbidden_with_its_line() {
    // Never from outer (odd numbers) to inner (even numbers), in line 7.
    let mut world = World::booted(&small());
    for (channel, object, mode) in [
        (5, "vault", Mode::Send),
        (5, "publish", Mode::Call),
        (2, "ledger", Mode::Call), // the reply would come from outer
    ] {
        let answer = world.find(channel, object, "worm", mode);
        assert_eq!(answer, Err(Refusal::Object(FORBIDDEN)));
        let denial = denial(&world).unwrap();
        assert_eq!(denial.outcome, Outcome::Forbidden);
        let (by, line) = (Principal::component(channel.into()), Some(7));
        assert_eq!(denial.cause, Cause::Request { by, line });
    }
    let one_way = world.find(2, "ledger", "worm", Mode::Send);
    assert_eq!(one_way, Err(Refusal::Object(NOT_PERMITTED)));
}

#[test]
fn what_is_not_in_force_is_unavailable_with_its_grant() {
    let mut world = World::booted(&small());
    world.revoke(2).unwrap();
    for (channel, object, mode, index) in
        [(3, "ledger", Mode::Call, 2), (5, "console", Mode::Send, 8)]
    {
        let answer = world.find(channel, object, "worm", mode);
        assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
        let denial = denial(&world).unwrap();
        assert_eq!(denial.outcome, Outcome::Unavailable);
        assert_eq!(denial.grant.unwrap().index, index);
        let line = Some(world.machine.draft.grants[usize::from(index)].line);
        let by = Principal::component(channel.into());
        assert_eq!(denial.cause, Cause::Request { by, line });
    }
}

#[test]
fn a_redacted_component_leaves_no_record_of_a_denial() {
    let mut draft = small();
    draft.tail.redacted = 1 << 2;
    let mut world = World::booted(&draft);
    let before = world.log().len();
    let answer = world.find(2, "nobody", "worm", Mode::Call);
    assert_eq!(answer, Err(Refusal::Object(NOT_PERMITTED)));
    assert_eq!(world.log().len(), before);
    let answer = world.find(3, "nobody", "worm", Mode::Call);
    assert_eq!(answer, Err(Refusal::Object(NOT_PERMITTED)));
    assert_eq!(world.log().len(), before + 1);
}

#[test]
fn asking_does_not_tell_that_the_object_of_a_one_way_grant_was_stopped() {
    let mut world = World::booted(&small());
    let before = world.find(3, "publish", "worm", Mode::Notify);
    let vault = world.find(3, "vault", "worm", Mode::Call);
    assert!(before.is_ok() && vault.is_ok());
    for object in [2, 4] {
        world.machine.fault(object, &FAULT);
        world.serve();
    }
    assert_eq!(world.find(3, "publish", "worm", Mode::Notify), before);
    let vault = world.find(3, "vault", "worm", Mode::Call);
    assert_eq!(
        vault,
        Err(Refusal::Object(UNAVAILABLE)),
        "a caller learns it"
    );
}

#[test]
fn a_channel_that_the_policy_does_not_know_leaves_no_record() {
    let mut world = World::booted(&small());
    let before = world.log().len();
    for channel in [0, 7, 61, 63] {
        let answer = world.find(channel, "ledger", "worm", Mode::Call);
        assert_eq!(answer, Err(Refusal::Object(NOT_PERMITTED)));
    }
    assert_eq!(world.log().len(), before);
}

#[test]
fn a_channel_has_no_methods_beside_its_own() {
    let mut world = World::booted(&small());
    let find = Find {
        object: "vault",
        interface: "worm",
        mode: Mode::Call,
    };
    let own = [FIND, SIGNAL, REQUEST, RELEASE, DELEGATE, REVOKE];
    for method in (0..32)
        .filter_map(Method::new)
        .filter(|it| !own.contains(it))
    {
        let answer = world.call::<Found>(Caller::Channel(3), method, &find, &mut [0; _]);
        assert_eq!(answer, Err(Refusal::Object(label::BAD_METHOD)));
    }
}

#[test]
fn a_request_that_does_not_decode_is_a_bad_request() {
    let mut world = World::booted(&small());
    let before = world.log().len();
    for garbage in [&[][..], &[0xff; 9], b"\x05vault\x04worm\x04"] {
        for method in [FIND, SIGNAL] {
            let answer = world.call::<Found>(Caller::Channel(3), method, &garbage, &mut [0; _]);
            assert_eq!(answer, Err(Refusal::Object(label::BAD_REQUEST)));
        }
    }
    assert_eq!(world.log().len(), before);
}

#[test]
fn a_flood_of_requests_fills_no_log_and_takes_nobody_elses_share() {
    let mut world = World::booted(&small());
    let before = world.machine.records.len();
    for _ in 0..1_000 {
        let answer = world.find(5, "vault", "worm", Mode::Stream);
        assert_eq!(answer, Err(Refusal::Object(FORBIDDEN)));
    }
    let denials = &world.machine.records[before..];
    assert_eq!(denials.len(), usize::from(DENIAL_RECORDS) + 1);
    let last = denials.last().unwrap();
    assert_eq!((last.operation, last.grant), (Operation::Deny, None));
    let (by, line) = (Principal::component(5), None);
    assert_eq!(last.cause, Cause::Request { by, line });
    assert_eq!(last.outcome, Outcome::Unavailable);
    let whole = usize::from(DENIAL_RECORDS);
    assert!(
        denials[..whole]
            .iter()
            .all(|it| it.outcome == Outcome::Forbidden)
    );
    let signals = world.machine.signals;
    let _ = world.find(5, "vault", "worm", Mode::Stream);
    assert_eq!(world.machine.signals, signals, "the ledger is left alone");

    let _ = world.find(3, "edge", "worm", Mode::Call);
    assert_eq!(denial(&world).unwrap().outcome, Outcome::NotPermitted);
}

#[test]
fn denials_leave_room_for_grants_and_revocations() {
    let mut world = World::new(&small(), DENIAL_ROOM as usize + 10);
    world.boot();
    for channel in 1..7 {
        for _ in 0..20 {
            let _ = world.find(channel, "nobody", "worm", Mode::Call);
        }
    }
    assert_eq!(world.room(), DENIAL_ROOM as usize);
    assert_eq!(denial(&world).unwrap().outcome, Outcome::NotPermitted);
}

//! What the holder of a grant of `inspect` sees.

mod support;

use portcullis_kernel::{Caller, Generation, GrantBadge, Method, Refusal, label};
use portcullis_log::Operation;
use portcullis_manager_api::{
    BootIdOrigin, COMPONENT, ComponentView, GRANTS, GrantView, NO_MORE, RECORD, STATUS, Status,
    UNAVAILABLE, WHY, Why,
};
use portcullis_policy_format::Policy;

use support::draft::{WORM, call, key, small};
use support::world::World;

/// Number of the console's grant of `inspect` in [`small`].
const CONSOLE: u16 = 9;

/// A world, and who looks at it.
fn watched() -> (World, Caller) {
    let world = World::booted(&small());
    let caller = Caller::Grant(world.badge(CONSOLE));
    (world, caller)
}

#[test]
fn grants_are_walked_by_index() {
    let (mut world, caller) = watched();
    world.revoke(1).unwrap();
    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        match world.call::<GrantView>(caller, GRANTS, &from, &mut [0; _]) {
            Ok(view) => {
                seen.push(view.index);
                from = view.index + 1;
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Object(NO_MORE));
                break;
            }
        }
    }
    assert_eq!(seen, [0, 2, 3, 4, 5], "the console's is issued last");
}

#[test]
fn a_grant_is_shown_by_its_numbers() {
    let (mut world, caller) = watched();
    let view = world.call(caller, GRANTS, &3u16, &mut [0; _]);
    assert_eq!(
        view,
        Ok(GrantView {
            index: 3,
            generation: Generation::default(),
            grant: call(3, 2, 2).grant,
            lease_ms: None,
            line: 132,
        })
    );
}

#[test]
fn components_are_shown_with_what_they_hold_and_serve() {
    let (mut world, caller) = watched();
    world.grant(5, Some(3)).unwrap();
    for number in 0..7u16 {
        let scanned = world.machine.scan();
        let grants = world.machine.draft.grants.clone();
        let serves = (0..)
            .zip(&grants)
            .filter(|(index, it)| it.grant.object == number && world.is_in_force(*index));
        let expected = ComponentView {
            holds: scanned.iter().filter(|it| it.subject == number).count() as u32,
            serves: serves.count() as u32,
        };
        assert_eq!(
            world.call(caller, COMPONENT, &number, &mut [0; _]),
            Ok(expected)
        );
    }
    let beyond = world.call::<ComponentView>(caller, COMPONENT, &7u16, &mut [0; _]);
    assert_eq!(beyond, Err(Refusal::Object(NO_MORE)));
}

#[test]
fn records_are_those_in_the_ring() {
    let (mut world, caller) = watched();
    let records = world.machine.records.clone();
    for record in &records {
        let mut buffer = [0; _];
        let shown = world.call::<&[u8]>(caller, RECORD, &record.sequence, &mut buffer);
        assert_eq!(shown, Ok(record.encode().record()));
    }
    for beyond in [records.len() as u64, u64::MAX] {
        let buffer = &mut [0; _];
        let answer = world.call::<&[u8]>(caller, RECORD, &beyond, buffer);
        assert_eq!(answer, Err(Refusal::Object(NO_MORE)));
    }
}

#[test]
fn why_says_whether_an_allowed_grant_can_be_used() {
    let (mut world, caller) = watched();
    world.revoke(2).unwrap();
    let mut ask = |subject, slot| -> Result<bool, Refusal> {
        world.call(caller, WHY, &Why { subject, slot }, &mut [0; _])
    };
    assert_eq!(ask(3, 2), Ok(true));
    assert_eq!(ask(3, 1), Ok(false), "revoked");
    assert_eq!(ask(5, 3), Ok(false), "not issued");
    for (subject, slot) in [(2, 1), (3, 9), (3, 0), (7, 1), (u16::MAX, 1)] {
        assert_eq!(ask(subject, slot), Err(Refusal::Object(NO_MORE)));
    }
    world.fault(2).unwrap();
    let ingest: Result<bool, _> = world.call(
        caller,
        WHY,
        &Why {
            subject: 3,
            slot: 2,
        },
        &mut [0; _],
    );
    assert_eq!(ingest, Ok(false), "the vault is stopped");
}

#[test]
fn the_status_counts() {
    let (mut world, caller) = watched();
    world.acknowledge();
    world.revoke(2).unwrap();
    let status = world.call(caller, STATUS, &(), &mut [0; _]);
    let bytes = small().sign(&key());
    assert_eq!(
        status,
        Ok(Status {
            version: 1,
            sha256: *Policy::inspect(&bytes).unwrap().sha256(),
            grants: 5,
            components: 7,
            records: 9,
            durable: 8,
            sealed: true,
            boot_id: BootIdOrigin::Random,
        })
    );
}

#[test]
fn looking_changes_nothing_and_leaves_no_record() {
    let (mut world, caller) = watched();
    let (records, held) = (world.machine.records.clone(), world.machine.scan());
    let invocations = world.machine.invocations;
    for number in 0..32 {
        let method = Method::new(number).unwrap();
        for request in [0u64, 1, u64::MAX] {
            let _ = world.call::<Status>(caller, method, &request, &mut [0; _]);
        }
        let why = Why {
            subject: 3,
            slot: 2,
        };
        let _ = world.call::<bool>(caller, WHY, &why, &mut [0; _]);
    }
    assert_eq!(world.machine.records, records);
    assert_eq!(world.machine.scan(), held);
    assert_eq!(world.machine.invocations, invocations);
}

#[test]
fn only_a_grant_of_inspect_that_is_in_force_is_answered() {
    let (mut world, caller) = watched();
    let Caller::Grant(badge) = caller else {
        panic!("the console holds a grant");
    };
    let forged = [
        // Of another interface, of another generation, of none.
        world.badge(3),
        GrantBadge::new(badge.index(), Generation::new(1).unwrap(), badge.methods()).unwrap(),
        GrantBadge::new(6, badge.generation(), badge.methods()).unwrap(),
        GrantBadge::new(u16::MAX, badge.generation(), badge.methods()).unwrap(),
    ];
    for badge in forged {
        let mut buffer = [0; _];
        let answer = world.call::<Status>(Caller::Grant(badge), STATUS, &(), &mut buffer);
        assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
    }
    world.revoke(CONSOLE).unwrap();
    let mut buffer = [0; _];
    let answer = world.call::<Status>(caller, STATUS, &(), &mut buffer);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn another_interface_of_the_manager_is_not_inspect() {
    let mut draft = small();
    draft.grants[9].grant.interface = WORM;
    let mut world = World::booted(&draft);
    let caller = Caller::Grant(world.badge(CONSOLE));
    let mut buffer = [0; _];
    let answer = world.call::<Status>(caller, STATUS, &(), &mut buffer);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn a_grant_whose_revocation_is_not_yet_logged_is_not_answered() {
    let mut world = World::filled(9);
    assert_eq!(world.room(), 0);
    let caller = Caller::Grant(world.badge(CONSOLE));
    world.revoke(CONSOLE).unwrap();
    let mut buffer = [0; _];
    let answer = world.call::<Status>(caller, STATUS, &(), &mut buffer);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn requests_that_do_not_decode_are_bad_requests() {
    let (mut world, caller) = watched();
    for method in [GRANTS, COMPONENT, RECORD, WHY] {
        let buffer = &mut [0; _];
        let answer = world.call::<&[u8]>(caller, method, &(), buffer);
        assert_eq!(answer, Err(Refusal::Object(label::BAD_REQUEST)));
    }
    let beyond = Method::new(5).unwrap();
    let buffer = &mut [0; _];
    let answer = world.call::<&[u8]>(caller, beyond, &(), buffer);
    assert_eq!(answer, Err(Refusal::Object(label::BAD_METHOD)));
    let operations = world.log().into_iter().map(|it| it.0);
    assert_eq!(operations.filter(|it| *it == Operation::Deny).count(), 0);
}

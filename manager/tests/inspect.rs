//! What the holder of a grant of `inspect` sees.

mod support;

use portcullis_kernel::{Caller, Generation, GrantBadge, Method, MethodSet, Mode, Refusal, label};
use portcullis_log::{Operation, Record};
use portcullis_manager_api::{
    COMPONENT, ComponentView, GRANTS, GrantView, METHODS_MAX, NO_MORE, RECORD, STATUS, Status,
    UNAVAILABLE, Verdict, WHY, Why,
};
use portcullis_policy_format::{Grant, InterfaceMethod};

use support::draft::{INSPECT, MANAGER, NAMES, WORM, call, empty, small};
use support::world::World;

/// Index of the console's grant of `inspect` in [`small`].
const CONSOLE: u16 = 9;

/// A world, and who looks at it.
fn watched() -> (World, Caller) {
    let world = World::booted(&small());
    let caller = Caller::Grant(world.badge(CONSOLE));
    (world, caller)
}

fn why(world: &mut World, caller: Caller, subject: &str, object: &str, method: &str) -> Verdict {
    let why = Why {
        subject,
        object,
        method,
    };
    world.call(caller, WHY, &why, &mut [0; _]).unwrap()
}

#[test]
fn grants_are_walked_by_index() {
    let (mut world, caller) = watched();
    world.revoke(1).unwrap();
    let mut seen = Vec::new();
    let mut from = 0;
    let mut buffer = [0; _];
    loop {
        match world.call::<GrantView<'_>>(caller, GRANTS, &from, &mut buffer) {
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
    assert_eq!(seen, [0, 2, 3, 4, 9]);
}

#[test]
fn a_grant_is_shown_with_its_names() {
    let (mut world, caller) = watched();
    let mut buffer = [0; _];
    let view = world.call(caller, GRANTS, &3u16, &mut buffer);
    assert_eq!(
        view,
        Ok(GrantView {
            index: 3,
            generation: 0,
            subject: "ingest",
            slot: 2,
            object: "vault",
            interface: "worm",
            methods: "append, read",
            mode: Mode::Call,
            lease_ms: None,
            line: 132,
        })
    );
}

#[test]
fn a_long_list_of_methods_ends_in_an_ellipsis() {
    let name = |number: u8| -> &'static str {
        format!("{:m>47}{}", "", char::from(b'a' + number % 26)).leak()
    };
    let with_methods = |count: u8| {
        let mut draft = empty(3);
        draft.methods.retain(|it| it.interface == INSPECT);
        draft
            .methods
            .extend((0..count).map(|number| InterfaceMethod {
                interface: WORM,
                method: Method::new(number).unwrap(),
                name: name(number),
            }));
        let methods = MethodSet(u32::MAX >> (32 - count));
        let inspect = Grant {
            interface: INSPECT,
            methods: MethodSet(0b1_1111),
            ..call(2, 1, MANAGER)
        };
        draft.grants = vec![
            Grant {
                methods,
                ..call(1, 1, 2)
            },
            inspect,
        ];
        let mut world = World::booted(&draft);
        let caller = Caller::Grant(world.badge(1));
        let mut buffer = [0; _];
        let view: GrantView<'_> = world.call(caller, GRANTS, &0u16, &mut buffer).unwrap();
        view.methods.to_owned()
    };
    // 15 names of 48 bytes and 14 separators: 748 bytes.
    let all = with_methods(15);
    assert_eq!(all, (0..15).map(name).collect::<Vec<_>>().join(", "));
    let cut = with_methods(32);
    assert_eq!(cut, format!("{all}, ..."));
    assert!(cut.len() <= METHODS_MAX);
}

#[test]
fn components_are_shown_with_what_they_hold_and_serve() {
    let (mut world, caller) = watched();
    world.grant(5, Some(3)).unwrap();
    let mut buffer = [0; _];
    for number in 0..7u16 {
        let scanned = world.machine.scan();
        let grants = world.machine.draft.grants.clone();
        let serves = (0..)
            .zip(&grants)
            .filter(|(index, grant)| grant.object == number && world.manager.is_in_force(*index));
        let expected = ComponentView {
            name: NAMES[usize::from(number)],
            domain: ["inner", "outer"][usize::from(number % 2)],
            holds: scanned.iter().filter(|it| it.subject == number).count() as u16,
            serves: serves.count() as u16,
        };
        assert_eq!(
            world.call(caller, COMPONENT, &number, &mut buffer),
            Ok(expected)
        );
    }
    let beyond = world.call::<ComponentView<'_>>(caller, COMPONENT, &7u16, &mut buffer);
    assert_eq!(beyond, Err(Refusal::Object(NO_MORE)));
}

#[test]
fn records_are_those_in_the_ring() {
    let (mut world, caller) = watched();
    let records = world.machine.records.clone();
    for record in &records {
        let shown: Record = world
            .call(caller, RECORD, &record.sequence, &mut [0; _])
            .unwrap();
        assert_eq!(shown, *record);
    }
    for beyond in [records.len() as u64, u64::MAX] {
        let answer = world.call::<Record>(caller, RECORD, &beyond, &mut [0; _]);
        assert_eq!(answer, Err(Refusal::Object(NO_MORE)));
    }
}

#[test]
fn why_says_what_the_policy_says() {
    let (mut world, caller) = watched();
    world.revoke(2).unwrap();
    let mut why = |subject, object, method| why(&mut world, caller, subject, object, method);
    assert_eq!(
        why("ingest", "vault", "append"),
        Verdict::Allowed { line: 132 }
    );
    assert_eq!(
        why("ingest", "vault", "worm.read"),
        Verdict::Allowed { line: 132 }
    );
    assert_eq!(
        why("ingest", "ledger", "append"),
        Verdict::Unavailable { line: 131 }
    );
    assert_eq!(
        why("edge", "console", "append"),
        Verdict::Unavailable { line: 153 }
    );
    assert_eq!(
        why("edge", "publish", "append"),
        Verdict::Forbidden { line: 7 }
    );
    assert_eq!(why("ingest", "ledger", "prove"), Verdict::NotPermitted);
    assert_eq!(why("vault", "edge", "append"), Verdict::NotPermitted);
    assert_eq!(
        why("ingest", "vault", "inspect.append"),
        Verdict::Forbidden { line: 7 }
    );
    for (subject, object, method) in [
        ("nobody", "vault", "append"),
        ("vault", "nobody", "append"),
        ("vault", "console", "nothing"),
        ("vault", "console", "nothing.append"),
    ] {
        assert_eq!(why(subject, object, method), Verdict::NotPermitted);
    }
}

#[test]
fn the_status_counts() {
    let (mut world, caller) = watched();
    world.acknowledge();
    world.revoke(2).unwrap();
    let mut buffer = [0; _];
    let status = world.call(caller, STATUS, &(), &mut buffer);
    assert_eq!(
        status,
        Ok(Status {
            policy: "drafted",
            version: 1,
            grants: 5,
            components: 7,
            records: 9,
            durable: 8,
            sealed: true,
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
            let _ = world.call::<Status<'_>>(caller, method, &request, &mut [0; _]);
        }
        let _ = why(&mut world, caller, "ingest", "vault", "append");
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
        GrantBadge::new(5, badge.generation(), badge.methods()).unwrap(),
        GrantBadge::new(u16::MAX, badge.generation(), badge.methods()).unwrap(),
    ];
    for badge in forged {
        let mut buffer = [0; _];
        let answer = world.call::<Status<'_>>(Caller::Grant(badge), STATUS, &(), &mut buffer);
        assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
    }
    world.revoke(CONSOLE).unwrap();
    let mut buffer = [0; _];
    let answer = world.call::<Status<'_>>(caller, STATUS, &(), &mut buffer);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn another_interface_of_the_manager_is_not_inspect() {
    let mut draft = small();
    draft.grants[9].interface = WORM;
    let mut world = World::booted(&draft);
    let caller = Caller::Grant(world.badge(CONSOLE));
    let mut buffer = [0; _];
    let answer = world.call::<Status<'_>>(caller, STATUS, &(), &mut buffer);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn a_grant_whose_revocation_is_not_yet_logged_is_not_answered() {
    let mut world = World::filled(9);
    assert_eq!(world.room(), 0);
    let caller = Caller::Grant(world.badge(CONSOLE));
    world.revoke(CONSOLE).unwrap();
    let mut buffer = [0; _];
    let answer = world.call::<Status<'_>>(caller, STATUS, &(), &mut buffer);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
}

#[test]
fn requests_that_do_not_decode_are_bad_requests() {
    let (mut world, caller) = watched();
    for method in [GRANTS, COMPONENT, RECORD, WHY] {
        let answer = world.call::<Record>(caller, method, &(), &mut [0; _]);
        assert_eq!(answer, Err(Refusal::Object(label::BAD_REQUEST)));
    }
    let beyond = Method::new(5).unwrap();
    let answer = world.call::<Record>(caller, beyond, &(), &mut [0; _]);
    assert_eq!(answer, Err(Refusal::Object(label::BAD_METHOD)));
    let operations = world.log().into_iter().map(|it| it.0);
    assert_eq!(operations.filter(|it| *it == Operation::Deny).count(), 0);
}

//! Authority while the system runs: asked for, handed on, taken back, given up.

mod support;

use portcullis_kernel::{
    KernelError, Message, MethodSet, Mode, Principal, Refusal, Syscall, cspace, label,
};
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager::DENIAL_RECORDS;
use portcullis_manager_api::{
    DELEGATE, Delegate, Denied, FAILED, FORBIDDEN, Found, LEASED, MAX_DEPTH, NOT_PERMITTED,
    PENDING, RELEASE, REQUEST, REVOKE, Request, Revoke, UNAVAILABLE,
};
use portcullis_model::{Completion, ThreadState};
use portcullis_policy_format::OnFault;

use support::draft::{NAMES, on_request};
use support::world::{FAULT, World};

const VAULT: u16 = 2;
const INGEST: u16 = 3;
const PUBLISH: u16 = 4;
const EDGE: u16 = 5;

const BOTH: MethodSet = MethodSet(0b11);
const FIRST: MethodSet = MethodSet(0b01);

fn wanted(object: u16, mode: Mode, methods: MethodSet) -> Request<'static> {
    Request {
        object: NAMES[usize::from(object)],
        interface: "worm",
        mode,
        methods,
        lease_ms: None,
        waits: true,
    }
}

/// What ingest asks for.
fn of_vault() -> Request<'static> {
    wanted(VAULT, Mode::Call, BOTH)
}

/// From the grant in slot 1.
fn handed(to: u16, methods: MethodSet, depth: u8) -> Delegate<'static> {
    Delegate {
        slot: 1,
        to: NAMES[usize::from(to)],
        methods,
        depth,
        lease_ms: None,
        waits: true,
    }
}

fn at(slot: u16, methods: MethodSet) -> Option<Result<Found, Denied>> {
    Some(Ok(Found { slot, methods }))
}

fn denied<T>(code: u64, line: impl Into<Option<u32>>) -> Option<Result<T, Denied>> {
    Some(Err(Denied {
        refusal: Refusal::Object(code),
        line: line.into(),
    }))
}

/// Whether no line allows it, or a rule forbids it.
fn is_not_allowed<T>(answer: &Option<Result<T, Denied>>) -> bool {
    let refusal = answer.as_ref().and_then(|it| it.as_ref().err());
    refusal.is_some_and(|it| {
        [NOT_PERMITTED, FORBIDDEN]
            .map(Refusal::Object)
            .contains(&it.refusal)
    })
}

/// The ledger makes everything durable, and says so.
fn flush(world: &mut World) {
    world.acknowledge();
    world.notify();
}

/// Asks and has the record made durable; gives the answer.
fn ask(world: &mut World, component: u16, request: &Request<'_>) -> Option<Result<Found, Denied>> {
    world.ask(component, REQUEST, request);
    flush(world);
    world.answer(component)
}

fn delegate(world: &mut World, by: u16, wanted: &Delegate<'_>) -> Option<Result<Found, Denied>> {
    world.ask(by, DELEGATE, wanted);
    flush(world);
    world.answer(by)
}

fn take_back(world: &mut World, by: u16, slot: u16, from: u16) -> Option<Result<(), Denied>> {
    let from = NAMES[usize::from(from)];
    world.ask(by, REVOKE, &Revoke { slot, from });
    world.answer(by)
}

/// A world in which ingest holds the vault's grant, with both methods.
fn held() -> World {
    let mut world = World::booted(&on_request());
    assert_eq!(ask(&mut world, INGEST, &of_vault()), at(1, BOTH));
    world
}

/// The line of grant `number` of the policy.
fn line(world: &World, number: usize) -> u32 {
    world.machine.draft.grants[number].line
}

/// What the kernel says of a call through the grant in a slot; `None`: it goes to the object.
fn refused(world: &mut World, component: u16, slot: u32) -> Option<KernelError> {
    let thread = world.machine.thread(component);
    let nb = Syscall::NbSend(cspace::grant(slot), Message::new(label::REQUEST));
    assert!(!world.machine.syscall(thread, &nb).is_empty());
    let call = Syscall::Call(cspace::grant(slot), Message::new(label::REQUEST));
    match world.machine.syscall(thread, &call).pop() {
        Some((it, Completion::Message { message, .. })) if it == thread => {
            KernelError::from_code(message.label())
        }
        _ => None,
    }
}

#[test]
fn who_asks_waits_until_the_record_is_durable_and_others_are_served_meanwhile() {
    let mut world = World::booted(&on_request());
    world.ask(INGEST, REQUEST, &of_vault());
    assert!(world.is_waiting(INGEST) && !world.is_in_force(3));
    world.ask(EDGE, REQUEST, &wanted(6, Mode::Send, FIRST));
    assert!(world.is_waiting(EDGE));
    // A refusal comes at once, and so does an answer of the channel's other methods.
    world.ask(PUBLISH, REQUEST, &of_vault());
    assert_eq!(world.answer::<Found>(PUBLISH), denied(NOT_PERMITTED, None));
    assert!(world.find_signal(4, "ingest", "worm", Mode::Notify).is_ok());
    world.notify();
    assert_eq!(world.manager.waiting(), 2, "nothing is durable yet");
    flush(&mut world);
    assert_eq!(world.answer(INGEST), at(1, BOTH));
    assert_eq!(world.answer(EDGE), at(3, FIRST));
    assert_eq!(world.manager.waiting(), 0);
    let record = world.machine.issued(world.manager.issued_as(3).unwrap());
    assert_eq!(record.unwrap().grant.methods, BOTH);
}

#[test]
fn each_is_answered_when_its_own_record_is_durable() {
    let mut world = World::booted(&on_request());
    world.ask(EDGE, REQUEST, &wanted(6, Mode::Send, FIRST));
    world.acknowledge();
    world.ask(INGEST, REQUEST, &of_vault());
    // Edge's record was durable when the manager was asked.
    assert_eq!(world.answer(EDGE), at(3, FIRST));
    assert!(world.is_waiting(INGEST));
    flush(&mut world);
    assert_eq!(world.answer(INGEST), at(1, BOTH));
}

#[test]
fn requests_that_come_together_share_an_acknowledgement() {
    let mut world = World::booted(&on_request());
    let thread = world.machine.thread(INGEST);
    let mut calls = Vec::new();
    for (component, request) in [(INGEST, of_vault()), (EDGE, wanted(6, Mode::Send, FIRST))] {
        let mut message = Message::default();
        let label = label::REQUEST + u64::from(REQUEST.number());
        message.encode(label, &request).unwrap();
        calls.extend(world.machine.ask(component, message));
    }
    assert_eq!(calls, [], "the manager is elsewhere");
    assert_eq!(
        world.machine.kernel.state(thread),
        ThreadState::BlockedOnSend
    );
    let records = world.machine.records.len();
    world.serve();
    assert_eq!(world.machine.records.len(), records + 2);
    // Neither waits for the other's: one acknowledgement is for both.
    flush(&mut world);
    assert_eq!(world.answer(INGEST), at(1, BOTH));
    assert_eq!(world.answer(EDGE), at(3, FIRST));
}

#[test]
fn a_grant_has_the_methods_that_were_asked_for_and_the_record_says_who_asked() {
    let mut world = World::booted(&on_request());
    assert_eq!(
        ask(&mut world, INGEST, &wanted(VAULT, Mode::Call, FIRST)),
        at(1, FIRST)
    );
    assert_eq!(world.badge(3).methods(), FIRST);
    let found = world.find(3, "vault", "worm", Mode::Call);
    assert_eq!(found.map(|it| it.methods), Ok(FIRST));
    let record = world.machine.records.last().unwrap();
    assert_eq!(record.operation, Operation::Mint);
    let (by, line) = (Principal::component(INGEST), Some(line(&world, 3)));
    assert_eq!(record.cause, Cause::Request { by, line });
    // It asks for what it has, or for less: it has it. For more, it gives that up first.
    let records = world.machine.records.len();
    assert_eq!(
        ask(&mut world, INGEST, &wanted(VAULT, Mode::Call, FIRST)),
        at(1, FIRST)
    );
    assert_eq!(world.machine.records.len(), records);
    assert_eq!(
        ask(&mut world, INGEST, &of_vault()),
        denied(UNAVAILABLE, line)
    );
    world.ask(INGEST, RELEASE, &1u16);
    assert_eq!(world.answer(INGEST), Some(Ok(())));
    assert_eq!(ask(&mut world, INGEST, &of_vault()), at(1, BOTH));
}

#[test]
fn a_refusal_says_its_kind_and_line_and_is_a_record() {
    let mut world = World::booted(&on_request());
    let lines = [3, 9].map(|number| line(&world, number));
    let leased = Request {
        lease_ms: Some(1_000),
        ..of_vault()
    };
    for (component, request, code, line, outcome) in [
        (
            INGEST,
            wanted(5, Mode::Call, BOTH),
            NOT_PERMITTED,
            None,
            Outcome::NotPermitted,
        ),
        (
            INGEST,
            wanted(VAULT, Mode::Call, MethodSet(0b111)),
            NOT_PERMITTED,
            Some(lines[0]),
            Outcome::NotPermitted,
        ),
        (
            EDGE,
            wanted(VAULT, Mode::Send, BOTH),
            FORBIDDEN,
            Some(7),
            Outcome::Forbidden,
        ),
        (INGEST, leased, LEASED, Some(lines[0]), Outcome::Unavailable),
        (
            EDGE,
            wanted(PUBLISH, Mode::Call, BOTH),
            LEASED,
            Some(lines[1]),
            Outcome::Unavailable,
        ),
    ] {
        world.ask(component, REQUEST, &request);
        assert_eq!(
            world.answer::<Found>(component),
            denied(code, line),
            "{request:?}"
        );
        let record = world.machine.records.last().unwrap();
        assert_eq!(
            (record.operation, record.outcome),
            (Operation::Deny, outcome)
        );
        let by = Principal::component(component);
        assert_eq!(record.cause, Cause::Request { by, line });
    }
    // An object that is down.
    world.fault(VAULT as u8).unwrap();
    world.ask(INGEST, REQUEST, &of_vault());
    assert_eq!(world.answer::<Found>(INGEST), denied(UNAVAILABLE, lines[0]));
}

#[test]
fn a_grant_of_no_method_is_not_issued() {
    let mut world = World::booted(&on_request());
    let nothing = wanted(VAULT, Mode::Call, MethodSet::EMPTY);
    let line = line(&world, 3);
    assert_eq!(
        ask(&mut world, INGEST, &nothing),
        denied(NOT_PERMITTED, line)
    );
    assert_eq!(world.manager.issued_as(3), None);
}

#[test]
fn who_asks_in_vain_fills_no_log() {
    let mut world = World::booted(&on_request());
    world.refuse(u64::MAX / 2, KernelError::InvalidCapability);
    let before = world.machine.records.len();
    for _ in 0..200 {
        world.ask(EDGE, REQUEST, &wanted(PUBLISH, Mode::Call, BOTH));
        assert!(world.answer::<Found>(EDGE).unwrap().is_err());
    }
    let whole = usize::from(DENIAL_RECORDS) + 1;
    assert_eq!(world.machine.records.len(), before + whole);
}

#[test]
fn what_the_kernel_refuses_is_an_error_to_who_waited() {
    let mut world = World::booted(&on_request());
    world.ask(INGEST, REQUEST, &of_vault());
    world.refuse(0, KernelError::DeleteFirst);
    flush(&mut world);
    let line = line(&world, 3);
    assert_eq!(world.answer::<Found>(INGEST), denied(FAILED, line));
    assert_eq!(
        ask(&mut world, INGEST, &of_vault()),
        at(1, BOTH),
        "then it does not"
    );
}

#[test]
fn the_log_itself_is_never_waited_for_by_whom_it_needs() {
    let mut world = World::booted(&on_request());
    world.ask(VAULT, REQUEST, &wanted(6, Mode::Call, BOTH));
    let line = line(&world, 2);
    assert_eq!(world.answer::<Found>(VAULT), denied(PENDING, line));
    assert_eq!((world.manager.waiting(), world.is_in_force(2)), (0, false));
    // Nothing new comes of asking again too soon.
    world.ask(VAULT, REQUEST, &wanted(6, Mode::Call, BOTH));
    assert_eq!(world.answer::<Found>(VAULT), denied(PENDING, line));
    assert_eq!(world.machine.told, []);
    flush(&mut world);
    assert_eq!(world.machine.told, [VAULT]);
    world.ask(VAULT, REQUEST, &wanted(6, Mode::Call, BOTH));
    assert_eq!(world.answer(VAULT), at(1, BOTH));
}

#[test]
fn who_does_not_wait_is_signalled_when_its_grant_is_decided() {
    for refuses in [false, true] {
        let mut world = World::booted(&on_request());
        let request = Request {
            waits: false,
            ..of_vault()
        };
        world.ask(INGEST, REQUEST, &request);
        let line = line(&world, 3);
        assert_eq!(world.answer::<Found>(INGEST), denied(PENDING, line));
        if refuses {
            world.refuse(0, KernelError::DeleteFirst);
        }
        flush(&mut world);
        assert_eq!(world.machine.told, [INGEST]);
        assert_eq!(world.is_in_force(3), !refuses);
        world.notify();
        assert_eq!(world.machine.told, [INGEST], "once");
    }
}

#[test]
fn a_caller_that_faults_while_it_waits_leaks_nothing() {
    let mut draft = on_request();
    draft.components[usize::from(INGEST)].on_fault = OnFault::Restart;
    let mut world = World::booted(&draft);
    // Many more than the pool has reply objects, and the table entries.
    for round in 0..100 {
        world.ask(INGEST, REQUEST, &of_vault());
        assert!(world.is_waiting(INGEST));
        if round % 2 == 0 {
            world.fault(INGEST as u8).unwrap();
        } else {
            world.machine.fault(INGEST, &FAULT);
            world.serve();
        }
        assert_eq!((world.manager.waiting(), world.is_in_force(3)), (0, false));
        world.machine.start_anew(INGEST);
        flush(&mut world);
        assert!(
            !world.is_in_force(3),
            "it was taken back before it was in force"
        );
    }
    // Everybody can still wait.
    world.ask(INGEST, REQUEST, &of_vault());
    world.ask(EDGE, REQUEST, &wanted(6, Mode::Send, FIRST));
    assert_eq!(world.manager.waiting(), 2);
    flush(&mut world);
    assert_eq!(world.answer(INGEST), at(1, BOTH));
    assert_eq!(world.answer(EDGE), at(3, FIRST));
}

#[test]
fn who_was_started_anew_without_a_fault_waits_for_what_it_asked_last() {
    let mut world = World::booted(&on_request());
    for _ in 0..20 {
        world.ask(INGEST, REQUEST, &of_vault());
        let thread = world.machine.thread(INGEST);
        world.machine.kernel.suspend(thread);
        world.machine.start_anew(INGEST);
    }
    world.ask(INGEST, REQUEST, &of_vault());
    assert_eq!(world.manager.waiting(), 1);
    flush(&mut world);
    assert_eq!(world.answer(INGEST), at(1, BOTH));
}

#[test]
fn a_part_is_handed_on_and_a_part_of_that() {
    let mut world = held();
    assert_eq!(
        delegate(&mut world, INGEST, &handed(PUBLISH, BOTH, 1)),
        at(1, BOTH)
    );
    assert_eq!(
        delegate(&mut world, PUBLISH, &handed(EDGE, FIRST, 0)),
        at(1, FIRST)
    );
    assert!([3, 5, 6].into_iter().all(|it| world.is_in_force(it)));
    assert_eq!(world.badge(6).methods(), FIRST);
    let records = &world.machine.records;
    let [first, second] = [2, 1].map(|back| records[records.len() - back]);
    for (record, by) in [(&first, INGEST), (&second, PUBLISH)] {
        assert_eq!(record.operation, Operation::Copy);
        let by = Principal::component(by);
        assert!(matches!(record.cause, Cause::Request { by: it, .. } if it == by));
    }
    assert_eq!(second.grant.unwrap().parent, Some(first.grant.unwrap().id));
    // The object sees the delegate's own badge, and no more methods.
    let (vault, edge) = (world.machine.thread(VAULT), world.machine.thread(EDGE));
    let recv = Syscall::Recv {
        from: cspace::INPUT,
        reply: cspace::REPLY,
    };
    assert_eq!(world.machine.syscall(vault, &recv), []);
    let call = Syscall::Call(cspace::grant(1), Message::new(label::REQUEST));
    let badge = world.badge(6).badge();
    let message = Message::new(label::REQUEST);
    let expected = [(vault, Completion::Message { badge, message })];
    assert_eq!(world.machine.syscall(edge, &call), expected);
}

#[test]
fn nobody_hands_on_more_than_it_has_or_deeper_or_to_another() {
    let mut world = World::booted(&on_request());
    let lines = [5, 6].map(|number| line(&world, number));
    let of_own = handed(PUBLISH, BOTH, 0);
    assert_eq!(
        delegate(&mut world, INGEST, &of_own),
        denied(UNAVAILABLE, lines[0]),
        "it holds nothing"
    );
    let narrow = wanted(VAULT, Mode::Call, FIRST);
    assert_eq!(ask(&mut world, INGEST, &narrow), at(1, FIRST));
    assert_eq!(
        delegate(&mut world, INGEST, &of_own),
        denied(NOT_PERMITTED, lines[0]),
        "more methods than its own"
    );
    let all = handed(PUBLISH, MethodSet(0b111), 0);
    assert_eq!(
        delegate(&mut world, INGEST, &all),
        denied(NOT_PERMITTED, lines[0])
    );
    let deep = handed(PUBLISH, FIRST, MAX_DEPTH);
    assert_eq!(
        delegate(&mut world, INGEST, &deep),
        denied(NOT_PERMITTED, lines[0])
    );
    let shallow = handed(PUBLISH, FIRST, 0);
    assert_eq!(delegate(&mut world, INGEST, &shallow), at(1, FIRST));
    assert_eq!(
        delegate(&mut world, PUBLISH, &handed(EDGE, FIRST, 0)),
        denied(NOT_PERMITTED, lines[1]),
        "it may hand it on no more"
    );
    for (by, wanted) in [
        (INGEST, handed(6, FIRST, 0)),
        (INGEST, handed(INGEST, FIRST, 0)),
        (PUBLISH, handed(INGEST, FIRST, 0)),
        (INGEST, Delegate { slot: 2, ..shallow }),
        (
            INGEST,
            Delegate {
                slot: 99,
                ..shallow
            },
        ),
    ] {
        let answer = delegate(&mut world, by, &wanted);
        assert!(is_not_allowed(&answer), "{by}: {wanted:?}: {answer:?}");
    }
    let leased = Delegate {
        lease_ms: Some(10),
        ..shallow
    };
    assert_eq!(
        delegate(&mut world, INGEST, &leased),
        denied(LEASED, lines[0])
    );
}

#[test]
fn to_hand_on_again_replaces_what_was_handed_on() {
    let mut world = held();
    assert_eq!(
        delegate(&mut world, INGEST, &handed(PUBLISH, BOTH, 1)),
        at(1, BOTH)
    );
    assert_eq!(
        delegate(&mut world, PUBLISH, &handed(EDGE, BOTH, 0)),
        at(1, BOTH)
    );
    let records = world.machine.records.len();
    assert_eq!(
        delegate(&mut world, INGEST, &handed(PUBLISH, BOTH, 1)),
        at(1, BOTH)
    );
    assert_eq!(world.machine.records.len(), records, "that is what it has");
    assert_eq!(
        delegate(&mut world, INGEST, &handed(PUBLISH, FIRST, 0)),
        at(1, FIRST)
    );
    assert_eq!(world.badge(5).methods(), FIRST);
    assert!(!world.is_in_force(6));
}

#[test]
fn who_handed_on_takes_back_and_nobody_else() {
    let mut world = held();
    delegate(&mut world, INGEST, &handed(PUBLISH, BOTH, 1))
        .unwrap()
        .unwrap();
    delegate(&mut world, PUBLISH, &handed(EDGE, FIRST, 0))
        .unwrap()
        .unwrap();
    for (by, slot, from) in [
        (EDGE, 1, PUBLISH),
        (EDGE, 1, INGEST),
        (PUBLISH, 1, INGEST),
        (INGEST, 1, INGEST),
        (INGEST, 2, PUBLISH),
    ] {
        let answer = take_back(&mut world, by, slot, from);
        assert!(is_not_allowed(&answer), "{by} {from}: {answer:?}");
    }
    assert!([3, 5, 6].into_iter().all(|it| world.is_in_force(it)));
    // What publish handed on is not ingest's to name, but goes with what it came from.
    assert_eq!(take_back(&mut world, INGEST, 1, EDGE), Some(Ok(())));
    assert!(world.is_in_force(6));
    let before = world.machine.records.len();
    assert_eq!(take_back(&mut world, INGEST, 1, PUBLISH), Some(Ok(())));
    // Gone in the kernel when it is answered, the deepest first in the log.
    for (component, slot) in [(PUBLISH, 1), (EDGE, 1)] {
        assert_eq!(
            refused(&mut world, component, slot),
            Some(KernelError::InvalidCapability)
        );
    }
    world.notify();
    let gone: Vec<_> = world.log()[before..]
        .iter()
        .map(|it| (it.0, it.1))
        .collect();
    assert_eq!(
        gone,
        [(Operation::Revoke, Some(6)), (Operation::Revoke, Some(5))]
    );
    for record in &world.machine.records[before..] {
        let by = Principal::component(INGEST);
        assert!(matches!(record.cause, Cause::Request { by: it, .. } if it == by));
    }
    assert!(world.is_in_force(3));
    assert_eq!(
        take_back(&mut world, INGEST, 1, PUBLISH),
        Some(Ok(())),
        "nothing is left"
    );
}

#[test]
fn what_is_given_up_is_gone_with_all_that_came_from_it() {
    let mut world = held();
    delegate(&mut world, INGEST, &handed(PUBLISH, BOTH, 1))
        .unwrap()
        .unwrap();
    delegate(&mut world, PUBLISH, &handed(EDGE, FIRST, 0))
        .unwrap()
        .unwrap();
    world.ask(INGEST, RELEASE, &1u16);
    assert_eq!(world.answer(INGEST), Some(Ok(())));
    for component in [INGEST, PUBLISH, EDGE] {
        assert_eq!(
            refused(&mut world, component, 1),
            Some(KernelError::InvalidCapability)
        );
    }
    world.ask(INGEST, RELEASE, &1u16);
    assert_eq!(world.answer(INGEST), Some(Ok(())), "it holds it no more");
    world.ask(INGEST, RELEASE, &77u16);
    assert_eq!(world.answer::<()>(INGEST), denied(NOT_PERMITTED, None));
    assert_eq!(ask(&mut world, INGEST, &of_vault()), at(1, BOTH));
}

#[test]
fn what_cannot_be_taken_back_is_not_said_to_be() {
    let mut world = held();
    world.refuse(0, KernelError::IllegalOperation);
    world.ask(INGEST, RELEASE, &1u16);
    let line = line(&world, 3);
    assert_eq!(world.answer::<()>(INGEST), denied(FAILED, line));
    assert!(world.is_in_force(3));
}

/// What flows from ingest to publish, and not back: that a grant comes and goes.
#[test]
fn who_hands_on_does_not_learn_what_the_delegate_does() {
    let stopped = |world: &mut World| world.fault(PUBLISH as u8).unwrap();
    let gives_up = |world: &mut World| {
        world.ask(PUBLISH, RELEASE, &1u16);
        assert_eq!(world.answer(PUBLISH), Some(Ok(())));
    };
    let nothing = |_: &mut World| {};
    for act in [stopped, gives_up, nothing] as [fn(&mut World); 3] {
        let mut world = held();
        assert_eq!(
            delegate(&mut world, INGEST, &handed(PUBLISH, BOTH, 0)),
            at(1, BOTH)
        );
        act(&mut world);
        flush(&mut world);
        for methods in [BOTH, FIRST] {
            let again = delegate(&mut world, INGEST, &handed(PUBLISH, methods, 0));
            assert_eq!(again, at(1, methods));
        }
        assert_eq!(take_back(&mut world, INGEST, 1, PUBLISH), Some(Ok(())));
        // Nor does it while it waits.
        world.ask(INGEST, DELEGATE, &handed(PUBLISH, BOTH, 0));
        act(&mut world);
        flush(&mut world);
        assert_eq!(world.answer(INGEST), at(1, BOTH));
    }
}

#[test]
fn who_asks_learns_that_its_object_was_stopped_only_where_that_may_tell_it() {
    let mut world = World::booted(&on_request());
    let one_way = wanted(PUBLISH, Mode::Notify, BOTH);
    world.ask(INGEST, REQUEST, &one_way);
    world.fault(PUBLISH as u8).unwrap();
    assert_eq!(world.answer(INGEST), at(2, BOTH));
    assert!(!world.is_in_force(4));
    assert_eq!(ask(&mut world, INGEST, &one_way), at(2, BOTH));
    let record = world.machine.records.last().unwrap();
    assert_eq!(
        (record.operation, record.outcome),
        (Operation::Deny, Outcome::Unavailable)
    );
    world.ask(INGEST, REQUEST, &of_vault());
    world.fault(VAULT as u8).unwrap();
    let line = line(&world, 3);
    assert_eq!(world.answer::<Found>(INGEST), denied(UNAVAILABLE, line));
}

#[test]
fn a_request_that_does_not_decode_is_a_bad_request() {
    let mut world = World::booted(&on_request());
    for method in [REQUEST, RELEASE, DELEGATE, REVOKE] {
        world.ask(INGEST, method, &[0xff_u8; 9]);
        assert_eq!(
            world.answer::<Found>(INGEST),
            denied(label::BAD_REQUEST, None)
        );
    }
    assert!(world.log().iter().all(|it| it.0 != Operation::Deny));
}

//! Faults: they come as messages of the kernel, stop nobody else, and leave nobody waiting.

mod support;

use std::collections::BTreeMap;

use portcullis_kernel::{Badge, Fault, KernelError, Message, Mode, Syscall, cspace, label};
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager::Report;
use portcullis_manager_api::{FIND, Find};
use portcullis_model::{Completion, ThreadState};
use portcullis_policy_format::OnFault;
use portcullis_policy_format::testing::Draft;
use proptest::prelude::*;
use proptest::sample::Index;

use support::draft::{MANAGER, any_draft, call, small};
use support::world::{FAULT, ROOMY, World};

/// Numbers of components of [`small`].
const VAULT: u16 = 2;
const INGEST: u16 = 3;

/// [`small`], where every component that faults is stopped.
fn stopping() -> Draft<'static> {
    let mut draft = small();
    for component in &mut draft.components {
        component.on_fault = OnFault::Stop;
    }
    draft
}

/// Calls, or sends, through grant `index`.
fn use_grant(world: &mut World, index: u16) {
    let grant = world.machine.draft.grants[usize::from(index)].grant;
    let thread = world.machine.thread(grant.subject);
    let method = grant.methods.iter().next().expect("a grant has a method");
    let message = Message::request(method, &[]);
    let to = cspace::grant(grant.slot.into());
    let request = match grant.mode {
        Mode::Call => Syscall::Call(to, message),
        Mode::Send | Mode::Notify | Mode::Stream => Syscall::Send(to, message),
    };
    let completed = world.machine.syscall(thread, &request);
    world.machine.threads.take(completed);
}

/// Has a component reply to whom it serves, and receive.
fn receive(world: &mut World, number: u16) {
    let thread = world.machine.thread(number);
    let receive = Syscall::ReplyRecv {
        from: cspace::INPUT,
        reply: cspace::REPLY,
        message: Message::new(label::OK),
    };
    let completed = world.machine.syscall(thread, &receive);
    world.machine.threads.take(completed);
}

/// Lets those go on whom the kernel has repeat their system call.
fn settle(world: &mut World) {
    for number in 0..world.machine.draft.components.len() as u16 {
        let Some(thread) = world.machine.threads.of(number) else {
            continue;
        };
        let mut completed = Vec::new();
        let kernel = &mut world.machine.kernel;
        kernel.restart(thread, &mut |thread, completion| {
            completed.push((thread, completion));
        });
        world.machine.threads.take(completed);
    }
}

/// Stops a component; the manager is told.
fn fault(world: &mut World, number: u16) {
    world.machine.fault(number, &FAULT);
    world.serve();
    settle(world);
}

fn state(world: &mut World, number: u16) -> ThreadState {
    let thread = world.machine.thread(number);
    world.machine.kernel.state(thread)
}

/// Whether the last system call of a component was answered that there is no such capability.
fn is_refused(completed: &[Completion]) -> bool {
    let refused = KernelError::InvalidCapability.code().into();
    matches!(completed, [Completion::Message { badge: Badge(0), message }] if message.label() == refused)
}

#[test]
fn what_the_kernel_said_stands_in_the_log() {
    let faults = [
        FAULT,
        Fault::CapFault {
            ip: 1,
            pointer: 1 << 63,
            receiving: true,
            lookup: 2,
        },
        Fault::UnknownSyscall { ip: 2, number: 99 },
        Fault::UserException {
            ip: 3,
            number: 2,
            code: 0,
        },
        Fault::Timeout {
            data: 4,
            consumed: 1_000,
        },
        Fault::Other { label: 8 },
    ];
    for fault in faults {
        let mut world = World::booted(&stopping());
        let before = world.log().len();
        world.machine.fault(VAULT, &fault);
        world.serve();
        let cause = Cause::Fault {
            component: VAULT,
            fault,
        };
        let said: Vec<_> = world.machine.records[before..]
            .iter()
            .map(|it| {
                assert_eq!((it.cause, it.outcome), (cause, Outcome::Done));
                let number = |grant| world.machine.number_of(&grant) as u16;
                (it.operation, it.grant.map(number))
            })
            .collect();
        // It holds nothing; ledger and ingest call it.
        let revoked = [None, Some(1), Some(3)].map(|index| match index {
            None => (Operation::Fault, None),
            index => (Operation::Revoke, index),
        });
        assert_eq!(said, revoked);
        let component = VAULT;
        let report = Report::Faulted { component, fault };
        assert_eq!(world.manager.platform().reports.last(), Some(&report));
    }
}

#[test]
fn the_log_does_not_say_what_the_fault_of_a_redacted_component_was() {
    let mut draft = stopping();
    draft.tail.redacted = 1 << VAULT;
    let mut world = World::booted(&draft);
    let before = world.log().len();
    world.machine.fault(VAULT, &FAULT);
    world.serve();
    let records = &world.machine.records[before..];
    assert_eq!(records.len(), 3, "the fault, and two revocations");
    for record in records {
        let hidden = Fault::Other { label: 0 };
        let (component, fault) = (VAULT, hidden);
        assert_eq!(record.cause, Cause::Fault { component, fault });
    }
}

#[test]
fn the_thread_stays_stopped_and_the_next_call_is_answered() {
    let mut world = World::booted(&stopping());
    world.machine.fault(VAULT, &FAULT);
    let handler = world.machine.handler(VAULT);
    assert_eq!(
        world.machine.kernel.state(handler),
        ThreadState::BlockedOnSend,
        "the manager is at work elsewhere"
    );
    // Ingest asks while the fault waits: its reply must reach it, and not whom faulted.
    let mut message = Message::default();
    let find = Find {
        object: "ledger",
        interface: "worm",
        mode: Mode::Call,
    };
    let label = label::REQUEST + u64::from(FIND.number());
    message.encode(label, &find).unwrap();
    let asked = world.machine.ask(INGEST, message);
    assert_eq!(asked, []);
    world.serve();
    let answered = world.machine.threads.completed(INGEST);
    assert!(
        matches!(&answered[..], [Completion::Message { message, .. }] if message.label() == label::OK),
        "{answered:?}"
    );
    assert_eq!(
        world.machine.kernel.state(handler),
        ThreadState::Inactive,
        "no reply holds it any more"
    );
    assert_eq!(state(&mut world, VAULT), ThreadState::Inactive);
}

#[test]
fn whom_it_was_serving_is_told_that_the_grant_is_gone() {
    for on_fault in [OnFault::Stop, OnFault::Restart] {
        let mut draft = stopping();
        draft.components[usize::from(VAULT)].on_fault = on_fault;
        let mut world = World::booted(&draft);
        receive(&mut world, VAULT);
        use_grant(&mut world, 3);
        assert_eq!(state(&mut world, INGEST), ThreadState::BlockedOnReply);
        fault(&mut world, VAULT);
        assert!(is_refused(&world.machine.threads.completed(INGEST)));
        assert_eq!(state(&mut world, INGEST), ThreadState::Running);
        assert_eq!(world.is_in_force(3), on_fault == OnFault::Restart);
    }
}

#[test]
fn who_waits_in_its_queue_is_refused_by_the_kernel() {
    let mut world = World::booted(&stopping());
    use_grant(&mut world, 1);
    use_grant(&mut world, 3);
    fault(&mut world, VAULT);
    for subject in [1, INGEST] {
        assert!(is_refused(&world.machine.threads.completed(subject)));
        assert_eq!(state(&mut world, subject), ThreadState::Running);
    }
}

#[test]
fn nobody_else_is_answered() {
    let mut world = World::booted(&stopping());
    receive(&mut world, VAULT);
    use_grant(&mut world, 1);
    assert_eq!(state(&mut world, 1), ThreadState::BlockedOnReply);
    // Neither one that nobody calls, nor one that serves nobody, nor the caller's neighbour.
    for stopped in [INGEST, 4, 5, 6] {
        fault(&mut world, stopped);
        assert_eq!(state(&mut world, 1), ThreadState::BlockedOnReply);
    }
    receive(&mut world, VAULT);
    let answered = world.machine.threads.completed(1);
    assert!(
        matches!(&answered[..], [Completion::Message { message, .. }] if message.label() == label::OK)
    );
}

#[test]
fn a_caller_that_is_stopped_gets_no_reply() {
    let mut world = World::booted(&stopping());
    receive(&mut world, VAULT);
    use_grant(&mut world, 3);
    fault(&mut world, INGEST);
    receive(&mut world, VAULT);
    assert_eq!(world.machine.threads.completed(INGEST), []);
    assert_eq!(state(&mut world, INGEST), ThreadState::Inactive);
    assert_eq!(state(&mut world, VAULT), ThreadState::BlockedOnReceive);
}

#[test]
fn without_a_policy_a_fault_is_only_told() {
    let mut world = World::with_policy(&small(), Vec::new(), ROOMY);
    world.boot();
    world.machine.fault(VAULT, &FAULT);
    world.serve();
    assert_eq!(world.log(), []);
    let (component, fault) = (VAULT, FAULT);
    let report = Report::Faulted { component, fault };
    assert_eq!(world.manager.platform().reports.last(), Some(&report));
}

#[test]
fn a_fault_in_a_queue_of_calls_takes_its_turn() {
    let mut draft = stopping();
    draft.grants.push(call(6, 2, VAULT));
    let mut world = World::booted(&draft);
    for number in [1, VAULT, INGEST, 6] {
        world.machine.fault(number, &FAULT);
    }
    world.serve();
    let stopped: Vec<_> = world
        .machine
        .records
        .iter()
        .filter(|record| record.operation == Operation::Fault)
        .map(|record| record.cause)
        .collect();
    let expected = [1, VAULT, INGEST, 6].map(|component| Cause::Fault {
        component,
        fault: FAULT,
    });
    assert_eq!(stopped, expected);
    assert_eq!(world.manager.in_force(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Use(Index),
    Receive(Index),
    Issue(Index),
    Fault(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        6 => index().prop_map(Step::Use),
        6 => index().prop_map(Step::Receive),
        2 => index().prop_map(Step::Issue),
        1 => index().prop_map(Step::Fault),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever calls are waiting, in queues and on replies, when components stop.
    #[test]
    fn nobody_waits_for_a_stopped_component(
        mut draft in any_draft(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        for component in &mut draft.components {
            component.on_fault = OnFault::Stop;
        }
        let mut world = World::booted(&draft);
        let components = draft.components.len() as u16;
        let grants = draft.grants.len();
        let mut waits_for = BTreeMap::new();
        let mut stopped = Vec::new();
        for step in steps {
            match step {
                Step::Use(index) if grants > 0 => {
                    let index = index.index(grants);
                    let grant = &draft.grants[index].grant;
                    let subject = grant.subject;
                    let is_running = state(&mut world, subject) == ThreadState::Running;
                    if subject != MANAGER && is_running {
                        waits_for.insert(subject, grant.object);
                        use_grant(&mut world, index as u16);
                    }
                }
                Step::Issue(index) if grants > 0 => {
                    let _ = world.issue(index.index(grants) as u16, None);
                }
                Step::Receive(index) => {
                    let number = 1 + index.index(usize::from(components) - 1) as u16;
                    if state(&mut world, number) == ThreadState::Running {
                        waits_for.remove(&number);
                        receive(&mut world, number);
                    }
                }
                Step::Fault(index) => {
                    let number = 1 + index.index(usize::from(components) - 1) as u16;
                    if !stopped.contains(&number) {
                        stopped.push(number);
                        fault(&mut world, number);
                    }
                }
                Step::Use(_) | Step::Issue(_) => {}
            }
            world.serve();
            settle(&mut world);
            for (subject, object) in &waits_for {
                let waits = matches!(
                    state(&mut world, *subject),
                    ThreadState::BlockedOnSend | ThreadState::BlockedOnReply
                );
                prop_assert!(!(waits && stopped.contains(object)), "{subject} waits for {object}");
            }
            for number in &stopped {
                prop_assert_eq!(state(&mut world, *number), ThreadState::Inactive);
            }
        }
    }
}

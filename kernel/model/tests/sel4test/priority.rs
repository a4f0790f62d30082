//! The parts of `scheduler.c` that are about priorities and states, and not about time.

use portcullis_kernel::Message;
use portcullis_model::invocation::label;
use portcullis_model::{Completion, ThreadId, ThreadState};

use crate::helper::{
    Helper, ILLEGAL_OPERATION, INVALID_CAPABILITY, MANAGER, OK, SPARE, bind, error, helper,
    new_system, recv_with, reply_recv_with, set_priority, text, unbind,
};
use crate::system::{ENDPOINT, REPLY, System, call, message, received, recv, refused, send};

/// Has the manager invoke the thread in a slot.
fn invoke(system: &mut System, tcb: u64, label: u64) -> Completion {
    let (told, others) = system.call_with(tcb, &Message::new(label), &[]);
    assert_eq!(others, []);
    told
}

/// A thread may resume itself.
#[test]
fn sched0002() {
    let mut system = new_system();
    assert_eq!(invoke(&mut system, MANAGER, label::TCB_RESUME), OK);
}

/// A suspended thread does not run, and a resumed one does.
#[test]
fn sched0003() {
    let mut system = new_system();
    let helper = helper(&mut system, 0, 10);
    assert_eq!(invoke(&mut system, helper.tcb, label::TCB_SUSPEND), OK);
    assert!(!system.kernel.is_schedulable(helper.thread));
    assert_eq!(invoke(&mut system, helper.tcb, label::TCB_RESUME), OK);
    assert!(system.kernel.is_schedulable(helper.thread));
}

/// The badges in which calls are received.
fn order(system: &mut System, count: usize) -> Vec<u64> {
    let all = (0..count).map(|_| {
        let events = system.syscall(system.manager, recv(ENDPOINT));
        let own = events
            .into_iter()
            .find(|(thread, _)| *thread == system.manager);
        match own {
            Some((_, Completion::Message { badge, .. })) => badge.0,
            other => panic!("received {other:?}"),
        }
    });
    all.collect()
}

/// Clients of priorities 100, 101 and so on, with badges 1, 2 and so on.
fn clients(system: &mut System, count: u64) -> Vec<Helper> {
    let all = (0..count).map(|client| {
        let rights = portcullis_kernel::Rights::ALL;
        let minted = system.mint(ENDPOINT, SPARE + client, rights, client + 1);
        minted.unwrap();
        helper(system, client, 100 + client as u8)
    });
    all.collect()
}

/// Messages are received by priority, whatever their order.
#[test]
fn sched0007() {
    let mut system = new_system();
    let clients = clients(&mut system, 5);
    for client in [2, 0, 4, 1, 3] {
        let through = SPARE + client as u64;
        system.syscall(clients[client].thread, call(through, &text()));
    }
    assert_eq!(order(&mut system, 5), [5, 4, 3, 2, 1]);
}

/// A new priority moves a caller to its place in the queue, behind its equals.
#[test]
fn sched0008() {
    for (priority, expected) in [
        (90, [5, 4, 3, 2, 1]),
        (102, [5, 4, 3, 1, 2]),
        (103, [5, 4, 1, 3, 2]),
        (104, [5, 1, 4, 3, 2]),
        (105, [1, 5, 4, 3, 2]),
    ] {
        let mut system = new_system();
        let clients = clients(&mut system, 5);
        for (client, it) in (0..).zip(&clients) {
            system.syscall(it.thread, call(SPARE + client, &text()));
        }
        assert_eq!(set_priority(&mut system, clients[0].tcb, priority), OK);
        assert_eq!(order(&mut system, 5), expected, "priority {priority}");
    }
}

/// Of several servers at an endpoint, the one of the highest priority gets the call.
#[test]
fn sched0009() {
    let mut system = new_system();
    let servers: Vec<_> = (0..5)
        .map(|place| helper(&mut system, place, 100 + place as u8))
        .collect();
    for server in &servers {
        system.syscall(server.thread, recv_with(ENDPOINT, server.reply));
    }
    let got = received(0, &text());
    for server in servers.iter().rev() {
        for _ in 0..2 {
            let events = system.syscall(system.manager, call(ENDPOINT, &text()));
            assert_eq!(events, [(server.thread, got.clone())]);
            let events = system.syscall(server.thread, reply_recv_with(ENDPOINT, server.reply));
            assert_eq!(events, [(system.manager, got.clone())]);
        }
        assert_eq!(invoke(&mut system, server.tcb, label::TCB_SUSPEND), OK);
    }
}

/// A resumed thread without a scheduling context, or whose one was deleted, does not run.
#[test]
fn sched0010() {
    let mut system = new_system();
    let helper = helper(&mut system, 0, 10);
    assert_eq!(invoke(&mut system, helper.tcb, label::TCB_SUSPEND), OK);
    unbind(&mut system, &helper);
    assert_eq!(invoke(&mut system, helper.tcb, label::TCB_RESUME), OK);
    assert_eq!(system.state(helper.thread), ThreadState::Running);
    assert!(!system.kernel.is_schedulable(helper.thread));
    system.delete(helper.sc).unwrap();
    assert_eq!(invoke(&mut system, helper.tcb, label::TCB_RESUME), OK);
    assert!(!system.kernel.is_schedulable(helper.thread));
    assert_eq!(system.syscall(helper.thread, send(REPLY, &text())), []);
}

/// YieldTo is refused to oneself, to a scheduling context that nobody has, and to a thread of a higher
/// priority than one may give. What a yield that is allowed consumes is not modelled.
#[test]
fn sched0017() {
    let mut system = new_system();
    let manager = system.kernel.context(system.manager).unwrap();
    let held = portcullis_model::Capability::SchedulingContext { object: manager };
    system.hold(SPARE, held);
    let yield_to = |system: &mut System, sc| invoke(system, sc, label::CONTEXT_YIELD_TO);
    assert_eq!(yield_to(&mut system, SPARE), error(ILLEGAL_OPERATION));
    let helper = helper(&mut system, 0, 10);
    unbind(&mut system, &helper);
    assert_eq!(yield_to(&mut system, helper.sc), error(ILLEGAL_OPERATION));
    assert_eq!(bind(&mut system, helper.sc, helper.tcb), OK);
    let to_manager = call(SPARE, &Message::new(label::CONTEXT_YIELD_TO));
    let events = system.syscall(helper.thread, to_manager);
    assert_eq!(events, [(helper.thread, error(ILLEGAL_OPERATION))]);
    let unmodelled = Completion::Unmodelled {
        label: label::CONTEXT_YIELD_TO,
    };
    assert_eq!(yield_to(&mut system, helper.sc), unmodelled);
}

/// Has the manager set a priority on the authority of what a slot holds.
fn set(system: &mut System, label: u64, to: (u64, u64), authority: u64) -> Completion {
    let (tcb, priority) = to;
    let told = system.call_with(tcb, &message(label, &[priority]), &[authority]);
    assert_eq!(told.1, []);
    told.0
}

/// A priority may be no higher than the authority's maximum, and the authority must be a thread.
#[test]
fn sched0005() {
    let mut system = new_system();
    let helper = helper(&mut system, 0, 10);
    let priority = |system: &System, thread: ThreadId| system.kernel.priority(thread);
    for label in [label::TCB_SET_PRIORITY, label::TCB_SET_MC_PRIORITY] {
        let none = message(label, &[1]);
        let truncated = system.call_with(helper.tcb, &none, &[]);
        assert_eq!(truncated, (error(7), vec![]));
        let no_words = Message::new(label);
        let truncated = system.call_with(helper.tcb, &no_words, &[MANAGER]);
        assert_eq!(truncated, (error(7), vec![]));
        let other = set(&mut system, label, (helper.tcb, 1), ENDPOINT);
        assert_eq!(other, refused(INVALID_CAPABILITY, &[1]));
        for high in [11, 256, u64::MAX] {
            let told = set(&mut system, label, (helper.tcb, high), helper.tcb);
            assert_eq!(told, refused(4, &[0, 10]), "{high}");
        }
    }
    assert_eq!(priority(&system, helper.thread), 10);
    let set_priority = label::TCB_SET_PRIORITY;
    assert_eq!(
        set(&mut system, set_priority, (helper.tcb, 200), MANAGER),
        OK
    );
    assert_eq!(priority(&system, helper.thread), 200);
    // Its authority is as it was.
    let told = set(&mut system, set_priority, (MANAGER, 11), helper.tcb);
    assert_eq!(told, refused(4, &[0, 10]));
    let mcp = label::TCB_SET_MC_PRIORITY;
    assert_eq!(set(&mut system, mcp, (helper.tcb, 11), MANAGER), OK);
    assert_eq!(
        set(&mut system, set_priority, (MANAGER, 11), helper.tcb),
        OK
    );
    assert_eq!(priority(&system, system.manager), 11);
}

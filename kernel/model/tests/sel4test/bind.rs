//! `binding.c`, and `NBWAIT0001` of `nbwait.c`.

use portcullis_kernel::{Message, Rights};
use portcullis_model::invocation::label;
use portcullis_model::{Completion, ThreadState};

use crate::helper::{Helper, OK, SPARE, bind, helper, new_system, rebind, text, unbind};
use crate::system::{
    ENDPOINT, NOTIFICATION, System, nb_recv, poll, received, send, signalled, wait,
};

const BADGED: u64 = SPARE;
const BADGED_NOTIFICATION: u64 = SPARE + 1;

/// A system with the endpoint under badge 1 and the notification under badge 2.
fn badged() -> System {
    let mut system = new_system();
    system.mint(ENDPOINT, BADGED, Rights::ALL, 1).unwrap();
    let badged = system.mint(NOTIFICATION, BADGED_NOTIFICATION, Rights::ALL, 2);
    badged.unwrap();
    system
}

/// Binds the notification to the thread in a slot.
fn bind_notification(system: &mut System, tcb: u64) {
    let bind = Message::new(label::TCB_BIND_NOTIFICATION);
    let told = system.call_with(tcb, &bind, &[NOTIFICATION]);
    assert_eq!(told, (OK, vec![]));
}

/// A helper that is bound to the notification and waits.
fn bound(system: &mut System, place: u64, at: u64) -> Helper {
    let bound = helper(system, place, 10);
    bind_notification(system, bound.tcb);
    assert_eq!(system.syscall(bound.thread, wait(at)), []);
    bound
}

/// A thread that waits at an endpoint gets messages, and signals of its bound notification.
#[test]
fn bind0001() {
    let mut system = badged();
    let waiter = bound(&mut system, 0, ENDPOINT);
    for _ in 0..10 {
        let events = system.syscall(system.manager, send(BADGED_NOTIFICATION, &text()));
        assert_eq!(events[0], (waiter.thread, signalled(2)));
        system.syscall(waiter.thread, wait(ENDPOINT));
        let events = system.syscall(system.manager, send(BADGED, &text()));
        assert_eq!(events[0], (waiter.thread, received(1, &text())));
        system.syscall(waiter.thread, wait(ENDPOINT));
    }
    let unbind = Message::new(label::TCB_UNBIND_NOTIFICATION);
    assert_eq!(system.call_with(waiter.tcb, &unbind, &[]), (OK, vec![]));
    let events = system.syscall(system.manager, send(BADGED_NOTIFICATION, &text()));
    assert_eq!(events, [(system.manager, Completion::Done)]);
}

/// A thread that waits for its bound notification gets its signals.
#[test]
fn bind0002() {
    let mut system = badged();
    let waiter = bound(&mut system, 0, NOTIFICATION);
    for _ in 0..10 {
        let events = system.syscall(system.manager, send(BADGED_NOTIFICATION, &text()));
        assert_eq!(events[0], (waiter.thread, signalled(2)));
        system.syscall(waiter.thread, wait(NOTIFICATION));
    }
}

/// A bound thread waits for its notification, and is then signalled.
#[test]
fn bind0003() {
    let mut system = badged();
    let waiter = bound(&mut system, 0, NOTIFICATION);
    let sender = helper(&mut system, 1, 9);
    let events = system.syscall(sender.thread, send(NOTIFICATION, &text()));
    let done = (sender.thread, Completion::Done);
    assert_eq!(events, [(waiter.thread, signalled(0)), done]);
}

/// A bound thread's notification is signalled, and it then waits for it.
#[test]
fn bind0004() {
    let mut system = badged();
    let waiter = helper(&mut system, 0, 9);
    bind_notification(&mut system, waiter.tcb);
    let sender = helper(&mut system, 1, 10);
    let events = system.syscall(sender.thread, send(NOTIFICATION, &text()));
    assert_eq!(events, [(sender.thread, Completion::Done)]);
    let events = system.syscall(waiter.thread, wait(NOTIFICATION));
    assert_eq!(events, [(waiter.thread, signalled(0))]);
}

/// A bound thread without a scheduling context gets the signal, and does not run before it has one.
#[test]
fn bind005() {
    let mut system = badged();
    let waiter = bound(&mut system, 0, ENDPOINT);
    unbind(&mut system, &waiter);
    let events = system.syscall(system.manager, send(NOTIFICATION, &text()));
    assert_eq!(events[0], (waiter.thread, signalled(0)));
    assert!(!system.kernel.is_schedulable(waiter.thread));
    assert_eq!(system.syscall(waiter.thread, poll(NOTIFICATION)), []);
    rebind(&mut system, &waiter);
    assert!(system.kernel.is_schedulable(waiter.thread));
}

/// The scheduling context that is bound to the notification is lent to the thread that it wakes.
#[test]
fn bind006() {
    let mut system = badged();
    let waiter = bound(&mut system, 0, ENDPOINT);
    unbind(&mut system, &waiter);
    assert_eq!(bind(&mut system, waiter.sc, NOTIFICATION), OK);
    let events = system.syscall(system.manager, send(NOTIFICATION, &text()));
    assert_eq!(events[0], (waiter.thread, signalled(0)));
    assert_eq!(system.kernel.context(waiter.thread), Some(waiter.context));
    assert!(system.kernel.is_schedulable(waiter.thread));
}

/// Receiving that does not wait gives a bound signal, a message, or nothing.
#[test]
fn nbwait0001() {
    let mut system = badged();
    let manager = system.manager;
    bind_notification(&mut system, crate::helper::MANAGER);
    let nothing = [(manager, Completion::Nothing)];
    assert_eq!(system.syscall(manager, nb_recv(ENDPOINT)), nothing);
    assert_eq!(system.syscall(manager, poll(NOTIFICATION)), nothing);
    let got = [(manager, signalled(2))];
    for look in [poll(NOTIFICATION), nb_recv(ENDPOINT)] {
        system.syscall(manager, send(BADGED_NOTIFICATION, &text()));
        assert_eq!(system.syscall(manager, look.clone()), got);
        assert_eq!(system.syscall(manager, look), nothing);
    }
    let sender = helper(&mut system, 0, 10);
    system.syscall(sender.thread, send(BADGED, &text()));
    assert_eq!(system.state(sender.thread), ThreadState::BlockedOnSend);
    let sent = (sender.thread, Completion::Done);
    let events = system.syscall(manager, nb_recv(ENDPOINT));
    assert_eq!(events, [sent, (manager, received(1, &text()))]);
    assert_eq!(system.syscall(manager, nb_recv(ENDPOINT)), nothing);
}

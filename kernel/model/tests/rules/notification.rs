//! Notifications: bits that are signalled, waited for and polled.

use portcullis_kernel::{CPtr, KernelError, Message, Rights, Syscall};
use portcullis_model::{Completion, ThreadState};

use crate::system::{
    ENDPOINT, FREE, NOTIFICATION, System, call, message, nb_recv, nb_send, poll, receive_fault,
    received, recv, refused, send, signalled, wait,
};

/// A system whose slots from [`FREE`] on signal bit 0, 1, 2.
fn system() -> System {
    let mut system = System::new();
    for bit in 0..3 {
        let rights = Rights::WRITE;
        system
            .mint(NOTIFICATION, FREE + bit, rights, 1 << bit)
            .unwrap();
    }
    system
}

fn signal(system: &mut System, bit: u64) -> crate::system::Events {
    let thread = system.manager;
    let mut events = system.syscall(thread, send(FREE + bit, &message(99, &[1, 2])));
    assert_eq!(events.pop(), Some((thread, Completion::Done)));
    events
}

#[test]
fn signals_add_up_until_they_are_taken() {
    let mut system = system();
    let thread = system.manager;
    for bit in [0, 2, 0] {
        assert_eq!(signal(&mut system, bit), []);
    }
    let events = system.syscall(thread, wait(NOTIFICATION));
    assert_eq!(events, [(thread, signalled(0b101))]);
    let events = system.syscall(thread, poll(NOTIFICATION));
    assert_eq!(events, [(thread, Completion::Nothing)]);
}

#[test]
fn a_signal_carries_no_message() {
    let mut system = system();
    signal(&mut system, 1);
    let events = system.syscall(system.manager, recv(NOTIFICATION));
    assert_eq!(events, [(system.manager, received(2, &Message::default()))]);
}

#[test]
fn a_signal_wakes_one_that_waits_and_is_used_up() {
    let mut system = system();
    let [first, second] = [4, 4].map(|priority| system.thread(priority));
    system.syscall(first, wait(NOTIFICATION));
    system.syscall(second, wait(NOTIFICATION));
    assert_eq!(system.state(second), ThreadState::BlockedOnNotification);
    assert_eq!(signal(&mut system, 1), [(first, signalled(2))]);
    assert_eq!(signal(&mut system, 2), [(second, signalled(4))]);
    let events = system.syscall(system.manager, poll(NOTIFICATION));
    assert_eq!(events, [(system.manager, Completion::Nothing)]);
}

#[test]
fn a_signal_wakes_the_highest_priority_first() {
    let mut system = system();
    let waiting = [2, 8, 5].map(|priority| system.thread(priority));
    for thread in waiting {
        system.syscall(thread, wait(NOTIFICATION));
    }
    for expected in [1, 2, 0] {
        let events = signal(&mut system, 0);
        assert_eq!(events, [(waiting[expected], signalled(1))]);
    }
}

#[test]
fn a_signal_without_a_badge_is_a_signal() {
    let mut system = system();
    let thread = system.manager;
    system.syscall(thread, send(NOTIFICATION, &Message::default()));
    let events = system.syscall(thread, poll(NOTIFICATION));
    assert_eq!(events, [(thread, signalled(0))]);
}

#[test]
fn a_call_signals_and_is_answered_by_the_kernel() {
    let mut system = system();
    let thread = system.manager;
    let events = system.syscall(thread, call(FREE, &message(50, &[1])));
    assert_eq!(events, [(thread, received(0, &Message::default()))]);
    let events = system.syscall(thread, poll(NOTIFICATION));
    assert_eq!(events, [(thread, signalled(1))]);
}

#[test]
fn nb_send_signals() {
    let mut system = system();
    let thread = system.manager;
    system.syscall(thread, nb_send(FREE, &Message::default()));
    let events = system.syscall(thread, poll(NOTIFICATION));
    assert_eq!(events, [(thread, signalled(1))]);
}

#[test]
fn signalling_without_write_is_silent_for_send_and_an_error_for_call() {
    let mut system = system();
    system.copy(NOTIFICATION, FREE + 9, Rights::READ).unwrap();
    let thread = system.manager;
    let events = system.syscall(thread, send(FREE + 9, &Message::default()));
    assert_eq!(events, [(thread, Completion::Done)]);
    let events = system.syscall(thread, call(FREE + 9, &Message::default()));
    assert_eq!(events, [(thread, refused(2, &[0]))]);
    let events = system.syscall(thread, poll(NOTIFICATION));
    assert_eq!(events, [(thread, Completion::Nothing)]);
}

#[test]
fn waiting_without_read_is_a_fault() {
    for syscall in [wait(FREE), poll(FREE), recv(FREE), nb_recv(FREE)] {
        let mut system = system();
        let thread = system.thread(1);
        let events = system.syscall(thread, syscall);
        assert_eq!(events, [(thread, receive_fault(FREE))]);
    }
}

#[test]
fn a_bound_notification_is_waited_for_by_its_thread_only() {
    let mut system = system();
    let [owner, other] = [1, 2].map(|priority| system.thread(priority));
    let notification = system.notification;
    system
        .kernel
        .bind_notification(owner, notification)
        .unwrap();
    let events = system.syscall(other, wait(NOTIFICATION));
    assert_eq!(events, [(other, receive_fault(NOTIFICATION))]);
    assert_eq!(system.syscall(owner, wait(NOTIFICATION)), []);
    assert_eq!(signal(&mut system, 2), [(owner, signalled(4))]);
}

#[test]
fn waiting_for_a_notification_needs_no_reply_object() {
    let mut system = system();
    signal(&mut system, 0);
    let thread = system.manager;
    let events = system.syscall(
        thread,
        Syscall::Recv {
            from: CPtr(NOTIFICATION),
            reply: CPtr(ENDPOINT),
        },
    );
    assert_eq!(events, [(thread, signalled(1))]);
}

#[test]
fn an_interrupt_signals_as_a_capability_does() {
    let mut system = system();
    let (notification, thread) = (system.notification, system.thread(1));
    system.syscall(thread, wait(NOTIFICATION));
    let events = system.step(|kernel, done| kernel.signal(notification, 1 << 40, done));
    assert_eq!(events, [(thread, signalled(1 << 40))]);
}

#[test]
fn a_running_thread_s_bound_notification_keeps_the_signal() {
    let mut system = system();
    let owner = system.thread(1);
    let notification = system.notification;
    system
        .kernel
        .bind_notification(owner, notification)
        .unwrap();
    assert_eq!(signal(&mut system, 1), []);
    let events = system.syscall(owner, recv(ENDPOINT));
    assert_eq!(events, [(owner, signalled(2))]);
}

#[test]
fn binding_takes_a_free_thread_and_a_free_notification_that_nobody_waits_for() {
    let mut system = system();
    let [first, second] = [1, 2].map(|priority| system.thread(priority));
    let notification = system.notification;
    let illegal = Err(KernelError::IllegalOperation);
    system.syscall(second, wait(NOTIFICATION));
    let kernel = &mut system.kernel;
    assert_eq!(kernel.bind_notification(first, notification), illegal);
    kernel.suspend(second);
    assert_eq!(kernel.bind_notification(first, notification), Ok(()));
    assert_eq!(kernel.bind_notification(second, notification), illegal);
    let another = kernel.create_notification();
    assert_eq!(kernel.bind_notification(first, another), illegal);
    let endpoint = kernel.create_endpoint();
    assert_eq!(kernel.bind_notification(second, endpoint), illegal);
}

//! MCS reply objects: whom they hold, and what using them again does.

use portcullis_kernel::{CPtr, Message, Rights, Syscall};
use portcullis_model::{Capability, Completion, ThreadState};

use crate::system::{
    CNODE, EMPTY, ENDPOINT, FREE, NOTIFICATION, REPLY, System, call, message, nb_recv,
    receive_fault, received, recv, reply_recv, send, signalled, wait,
};

/// Receives from the endpoint with the reply object in this slot.
const fn recv_with(reply: u64) -> Syscall {
    Syscall::Recv {
        from: CPtr(ENDPOINT),
        reply: CPtr(reply),
    }
}

#[test]
fn sending_to_a_reply_object_replies() {
    for use_call in [false, true] {
        let mut system = System::new();
        let [caller, server] = [1, 2].map(|priority| system.thread(priority));
        system.syscall(server, recv(ENDPOINT));
        system.syscall(caller, call(ENDPOINT, &Message::default()));
        let answer = message(33, &[7]);
        let (syscall, ended) = if use_call {
            (call(REPLY, &answer), received(0, &Message::default()))
        } else {
            (send(REPLY, &answer), Completion::Done)
        };
        assert_eq!(
            system.syscall(server, syscall),
            [(caller, received(0, &answer)), (server, ended)]
        );
    }
}

#[test]
fn a_reply_to_nobody_is_silent() {
    let mut system = System::new();
    let thread = system.manager;
    let events = system.syscall(thread, send(REPLY, &message(16, &[])));
    assert_eq!(events, [(thread, Completion::Done)]);
    let events = system.syscall(thread, reply_recv(ENDPOINT, &message(16, &[])));
    assert_eq!(events, []);
}

#[test]
fn a_reply_is_given_once() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    system.syscall(server, send(REPLY, &message(16, &[1])));
    let events = system.syscall(server, send(REPLY, &message(16, &[2])));
    assert_eq!(events, [(server, Completion::Done)]);
}

#[test]
fn a_reply_object_of_another_thread_that_receives_is_replied_to_by_nobody() {
    let mut system = System::new();
    let server = system.thread(2);
    system.syscall(server, recv(ENDPOINT));
    let thread = system.manager;
    let events = system.syscall(thread, send(REPLY, &message(16, &[])));
    assert_eq!(events, [(thread, Completion::Done)]);
    assert_eq!(system.state(server), ThreadState::BlockedOnReceive);
}

#[test]
fn receiving_again_without_replying_leaves_the_caller_waiting_for_ever() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    assert_eq!(system.syscall(server, recv(ENDPOINT)), []);
    assert_eq!(system.state(caller), ThreadState::Inactive);
}

#[test]
fn even_receiving_that_finds_nothing_lets_the_caller_go() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    let events = system.syscall(server, nb_recv(ENDPOINT));
    assert_eq!(events, [(server, Completion::Nothing)]);
    assert_eq!(system.state(caller), ThreadState::Inactive);
}

#[test]
fn the_caller_is_let_go_before_a_bound_notification_is_looked_at() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    let notification = system.notification;
    system
        .kernel
        .bind_notification(server, notification)
        .unwrap();
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    system.step(|kernel, done| kernel.signal(notification, 1, done));
    let events = system.syscall(server, recv(ENDPOINT));
    assert_eq!(events, [(server, signalled(1))]);
    assert_eq!(system.state(caller), ThreadState::Inactive);
}

#[test]
fn waiting_for_a_notification_keeps_the_caller() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    system.syscall(server, recv(NOTIFICATION));
    assert_eq!(system.state(caller), ThreadState::BlockedOnReply);
}

#[test]
fn two_reply_objects_hold_two_callers() {
    let mut system = System::new();
    system.reply_at(FREE);
    let [first, second, server] = [1, 1, 2].map(|priority| system.thread(priority));
    system.syscall(first, call(ENDPOINT, &message(20, &[1])));
    system.syscall(second, call(ENDPOINT, &message(20, &[2])));
    system.syscall(server, recv_with(REPLY));
    system.syscall(server, recv_with(FREE));
    let answer = message(16, &[]);
    // Replied to in any order.
    for (reply, caller) in [(FREE, second), (REPLY, first)] {
        let events = system.syscall(server, send(reply, &answer));
        assert_eq!(events[0], (caller, received(0, &answer)));
    }
}

#[test]
fn a_reply_object_that_another_receives_with_takes_its_place() {
    let mut system = System::new();
    let [first, second] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(first, recv(ENDPOINT));
    system.syscall(second, recv(ENDPOINT));
    assert_eq!(system.state(first), ThreadState::Inactive);
    assert_eq!(system.state(second), ThreadState::BlockedOnReceive);
}

#[test]
fn another_thread_may_give_the_reply() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    let answer = message(16, &[3]);
    let events = system.syscall(system.manager, send(REPLY, &answer));
    assert_eq!(events[0], (caller, received(0, &answer)));
}

#[test]
fn a_send_leaves_the_reply_object_free() {
    let mut system = System::new();
    let [sender, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(sender, send(ENDPOINT, &Message::default()));
    let events = system.syscall(server, reply_recv(ENDPOINT, &message(16, &[])));
    assert_eq!(events, []);
}

// What ReplyRecv does with something other than a reply object.

fn reply_recv_with(reply: u64, from: u64) -> Syscall {
    Syscall::ReplyRecv {
        from: CPtr(from),
        reply: CPtr(reply),
        message: message(16, &[1]),
    }
}

#[test]
fn reply_recv_through_an_empty_slot_or_a_cnode_faults_in_the_receive_phase() {
    for reply in [EMPTY, CNODE] {
        let mut system = System::new();
        let thread = system.thread(1);
        let events = system.syscall(thread, reply_recv_with(reply, ENDPOINT));
        assert_eq!(events, [(thread, receive_fault(reply))]);
    }
}

#[test]
fn reply_recv_may_not_invoke_a_cnode() {
    let mut system = System::new();
    let thread = system.manager;
    system.copy(ENDPOINT, FREE, Rights::ALL).unwrap();
    system.syscall(
        thread,
        Syscall::ReplyRecv {
            from: CPtr(NOTIFICATION),
            reply: CPtr(CNODE),
            message: message(19, &[FREE, 64]),
        },
    );
    assert_eq!(system.filled(), [FREE]);
}

#[test]
fn reply_recv_may_not_invoke_a_thread() {
    let mut system = System::new();
    let [thread, target] = [1, 2].map(|priority| system.thread(priority));
    let held = Capability::Thread { thread: target };
    system.kernel.insert(system.cnode, FREE, held).unwrap();
    // Label 12 is TCB_Suspend.
    system.syscall(
        thread,
        Syscall::ReplyRecv {
            from: CPtr(NOTIFICATION),
            reply: CPtr(FREE),
            message: message(12, &[]),
        },
    );
    assert_eq!(system.state(target), ThreadState::Running);
    assert_eq!(system.state(thread), ThreadState::BlockedOnNotification);
}

#[test]
fn reply_recv_through_an_endpoint_sends_without_waiting_and_then_faults() {
    let mut system = System::new();
    let [receiver, thread] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(receiver, recv(ENDPOINT));
    assert_eq!(
        system.syscall(thread, reply_recv_with(ENDPOINT, ENDPOINT)),
        [
            (receiver, received(0, &message(16, &[1]))),
            (thread, receive_fault(ENDPOINT))
        ]
    );
}

#[test]
fn reply_recv_from_a_notification_through_an_endpoint_sends_and_waits() {
    let mut system = System::new();
    let [receiver, thread] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(receiver, wait(ENDPOINT));
    let events = system.syscall(thread, reply_recv_with(ENDPOINT, NOTIFICATION));
    assert_eq!(events, [(receiver, received(0, &message(16, &[1])))]);
    assert_eq!(system.state(thread), ThreadState::BlockedOnNotification);
}

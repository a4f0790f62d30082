//! Endpoints: who gets which message, and what rights that takes.

use portcullis_kernel::{CPtr, MAX_WORDS, Message, Rights, Syscall};
use portcullis_model::{Completion, ThreadState};

use crate::system::{
    CNODE, EMPTY, ENDPOINT, FREE, NOTIFICATION, REPLY, System, call, message, nb_recv, nb_send,
    poll, receive_fault, received, recv, refused, reply_recv, send, signalled, wait,
};

#[test]
fn a_send_waits_for_its_receiver_and_both_go_on() {
    let mut system = System::new();
    let [sender, receiver] = [1, 2].map(|priority| system.thread(priority));
    let text = message(20, &[1, 2, 3]);
    assert_eq!(system.syscall(sender, send(ENDPOINT, &text)), []);
    assert_eq!(system.state(sender), ThreadState::BlockedOnSend);
    assert_eq!(
        system.syscall(receiver, recv(ENDPOINT)),
        [(sender, Completion::Done), (receiver, received(0, &text))]
    );
}

#[test]
fn a_receiver_waits_for_its_sender_and_goes_on_first() {
    let mut system = System::new();
    let [sender, receiver] = [1, 2].map(|priority| system.thread(priority));
    let text = message(20, &[]);
    assert_eq!(system.syscall(receiver, recv(ENDPOINT)), []);
    assert_eq!(system.state(receiver), ThreadState::BlockedOnReceive);
    assert_eq!(
        system.syscall(sender, send(ENDPOINT, &text)),
        [(receiver, received(0, &text)), (sender, Completion::Done)]
    );
}

#[test]
fn the_receiver_is_told_the_badge_of_the_capability_that_was_used() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::WRITE, 77).unwrap();
    let receiver = system.thread(1);
    let text = message(20, &[5]);
    system.syscall(system.manager, nb_send(FREE, &text));
    system.syscall(receiver, recv(ENDPOINT));
    let events = system.syscall(system.manager, nb_send(FREE, &text));
    assert_eq!(events[0], (receiver, received(77, &text)));
}

#[test]
fn the_badge_of_a_queued_message_is_that_of_the_sending() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::WRITE, 77).unwrap();
    let sender = system.thread(1);
    let text = message(20, &[5]);
    system.syscall(sender, send(FREE, &text));
    system.delete(FREE).unwrap();
    system.mint(ENDPOINT, FREE, Rights::WRITE, 78).unwrap();
    let events = system.syscall(system.manager, recv(ENDPOINT));
    assert_eq!(events[1], (system.manager, received(77, &text)));
}

#[test]
fn the_longest_message_arrives_whole_and_the_label_loses_its_high_bits() {
    let mut system = System::new();
    let receiver = system.thread(1);
    system.syscall(receiver, recv(ENDPOINT));
    let words = [9; MAX_WORDS];
    let sent = message(u64::MAX, &words);
    let events = system.syscall(system.manager, send(ENDPOINT, &sent));
    let arrives = message((1 << 52) - 1, &words);
    assert_eq!(events[0], (receiver, received(0, &arrives)));
}

#[test]
fn nb_send_without_a_receiver_is_dropped() {
    let mut system = System::new();
    let thread = system.manager;
    let text = message(20, &[]);
    let events = system.syscall(thread, nb_send(ENDPOINT, &text));
    assert_eq!(events, [(thread, Completion::Done)]);
    let events = system.syscall(thread, nb_recv(ENDPOINT));
    assert_eq!(events, [(thread, Completion::Nothing)]);
}

#[test]
fn nb_recv_takes_what_waits() {
    let mut system = System::new();
    let sender = system.thread(1);
    let text = message(20, &[4]);
    system.syscall(sender, send(ENDPOINT, &text));
    let events = system.syscall(system.manager, nb_recv(ENDPOINT));
    assert_eq!(events[1], (system.manager, received(0, &text)));
}

#[test]
fn senders_of_one_priority_are_served_in_order() {
    let mut system = System::new();
    let senders = [5; 4].map(|priority| system.thread(priority));
    for (index, sender) in senders.into_iter().enumerate() {
        system.syscall(sender, send(ENDPOINT, &message(16, &[index as u64])));
    }
    for (index, sender) in senders.into_iter().enumerate() {
        let events = system.syscall(system.manager, recv(ENDPOINT));
        let text = message(16, &[index as u64]);
        assert_eq!(
            events,
            [
                (sender, Completion::Done),
                (system.manager, received(0, &text))
            ]
        );
    }
}

#[test]
fn senders_of_higher_priority_are_served_first() {
    let mut system = System::new();
    let priorities = [3, 9, 1, 9, 5, 3];
    let senders = priorities.map(|priority| system.thread(priority));
    for sender in senders {
        system.syscall(sender, send(ENDPOINT, &Message::default()));
    }
    for expected in [1, 3, 4, 0, 5, 2] {
        let events = system.syscall(system.manager, recv(ENDPOINT));
        assert_eq!(events[0].0, senders[expected]);
    }
}

#[test]
fn receivers_of_higher_priority_are_served_first() {
    let mut system = System::new();
    let receivers = [3, 9, 1, 9].map(|priority| system.thread(priority));
    for receiver in receivers {
        system.syscall(receiver, wait(ENDPOINT));
    }
    for expected in [1, 3, 0, 2] {
        let events = system.syscall(system.manager, nb_send(ENDPOINT, &Message::default()));
        assert_eq!(events[0].0, receivers[expected]);
    }
}

#[test]
fn a_call_is_answered_through_the_receiver_s_reply_object() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    let (request, answer) = (message(20, &[1]), message(16, &[2]));
    system.syscall(server, recv(ENDPOINT));
    let events = system.syscall(caller, call(ENDPOINT, &request));
    assert_eq!(events, [(server, received(0, &request))]);
    assert_eq!(system.state(caller), ThreadState::BlockedOnReply);
    let events = system.syscall(server, reply_recv(ENDPOINT, &answer));
    assert_eq!(events, [(caller, received(0, &answer))]);
    assert_eq!(system.state(server), ThreadState::BlockedOnReceive);
}

#[test]
fn a_call_that_waited_is_answered_too() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    let (request, answer) = (message(20, &[1]), message(16, &[2]));
    system.syscall(caller, call(ENDPOINT, &request));
    assert_eq!(system.state(caller), ThreadState::BlockedOnSend);
    let events = system.syscall(server, recv(ENDPOINT));
    assert_eq!(events, [(server, received(0, &request))]);
    let events = system.syscall(server, reply_recv(ENDPOINT, &answer));
    assert_eq!(events, [(caller, received(0, &answer))]);
}

#[test]
fn reply_recv_answers_before_it_takes_the_next_message() {
    let mut system = System::new();
    let [first, second, server] = [1, 1, 2].map(|priority| system.thread(priority));
    let (request, answer) = (message(20, &[1]), message(16, &[2]));
    system.syscall(first, call(ENDPOINT, &request));
    system.syscall(second, call(ENDPOINT, &request));
    system.syscall(server, recv(ENDPOINT));
    assert_eq!(
        system.syscall(server, reply_recv(ENDPOINT, &answer)),
        [
            (first, received(0, &answer)),
            (server, received(0, &request))
        ]
    );
    assert_eq!(system.state(second), ThreadState::BlockedOnReply);
}

#[test]
fn grant_or_grant_reply_alone_lets_a_caller_be_answered() {
    for answerable in [
        Rights {
            grant: true,
            ..Rights::WRITE
        },
        Rights::CALL,
    ] {
        let mut system = System::new();
        system.copy(ENDPOINT, FREE, answerable).unwrap();
        let [caller, server] = [1, 2].map(|priority| system.thread(priority));
        system.syscall(server, recv(ENDPOINT));
        system.syscall(caller, call(FREE, &Message::default()));
        assert_eq!(system.state(caller), ThreadState::BlockedOnReply);
    }
}

#[test]
fn a_call_with_write_alone_is_delivered_and_never_answered() {
    for waits_first in [false, true] {
        let mut system = System::new();
        system.copy(ENDPOINT, FREE, Rights::WRITE).unwrap();
        let [caller, server] = [1, 2].map(|priority| system.thread(priority));
        let request = message(20, &[1]);
        let mut calls = vec![(server, recv(ENDPOINT)), (caller, call(FREE, &request))];
        if waits_first {
            calls.reverse();
        }
        let mut events = Vec::new();
        for (thread, syscall) in calls {
            events.extend(system.syscall(thread, syscall));
        }
        assert_eq!(events, [(server, received(0, &request))]);
        assert_eq!(system.state(caller), ThreadState::Inactive);
        let events = system.syscall(server, reply_recv(ENDPOINT, &Message::default()));
        assert_eq!(events, [], "there is nobody to reply to");
    }
}

#[test]
fn a_call_to_a_receiver_without_a_reply_object_is_never_answered() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, wait(ENDPOINT));
    let events = system.syscall(caller, call(ENDPOINT, &Message::default()));
    assert_eq!(events, [(server, received(0, &Message::default()))]);
    assert_eq!(system.state(caller), ThreadState::Inactive);
}

#[test]
fn wait_and_poll_receive_from_endpoints_too() {
    let mut system = System::new();
    let sender = system.thread(1);
    let text = message(20, &[4]);
    let events = system.syscall(system.manager, poll(ENDPOINT));
    assert_eq!(events, [(system.manager, Completion::Nothing)]);
    system.syscall(sender, send(ENDPOINT, &text));
    let events = system.syscall(system.manager, poll(ENDPOINT));
    assert_eq!(events[1], (system.manager, received(0, &text)));
}

#[test]
fn a_call_without_write_is_an_invalid_capability() {
    let mut system = System::new();
    let rights = Rights {
        write: false,
        ..Rights::ALL
    };
    system.copy(ENDPOINT, FREE, rights).unwrap();
    let thread = system.manager;
    let events = system.syscall(thread, call(FREE, &Message::default()));
    assert_eq!(events, [(thread, refused(2, &[0]))]);
}

#[test]
fn a_send_without_write_is_silent() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::READ).unwrap();
    let receiver = system.thread(1);
    system.syscall(receiver, recv(ENDPOINT));
    let thread = system.manager;
    for syscall in [
        send(FREE, &message(20, &[])),
        nb_send(FREE, &message(20, &[])),
    ] {
        assert_eq!(
            system.syscall(thread, syscall),
            [(thread, Completion::Done)]
        );
    }
    assert_eq!(system.state(receiver), ThreadState::BlockedOnReceive);
}

#[test]
fn a_call_through_an_empty_slot_is_an_invalid_capability_and_a_send_is_silent() {
    let mut system = System::new();
    let thread = system.manager;
    let text = Message::default();
    let events = system.syscall(thread, call(EMPTY, &text));
    assert_eq!(events, [(thread, refused(2, &[0]))]);
    for syscall in [send(EMPTY, &text), nb_send(EMPTY, &text)] {
        assert_eq!(
            system.syscall(thread, syscall),
            [(thread, Completion::Done)]
        );
    }
}

#[test]
fn receiving_without_read_is_a_fault_even_without_waiting() {
    for syscall in [recv(FREE), nb_recv(FREE), wait(FREE), poll(FREE)] {
        let mut system = System::new();
        let rights = Rights {
            read: false,
            ..Rights::ALL
        };
        system.copy(ENDPOINT, FREE, rights).unwrap();
        let thread = system.thread(1);
        let events = system.syscall(thread, syscall);
        assert_eq!(events, [(thread, receive_fault(FREE))]);
        assert_eq!(system.state(thread), ThreadState::Inactive);
    }
}

#[test]
fn receiving_through_what_is_no_endpoint_or_notification_is_a_fault() {
    for from in [EMPTY, CNODE, REPLY] {
        let mut system = System::new();
        let thread = system.thread(1);
        let events = system.syscall(thread, recv(from));
        assert_eq!(events, [(thread, receive_fault(from))]);
    }
}

#[test]
fn receiving_with_what_is_no_reply_object_is_a_fault_at_its_address() {
    for reply in [EMPTY, ENDPOINT, CNODE] {
        let mut system = System::new();
        let thread = system.thread(1);
        let events = system.syscall(
            thread,
            Syscall::Recv {
                from: CPtr(ENDPOINT),
                reply: CPtr(reply),
            },
        );
        assert_eq!(events, [(thread, receive_fault(reply))]);
    }
}

#[test]
fn the_right_to_receive_is_checked_before_the_reply_object() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::WRITE).unwrap();
    let thread = system.thread(1);
    let events = system.syscall(
        thread,
        Syscall::Recv {
            from: CPtr(FREE),
            reply: CPtr(EMPTY),
        },
    );
    assert_eq!(events, [(thread, receive_fault(FREE))]);
}

#[test]
fn a_client_with_read_takes_another_s_call() {
    // What a stock Microkit channel capability allows, and ours do not.
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::ALL, 5).unwrap();
    let [victim, thief] = [1, 2].map(|priority| system.thread(priority));
    let text = message(20, &[6]);
    system.syscall(victim, call(ENDPOINT, &text));
    let events = system.syscall(thief, recv(FREE));
    assert_eq!(events, [(thief, received(0, &text))]);
}

#[test]
fn a_signal_to_the_bound_notification_ends_a_receive() {
    let mut system = System::new();
    let thread = system.thread(1);
    let notification = system.notification;
    system
        .kernel
        .bind_notification(thread, notification)
        .unwrap();
    system.syscall(thread, recv(ENDPOINT));
    let events = system.step(|kernel, done| kernel.signal(notification, 6, done));
    assert_eq!(events, [(thread, signalled(6))]);
    // The endpoint is idle again.
    let events = system.syscall(system.manager, nb_recv(ENDPOINT));
    assert_eq!(events, [(system.manager, Completion::Nothing)]);
}

#[test]
fn a_pending_bound_notification_comes_before_waiting_messages() {
    let mut system = System::new();
    let [sender, thread] = [1, 2].map(|priority| system.thread(priority));
    let notification = system.notification;
    system
        .kernel
        .bind_notification(thread, notification)
        .unwrap();
    system.syscall(sender, send(ENDPOINT, &message(20, &[])));
    system.step(|kernel, done| kernel.signal(notification, 6, done));
    let events = system.syscall(thread, nb_recv(ENDPOINT));
    assert_eq!(events, [(thread, signalled(6))]);
    let events = system.syscall(thread, nb_recv(ENDPOINT));
    assert_eq!(events[1], (thread, received(0, &message(20, &[]))));
}

#[test]
fn a_signal_to_the_bound_notification_does_not_end_a_call() {
    let mut system = System::new();
    let thread = system.thread(1);
    let notification = system.notification;
    system
        .kernel
        .bind_notification(thread, notification)
        .unwrap();
    system.syscall(thread, call(ENDPOINT, &Message::default()));
    let events = system.step(|kernel, done| kernel.signal(notification, 6, done));
    assert_eq!(events, []);
    let events = system.syscall(system.manager, poll(NOTIFICATION));
    assert_eq!(
        events,
        [(system.manager, receive_fault(NOTIFICATION))],
        "it is bound to another"
    );
}

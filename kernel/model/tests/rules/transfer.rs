//! Capabilities that go along with messages: where they arrive, and where not.

use portcullis_kernel::{CPtr, Message, Rights, Syscall};
use portcullis_model::{Capability, CapabilityFault, Completion, LookupFault, ThreadId};

use crate::system::{
    CNODE, ENDPOINT, Events, FREE, NOTIFICATION, REPLY, System, call, message, nb_send, received,
    recv, reply_recv, send, slot,
};

/// A pointer that does not resolve.
const MISSING: u64 = 1 << 20;
/// Where receivers take a capability.
const TAKEN: u64 = FREE + 8;
/// A system with a thread that takes capabilities, and receives from [`ENDPOINT`].
fn receiving() -> (System, ThreadId) {
    let mut system = System::new();
    let receiver = system.thread(2);
    system.kernel.set_receive_slot(receiver, slot(TAKEN));
    system.syscall(receiver, recv(ENDPOINT));
    (system, receiver)
}

/// Has the manager make a system call with the capability in `along`.
fn with(system: &mut System, call: &Syscall, along: u64) -> Events {
    let manager = system.manager;
    system.step(|kernel, done| kernel.syscall_with(manager, call, &[CPtr(along)], done))
}

#[test]
fn through_a_capability_with_grant_a_copy_arrives() {
    let (mut system, receiver) = receiving();
    let text = message(20, &[1]);
    let events = with(&mut system, &send(ENDPOINT, &text), NOTIFICATION);
    assert_eq!(events[0], (receiver, received(0, &text)));
    assert_eq!(system.at(TAKEN), system.at(NOTIFICATION));
}

#[test]
fn through_a_capability_without_grant_only_the_message_arrives() {
    for rights in [Rights::CALL, Rights::WRITE] {
        let (mut system, receiver) = receiving();
        system.copy(ENDPOINT, FREE, rights).unwrap();
        let text = message(20, &[1]);
        let events = with(&mut system, &nb_send(FREE, &text), NOTIFICATION);
        assert_eq!(events[0], (receiver, received(0, &text)));
        assert_eq!(system.at(TAKEN), Capability::Null);
    }
}

#[test]
fn it_arrives_when_the_receiver_comes_later_too() {
    let mut system = System::new();
    let receiver = system.thread(2);
    system.kernel.set_receive_slot(receiver, slot(TAKEN));
    with(
        &mut system,
        &send(ENDPOINT, &Message::new(20)),
        NOTIFICATION,
    );
    assert_eq!(system.at(TAKEN), Capability::Null);
    system.syscall(receiver, recv(ENDPOINT));
    assert_eq!(system.at(TAKEN), system.at(NOTIFICATION));
}

#[test]
fn it_keeps_its_badge_and_rights_and_is_taken_back_with_its_source() {
    let (mut system, _) = receiving();
    system.mint(NOTIFICATION, FREE, Rights::WRITE, 4).unwrap();
    with(&mut system, &send(ENDPOINT, &Message::new(20)), FREE);
    assert_eq!(system.at(TAKEN), system.at(FREE));
    system.revoke(FREE).unwrap();
    assert_eq!(system.at(TAKEN), Capability::Null);
}

#[test]
fn a_capability_to_the_endpoint_itself_does_not_arrive() {
    let (mut system, _) = receiving();
    system.mint(ENDPOINT, FREE, Rights::ALL, 9).unwrap();
    with(&mut system, &send(ENDPOINT, &Message::new(20)), FREE);
    assert_eq!(system.at(TAKEN), Capability::Null);
}

#[test]
fn it_does_not_arrive_where_the_receiver_has_no_empty_slot_for_it() {
    let (mut system, _) = receiving();
    system.copy(CNODE, TAKEN, Rights::ALL).unwrap();
    let before = system.at(TAKEN);
    with(
        &mut system,
        &send(ENDPOINT, &Message::new(20)),
        NOTIFICATION,
    );
    assert_eq!(system.at(TAKEN), before);
    let mut system = System::new();
    let receiver = system.thread(2);
    system.syscall(receiver, recv(ENDPOINT));
    with(
        &mut system,
        &send(ENDPOINT, &Message::new(20)),
        NOTIFICATION,
    );
    assert_eq!(system.filled(), []);
}

#[test]
fn a_pointer_to_an_empty_slot_brings_nothing_and_one_to_nowhere_faults() {
    let (mut system, receiver) = receiving();
    let events = with(&mut system, &send(ENDPOINT, &Message::new(20)), FREE);
    assert_eq!(events.len(), 2);
    assert_eq!(system.at(TAKEN), Capability::Null);
    system.syscall(receiver, recv(ENDPOINT));
    let events = with(&mut system, &send(ENDPOINT, &Message::new(20)), MISSING);
    let fault = CapabilityFault {
        address: CPtr(MISSING),
        receiving: false,
        lookup: LookupFault::GuardMismatch {
            guard: 0,
            guard_size: 56,
            bits_left: 64,
        },
    };
    assert_eq!(events, [(system.manager, Completion::Fault(fault))]);
}

#[test]
fn a_pointer_to_nowhere_drops_what_does_not_wait() {
    let (mut system, _) = receiving();
    let events = with(&mut system, &nb_send(ENDPOINT, &Message::new(20)), MISSING);
    assert_eq!(events, [(system.manager, Completion::Done)]);
}

#[test]
fn a_reply_brings_one_along_where_the_reply_object_s_capability_has_grant() {
    for (rights, arrives) in [(Rights::ALL, true), (Rights::CALL, false)] {
        let mut system = System::new();
        system.copy(REPLY, FREE, rights).unwrap();
        let caller = system.thread(2);
        system.kernel.set_receive_slot(caller, slot(TAKEN));
        system.syscall(system.manager, recv(ENDPOINT));
        system.syscall(caller, call(ENDPOINT, &Message::new(20)));
        with(&mut system, &send(FREE, &Message::new(21)), NOTIFICATION);
        let taken = system.at(TAKEN);
        assert_eq!(taken == system.at(NOTIFICATION), arrives, "{rights:?}");
    }
}

#[test]
fn the_reply_of_reply_recv_brings_one_along_too() {
    let mut system = System::new();
    let caller = system.thread(2);
    system.kernel.set_receive_slot(caller, slot(TAKEN));
    system.syscall(system.manager, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::new(20)));
    with(
        &mut system,
        &reply_recv(ENDPOINT, &Message::new(21)),
        NOTIFICATION,
    );
    assert_eq!(system.at(TAKEN), system.at(NOTIFICATION));
}

#[test]
fn a_call_with_one_can_be_an_invocation_that_needs_it() {
    let (mut system, _) = receiving();
    let copy = message(21, &[FREE, 64, ENDPOINT, 64, 15]);
    let events = with(&mut system, &call(CNODE, &copy), CNODE);
    assert_eq!(events, [(system.manager, received(0, &Message::default()))]);
    assert_eq!(system.at(FREE), system.at(ENDPOINT));
}

//! Deleting: what goes with an object's last capability.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Message, Rights, Syscall};
use portcullis_model::{Capability, Completion, Container, ObjectId, ThreadId, ThreadState};

use crate::system::{
    CNODE, ENDPOINT, Events, FREE, NOTIFICATION, REPLY, System, call, message, nb_recv, nb_send,
    receive_fault, recv, refused, reply_recv, send, slot, wait,
};

fn delete_with(system: &mut System, at: CNodeSlot) -> Events {
    let (result, events) = system.invoke_with(Invocation::Delete(at));
    assert_eq!(result, Ok(()));
    events
}

fn restart(system: &mut System, thread: ThreadId) -> Events {
    system.step(|kernel, done| kernel.restart(thread, done))
}

#[test]
fn the_last_capability_to_an_endpoint_sends_its_queue_back() {
    let mut system = System::new();
    let [sender, caller] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(sender, send(ENDPOINT, &Message::default()));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    let events = delete_with(&mut system, slot(ENDPOINT));
    assert_eq!(
        events,
        [
            (caller, Completion::Restarted),
            (sender, Completion::Restarted)
        ]
    );
    // They try again, and find nothing: silence for a Send, an error for a Call.
    assert_eq!(restart(&mut system, sender), [(sender, Completion::Done)]);
    assert_eq!(restart(&mut system, caller), [(caller, refused(2, &[0]))]);
}

#[test]
fn a_receiver_of_a_deleted_endpoint_faults_when_it_tries_again() {
    let mut system = System::new();
    let receiver = system.thread(1);
    system.syscall(receiver, recv(ENDPOINT));
    let events = delete_with(&mut system, slot(ENDPOINT));
    assert_eq!(events, [(receiver, Completion::Restarted)]);
    assert_eq!(
        restart(&mut system, receiver),
        [(receiver, receive_fault(ENDPOINT))]
    );
}

#[test]
fn any_other_capability_to_an_endpoint_goes_without_notice() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::ALL).unwrap();
    let sender = system.thread(1);
    system.syscall(sender, send(FREE, &Message::default()));
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.state(sender), ThreadState::BlockedOnSend);
    // What is queued is delivered, although the capability it was sent through is gone.
    let events = system.syscall(system.manager, nb_recv(ENDPOINT));
    assert_eq!(events[0], (sender, Completion::Done));
}

#[test]
fn the_original_may_go_before_its_copies() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::ALL).unwrap();
    let sender = system.thread(1);
    system.syscall(sender, send(FREE, &Message::default()));
    assert_eq!(delete_with(&mut system, slot(ENDPOINT)), []);
    assert_eq!(
        delete_with(&mut system, slot(FREE)),
        [(sender, Completion::Restarted)]
    );
}

#[test]
fn what_the_initialiser_hands_out_is_never_the_last() {
    let mut system = System::new();
    let endpoint = system.kernel.create_endpoint();
    let held = Capability::endpoint(endpoint);
    system.kernel.insert(system.cnode, FREE, held).unwrap();
    let sender = system.thread(1);
    system.syscall(sender, send(FREE, &Message::default()));
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.state(sender), ThreadState::BlockedOnSend);
}

#[test]
fn the_last_capability_to_a_notification_unbinds_it_and_sends_its_queue_back() {
    let mut system = System::new();
    let waiting = system.thread(1);
    system.syscall(waiting, wait(NOTIFICATION));
    let bound = system.kernel.create_notification();
    let owner = system.thread(2);
    system.kernel.bind_notification(owner, bound).unwrap();
    system.kernel.hand_over(bound, system.cnode, FREE).unwrap();
    assert_eq!(
        delete_with(&mut system, slot(NOTIFICATION)),
        [(waiting, Completion::Restarted)]
    );
    assert_eq!(
        restart(&mut system, waiting),
        [(waiting, receive_fault(NOTIFICATION))]
    );
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    let another = system.kernel.create_notification();
    assert_eq!(system.kernel.bind_notification(owner, another), Ok(()));
}

#[test]
fn the_last_capability_to_a_reply_object_leaves_its_caller_waiting_for_ever() {
    let mut system = System::new();
    let reply = system.kernel.create_reply();
    system.kernel.hand_over(reply, system.cnode, FREE).unwrap();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(
        server,
        Syscall::Recv {
            from: CPtr(ENDPOINT),
            reply: CPtr(FREE),
        },
    );
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    assert_eq!(system.state(caller), ThreadState::BlockedOnReply);
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.state(caller), ThreadState::Inactive);
}

#[test]
fn the_last_capability_to_a_reply_object_stops_a_receiver_with_it() {
    let mut system = System::new();
    let reply = system.kernel.create_reply();
    system.kernel.hand_over(reply, system.cnode, FREE).unwrap();
    let server = system.thread(2);
    system.syscall(
        server,
        Syscall::Recv {
            from: CPtr(ENDPOINT),
            reply: CPtr(FREE),
        },
    );
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.state(server), ThreadState::Inactive);
    let events = system.syscall(system.manager, nb_send(ENDPOINT, &message(1, &[])));
    assert_eq!(events.len(), 1, "nobody receives any more");
}

/// A CNode of 16 slots, whose only capability is in `at`.
fn only_cnode(system: &mut System, at: u64) -> ObjectId {
    let object = system.kernel.create_cnode(4);
    system.kernel.hand_over(object, system.cnode, at).unwrap();
    object
}

fn insert_copy(system: &mut System, cnode: ObjectId, index: u64, capability: Capability) {
    system.kernel.insert(cnode, index, capability).unwrap();
}

#[test]
fn the_last_capability_to_a_cnode_takes_what_is_in_it() {
    let mut system = System::new();
    let inner = only_cnode(&mut system, FREE);
    let endpoint = system.kernel.create_endpoint();
    insert_copy(&mut system, inner, 0, Capability::endpoint(endpoint));
    insert_copy(&mut system, inner, 15, Capability::endpoint(endpoint));
    let last = system.kernel.create_endpoint();
    system.kernel.hand_over(last, inner, 7).unwrap();
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.at(FREE), Capability::Null);
    assert_eq!(system.kernel.scan(inner).count(), 0);
}

#[test]
fn any_other_capability_to_a_cnode_leaves_what_is_in_it() {
    let mut system = System::new();
    let inner = only_cnode(&mut system, FREE);
    let endpoint = system.kernel.create_endpoint();
    insert_copy(&mut system, inner, 3, Capability::endpoint(endpoint));
    system.copy(FREE, FREE + 1, Rights::ALL).unwrap();
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.kernel.scan(inner).count(), 1);
}

#[test]
fn a_cnode_inside_a_deleted_one_is_left_out_of_reach_with_what_is_in_it() {
    let mut system = System::new();
    let outer = only_cnode(&mut system, FREE);
    let inner = system.kernel.create_cnode(2);
    system.kernel.hand_over(inner, outer, 5).unwrap();
    system
        .kernel
        .hand_over(system.endpoint, inner, 2)
        .unwrap_err();
    let endpoint = system.kernel.create_endpoint();
    system.kernel.hand_over(endpoint, inner, 2).unwrap();
    let first = system.kernel.create_endpoint();
    system.kernel.hand_over(first, inner, 0).unwrap();
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.kernel.scan(outer).count(), 0);
    // Its capability lies in its own first slot; what was there is gone, the rest is not.
    let left: Vec<_> = system.kernel.scan(inner).collect();
    let zombie = Capability::Zombie {
        container: Container::CNode(inner),
        remaining: 4,
    };
    assert_eq!(left, [(0, zombie), (2, Capability::endpoint(endpoint))]);
}

#[test]
fn a_cnode_that_holds_a_copy_of_itself_outlives_its_other_capabilities() {
    let mut system = System::new();
    let inner = only_cnode(&mut system, FREE);
    let result = system.invoke(Invocation::Copy {
        destination: CNodeSlot {
            root: CPtr(FREE),
            index: 9,
            depth: 4,
        },
        source: slot(FREE),
        rights: Rights::ALL,
    });
    assert_eq!(result, Ok(()));
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    let left: Vec<_> = system.kernel.scan(inner).collect();
    assert_eq!(left, [(9, Capability::cnode(inner, 0))]);
}

#[test]
fn an_empty_cnode_is_deleted_with_its_last_capability() {
    let mut system = System::new();
    let inner = only_cnode(&mut system, FREE);
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.at(FREE), Capability::Null);
    assert_eq!(system.kernel.scan(inner).count(), 0);
}

#[test]
fn the_last_capability_to_a_thread_ends_it() {
    let mut system = System::new();
    let thread = system.thread(1);
    system.syscall(thread, send(ENDPOINT, &Message::default()));
    system
        .kernel
        .bind_notification(thread, system.notification)
        .unwrap();
    system
        .kernel
        .hand_over_thread(thread, system.cnode, FREE)
        .unwrap();
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.state(thread), ThreadState::Destroyed);
    let events = system.syscall(system.manager, nb_recv(ENDPOINT));
    assert_eq!(events, [(system.manager, Completion::Nothing)]);
    let another = system.thread(1);
    let notification = system.notification;
    assert_eq!(
        system.kernel.bind_notification(another, notification),
        Ok(())
    );
}

#[test]
fn the_cspace_of_a_thread_that_ends_is_left_out_of_reach_with_its_last_capability() {
    let mut system = System::new();
    let cspace = only_cnode(&mut system, FREE);
    let thread = system.kernel.create_thread(1);
    let capability = Capability::Thread { thread };
    insert_copy(&mut system, cspace, 3, capability);
    // The thread's own copy, made while the initialiser still had the original.
    let other = system.kernel.create_cnode(4);
    let root = Capability::cnode(other, 60);
    system.kernel.set_cspace(thread, root).unwrap();
    insert_copy(&mut system, other, 5, capability);
    system
        .kernel
        .hand_over(other, system.cnode, FREE + 1)
        .unwrap();
    assert_eq!(delete_with(&mut system, slot(FREE + 1)), []);
    assert_eq!(system.kernel.scan(other).count(), 1, "the thread holds it");
    let events = system.step(|kernel, done| kernel.destroy(thread, done));
    assert_eq!(events, []);
    assert_eq!(system.state(thread), ThreadState::Destroyed);
    let zombie = Capability::Zombie {
        container: Container::CNode(other),
        remaining: 16,
    };
    assert_eq!(system.kernel.scan(other).collect::<Vec<_>>(), [(0, zombie)]);
    assert_eq!(system.kernel.scan(cspace).count(), 0);
}

#[test]
fn a_thread_whose_last_capability_lies_first_in_its_own_cspace_takes_that_with_it() {
    let mut system = System::new();
    let cspace = system.kernel.create_cnode(4);
    let thread = system.kernel.create_thread(1);
    let root = Capability::cnode(cspace, 60);
    system.kernel.set_cspace(thread, root).unwrap();
    insert_copy(&mut system, cspace, 9, Capability::cnode(cspace, 60));
    let endpoint = system.kernel.create_endpoint();
    insert_copy(&mut system, cspace, 5, Capability::endpoint(endpoint));
    system.kernel.hand_over_thread(thread, cspace, 0).unwrap();
    // Of the three capabilities to the CNode only the thread's own is left.
    system.kernel.hand_over(cspace, system.cnode, FREE).unwrap();
    let at = CNodeSlot {
        root: CPtr(FREE),
        index: 9,
        depth: 4,
    };
    assert_eq!(delete_with(&mut system, at), []);
    assert_eq!(delete_with(&mut system, slot(FREE)), []);
    assert_eq!(system.kernel.scan(cspace).count(), 2);
    let events = system.step(|kernel, done| kernel.destroy(thread, done));
    assert_eq!(events, []);
    assert_eq!(system.state(thread), ThreadState::Destroyed);
    assert_eq!(system.kernel.scan(cspace).count(), 0);
}

#[test]
fn a_thread_may_delete_its_own_cspace_root_and_only_then_fault() {
    let mut system = System::new();
    let result = system.delete(CNODE);
    assert_eq!(result, Ok(()));
    // The capability in the slot is gone; the thread's own copy is not.
    let events = system.syscall(system.manager, call(CNODE, &Message::default()));
    assert_eq!(events, [(system.manager, refused(2, &[0]))]);
}

#[test]
fn a_server_whose_caller_is_gone_replies_to_nobody() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    assert_eq!(system.step(|kernel, done| kernel.destroy(caller, done)), []);
    let events = system.syscall(server, reply_recv(ENDPOINT, &Message::default()));
    assert_eq!(events, []);
    assert_eq!(system.state(server), ThreadState::BlockedOnReceive);
    assert_ne!(system.at(REPLY), Capability::Null);
}

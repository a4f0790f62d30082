//! Threads: suspending, resuming, ending.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, KernelError, Message, Syscall};
use portcullis_model::{Capability, Completion, ThreadId, ThreadState};

use crate::system::{
    ENDPOINT, Events, FREE, NOTIFICATION, REPLY, System, call, message, nb_recv, receive_fault,
    received, recv, refused, reply_recv, send, signalled, slot, wait,
};

const SUSPEND: u64 = 12;
const RESUME: u64 = 13;
const UNBIND: u64 = 15;

/// A system whose slot [`FREE`] holds this thread, which has priority 1.
fn system() -> (System, ThreadId) {
    let mut system = System::new();
    let thread = system.thread(1);
    let held = Capability::Thread { thread };
    system.kernel.insert(system.cnode, FREE, held).unwrap();
    (system, thread)
}

fn invoke(system: &mut System, label: u64) -> Events {
    system.syscall(system.manager, call(FREE, &message(label, &[])))
}

fn resume(system: &mut System, thread: ThreadId) -> Events {
    system.step(|kernel, done| kernel.resume(thread, done))
}

#[test]
fn a_suspended_thread_makes_no_system_call() {
    let (mut system, thread) = system();
    invoke(&mut system, SUSPEND);
    assert_eq!(system.state(thread), ThreadState::Inactive);
    assert_eq!(system.syscall(thread, Syscall::Yield), []);
    assert_eq!(resume(&mut system, thread), []);
    assert_eq!(system.state(thread), ThreadState::Running);
    let events = system.syscall(thread, Syscall::Yield);
    assert_eq!(events, [(thread, Completion::Done)]);
}

#[test]
fn a_blocked_thread_makes_no_second_system_call() {
    let (mut system, thread) = system();
    system.syscall(thread, recv(ENDPOINT));
    assert_eq!(system.syscall(thread, Syscall::Yield), []);
    assert_eq!(system.state(thread), ThreadState::BlockedOnReceive);
}

#[test]
fn a_suspended_sender_is_out_of_the_queue_and_sends_again_when_resumed() {
    let (mut system, thread) = system();
    let text = message(20, &[1]);
    system.syscall(thread, send(ENDPOINT, &text));
    invoke(&mut system, SUSPEND);
    let manager = system.manager;
    let events = system.syscall(manager, nb_recv(ENDPOINT));
    assert_eq!(events, [(manager, Completion::Nothing)]);
    assert_eq!(
        invoke(&mut system, RESUME),
        [
            (thread, Completion::Restarted),
            (manager, received(0, &Message::default()))
        ]
    );
    assert_eq!(system.state(thread), ThreadState::Restart);
    assert_eq!(system.step(|kernel, done| kernel.restart(thread, done)), []);
    let events = system.syscall(manager, nb_recv(ENDPOINT));
    assert_eq!(events[1], (manager, received(0, &text)));
}

#[test]
fn a_thread_suspended_while_it_waits_for_a_reply_calls_again() {
    let (mut system, thread) = system();
    let server = system.thread(5);
    let text = message(20, &[1]);
    system.syscall(server, recv(ENDPOINT));
    system.syscall(thread, call(ENDPOINT, &text));
    system.kernel.suspend(thread);
    let events = system.syscall(server, reply_recv(ENDPOINT, &text));
    assert_eq!(events, [], "its reply object was let go");
    assert_eq!(
        resume(&mut system, thread),
        [(thread, Completion::Restarted)]
    );
    let events = system.step(|kernel, done| kernel.restart(thread, done));
    assert_eq!(events, [(server, received(0, &text))]);
}

#[test]
fn resuming_a_blocked_thread_has_it_try_again() {
    let (mut system, thread) = system();
    system.syscall(thread, wait(NOTIFICATION));
    assert_eq!(
        resume(&mut system, thread),
        [(thread, Completion::Restarted)]
    );
    let events = system.syscall(system.manager, send(NOTIFICATION, &Message::default()));
    assert_eq!(events, [(system.manager, Completion::Done)]);
    let events = system.step(|kernel, done| kernel.restart(thread, done));
    assert_eq!(events, [(thread, signalled(0))]);
}

#[test]
fn resuming_a_running_thread_does_nothing() {
    let (mut system, thread) = system();
    assert_eq!(resume(&mut system, thread), []);
    assert_eq!(system.step(|kernel, done| kernel.restart(thread, done)), []);
    assert_eq!(system.state(thread), ThreadState::Running);
}

#[test]
fn a_resumed_thread_faults_again_where_nothing_changed() {
    let (mut system, thread) = system();
    let fault = [(thread, receive_fault(FREE + 1))];
    assert_eq!(system.syscall(thread, recv(FREE + 1)), fault);
    resume(&mut system, thread);
    assert_eq!(
        system.step(|kernel, done| kernel.restart(thread, done)),
        fault
    );
}

#[test]
fn a_thread_that_suspends_itself_does_so_again_when_resumed() {
    let (mut system, thread) = system();
    let events = system.syscall(thread, call(FREE, &message(SUSPEND, &[])));
    assert_eq!(events, []);
    assert_eq!(
        resume(&mut system, thread),
        [(thread, Completion::Restarted)]
    );
    assert_eq!(system.step(|kernel, done| kernel.restart(thread, done)), []);
    assert_eq!(system.state(thread), ThreadState::Inactive);
}

#[test]
fn unbinding_takes_a_bound_notification() {
    let (mut system, thread) = system();
    let refusal = [(system.manager, refused(3, &[]))];
    assert_eq!(invoke(&mut system, UNBIND), refusal);
    let notification = system.notification;
    system
        .kernel
        .bind_notification(thread, notification)
        .unwrap();
    let done = [(system.manager, received(0, &Message::default()))];
    assert_eq!(invoke(&mut system, UNBIND), done);
    assert_eq!(invoke(&mut system, UNBIND), refusal);
}

#[test]
fn invocations_that_need_extra_capabilities_are_truncated() {
    let (mut system, _) = system();
    for label in (4..=11).chain([14]) {
        let manager = system.manager;
        let events = system.syscall(manager, call(FREE, &message(label, &[0; 8])));
        assert_eq!(events, [(manager, refused(7, &[]))], "{label}");
    }
}

#[test]
fn a_label_that_is_no_invocation_of_a_thread_is_an_illegal_operation() {
    let (mut system, _) = system();
    for label in [0, 1, 18, 25, 60] {
        let refusal = [(system.manager, refused(3, &[]))];
        assert_eq!(invoke(&mut system, label), refusal);
    }
}

#[test]
fn a_cnode_invocation_of_a_thread_is_an_illegal_operation() {
    let (mut system, _) = system();
    let at = CNodeSlot {
        root: CPtr(FREE),
        index: 0,
        depth: 64,
    };
    for invocation in [
        Invocation::Delete(at),
        Invocation::Move {
            destination: at,
            source: at,
        },
    ] {
        assert_eq!(
            system.invoke(invocation),
            Err(KernelError::IllegalOperation)
        );
    }
}

#[test]
fn a_destroyed_thread_is_gone_for_good() {
    let (mut system, thread) = system();
    system.syscall(thread, send(ENDPOINT, &Message::default()));
    let events = system.step(|kernel, done| kernel.destroy(thread, done));
    assert_eq!(events, []);
    assert_eq!(system.at(FREE), Capability::Null);
    assert_eq!(resume(&mut system, thread), []);
    assert_eq!(system.syscall(thread, Syscall::Yield), []);
    assert_eq!(system.state(thread), ThreadState::Destroyed);
    let manager = system.manager;
    let events = system.syscall(manager, nb_recv(ENDPOINT));
    assert_eq!(events, [(manager, Completion::Nothing)]);
}

#[test]
fn a_thread_may_destroy_itself() {
    let (mut system, thread) = system();
    system
        .kernel
        .hand_over_thread(thread, system.cnode, FREE + 1)
        .unwrap();
    for index in [FREE, FREE + 1] {
        let delete = Invocation::Delete(slot(index));
        system.syscall(thread, Syscall::Invoke(delete));
    }
    assert_eq!(system.state(thread), ThreadState::Destroyed);
}

#[test]
fn yielding_is_done_at_once() {
    let (mut system, thread) = system();
    let events = system.syscall(thread, Syscall::Yield);
    assert_eq!(events, [(thread, Completion::Done)]);
}

#[test]
fn a_redirected_thread_gives_up_what_it_waits_for() {
    let mut system = System::new();
    let [caller, server] = [1, 2].map(|priority| system.thread(priority));
    system.syscall(server, recv(ENDPOINT));
    system.syscall(caller, call(ENDPOINT, &Message::default()));
    system.kernel.redirect(caller);
    assert_eq!(system.state(caller), ThreadState::Running);
    // The reply finds nobody, and resuming repeats nothing.
    let events = system.syscall(server, send(REPLY, &Message::default()));
    assert_eq!(events, [(server, Completion::Done)]);
    assert_eq!(system.step(|kernel, done| kernel.resume(caller, done)), []);
}

#[test]
fn a_dead_thread_is_not_redirected() {
    let mut system = System::new();
    let thread = system.thread(1);
    system.step(|kernel, done| kernel.destroy(thread, done));
    system.kernel.redirect(thread);
    assert_eq!(system.state(thread), ThreadState::Destroyed);
}

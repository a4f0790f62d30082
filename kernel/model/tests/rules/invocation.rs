//! Invocations are messages: what labels and capabilities make of each other.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Rights, Syscall};
use portcullis_model::{Capability, Completion};

use crate::system::{
    CNODE, ENDPOINT, FREE, NOTIFICATION, System, call, message, poll, received, recv, refused,
    reply_recv, send, signalled,
};

#[test]
fn a_label_that_is_no_invocation_of_a_cnode_is_an_illegal_operation() {
    let mut system = System::new();
    for label in [0, 12, 17, 26, 1 << 51] {
        let events = system.syscall(system.manager, call(CNODE, &message(label, &[FREE, 64])));
        assert_eq!(events, [(system.manager, refused(3, &[]))], "{label}");
    }
}

#[test]
fn a_raw_invocation_of_too_few_words_is_truncated() {
    let mut system = System::new();
    for (label, words) in [
        (18, &[FREE][..]),
        (19, &[]),
        (20, &[FREE]),
        (21, &[FREE, 64, ENDPOINT]),
    ] {
        let events = system.syscall(system.manager, call(CNODE, &message(label, words)));
        assert_eq!(events, [(system.manager, refused(7, &[]))], "{label}");
    }
}

#[test]
fn a_raw_copy_without_a_source_root_is_truncated_even_into_a_filled_slot() {
    let mut system = System::new();
    for label in 21..=25 {
        let words = [ENDPOINT, 64, ENDPOINT, 64, 15, 0, 0, 0];
        let events = system.syscall(system.manager, call(CNODE, &message(label, &words)));
        assert_eq!(events, [(system.manager, refused(7, &[]))], "{label}");
    }
}

#[test]
fn a_raw_delete_deletes_even_when_sent() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::ALL).unwrap();
    let events = system.syscall(system.manager, send(CNODE, &message(19, &[FREE, 64])));
    assert_eq!(events, [(system.manager, Completion::Done)]);
    assert_eq!(system.at(FREE), Capability::Null);
}

#[test]
fn a_refused_invocation_that_was_sent_is_silent() {
    let mut system = System::new();
    let events = system.syscall(system.manager, send(CNODE, &message(19, &[FREE, 0])));
    assert_eq!(events, [(system.manager, Completion::Done)]);
}

#[test]
fn an_invocation_of_a_notification_signals_it() {
    let mut system = System::new();
    system.mint(NOTIFICATION, FREE, Rights::WRITE, 4).unwrap();
    let result = system.invoke(Invocation::Delete(CNodeSlot {
        root: CPtr(FREE),
        index: 0,
        depth: 64,
    }));
    assert_eq!(result, Ok(()));
    let events = system.syscall(system.manager, poll(NOTIFICATION));
    assert_eq!(events, [(system.manager, signalled(4))]);
}

#[test]
fn an_invocation_of_an_endpoint_is_a_call_with_its_label_and_words() {
    let mut system = System::new();
    let server = system.thread(1);
    system.syscall(server, recv(ENDPOINT));
    let at = CNodeSlot {
        root: CPtr(ENDPOINT),
        index: 6,
        depth: 7,
    };
    let events = system.syscall(system.manager, Syscall::Invoke(Invocation::Revoke(at)));
    assert_eq!(events, [(server, received(0, &message(18, &[6, 7])))]);
    let answer = message(30, &[1]);
    let events = system.syscall(server, reply_recv(ENDPOINT, &answer));
    assert_eq!(events, [(system.manager, received(0, &answer))]);
}

#[test]
fn an_invocation_of_a_thread_that_needs_words_is_truncated_without_them() {
    let mut system = System::new();
    let held = Capability::Thread {
        thread: system.manager,
    };
    system.kernel.insert(system.cnode, FREE, held).unwrap();
    // TCB_ReadRegisters, WriteRegisters, SetTLSBase and SetFlags.
    for (label, words) in [(2, &[1][..]), (3, &[1]), (16, &[]), (17, &[1])] {
        let events = system.syscall(system.manager, call(FREE, &message(label, words)));
        assert_eq!(events, [(system.manager, refused(7, &[]))], "{label}");
    }
}

#[test]
fn a_thread_is_bound_to_a_notification_that_can_be_waited_for_and_is_free() {
    let mut system = System::new();
    let thread = system.thread(2);
    let held = Capability::Thread { thread };
    system.kernel.insert(system.cnode, FREE, held).unwrap();
    system.copy(NOTIFICATION, FREE + 1, Rights::WRITE).unwrap();
    let mut bind = |along: u64| {
        let (manager, call) = (system.manager, call(FREE, &message(14, &[])));
        let events = system.step(|kernel, done| {
            kernel.syscall_with(manager, &call, Some(CPtr(along)), done);
        });
        events[0].1.clone()
    };
    assert_eq!(bind(ENDPOINT), refused(3, &[]));
    assert_eq!(bind(FREE + 1), refused(3, &[]));
    assert_eq!(bind(NOTIFICATION), refused(0, &[]));
    assert_eq!(bind(NOTIFICATION), refused(3, &[]));
    system.syscall(thread, recv(ENDPOINT));
    let events = system.syscall(system.manager, send(NOTIFICATION, &message(1, &[])));
    assert_eq!(events[0], (thread, signalled(0)));
}

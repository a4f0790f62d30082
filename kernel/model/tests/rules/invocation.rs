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
fn what_needs_registers_or_time_is_not_answered_and_stops_the_thread() {
    for (label, words, along) in [
        (2, &[0, 1][..], &[][..]),
        (2, &[0, 1000], &[]),
        (3, &[0, 0], &[]),
        (4, &[0], &[FREE]),
        (5, &[0, 0, 0], &[CNODE, CNODE, CNODE]),
        (9, &[], &[ENDPOINT]),
        (10, &[0], &[ENDPOINT]),
        (11, &[0, 0], &[ENDPOINT, CNODE, CNODE]),
        (17, &[0, 0], &[]),
        (37, &[], &[]),
        (38, &[], &[]),
    ] {
        let mut system = System::new();
        let thread = system.thread(1);
        system.hold(FREE, Capability::Thread { thread });
        let object = system.kernel.context(thread).unwrap();
        system.hold(FREE + 1, Capability::SchedulingContext { object });
        let to = if label < 18 { FREE } else { FREE + 1 };
        let told = system.call_with(to, &message(label, words), along);
        assert_eq!(told, (Completion::Unmodelled { label }, vec![]));
        assert_eq!(system.syscall(system.manager, Syscall::Yield), []);
    }
}

#[test]
fn an_invocation_of_a_thread_checks_its_arguments_first() {
    let mut system = System::new();
    let (manager, thread) = (system.manager, system.thread(1));
    system.hold(FREE, Capability::Thread { thread });
    let itself = FREE + 1;
    system.hold(itself, Capability::Thread { thread: manager });
    let object = system.kernel.context(manager).unwrap();
    let context = FREE + 2;
    system.hold(context, Capability::SchedulingContext { object });
    let no_slot = FREE + 3;
    let illegal = refused(3, &[]);
    let (truncated, invalid) = (refused(7, &[]), |number| refused(2, &[number]));
    for (to, label, words, along, expected) in [
        // WriteRegisters: more registers than words; its own.
        (FREE, 3, &[0, 1][..], &[][..], truncated.clone()),
        (itself, 3, &[0, 0], &[], illegal.clone()),
        // CopyRegisters: from no thread.
        (FREE, 4, &[0], &[], truncated.clone()),
        (FREE, 4, &[0], &[ENDPOINT], invalid(1)),
        (FREE, 5, &[0, 0, 0], &[CNODE, CNODE], truncated.clone()),
        (
            FREE,
            5,
            &[0, 0, 0],
            &[ENDPOINT, CNODE, CNODE],
            illegal.clone(),
        ),
        // SetSchedParams: too few, no authority, too high, no context, one in use, no handler.
        (FREE, 8, &[1, 1], &[itself, context], truncated.clone()),
        (FREE, 8, &[1, 1], &[ENDPOINT, context, no_slot], invalid(1)),
        (
            FREE,
            8,
            &[201, 1],
            &[itself, context, no_slot],
            refused(4, &[0, 200]),
        ),
        (
            FREE,
            8,
            &[1, 201],
            &[itself, context, no_slot],
            refused(4, &[0, 200]),
        ),
        (FREE, 8, &[1, 1], &[itself, ENDPOINT, no_slot], invalid(2)),
        (
            FREE,
            8,
            &[1, 1],
            &[itself, context, no_slot],
            illegal.clone(),
        ),
        (
            itself,
            8,
            &[1, 1],
            &[itself, no_slot, no_slot],
            illegal.clone(),
        ),
        (
            FREE,
            8,
            &[1, 1],
            &[itself, no_slot, NOTIFICATION],
            invalid(3),
        ),
        (FREE, 9, &[], &[], truncated.clone()),
        (FREE, 9, &[], &[NOTIFICATION], invalid(1)),
        (FREE, 10, &[0], &[], truncated.clone()),
        (FREE, 11, &[0, 0], &[ENDPOINT, CNODE], truncated.clone()),
        (FREE, 11, &[0, 0], &[ENDPOINT, ENDPOINT, CNODE], illegal),
    ] {
        let told = system.call_with(to, &message(label, words), along);
        assert_eq!(told, (expected, vec![]), "{label} {words:?} {along:?}");
    }
    assert_eq!(system.kernel.priority(thread), 1);
}

#[test]
fn set_sched_params_sets_priorities_context_and_fault_handler() {
    let mut system = System::new();
    let thread = system.thread(1);
    system.hold(FREE, Capability::Thread { thread });
    let manager = system.manager;
    system.hold(FREE + 1, Capability::Thread { thread: manager });
    let object = system.kernel.create_scheduling_context();
    system.hold(FREE + 2, Capability::SchedulingContext { object });
    let set = message(8, &[9, 7]);
    let done = (refused(0, &[]), vec![]);
    let told = system.call_with(FREE, &set, &[FREE + 1, FREE + 9, ENDPOINT]);
    assert_eq!(told, done);
    assert_eq!(system.kernel.priority(thread), 7);
    assert!(!system.kernel.is_schedulable(thread));
    let told = system.call_with(FREE, &set, &[FREE + 1, FREE + 2, ENDPOINT]);
    assert_eq!(told, done);
    assert_eq!(system.kernel.context(thread), Some(object));
    let too_high = message(6, &[10]);
    let told = system.call_with(FREE, &too_high, &[FREE]);
    assert_eq!(told, (refused(4, &[0, 9]), vec![]));
    system.syscall(thread, recv(FREE + 9));
    let fault = message(1, &[0, FREE + 9, 1, 2, 0]);
    let events = system.syscall(manager, recv(ENDPOINT));
    assert_eq!(events, [(manager, received(0, &fault))]);
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
            kernel.syscall_with(manager, &call, &[CPtr(along)], done);
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

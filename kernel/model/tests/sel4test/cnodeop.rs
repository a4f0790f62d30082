//! `cnodeops.c`, and the parts of `cspace.c`, `threads.c` and `ipc_rights.c` that the model has.

use portcullis_kernel::{CPtr, Invocation, KernelError, Rights};
use portcullis_model::invocation::rotate;
use portcullis_model::{Capability, Completion, ThreadId};

use crate::helper::{DELETE_FIRST, FAILED_LOOKUP, ILLEGAL_OPERATION, INVALID_CAPABILITY};
use crate::helper::{OK, SPARE, error, handle_faults, helper, new_system, recv_with, text};
use crate::system::{CNODE, ENDPOINT, NOTIFICATION, System, call, message, received, recv};
use crate::system::{refused, send, slot};

/// Slots with a thread each, and such without anything.
const HELD: [u64; 3] = [SPARE, SPARE + 1, SPARE + 2];
const EMPTY: [u64; 3] = [SPARE + 8, SPARE + 9, SPARE + 10];

/// A system with three threads in [`HELD`].
fn system() -> (System, [ThreadId; 3]) {
    let mut system = new_system();
    let threads = HELD.map(|slot| {
        let thread = system.thread(1);
        system.hold(slot, Capability::Thread { thread });
        thread
    });
    (system, threads)
}

fn held(thread: ThreadId) -> Capability {
    Capability::Thread { thread }
}

/// Copy fills an empty slot, and is refused into a filled one, before its source is looked at.
#[test]
fn cnodeop0001() {
    let (mut system, [first, ..]) = system();
    let mut copy = |from, to| system.copy(from, to, Rights::ALL);
    assert_eq!(copy(HELD[0], EMPTY[0]), Ok(()));
    assert_eq!(copy(HELD[0], HELD[1]), Err(KernelError::DeleteFirst));
    assert_eq!(copy(EMPTY[1], HELD[1]), Err(KernelError::DeleteFirst));
    assert_eq!(copy(EMPTY[1], EMPTY[2]), Err(KernelError::FailedLookup));
    assert_eq!(system.at(EMPTY[0]), held(first));
}

/// Delete empties a slot, a filled and an empty one.
#[test]
fn cnodeop0002() {
    let (mut system, _) = system();
    for index in [HELD[0], EMPTY[0]] {
        assert_eq!(system.delete(index), Ok(()));
        assert_eq!(system.at(index), Capability::Null);
    }
}

/// Mint as Copy.
#[test]
fn cnodeop0003() {
    let (mut system, [first, ..]) = system();
    let mut mint = |from, to| system.mint(from, to, Rights::ALL, 0);
    assert_eq!(mint(HELD[0], EMPTY[0]), Ok(()));
    assert_eq!(mint(HELD[0], HELD[1]), Err(KernelError::DeleteFirst));
    assert_eq!(mint(EMPTY[1], EMPTY[2]), Err(KernelError::FailedLookup));
    assert_eq!(system.at(EMPTY[0]), held(first));
}

/// Move empties the source and fills the destination, or does neither.
#[test]
fn cnodeop0004() {
    let (mut system, [first, second, third]) = system();
    let mut move_ = |source, destination| {
        let [source, destination] = [source, destination].map(slot);
        system.invoke(Invocation::Move {
            destination,
            source,
        })
    };
    assert_eq!(move_(HELD[0], EMPTY[0]), Ok(()));
    assert_eq!(move_(EMPTY[1], EMPTY[2]), Err(KernelError::FailedLookup));
    assert_eq!(move_(HELD[1], HELD[2]), Err(KernelError::DeleteFirst));
    let now = [HELD[0], EMPTY[0], EMPTY[2], HELD[1], HELD[2]].map(|slot| system.at(slot));
    let [first, second, third] = [first, second, third].map(held);
    assert_eq!(
        now,
        [Capability::Null, first, Capability::Null, second, third]
    );
}

/// Mutate as Move.
#[test]
fn cnodeop0005() {
    let (mut system, [first, second, third]) = system();
    let mut mutate = |source, destination| {
        let [source, destination] = [source, destination].map(slot);
        system.invoke(Invocation::Mutate {
            destination,
            source,
            badge: 0,
        })
    };
    assert_eq!(mutate(HELD[0], EMPTY[0]), Ok(()));
    assert_eq!(mutate(HELD[1], HELD[2]), Err(KernelError::DeleteFirst));
    assert_eq!(mutate(EMPTY[1], EMPTY[2]), Err(KernelError::FailedLookup));
    let now = [HELD[0], EMPTY[0], EMPTY[2], HELD[1], HELD[2]].map(|slot| system.at(slot));
    let [first, second, third] = [first, second, third].map(held);
    assert_eq!(
        now,
        [Capability::Null, first, Capability::Null, second, third]
    );
}

/// CancelBadgedSends needs an endpoint, and leaves its capability.
#[test]
fn cnodeop0006() {
    let (mut system, _) = system();
    let mut cancel = |index| system.invoke(Invocation::CancelBadgedSends(slot(index)));
    assert_eq!(cancel(ENDPOINT), Ok(()));
    assert_eq!(cancel(EMPTY[0]), Err(KernelError::IllegalOperation));
    assert!(!system.at(ENDPOINT).is_null());
}

/// Revoke leaves the capability that it names, and does nothing to an empty slot.
#[test]
fn cnodeop0007() {
    let (mut system, [first, ..]) = system();
    for index in [HELD[0], EMPTY[0]] {
        assert_eq!(system.revoke(index), Ok(()));
    }
    assert_eq!(system.at(HELD[0]), held(first));
    assert_eq!(system.at(EMPTY[0]), Capability::Null);
}

/// Has the manager rotate.
fn rotated(system: &mut System, source: u64, pivot: u64, destination: u64) -> Completion {
    let [source, pivot, destination] = [source, pivot, destination].map(slot);
    let text = rotate(destination, (pivot, 0), (source, 0));
    let (told, others) = system.call_with(CNODE, &text, &[CNODE, CNODE]);
    assert_eq!(others, []);
    told
}

/// Rotate moves the pivot to the destination and the source to the pivot's slot; or exchanges the two;
/// and is refused where the destination is filled, the pivot is the source, or a slot is empty.
#[test]
fn cnodeop0008() {
    let (mut system, [first, second, third]) = system();
    let [first, second, third] = [first, second, third].map(held);
    assert_eq!(rotated(&mut system, HELD[0], HELD[1], EMPTY[0]), OK);
    let now = [HELD[0], HELD[1], EMPTY[0]].map(|slot| system.at(slot));
    assert_eq!(now, [Capability::Null, first, second]);

    let filled = rotated(&mut system, HELD[1], EMPTY[0], HELD[2]);
    assert_eq!(filled, error(DELETE_FIRST));
    let now = [HELD[1], EMPTY[0], HELD[2]].map(|slot| system.at(slot));
    assert_eq!(now, [first, second, third]);

    assert_eq!(rotated(&mut system, HELD[1], HELD[2], HELD[1]), OK);
    assert_eq!(
        [HELD[1], HELD[2]].map(|slot| system.at(slot)),
        [third, first]
    );

    let onto_itself = rotated(&mut system, HELD[1], HELD[1], EMPTY[1]);
    assert_eq!(onto_itself, error(ILLEGAL_OPERATION));
    assert_eq!(system.at(HELD[1]), third);

    // The source is at fault, which has 64 bits left.
    let empty = rotated(&mut system, HELD[0], EMPTY[1], EMPTY[2]);
    assert_eq!(empty, refused(FAILED_LOOKUP, &[1, 2, 64]));
}

/// A pointer is resolved bit by bit through 64 CNodes of two slots each; with any other it is an empty
/// slot that is called.
#[test]
fn cspace0001() {
    const BITS: usize = 64;
    let mut system = new_system();
    let cnodes: Vec<_> = (0..BITS).map(|_| system.kernel.create_cnode(1)).collect();
    let mut pointer = 0;
    for (place, pair) in cnodes.windows(2).enumerate() {
        let index = place as u64 % 2;
        pointer = pointer << 1 | index;
        let below = Capability::cnode(pair[1], 0);
        system.kernel.insert(pair[0], index, below).unwrap();
    }
    let endpoint = Capability::endpoint(system.kernel.create_endpoint());
    system.hold(SPARE, endpoint);
    system.kernel.insert(cnodes[BITS - 1], 1, endpoint).unwrap();
    let pointer = pointer << 1 | 1;
    let caller = system.kernel.create_thread(1);
    let root = Capability::cnode(cnodes[0], 0);
    system.kernel.set_cspace(caller, root).unwrap();
    for bit in 0..BITS {
        let events = system.syscall(caller, call(pointer ^ 1 << bit, &text()));
        let invalid = refused(INVALID_CAPABILITY, &[0]);
        assert_eq!(events, [(caller, invalid)], "bit {bit}");
    }
    system.syscall(system.manager, recv(SPARE));
    let events = system.syscall(caller, send(pointer, &text()));
    assert_eq!(events[0], (system.manager, received(0, &text())));
}

/// What has no CNode for a CSpace is refused.
#[test]
fn threads0004() {
    let (mut system, _) = system();
    let configure = message(5, &[0, 0, 0]);
    let along = [EMPTY[0], EMPTY[0], EMPTY[0]];
    let told = system.call_with(HELD[0], &configure, &along);
    assert_eq!(told, (error(ILLEGAL_OPERATION), vec![]));
}

/// As `threads0004`, by SetSpace.
#[test]
fn threads0005() {
    let (mut system, _) = system();
    let set_space = message(11, &[0, 0]);
    let along = [EMPTY[0], EMPTY[0], EMPTY[0]];
    let told = system.call_with(HELD[0], &set_space, &along);
    assert_eq!(told, (error(ILLEGAL_OPERATION), vec![]));
}

/// Every set of rights.
fn all_rights() -> impl Iterator<Item = Rights> {
    (0..16).map(|bits| Rights {
        write: bits & 1 != 0,
        read: bits & 2 != 0,
        grant: bits & 4 != 0,
        grant_reply: bits & 8 != 0,
    })
}

/// A message arrives only through a capability with Write.
#[test]
fn ipcrights0001() {
    for rights in all_rights() {
        let mut system = new_system();
        let receiver = helper(&mut system, 0, 1);
        system.syscall(receiver.thread, recv_with(ENDPOINT, receiver.reply));
        system.copy(ENDPOINT, SPARE, rights).unwrap();
        let events = system.syscall(system.manager, send(SPARE, &text()));
        assert_eq!(events.len(), 1 + usize::from(rights.write), "{rights:?}");
    }
}

/// Receiving through a capability without Read is a fault, which the fault handler is told of.
#[test]
fn ipcrights0002() {
    const FAULTS: u64 = SPARE + 1;
    for rights in all_rights() {
        let mut system = new_system();
        let receiver = helper(&mut system, 0, 1);
        handle_faults(&mut system, receiver.thread, FAULTS);
        system.copy(ENDPOINT, SPARE, rights).unwrap();
        system.syscall(receiver.thread, recv_with(SPARE, receiver.reply));
        if rights.read {
            let events = system.syscall(system.manager, send(ENDPOINT, &text()));
            assert_eq!(events[0], (receiver.thread, received(0, &text())));
        } else {
            // A capability fault: at the pointer, while receiving, for a missing capability.
            let fault = message(1, &[0, SPARE, 1, 2, 0]);
            let events = system.syscall(system.manager, recv(FAULTS));
            assert_eq!(events, [(system.manager, received(0, &fault))]);
        }
    }
}

/// A capability goes along only through one with Grant.
#[test]
fn ipcrights0003() {
    for rights in all_rights().filter(|rights| rights.write) {
        let mut system = new_system();
        let receiver = helper(&mut system, 0, 1);
        system
            .kernel
            .set_receive_slot(receiver.thread, slot(EMPTY[0]));
        system.syscall(receiver.thread, recv_with(ENDPOINT, receiver.reply));
        system.copy(ENDPOINT, SPARE, rights).unwrap();
        let (manager, call) = (system.manager, send(SPARE, &text()));
        system.step(|kernel, done| {
            kernel.syscall_with(manager, &call, &[CPtr(NOTIFICATION)], done);
        });
        assert_eq!(!system.at(EMPTY[0]).is_null(), rights.grant, "{rights:?}");
    }
}

//! Capability address lookup: guards, radices, depths, and what each failure is.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, KernelError, Message, Rights, Syscall};
use portcullis_model::{
    Capability, CapabilityFault, Completion, LookupFault, ObjectId, ThreadId, ThreadState,
};

use crate::system::{
    CNODE, EMPTY, ENDPOINT, FREE, System, call, message, nb_send, received, recv, refused, send,
    slot,
};

/// A CSpace of two levels: a root of 4 bits, slot 5 of which holds a CNode of 6 bits with a guard
/// of 54 bits of value 0x2a, which holds the endpoint in slot 9.
struct TwoLevels {
    system: System,
    leaf: ObjectId,
    /// Has it; the manager does not.
    thread: ThreadId,
}

const GUARD: u64 = 0x2a;

const fn pointer(root: u64, guard: u64, leaf: u64) -> u64 {
    root << 60 | guard << 6 | leaf
}

fn two_levels() -> TwoLevels {
    let mut system = System::new();
    let root = system.kernel.create_cnode(4);
    let leaf = system.kernel.create_cnode(6);
    let held = Capability::CNode {
        object: leaf,
        guard: GUARD,
        guard_size: 54,
    };
    let endpoint = Capability::endpoint(system.kernel.create_endpoint());
    for (cnode, index, capability) in [(root, 5, held), (root, 6, endpoint), (leaf, 9, endpoint)] {
        system.kernel.insert(cnode, index, capability).unwrap();
    }
    let thread = system.kernel.create_thread(200);
    let root = Capability::cnode(root, 0);
    system.kernel.set_cspace(thread, root).unwrap();
    TwoLevels {
        system,
        leaf,
        thread,
    }
}

fn fault_of(pointer: u64) -> LookupFault {
    let TwoLevels {
        mut system, thread, ..
    } = two_levels();
    match &system.syscall(thread, send(pointer, &Message::default()))[..] {
        [(_, Completion::Fault(fault))] => {
            assert_eq!((fault.address, fault.receiving), (CPtr(pointer), false));
            fault.lookup
        }
        other => panic!("{pointer:#x} came to {other:?}"),
    }
}

/// Whether the pointer names an endpoint.
fn resolves(pointer: u64) -> bool {
    let TwoLevels {
        mut system, thread, ..
    } = two_levels();
    system.syscall(thread, send(pointer, &Message::default()));
    system.state(thread) == ThreadState::BlockedOnSend
}

#[test]
fn a_pointer_walks_through_guards_to_its_slot() {
    assert!(resolves(pointer(5, GUARD, 9)));
}

#[test]
fn a_wrong_guard_is_a_mismatch() {
    assert_eq!(
        fault_of(pointer(5, GUARD + 1, 9)),
        LookupFault::GuardMismatch {
            guard: GUARD,
            guard_size: 54,
            bits_left: 60
        }
    );
}

#[test]
fn bits_left_at_a_capability_that_is_no_cnode_are_ignored() {
    assert!(resolves(pointer(6, 0, 0)));
    assert!(resolves(pointer(6, 1234, 5)));
}

#[test]
fn an_empty_slot_on_the_way_answers_a_caller_with_invalid_capability() {
    let TwoLevels {
        mut system, thread, ..
    } = two_levels();
    let events = system.syscall(thread, call(pointer(7, 3, 3), &Message::default()));
    assert_eq!(events, [(thread, refused(2, &[0]))]);
}

#[test]
fn a_thread_without_a_cspace_faults_on_every_pointer() {
    for (syscall, receiving) in [
        (send(CNODE, &Message::default()), false),
        (call(CNODE, &Message::default()), false),
        (recv(CNODE), true),
    ] {
        let mut system = System::new();
        let thread = system.kernel.create_thread(1);
        let fault = CapabilityFault {
            address: CPtr(CNODE),
            receiving,
            lookup: LookupFault::InvalidRoot,
        };
        let events = system.syscall(thread, syscall);
        assert_eq!(events, [(thread, Completion::Fault(fault))]);
        assert_eq!(system.state(thread), ThreadState::Inactive);
    }
}

#[test]
fn a_sender_that_does_not_wait_does_not_fault() {
    let mut system = System::new();
    let thread = system.kernel.create_thread(1);
    let events = system.syscall(thread, nb_send(CNODE, &Message::default()));
    assert_eq!(events, [(thread, Completion::Done)]);
}

#[test]
fn a_cnode_with_too_few_bits_left_is_a_depth_mismatch() {
    // The root resolves 62 bits, so 2 are left for a CNode of 10.
    let mut system = System::new();
    let (root, inner) = (
        system.kernel.create_cnode(2),
        system.kernel.create_cnode(10),
    );
    let inner = Capability::cnode(inner, 0);
    system.kernel.insert(root, 1, inner).unwrap();
    let thread = system.kernel.create_thread(1);
    let root = Capability::cnode(root, 60);
    system.kernel.set_cspace(thread, root).unwrap();
    let events = system.syscall(thread, send(1 << 2, &Message::default()));
    let fault = CapabilityFault {
        address: CPtr(1 << 2),
        receiving: false,
        lookup: LookupFault::DepthMismatch {
            bits_found: 10,
            bits_left: 2,
        },
    };
    assert_eq!(events, [(thread, Completion::Fault(fault))]);
}

/// Deletes at the given address and gives the result.
fn delete(index: u64, depth: u8) -> Result<(), KernelError> {
    System::new().invoke(Invocation::Delete(CNodeSlot {
        root: CPtr(CNODE),
        index,
        depth,
    }))
}

#[test]
fn a_depth_of_0_or_above_64_is_a_range_error() {
    assert_eq!(delete(FREE, 0), Err(KernelError::RangeError));
    assert_eq!(delete(FREE, 65), Err(KernelError::RangeError));
    assert_eq!(delete(FREE, 255), Err(KernelError::RangeError));
    assert_eq!(delete(FREE, 64), Ok(()));
}

#[test]
fn a_depth_that_the_guard_does_not_fit_in_is_a_failed_lookup() {
    assert_eq!(delete(FREE, 8), Err(KernelError::FailedLookup));
    assert_eq!(delete(FREE, 63), Err(KernelError::FailedLookup));
}

#[test]
fn bits_left_over_are_a_failed_lookup_for_cnode_invocations() {
    let mut system = System::new();
    let bare = Capability::cnode(system.cnode, 0);
    system.kernel.insert(system.cnode, FREE, bare).unwrap();
    let mut delete = |index, depth| {
        system.invoke(Invocation::Delete(CNodeSlot {
            root: CPtr(FREE),
            index,
            depth,
        }))
    };
    assert_eq!(delete(EMPTY << 2, 10), Err(KernelError::FailedLookup));
    assert_eq!(delete(EMPTY, 8), Ok(()));
}

#[test]
fn a_depth_of_64_without_a_guard_resolves_the_high_bits() {
    let mut system = System::new();
    let bare = Capability::cnode(system.cnode, 0);
    system.kernel.insert(system.cnode, FREE, bare).unwrap();
    let at = CNodeSlot {
        root: CPtr(FREE),
        index: ENDPOINT << 56,
        depth: 64,
    };
    // It finds the endpoint, with bits left over.
    assert_eq!(
        system.invoke(Invocation::Delete(at)),
        Err(KernelError::FailedLookup)
    );
}

#[test]
fn the_source_is_looked_up_from_its_own_root() {
    let TwoLevels {
        mut system, leaf, ..
    } = two_levels();
    let cnode = system.cnode;
    let leaf = Capability::cnode(leaf, 58);
    system.kernel.insert(cnode, FREE, leaf).unwrap();
    let result = system.invoke(Invocation::Copy {
        destination: slot(FREE + 1),
        source: CNodeSlot {
            root: CPtr(FREE),
            index: 9,
            depth: 64,
        },
        rights: Rights::WRITE,
    });
    assert_eq!(result, Ok(()));
    assert_eq!(system.at(FREE + 1).rights(), Rights::WRITE);
}

#[test]
fn a_source_root_that_does_not_resolve_is_a_fault_and_not_an_error() {
    let TwoLevels {
        mut system, thread, ..
    } = two_levels();
    let at = |root| CNodeSlot {
        root: CPtr(root),
        index: 0,
        depth: 64,
    };
    let bad = pointer(5, GUARD + 1, 0);
    let events = system.syscall(
        thread,
        Syscall::Invoke(Invocation::Move {
            destination: at(pointer(6, 0, 0)),
            source: at(bad),
        }),
    );
    assert!(
        matches!(
            &events[..],
            [(_, Completion::Fault(fault))] if fault.address == CPtr(bad) && !fault.receiving
        ),
        "{events:?}"
    );
}

#[test]
fn a_source_root_that_is_no_cnode_is_a_failed_lookup() {
    let mut system = System::new();
    for root in [EMPTY, ENDPOINT] {
        let source = CNodeSlot {
            root: CPtr(root),
            index: 0,
            depth: 64,
        };
        let result = system.invoke(Invocation::Move {
            destination: slot(FREE),
            source,
        });
        assert_eq!(result, Err(KernelError::FailedLookup));
    }
}

#[test]
fn a_destination_root_that_is_an_empty_slot_is_an_invalid_capability() {
    let mut system = System::new();
    let at = CNodeSlot {
        root: CPtr(EMPTY),
        index: 0,
        depth: 64,
    };
    assert_eq!(
        system.invoke(Invocation::Delete(at)),
        Err(KernelError::InvalidCapability)
    );
}

#[test]
fn a_raw_call_is_told_why_its_lookup_failed() {
    // Labels 18 and 19 are CNode_Revoke and CNode_Delete: a message to a CNode is an invocation.
    let mut system = System::new();
    let thread = system.manager;
    let mut refusal = |words: &[u64]| {
        let events = system.syscall(thread, call(CNODE, &message(19, words)));
        let [(_, completion)] = <[_; 1]>::try_from(events).unwrap();
        completion
    };
    assert_eq!(refusal(&[1 << 8, 64]), refused(6, &[0, 4, 64, 0, 56]));
    assert_eq!(refusal(&[0, 60]), refused(6, &[0, 3, 60, 64]));
    // A guard longer than the bits left is a mismatch, whatever its value.
    assert_eq!(refusal(&[0, 40]), refused(6, &[0, 4, 40, 0, 56]));
    assert_eq!(refusal(&[0, 65]), refused(4, &[1, 64]));
    assert_eq!(refusal(&[FREE]), refused(7, &[]));
    assert_eq!(refusal(&[FREE, 64]), received(0, &Message::default()));
}

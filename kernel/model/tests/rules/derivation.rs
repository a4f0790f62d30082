//! The derivation tree: what Revoke takes back, and what it leaves.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Rights};
use portcullis_model::Capability;

use crate::system::{CNODE, EMPTY, ENDPOINT, FREE, NOTIFICATION, REPLY, System, slot};

const A: u64 = FREE;
const B: u64 = FREE + 1;
const C: u64 = FREE + 2;
const D: u64 = FREE + 3;
const E: u64 = FREE + 4;

fn system_with(build: impl Fn(&mut System)) -> System {
    let mut system = System::new();
    build(&mut system);
    system
}

fn copy(system: &mut System, source: u64, destination: u64) {
    system.copy(source, destination, Rights::ALL).unwrap();
}

fn mint(system: &mut System, source: u64, destination: u64, badge: u64) {
    system
        .mint(source, destination, Rights::ALL, badge)
        .unwrap();
}

/// What is left after revoking `at`.
fn after_revoking(at: u64, build: impl Fn(&mut System)) -> Vec<u64> {
    let mut system = system_with(build);
    system.revoke(at).unwrap();
    system.filled()
}

#[test]
fn revoking_an_original_takes_everything_derived_from_it() {
    let left = after_revoking(ENDPOINT, |system| {
        copy(system, ENDPOINT, A);
        mint(system, ENDPOINT, B, 7);
        copy(system, B, C);
        copy(system, A, D);
        mint(system, A, E, 8);
    });
    assert_eq!(left, []);
}

#[test]
fn revoking_keeps_the_capability_itself() {
    let mut system = system_with(|system| copy(system, ENDPOINT, A));
    system.revoke(ENDPOINT).unwrap();
    assert_eq!(system.at(ENDPOINT), Capability::endpoint(system.endpoint));
}

#[test]
fn revoking_an_unbadged_copy_takes_nothing() {
    let left = after_revoking(A, |system| {
        copy(system, ENDPOINT, A);
        copy(system, A, B);
        mint(system, A, C, 5);
    });
    assert_eq!(left, [A, B, C]);
}

#[test]
fn revoking_a_badged_root_takes_its_copies() {
    let left = after_revoking(A, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        copy(system, B, C);
    });
    assert_eq!(left, [A]);
}

#[test]
fn revoking_a_badged_root_leaves_another_root_of_the_same_badge() {
    for roots in [[A, C], [C, A]] {
        let left = after_revoking(A, |system| {
            for root in roots {
                mint(system, ENDPOINT, root, 7);
                copy(system, root, root + 1);
            }
        });
        assert_eq!(left, [A, C, D]);
    }
}

#[test]
fn revoking_a_badged_root_leaves_other_badges() {
    let left = after_revoking(B, |system| {
        mint(system, ENDPOINT, A, 1);
        mint(system, ENDPOINT, B, 2);
        mint(system, ENDPOINT, C, 3);
        copy(system, A, D);
        copy(system, B, E);
    });
    assert_eq!(left, [A, B, C, D]);
}

#[test]
fn revoking_a_copy_of_a_badged_root_takes_nothing() {
    let left = after_revoking(B, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        copy(system, B, C);
    });
    assert_eq!(left, [A, B, C]);
}

#[test]
fn the_copies_of_a_deleted_root_do_not_become_another_s_of_its_badge() {
    let left = after_revoking(C, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        // Inserted before A in the tree.
        mint(system, ENDPOINT, C, 7);
        copy(system, C, D);
        system.delete(A).unwrap();
        system.delete(D).unwrap();
    });
    assert_eq!(left, [B, C]);
}

#[test]
fn the_copies_of_a_deleted_root_still_belong_to_the_original() {
    let left = after_revoking(ENDPOINT, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        system.delete(A).unwrap();
    });
    assert_eq!(left, []);
}

#[test]
fn after_the_original_is_deleted_badged_roots_keep_their_copies() {
    let left = after_revoking(A, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        copy(system, ENDPOINT, C);
        system.delete(ENDPOINT).unwrap();
    });
    assert_eq!(left, [A, C]);
}

#[test]
fn a_moved_root_keeps_its_copies() {
    let left = after_revoking(D, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        system
            .invoke(Invocation::Move {
                destination: slot(D),
                source: slot(A),
            })
            .unwrap();
    });
    assert_eq!(left, [D]);
}

#[test]
fn a_moved_copy_is_still_taken_back() {
    let left = after_revoking(A, |system| {
        mint(system, ENDPOINT, A, 7);
        copy(system, A, B);
        system
            .invoke(Invocation::Move {
                destination: slot(D),
                source: slot(B),
            })
            .unwrap();
    });
    assert_eq!(left, [A]);
}

#[test]
fn notifications_derive_as_endpoints_do() {
    let left = after_revoking(A, |system| {
        mint(system, NOTIFICATION, A, 1);
        copy(system, A, B);
        mint(system, NOTIFICATION, C, 1);
        copy(system, C, D);
    });
    assert_eq!(left, [A, C, D]);
    assert_eq!(
        after_revoking(NOTIFICATION, |system| mint(system, NOTIFICATION, A, 1)),
        []
    );
}

#[test]
fn copies_of_cnodes_and_reply_objects_are_siblings() {
    for source in [CNODE, REPLY] {
        let left = after_revoking(A, |system| {
            copy(system, source, A);
            copy(system, A, B);
            mint(system, A, C, 0);
        });
        assert_eq!(left, [A, B, C]);
    }
}

#[test]
fn revoking_an_original_cnode_takes_its_copies() {
    let mut system = System::new();
    let cnode = system.kernel.create_cnode(4);
    system.kernel.hand_over(cnode, system.cnode, A).unwrap();
    mint(&mut system, A, B, 60);
    mint(&mut system, B, C, 3);
    system.revoke(A).unwrap();
    assert_eq!(system.filled(), [A]);
}

#[test]
fn revoking_one_object_leaves_the_others() {
    let left = after_revoking(ENDPOINT, |system| {
        copy(system, ENDPOINT, A);
        copy(system, NOTIFICATION, B);
        copy(system, REPLY, C);
    });
    assert_eq!(left, [B, C]);
}

#[test]
fn revoking_and_deleting_an_empty_slot_succeeds() {
    let mut system = System::new();
    assert_eq!(system.revoke(EMPTY), Ok(()));
    assert_eq!(system.delete(EMPTY), Ok(()));
}

#[test]
fn revoking_reaches_into_other_cnodes() {
    let mut system = System::new();
    let other = system.kernel.create_cnode(4);
    let held = Capability::cnode(other, 60);
    system.kernel.insert(system.cnode, B, held).unwrap();
    mint(&mut system, ENDPOINT, A, 7);
    let result = system.invoke(Invocation::Copy {
        destination: CNodeSlot {
            root: CPtr(B),
            index: 3,
            depth: 64,
        },
        source: slot(A),
        rights: Rights::WRITE,
    });
    assert_eq!(result, Ok(()));
    assert_eq!(system.kernel.scan(other).count(), 1);
    system.revoke(A).unwrap();
    assert_eq!(system.kernel.scan(other).count(), 0);
}

#[test]
fn what_the_initialiser_hands_out_has_no_children_unless_its_badge_is_new() {
    let mut system = System::new();
    let endpoint = system.kernel.create_endpoint();
    let cnode = system.cnode;
    let unbadged = Capability::endpoint(endpoint);
    system.kernel.insert(cnode, A, unbadged).unwrap();
    mint(&mut system, A, B, 7);
    copy(&mut system, A, C);
    system.revoke(A).unwrap();
    assert_eq!(system.filled(), [A, B, C]);
}

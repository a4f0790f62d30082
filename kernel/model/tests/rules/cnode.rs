//! CNode invocations: results and errors, in the kernel's order of checks.

use portcullis_kernel::{Badge, CNodeSlot, Invocation, KernelError, Message, Rights};
use portcullis_model::{Capability, Completion, ThreadState, invocation};

use crate::system::{
    CNODE, EMPTY, ENDPOINT, FREE, NOTIFICATION, REPLY, System, message, nb_recv, received, recv,
    send, slot,
};

const MISSING: u64 = 1 << 20;

fn moved(system: &mut System, source: u64, destination: u64) -> Result<(), KernelError> {
    system.invoke(Invocation::Move {
        destination: slot(destination),
        source: slot(source),
    })
}

fn mutate(
    system: &mut System,
    source: u64,
    destination: u64,
    badge: u64,
) -> Result<(), KernelError> {
    system.invoke(Invocation::Mutate {
        destination: slot(destination),
        source: slot(source),
        badge,
    })
}

fn cancel(system: &mut System, index: u64) -> Result<(), KernelError> {
    system.invoke(Invocation::CancelBadgedSends(slot(index)))
}

/// Guard data as Mint and Mutate take it.
const fn guard_data(guard: u64, size: u64) -> u64 {
    guard << 6 | size
}

// Copy.

#[test]
fn copy_keeps_the_badge_and_masks_the_rights() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::CALL, 9).unwrap();
    system.copy(FREE, FREE + 1, Rights::WRITE).unwrap();
    assert_eq!(
        system.at(FREE + 1),
        Capability::Endpoint {
            object: system.endpoint,
            badge: Badge(9),
            rights: Rights::WRITE
        }
    );
}

#[test]
fn copy_with_more_rights_than_the_source_gives_the_source_s() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::READ).unwrap();
    system.copy(FREE, FREE + 1, Rights::ALL).unwrap();
    assert_eq!(system.at(FREE + 1).rights(), Rights::READ);
}

#[test]
fn copy_of_no_rights_at_all_is_allowed() {
    let mut system = System::new();
    assert_eq!(system.copy(ENDPOINT, FREE, Rights::NONE), Ok(()));
    assert_eq!(system.at(FREE).rights(), Rights::NONE);
}

#[test]
fn copy_of_a_notification_has_read_and_write_only() {
    let mut system = System::new();
    system.copy(NOTIFICATION, FREE, Rights::ALL).unwrap();
    let rights = system.at(FREE).rights();
    assert!(rights.read && rights.write && !rights.grant && !rights.grant_reply);
}

#[test]
fn copy_of_a_cnode_ignores_rights_and_keeps_the_guard() {
    let mut system = System::new();
    system.copy(CNODE, FREE, Rights::NONE).unwrap();
    assert_eq!(system.at(FREE), system.at(CNODE));
}

#[test]
fn copy_of_a_reply_object_keeps_grant_where_it_is_asked_for() {
    let mut system = System::new();
    system.copy(REPLY, FREE, Rights::ALL).unwrap();
    assert_eq!(system.at(FREE), system.at(REPLY));
    system.copy(FREE, FREE + 1, Rights::CALL).unwrap();
    assert_eq!(system.at(FREE + 1).rights(), Rights::NONE);
}

#[test]
fn copy_into_a_filled_slot_is_delete_first() {
    let mut system = System::new();
    assert_eq!(
        system.copy(ENDPOINT, NOTIFICATION, Rights::ALL),
        Err(KernelError::DeleteFirst)
    );
}

#[test]
fn copy_of_a_slot_onto_itself_is_delete_first() {
    let mut system = System::new();
    assert_eq!(
        system.copy(ENDPOINT, ENDPOINT, Rights::ALL),
        Err(KernelError::DeleteFirst)
    );
}

#[test]
fn copy_of_an_empty_slot_is_a_failed_lookup() {
    let mut system = System::new();
    assert_eq!(
        system.copy(EMPTY, FREE, Rights::ALL),
        Err(KernelError::FailedLookup)
    );
}

#[test]
fn the_destination_is_looked_up_before_the_source() {
    let mut system = System::new();
    let bad_depth = CNodeSlot {
        depth: 0,
        ..slot(FREE)
    };
    let result = system.invoke(Invocation::Copy {
        destination: bad_depth,
        source: slot(MISSING),
        rights: Rights::ALL,
    });
    assert_eq!(result, Err(KernelError::RangeError));
    let result = system.invoke(Invocation::Copy {
        destination: slot(MISSING),
        source: bad_depth,
        rights: Rights::ALL,
    });
    assert_eq!(result, Err(KernelError::FailedLookup));
}

#[test]
fn a_filled_destination_is_found_before_a_bad_source() {
    let mut system = System::new();
    for source in [EMPTY, MISSING] {
        assert_eq!(
            system.copy(source, ENDPOINT, Rights::ALL),
            Err(KernelError::DeleteFirst)
        );
    }
}

#[test]
fn the_source_s_depth_is_checked_too() {
    let mut system = System::new();
    let source = CNodeSlot {
        depth: 65,
        ..slot(ENDPOINT)
    };
    let result = system.invoke(Invocation::Copy {
        destination: slot(FREE),
        source,
        rights: Rights::ALL,
    });
    assert_eq!(result, Err(KernelError::RangeError));
}

// Mint.

#[test]
fn mint_sets_the_badge_of_an_unbadged_endpoint() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::ALL, u64::MAX).unwrap();
    assert_eq!(system.at(FREE).badge(), Badge(u64::MAX));
}

#[test]
fn mint_sets_the_badge_of_an_unbadged_notification() {
    let mut system = System::new();
    system.mint(NOTIFICATION, FREE, Rights::WRITE, 8).unwrap();
    assert_eq!(system.at(FREE).badge(), Badge(8));
    assert_eq!(system.at(FREE).rights(), Rights::WRITE);
}

#[test]
fn mint_of_a_badged_capability_is_an_illegal_operation() {
    let mut system = System::new();
    for (source, free) in [(ENDPOINT, FREE), (NOTIFICATION, FREE + 2)] {
        system.mint(source, free, Rights::ALL, 7).unwrap();
        for badge in [0, 7, 8] {
            assert_eq!(
                system.mint(free, free + 1, Rights::ALL, badge),
                Err(KernelError::IllegalOperation)
            );
        }
    }
}

#[test]
fn mint_with_badge_0_is_a_copy() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::ALL, 0).unwrap();
    assert_eq!(system.at(FREE), system.at(ENDPOINT));
}

#[test]
fn mint_gives_fewer_rights_than_asked_where_the_source_has_fewer() {
    let mut system = System::new();
    system.copy(ENDPOINT, FREE, Rights::WRITE).unwrap();
    assert_eq!(system.mint(FREE, FREE + 1, Rights::ALL, 5), Ok(()));
    assert_eq!(system.at(FREE + 1).rights(), Rights::WRITE);
}

#[test]
fn mint_of_a_cnode_sets_its_guard() {
    let mut system = System::new();
    let data = guard_data(0x3f5, 4);
    system.mint(CNODE, FREE, Rights::NONE, data).unwrap();
    assert_eq!(
        system.at(FREE),
        Capability::CNode {
            object: system.cnode,
            guard: 5,
            guard_size: 4
        }
    );
    system.mint(CNODE, FREE + 1, Rights::NONE, 0).unwrap();
    assert_eq!(system.at(FREE + 1), Capability::cnode(system.cnode, 0));
}

#[test]
fn mint_of_a_cnode_with_more_than_64_bits_is_an_illegal_operation() {
    let mut system = System::new();
    assert_eq!(
        system.mint(CNODE, FREE, Rights::ALL, guard_data(0, 57)),
        Err(KernelError::IllegalOperation)
    );
    assert_eq!(
        system.mint(CNODE, FREE, Rights::ALL, guard_data(0, 56)),
        Ok(())
    );
}

#[test]
fn mint_of_a_reply_object_or_thread_ignores_the_badge() {
    let mut system = System::new();
    let thread = Capability::Thread {
        thread: system.manager,
    };
    system.kernel.insert(system.cnode, FREE, thread).unwrap();
    for source in [REPLY, FREE] {
        let free = FREE + 1 + source;
        system.mint(source, free, Rights::ALL, 77).unwrap();
        assert_eq!(system.at(free), system.at(source));
    }
}

// Move and Mutate.

#[test]
fn move_keeps_everything_and_empties_the_source() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::CALL, 3).unwrap();
    let held = system.at(FREE);
    moved(&mut system, FREE, FREE + 1).unwrap();
    assert_eq!(system.at(FREE), Capability::Null);
    assert_eq!(system.at(FREE + 1), held);
}

#[test]
fn move_onto_itself_is_delete_first() {
    let mut system = System::new();
    assert_eq!(
        moved(&mut system, ENDPOINT, ENDPOINT),
        Err(KernelError::DeleteFirst)
    );
}

#[test]
fn move_of_an_empty_slot_is_a_failed_lookup() {
    let mut system = System::new();
    assert_eq!(
        moved(&mut system, EMPTY, FREE),
        Err(KernelError::FailedLookup)
    );
}

#[test]
fn mutate_changes_a_guard() {
    let mut system = System::new();
    system.copy(CNODE, FREE, Rights::ALL).unwrap();
    mutate(&mut system, FREE, FREE + 1, guard_data(1, 2)).unwrap();
    assert_eq!(system.at(FREE), Capability::Null);
    assert_eq!(
        system.at(FREE + 1),
        Capability::CNode {
            object: system.cnode,
            guard: 1,
            guard_size: 2
        }
    );
}

#[test]
fn mutate_of_an_endpoint_or_notification_is_an_illegal_operation() {
    let mut system = System::new();
    for source in [ENDPOINT, NOTIFICATION] {
        for badge in [0, 4] {
            assert_eq!(
                mutate(&mut system, source, FREE, badge),
                Err(KernelError::IllegalOperation)
            );
        }
        assert_ne!(system.at(source), Capability::Null);
    }
}

#[test]
fn mutate_of_a_reply_object_is_a_move() {
    let mut system = System::new();
    assert_eq!(mutate(&mut system, REPLY, FREE, 4), Ok(()));
    assert_eq!(system.at(REPLY), Capability::Null);
}

// CancelBadgedSends.

#[test]
fn cancel_badged_sends_needs_every_right() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::ALL, 5).unwrap();
    assert_eq!(cancel(&mut system, FREE), Ok(()));
    for (index, lacks) in [
        Rights {
            read: false,
            ..Rights::ALL
        },
        Rights {
            write: false,
            ..Rights::ALL
        },
        Rights {
            grant: false,
            ..Rights::ALL
        },
        Rights {
            grant_reply: false,
            ..Rights::ALL
        },
    ]
    .into_iter()
    .enumerate()
    {
        let free = FREE + 1 + index as u64;
        system.mint(ENDPOINT, free, lacks, 5).unwrap();
        assert_eq!(
            cancel(&mut system, free),
            Err(KernelError::IllegalOperation),
            "{lacks:?}"
        );
    }
}

#[test]
fn cancel_badged_sends_of_anything_but_an_endpoint_is_an_illegal_operation() {
    let mut system = System::new();
    for index in [EMPTY, NOTIFICATION, REPLY, CNODE] {
        assert_eq!(
            cancel(&mut system, index),
            Err(KernelError::IllegalOperation)
        );
    }
}

#[test]
fn cancel_badged_sends_takes_back_what_is_queued_with_that_badge() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::ALL, 5).unwrap();
    system.mint(ENDPOINT, FREE + 1, Rights::ALL, 6).unwrap();
    let [first, second, third] = [1, 2, 3].map(|priority| system.thread(priority));
    for (thread, to) in [(first, FREE), (second, FREE + 1), (third, FREE)] {
        let events = system.syscall(thread, send(to, &message(20, &[to])));
        assert_eq!(events, []);
    }
    let (result, events) = system.invoke_with(Invocation::CancelBadgedSends(slot(FREE)));
    assert_eq!(result, Ok(()));
    assert_eq!(
        events,
        [
            (third, Completion::Restarted),
            (first, Completion::Restarted)
        ]
    );
    // What remains is the other badge's.
    let events = system.syscall(system.manager, nb_recv(ENDPOINT));
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].1, received(6, &message(20, &[FREE + 1])));
}

#[test]
fn cancel_badged_sends_without_a_badge_does_nothing() {
    let mut system = System::new();
    let sender = system.thread(1);
    system.syscall(sender, send(ENDPOINT, &Message::default()));
    assert_eq!(cancel(&mut system, ENDPOINT), Ok(()));
    assert_eq!(system.state(sender), ThreadState::BlockedOnSend);
}

#[test]
fn cancel_badged_sends_leaves_receivers_alone() {
    let mut system = System::new();
    system.mint(ENDPOINT, FREE, Rights::ALL, 5).unwrap();
    let receiver = system.thread(1);
    system.syscall(receiver, recv(ENDPOINT));
    assert_eq!(cancel(&mut system, FREE), Ok(()));
    assert_eq!(system.state(receiver), ThreadState::BlockedOnReceive);
}

/// Has the manager rotate, with these data for the pivot and the source.
fn rotate(system: &mut System, slots: [u64; 3], pivot_data: u64, source_data: u64) -> Completion {
    let [source, pivot, destination] = slots.map(slot);
    let text = invocation::rotate(destination, (pivot, pivot_data), (source, source_data));
    let (told, others) = system.call_with(CNODE, &text, &[CNODE, CNODE]);
    assert_eq!(others, []);
    told
}

#[test]
fn rotate_sets_guards() {
    let mut system = System::new();
    let cnodes = [4, 5].map(|radix| system.kernel.create_cnode(radix));
    for (place, cnode) in (FREE..).zip(cnodes) {
        system.hold(place, Capability::cnode(cnode, 0));
    }
    let told = rotate(&mut system, [FREE, FREE + 1, FREE + 2], 59, 60);
    assert_eq!(told, received(0, &Message::new(0)));
    assert_eq!(system.at(FREE + 1), Capability::cnode(cnodes[0], 60));
    assert_eq!(system.at(FREE + 2), Capability::cnode(cnodes[1], 59));
    let told = rotate(&mut system, [FREE + 1, FREE + 2, FREE], 60, 60);
    assert_eq!(told, received(0, &message(3, &[])), "65 bits");
}

#[test]
fn rotate_of_an_endpoint_or_notification_is_an_illegal_operation() {
    let mut system = System::new();
    let before = [ENDPOINT, NOTIFICATION, REPLY].map(|slot| system.at(slot));
    for [source, pivot] in [[ENDPOINT, REPLY], [REPLY, NOTIFICATION]] {
        let told = rotate(&mut system, [source, pivot, FREE], 0, 0);
        assert_eq!(told, received(0, &message(3, &[])));
    }
    let after = [ENDPOINT, NOTIFICATION, REPLY].map(|slot| system.at(slot));
    assert_eq!(after, before);
}

#[test]
fn rotate_says_which_slot_is_empty_after_it_looked_at_the_destination() {
    let mut system = System::new();
    let told = rotate(&mut system, [EMPTY, REPLY, FREE], 0, 0);
    assert_eq!(told, received(0, &message(6, &[1, 2, 64])));
    let told = rotate(&mut system, [REPLY, EMPTY, FREE], 0, 0);
    assert_eq!(told, received(0, &message(6, &[0, 2, 64])));
    let told = rotate(&mut system, [EMPTY, EMPTY, FREE], 0, 0);
    assert_eq!(told, received(0, &message(3, &[])));
    let told = rotate(&mut system, [EMPTY, FREE, REPLY], 0, 0);
    assert_eq!(told, received(0, &message(8, &[])));
}

#[test]
fn rotate_without_both_roots_or_all_words_is_truncated() {
    let mut system = System::new();
    let text = invocation::rotate(slot(FREE), (slot(REPLY), 0), (slot(CNODE), 0));
    let truncated = received(0, &message(7, &[]));
    for along in [&[][..], &[CNODE]] {
        let told = system.call_with(CNODE, &text, along);
        assert_eq!(told, (truncated.clone(), vec![]));
    }
    let short = message(text.label(), &text.words()[..7]);
    let told = system.call_with(CNODE, &short, &[CNODE, CNODE]);
    assert_eq!(told, (truncated, vec![]));
}

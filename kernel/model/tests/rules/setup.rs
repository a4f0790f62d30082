//! What the initialiser may set up.

use portcullis_kernel::{Badge, KernelError, Rights};
use portcullis_model::{Capability, Kernel};

#[test]
fn a_capability_goes_into_an_empty_slot_that_exists() {
    let mut kernel = Kernel::new();
    let (cnode, endpoint) = (kernel.create_cnode(2), kernel.create_endpoint());
    let held = Capability::endpoint(endpoint);
    assert_eq!(kernel.insert(cnode, 3, held), Ok(()));
    assert_eq!(kernel.insert(cnode, 3, held), Err(KernelError::DeleteFirst));
    assert_eq!(kernel.insert(cnode, 4, held), Err(KernelError::RangeError));
    assert_eq!(
        kernel.insert(endpoint, 0, held),
        Err(KernelError::InvalidArgument)
    );
    assert_eq!(kernel.capability(cnode, 3), Some(held));
    assert_eq!(kernel.capability(cnode, 0), Some(Capability::Null));
    assert_eq!(kernel.capability(cnode, 4), None);
}

#[test]
fn an_impossible_capability_is_refused() {
    let mut kernel = Kernel::new();
    let (cnode, endpoint) = (kernel.create_cnode(2), kernel.create_endpoint());
    let notification = kernel.create_notification();
    for capability in [
        Capability::Null,
        Capability::endpoint(notification),
        Capability::notification(endpoint),
        Capability::reply(endpoint),
        Capability::cnode(endpoint, 0),
        Capability::cnode(cnode, 63),
        Capability::CNode {
            object: cnode,
            guard: 4,
            guard_size: 2,
        },
        Capability::Notification {
            object: notification,
            badge: Badge(1),
            rights: Rights::ALL,
        },
    ] {
        assert_eq!(
            kernel.insert(cnode, 0, capability),
            Err(KernelError::InvalidArgument),
            "{capability:?}"
        );
    }
}

#[test]
fn an_original_is_handed_over_once() {
    let mut kernel = Kernel::new();
    let (cnode, endpoint) = (kernel.create_cnode(2), kernel.create_endpoint());
    assert_eq!(
        kernel.hand_over(endpoint, cnode, 9),
        Err(KernelError::RangeError)
    );
    assert_eq!(kernel.hand_over(endpoint, cnode, 0), Ok(()));
    let taken = Err(KernelError::InvalidCapability);
    assert_eq!(kernel.hand_over(endpoint, cnode, 1), taken);
    let held = Capability::endpoint(endpoint);
    assert_eq!(kernel.insert(cnode, 1, held), taken);
}

#[test]
fn a_cspace_is_a_cnode_and_set_once() {
    let mut kernel = Kernel::new();
    let (cnode, endpoint) = (kernel.create_cnode(2), kernel.create_endpoint());
    let thread = kernel.create_thread(0);
    assert_eq!(
        kernel.set_cspace(thread, Capability::endpoint(endpoint)),
        Err(KernelError::InvalidArgument)
    );
    let root = Capability::cnode(cnode, 62);
    assert_eq!(kernel.set_cspace(thread, root), Ok(()));
    assert_eq!(
        kernel.set_cspace(thread, root),
        Err(KernelError::DeleteFirst)
    );
}

#[test]
fn a_scan_shows_the_filled_slots_in_order() {
    let mut kernel = Kernel::new();
    let (cnode, endpoint) = (kernel.create_cnode(3), kernel.create_endpoint());
    let held = Capability::endpoint(endpoint);
    for index in [5, 0, 7] {
        kernel.insert(cnode, index, held).unwrap();
    }
    let found: Vec<_> = kernel.scan(cnode).collect();
    assert_eq!(found, [(0, held), (5, held), (7, held)]);
    assert_eq!(kernel.scan(endpoint).count(), 0);
}

#[test]
#[should_panic(expected = "radix of 1 to 24")]
fn a_cnode_without_an_index_bit_does_not_exist() {
    Kernel::new().create_cnode(0);
}

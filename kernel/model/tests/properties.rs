//! What holds after any sequence of operations.

use std::collections::HashSet;

use portcullis_kernel::{Badge, CNodeSlot, CPtr, Invocation, Syscall};
use portcullis_model::Capability;
use portcullis_model::testing::{OPERATION_BYTES, Operation, World, run_operations};
use proptest::collection::vec;
use proptest::prelude::*;

fn operations() -> impl Strategy<Value = Vec<[u8; OPERATION_BYTES]>> {
    vec(any::<[u8; OPERATION_BYTES]>(), 1..200)
}

/// Deletes what a slot holds that is filled at first.
const DELETE: Invocation = Invocation::Delete(CNodeSlot {
    root: CPtr(1),
    index: 5,
    depth: 64,
});

/// Whether `new` could be derived from `old`: same object, no new right, and a badge only where
/// there was none.
fn derivable(old: &Capability, new: &Capability) -> bool {
    use Capability::{CNode, Endpoint, Notification, Reply, SchedulingContext, Thread, Zombie};
    let same = match (old, new) {
        (Endpoint { object: a, .. }, Endpoint { object: b, .. })
        | (Notification { object: a, .. }, Notification { object: b, .. })
        | (Reply { object: a, .. }, Reply { object: b, .. })
        | (CNode { object: a, .. }, CNode { object: b, .. }) => a == b,
        (Thread { thread: a }, Thread { thread: b }) => a == b,
        (SchedulingContext { object: a }, SchedulingContext { object: b }) => a == b,
        // A zombie is what deleting leaves of a CNode or thread, and gives no authority.
        (CNode { .. } | Thread { .. } | Zombie { .. }, Zombie { .. }) => true,
        _ => false,
    };
    let badge_kept = old.badge() == Badge(0) || old.badge() == new.badge();
    same && badge_kept && new.rights().is_subset(old.rights())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_invariant_holds_after_every_step(operations in operations()) {
        let bytes = operations.concat();
        if let Err(violation) = run_operations(&bytes) {
            return Err(TestCaseError::fail(violation.to_string()));
        }
    }

    #[test]
    fn no_step_makes_authority_that_was_not_there(operations in operations()) {
        let mut world = World::new();
        let mut before: HashSet<Capability> = world.capabilities().collect();
        for bytes in operations {
            let operation = Operation::decode(bytes);
            world.apply(&operation, &mut |_, _| {});
            let after: HashSet<Capability> = world.capabilities().collect();
            for new in after.difference(&before) {
                prop_assert!(
                    before.iter().any(|old| derivable(old, new)),
                    "{new:?} came from nowhere by {operation:?}"
                );
            }
            before = after;
        }
    }

    #[test]
    fn a_thread_without_a_scheduling_context_does_nothing(operations in operations(), thread: usize) {
        let mut world = World::new();
        for bytes in operations {
            let operation = Operation::decode(bytes);
            world.apply(&operation, &mut |_, _| {});
            let thread = world.thread(thread);
            if world.kernel.context(thread).is_some() {
                continue;
            }
            let before: Vec<_> = world.capabilities().collect();
            let state = world.kernel.state(thread);
            let mut told = Vec::new();
            let mut done = |thread, completion| told.push((thread, completion));
            world.kernel.restart(thread, &mut done);
            world.kernel.syscall(thread, &Syscall::Invoke(DELETE), &mut done);
            world.kernel.syscall(thread, &Syscall::Yield, &mut done);
            prop_assert_eq!(told, []);
            prop_assert_eq!(world.kernel.state(thread), state);
            prop_assert!(world.capabilities().eq(before));
        }
    }

    #[test]
    fn the_same_operations_come_to_the_same(operations in operations()) {
        let [first, second] = [(); 2].map(|()| {
            let mut world = World::new();
            let mut events = Vec::new();
            for bytes in &operations {
                world.apply(&Operation::decode(*bytes), &mut |thread, completion| {
                    events.push((thread, completion));
                });
            }
            events
        });
        prop_assert_eq!(first, second);
    }
}

//! The derivation tree against an oracle of parents.
//!
//! The oracle knows nothing of lists and marks: in it every capability names its parent. A copy's
//! parent is the capability that it was made from where that one has children of its own (an
//! original, or one whose badge was new when it was minted), and otherwise that one's parent. What
//! is deleted leaves its children to its parent, or to nobody. Revoking deletes all that descends,
//! and nothing else.

use std::collections::BTreeMap;

use portcullis_kernel::{Badge, CNodeSlot, CPtr, Invocation, KernelError, Rights, Syscall};
use portcullis_model::{Capability, Completion, Kernel, ObjectId, ThreadId};
use proptest::collection::vec;
use proptest::prelude::*;

/// Slots of the CNode that the operations use. The last holds the CNode itself.
const SLOTS: u64 = 32;
const ITSELF: u64 = SLOTS - 1;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Copy {
        from: u64,
        to: u64,
        rights: Rights,
    },
    Mint {
        from: u64,
        to: u64,
        rights: Rights,
        badge: u64,
    },
    Move {
        from: u64,
        to: u64,
    },
    Revoke(u64),
    Delete(u64),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    capability: Capability,
    /// Whether capabilities made from it are its children.
    has_children: bool,
    /// Number of its parent.
    parent: Option<u64>,
    /// Number of its own: given once, kept when it moves.
    number: u64,
}

#[derive(Default)]
struct Oracle {
    slots: BTreeMap<u64, Held>,
    numbers: u64,
}

impl Oracle {
    fn original(&mut self, slot: u64, capability: Capability) {
        self.put(slot, capability, true, None);
    }

    fn put(&mut self, slot: u64, capability: Capability, has_children: bool, parent: Option<u64>) {
        self.numbers += 1;
        let held = Held {
            capability,
            has_children,
            parent,
            number: self.numbers,
        };
        self.slots.insert(slot, held);
    }

    fn apply(&mut self, operation: Operation) -> Result<(), KernelError> {
        match operation {
            Operation::Copy { from, to, rights } => self.derive(from, to, rights, None),
            Operation::Mint {
                from,
                to,
                rights,
                badge,
            } => self.derive(from, to, rights, Some(badge)),
            Operation::Move { from, to } => {
                self.source(from, to)?;
                let held = self.slots.remove(&from).unwrap();
                self.slots.insert(to, held);
                Ok(())
            }
            Operation::Revoke(slot) => {
                if let Some(held) = self.slots.get(&slot) {
                    self.revoke(held.number);
                }
                Ok(())
            }
            Operation::Delete(slot) => {
                if let Some(held) = self.slots.get(&slot) {
                    self.delete(held.number);
                }
                Ok(())
            }
        }
    }

    fn source(&self, from: u64, to: u64) -> Result<Held, KernelError> {
        if self.slots.contains_key(&to) {
            return Err(KernelError::DeleteFirst);
        }
        let held = self.slots.get(&from).copied();
        held.ok_or(KernelError::FailedLookup)
    }

    fn derive(
        &mut self,
        from: u64,
        to: u64,
        rights: Rights,
        badge: Option<u64>,
    ) -> Result<(), KernelError> {
        let held = self.source(from, to)?;
        let capability = derived(held.capability, rights, badge)?;
        let parent = if held.has_children {
            Some(held.number)
        } else {
            held.parent
        };
        let rebadged = capability.badge() != held.capability.badge();
        self.put(to, capability, rebadged, parent);
        Ok(())
    }

    fn revoke(&mut self, number: u64) {
        let children: Vec<_> = self
            .slots
            .values()
            .filter(|held| held.parent == Some(number))
            .map(|held| held.number)
            .collect();
        for child in children {
            self.revoke(child);
            self.delete(child);
        }
    }

    fn delete(&mut self, number: u64) {
        let (slot, held) = self
            .slots
            .iter()
            .find(|(_, held)| held.number == number)
            .map(|(slot, held)| (*slot, *held))
            .unwrap();
        self.slots.remove(&slot);
        for other in self.slots.values_mut() {
            if other.parent == Some(number) {
                other.parent = held.parent;
            }
        }
    }
}

/// What the manual says that Copy (no badge) and Mint make.
fn derived(source: Capability, mask: Rights, mint: Option<u64>) -> Result<Capability, KernelError> {
    let badge_of = |badge: Badge| match mint {
        None => Ok(badge),
        Some(new) if badge.0 == 0 => Ok(Badge(new)),
        Some(_) => Err(KernelError::IllegalOperation),
    };
    Ok(match source {
        Capability::Endpoint {
            object,
            badge,
            rights,
        } => Capability::Endpoint {
            object,
            badge: badge_of(badge)?,
            rights: rights.and(mask),
        },
        Capability::Notification {
            object,
            badge,
            rights,
        } => Capability::Notification {
            object,
            badge: badge_of(badge)?,
            rights: rights.and(mask),
        },
        Capability::Reply { object, grant } => Capability::Reply {
            object,
            grant: grant && mask.grant,
        },
        other => other,
    })
}

struct Model {
    kernel: Kernel,
    cnode: ObjectId,
    thread: ThreadId,
}

impl Model {
    /// The kernel, and the oracle of the same state.
    fn new() -> (Self, Oracle) {
        let mut kernel = Kernel::new();
        let cnode = kernel.create_cnode(5);
        let thread = kernel.create_thread(1);
        let root = Capability::cnode(cnode, 59);
        kernel.set_cspace(thread, root).unwrap();
        kernel.insert(cnode, ITSELF, root).unwrap();
        let mut oracle = Oracle::default();
        for slot in [0, 1] {
            let endpoint = kernel.create_endpoint();
            kernel.hand_over(endpoint, cnode, slot).unwrap();
            oracle.original(slot, Capability::endpoint(endpoint));
        }
        let notification = kernel.create_notification();
        kernel.hand_over(notification, cnode, 2).unwrap();
        oracle.original(2, Capability::notification(notification));
        let object = kernel.create_reply();
        kernel.hand_over(object, cnode, 3).unwrap();
        oracle.original(3, Capability::reply(object));
        let model = Self {
            kernel,
            cnode,
            thread,
        };
        (model, oracle)
    }

    fn apply(&mut self, operation: Operation) -> Result<(), KernelError> {
        let slot = |index| CNodeSlot {
            root: CPtr(ITSELF),
            index,
            depth: 64,
        };
        let invocation = match operation {
            Operation::Copy { from, to, rights } => Invocation::Copy {
                destination: slot(to),
                source: slot(from),
                rights,
            },
            Operation::Mint {
                from,
                to,
                rights,
                badge,
            } => Invocation::Mint {
                destination: slot(to),
                source: slot(from),
                rights,
                badge,
            },
            Operation::Move { from, to } => Invocation::Move {
                destination: slot(to),
                source: slot(from),
            },
            Operation::Revoke(index) => Invocation::Revoke(slot(index)),
            Operation::Delete(index) => Invocation::Delete(slot(index)),
        };
        let mut result = None;
        let call = Syscall::Invoke(invocation);
        self.kernel
            .syscall(self.thread, &call, &mut |_, completion| {
                result = Some(completion);
            });
        match result {
            Some(Completion::Invoked(result)) => result,
            other => panic!("{invocation:?} came to {other:?}"),
        }
    }

    /// The slots that the operations use.
    fn slots(&self) -> BTreeMap<u64, Capability> {
        self.kernel
            .scan(self.cnode)
            .filter(|(slot, _)| *slot != ITSELF)
            .collect()
    }
}

fn rights() -> impl Strategy<Value = Rights> {
    let any = any::<[bool; 4]>().prop_map(|[read, write, grant, grant_reply]| Rights {
        read,
        write,
        grant,
        grant_reply,
    });
    prop_oneof![Just(Rights::ALL), any]
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = || 0..ITSELF;
    prop_oneof![
        4 => (slot(), slot(), rights())
            .prop_map(|(from, to, rights)| Operation::Copy { from, to, rights }),
        4 => (slot(), slot(), rights(), 0..3u64)
            .prop_map(|(from, to, rights, badge)| Operation::Mint { from, to, rights, badge }),
        1 => (slot(), slot()).prop_map(|(from, to)| Operation::Move { from, to }),
        1 => slot().prop_map(Operation::Revoke),
        1 => slot().prop_map(Operation::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn revoke_removes_exactly_the_descendants(operations in vec(operation(), 1..120)) {
        let (mut model, mut oracle) = Model::new();
        for operation in operations {
            let expected = oracle.apply(operation);
            prop_assert_eq!(model.apply(operation), expected, "{:?}", operation);
            let left = oracle.slots.iter().map(|(slot, held)| (*slot, held.capability));
            let left: BTreeMap<_, _> = left.collect();
            prop_assert_eq!(model.slots(), left, "after {:?}", operation);
            prop_assert_eq!(model.kernel.check_all(), Ok(()));
        }
    }
}

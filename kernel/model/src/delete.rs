//! Deleting and revoking, and what goes with the last capability of an object.
//!
//! Follows `cteRevoke`, `cteDelete`, `finaliseSlot` and `reduceZombie` of `src/object/cnode.c` and
//! `finaliseCap` of `src/object/objecttype.c`, without their preemption points. A CNode whose last
//! capability goes is emptied slot by slot; a CNode inside it whose last capability goes with that
//! is not: the kernel bounds its recursion by moving the inner CNode's capability into the inner
//! CNode itself, where only revoking an ancestor reaches it.

use crate::derivation::SlotIndex;
use crate::kernel::{Done, Kernel};
use crate::thread::{State, THREAD_SLOTS};
use crate::{Capability, Container, ThreadId};

impl Kernel {
    /// Deletes everything derived from the slot's capability (`cteRevoke`).
    pub(crate) fn revoke_slot(&mut self, slot: SlotIndex, done: Done<'_>) {
        while let Some(next) = self.slots.get(slot).node.next
            && self.slots.is_parent(slot, next)
        {
            self.delete_slot(next, true, done);
        }
    }

    /// Deletes the slot's capability (`cteDelete`). `exposed` is false within the deletion of a
    /// CNode, where a container may have to be left as a zombie.
    pub(crate) fn delete_slot(&mut self, slot: SlotIndex, exposed: bool, done: Done<'_>) {
        let finished = self.finalise_slot(slot, exposed, done);
        if exposed || finished {
            self.slots.empty(slot);
        }
    }

    /// Does what the slot's capability needs before it can go; false where it cannot go now
    /// (`finaliseSlot`).
    fn finalise_slot(&mut self, slot: SlotIndex, exposed: bool, done: Done<'_>) -> bool {
        while !self.slots.capability(slot).is_null() {
            let is_final = self.slots.is_final(slot);
            let remainder = self.finalise(self.slots.capability(slot), is_final, done);
            let Capability::Zombie {
                container,
                remaining,
            } = remainder
            else {
                return true;
            };
            let first = self.first_slot(container);
            if remaining == 0 || remaining == 1 && slot == first {
                return true;
            }
            self.slots.replace(slot, remainder);
            if !exposed && slot == first {
                return false;
            }
            if exposed {
                self.clear_last(slot, container, remaining, done);
            } else {
                // Puts the container's capability into the container, out of reach, and goes on
                // with what lay there.
                self.slots.swap(first, slot);
            }
        }
        true
    }

    /// Deletes the last slot that is left of the zombie in `slot` (`reduceZombie`, exposed).
    fn clear_last(
        &mut self,
        slot: SlotIndex,
        container: Container,
        remaining: u32,
        done: Done<'_>,
    ) {
        let last = SlotIndex(self.first_slot(container).0 + remaining - 1);
        self.delete_slot(last, false, done);
        // Deleting that slot may have moved another zombie here, to be finished first.
        let zombie = Capability::Zombie {
            container,
            remaining,
        };
        if self.slots.capability(slot) == zombie {
            let remaining = remaining - 1;
            self.slots.replace(
                slot,
                Capability::Zombie {
                    container,
                    remaining,
                },
            );
        }
    }

    /// The first slot of a container.
    pub(crate) fn first_slot(&self, container: Container) -> SlotIndex {
        match container {
            Container::CNode(object) => self.cnode(object).0,
            Container::Thread(thread) => self.thread(thread).cspace,
        }
    }

    /// Ends the object where `is_final` says that its last capability goes; gives what has to stay
    /// in the slot for now (`finaliseCap`).
    fn finalise(&mut self, capability: Capability, is_final: bool, done: Done<'_>) -> Capability {
        match capability {
            Capability::Zombie { .. } => return capability,
            _ if !is_final => {}
            Capability::Endpoint { object, .. } => self.cancel_all_ipc(object, done),
            Capability::Notification { object, .. } => {
                self.unbind_lender(object);
                self.unbind(object);
                self.cancel_all_signals(object, done);
            }
            Capability::Reply { object, .. } => self.cancel_reply(object),
            Capability::SchedulingContext { object } => self.unbind_context(object),
            Capability::CNode { object, .. } => {
                let (_, radix) = self.cnode(object);
                return Capability::Zombie {
                    container: Container::CNode(object),
                    remaining: 1 << radix,
                };
            }
            Capability::Thread { thread } => {
                self.end(thread);
                return Capability::Zombie {
                    container: Container::Thread(thread),
                    remaining: THREAD_SLOTS,
                };
            }
            Capability::Null => {}
        }
        Capability::Null
    }

    fn end(&mut self, thread: ThreadId) {
        if let Some(notification) = self.thread(thread).bound {
            self.unbind(notification);
        }
        if let Some(context) = self.thread(thread).context {
            self.unbind_thread(context);
        }
        self.suspend(thread);
        self.set_state(thread, State::Destroyed);
    }
}

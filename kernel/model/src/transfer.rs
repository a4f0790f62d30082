//! Capabilities that go along with a message.
//!
//! Follows `lookupExtraCaps`, `transferCaps` and `getReceiveSlots`: of three capabilities at most one
//! is inserted.

use portcullis_kernel::CNodeSlot;

use crate::derivation::SlotIndex;
use crate::{Capability, Kernel, ObjectId, ThreadId};

impl Kernel {
    /// Has the thread take capabilities that come with messages, into this slot as its CSpace names
    /// it. A thread that never said so takes none.
    pub fn set_receive_slot(&mut self, thread: ThreadId, slot: CNodeSlot) {
        self.thread_mut(thread).takes = Some(slot);
    }

    /// Takes along what `sender` names beside its message: a copy of the first capability goes into
    /// the slot that `receiver` has for it. `endpoint` is what the message goes through; capabilities
    /// to that endpoint are not taken along, the receiver is only told their badges.
    pub(crate) fn transfer(
        &mut self,
        sender: ThreadId,
        endpoint: Option<ObjectId>,
        receiver: ThreadId,
    ) {
        if self.thread(sender).along.is_empty() {
            return;
        }
        let Ok(extras) = self.lookup_along(sender) else {
            return;
        };
        let mut destination = None;
        for (place, source) in extras.slots().enumerate() {
            if place == 0 {
                destination = self.receive_slot(receiver);
            }
            let capability = self.slots.capability(source);
            if matches!(capability, Capability::Endpoint { object, .. } if Some(object) == endpoint)
            {
                continue;
            }
            let capability = capability.derived();
            let Some(destination) = destination.take().filter(|_| !capability.is_null()) else {
                return;
            };
            self.slots.insert(capability, source, destination);
        }
    }

    /// The slot in which the thread takes a capability, where it names one that is empty.
    fn receive_slot(&self, thread: ThreadId) -> Option<SlotIndex> {
        let CNodeSlot { root, index, depth } = self.thread(thread).takes?;
        let root = self.slots.capability(self.lookup_slot(thread, root).ok()?);
        let slot = self.lookup_for_cnode(false, root, index, depth.into());
        slot.ok()
            .filter(|slot| self.slots.capability(*slot).is_null())
    }
}

//! A capability that goes along with a message.
//!
//! Follows `lookupExtraCaps`, `transferCaps` and `getReceiveSlots`, for one capability a message:
//! the kernel allows three, of which it inserts one.

use portcullis_kernel::CNodeSlot;

use crate::derivation::SlotIndex;
use crate::{Capability, Kernel, ObjectId, ThreadId};

impl Kernel {
    /// Has the thread take capabilities that come with messages, into this slot as its CSpace names
    /// it. A thread that never said so takes none.
    pub fn set_receive_slot(&mut self, thread: ThreadId, slot: CNodeSlot) {
        self.thread_mut(thread).takes = Some(slot);
    }

    /// Takes along what `sender` names beside its message: a copy goes into the slot that `receiver`
    /// has for it. `endpoint` is what the message goes through; a capability to that endpoint is not
    /// taken along, the receiver is only told its badge.
    pub(crate) fn transfer(
        &mut self,
        sender: ThreadId,
        endpoint: Option<ObjectId>,
        receiver: ThreadId,
    ) {
        let named = self.thread(sender).along;
        let Some(source) = named.and_then(|pointer| self.lookup_slot(sender, pointer).ok()) else {
            return;
        };
        let capability = self.slots.capability(source).derived();
        let unwrapped = matches!(
            capability,
            Capability::Endpoint { object, .. } if Some(object) == endpoint
        );
        if unwrapped || capability.is_null() {
            return;
        }
        if let Some(destination) = self.receive_slot(receiver) {
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

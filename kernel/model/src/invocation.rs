//! Invocations as messages: their labels and arguments.
//!
//! The kernel knows an invocation by its label and its words alone, so a message to a CNode may be
//! one by accident, and an invocation of an endpoint is a message.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Message, Rights};

use crate::derivation::SlotIndex;
use crate::error::SyscallError;
use crate::{Kernel, LookupFault, ThreadId};

/// Labels of invocations (`enum invocation_label`) in every configuration without
/// `CONFIG_HARDWARE_DEBUG_API`, on aarch64 and riscv64: Microkit's `release` and `benchmark`, and
/// `debug` on riscv64. With it, on aarch64 in `debug`, those of CNodes are four higher.
pub mod label {
    /// Reads a thread's registers; two words at least.
    pub(crate) const TCB_READ_REGISTERS: u64 = 2;
    /// Writes a thread's registers; two words at least.
    pub(crate) const TCB_WRITE_REGISTERS: u64 = 3;
    /// Copies registers from another thread; one word at least.
    pub(crate) const TCB_COPY_REGISTERS: u64 = 4;
    /// Sets a thread's CSpace, VSpace and IPC buffer.
    pub(crate) const TCB_CONFIGURE: u64 = 5;
    /// Sets a thread's priority.
    pub const TCB_SET_PRIORITY: u64 = 6;
    /// Sets the highest priority that a thread's authority sets.
    pub const TCB_SET_MC_PRIORITY: u64 = 7;
    /// Sets both, the scheduling context and the fault handler.
    pub const TCB_SET_SCHED_PARAMS: u64 = 8;
    /// Sets the endpoint that a thread's timeouts go to.
    pub(crate) const TCB_SET_TIMEOUT_ENDPOINT: u64 = 9;
    /// Sets a thread's IPC buffer; one word at least.
    pub(crate) const TCB_SET_IPC_BUFFER: u64 = 10;
    /// Sets a thread's fault handler, CSpace and VSpace.
    pub(crate) const TCB_SET_SPACE: u64 = 11;
    /// Stops a thread.
    pub const TCB_SUSPEND: u64 = 12;
    /// Lets a thread go on.
    pub const TCB_RESUME: u64 = 13;
    /// Binds a notification.
    pub const TCB_BIND_NOTIFICATION: u64 = 14;
    /// Parts a thread and its notification.
    pub const TCB_UNBIND_NOTIFICATION: u64 = 15;
    /// Sets a thread's TLS register; one word at least.
    pub(crate) const TCB_SET_TLS_BASE: u64 = 16;
    /// Sets a thread's flags; two words at least.
    pub(crate) const TCB_SET_FLAGS: u64 = 17;
    /// `CNode_Revoke`, the first of the CNode invocations.
    pub const CNODE_REVOKE: u64 = 18;
    /// `CNode_Delete`.
    pub const CNODE_DELETE: u64 = 19;
    /// `CNode_CancelBadgedSends`.
    pub const CNODE_CANCEL_BADGED_SENDS: u64 = 20;
    /// `CNode_Copy`.
    pub const CNODE_COPY: u64 = 21;
    /// `CNode_Mint`.
    pub const CNODE_MINT: u64 = 22;
    /// `CNode_Move`.
    pub const CNODE_MOVE: u64 = 23;
    /// `CNode_Mutate`.
    pub const CNODE_MUTATE: u64 = 24;
    /// `CNode_Rotate`, the last of the CNode invocations.
    pub const CNODE_ROTATE: u64 = 25;
    /// Gives a scheduling context to a thread or notification.
    pub const CONTEXT_BIND: u64 = 34;
    /// Takes a scheduling context from whatever has to do with it.
    pub const CONTEXT_UNBIND: u64 = 35;
    /// Takes a scheduling context from a thread or notification.
    pub const CONTEXT_UNBIND_OBJECT: u64 = 36;
    /// Says how much time was consumed.
    pub const CONTEXT_CONSUMED: u64 = 37;
    /// Yields to the thread of a scheduling context.
    pub const CONTEXT_YIELD_TO: u64 = 38;
}

/// Most capabilities that go along with a message (`seL4_MsgMaxExtraCaps`).
pub const MOST_ALONG: usize = 3;

/// Pointers to the capabilities that a message has beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Along {
    pointers: [CPtr; MOST_ALONG],
    count: usize,
}

impl Along {
    /// The first three of these.
    pub(crate) fn new(pointers: &[CPtr]) -> Self {
        let mut along = Self {
            pointers: [CPtr(0); MOST_ALONG],
            count: 0,
        };
        for (place, pointer) in along.pointers.iter_mut().zip(pointers) {
            *place = *pointer;
            along.count += 1;
        }
        along
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn pointers(&self) -> &[CPtr] {
        &self.pointers[..self.count]
    }
}

/// The slots of the capabilities that a message has beside it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras([Option<SlotIndex>; MOST_ALONG]);

impl Extras {
    /// The slot of one that an invocation needs.
    pub(crate) fn require(&self, place: usize) -> Result<SlotIndex, SyscallError> {
        self.0[place].ok_or(SyscallError::TruncatedMessage)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotIndex> {
        self.0.into_iter().flatten()
    }
}

impl Kernel {
    /// Looks up what the thread sends along (`lookupExtraCaps`). The error is the pointer that does
    /// not resolve.
    pub(crate) fn lookup_along(&self, thread: ThreadId) -> Result<Extras, (CPtr, LookupFault)> {
        let along = &self.thread(thread).along;
        if along.is_empty() {
            return Ok(Extras::default());
        }
        let mut extras = Extras::default();
        for (slot, pointer) in extras.0.iter_mut().zip(along.pointers()) {
            let found = self.lookup_slot(thread, *pointer);
            *slot = Some(found.map_err(|fault| (*pointer, fault))?);
        }
        Ok(extras)
    }
}

/// What an invocation is to the kernel.
pub(crate) struct Encoded {
    /// The capability that is invoked.
    pub(crate) service: CPtr,
    /// What goes along: the root that the source is looked up from.
    pub(crate) along: Along,
    pub(crate) message: Message,
}

/// The message that invokes `invocation`, as the stubs of libsel4 write it.
pub(crate) fn encode(invocation: &Invocation) -> Encoded {
    let (at, source, label, data): (_, _, _, &[u64]) = match invocation {
        Invocation::Copy {
            destination,
            source,
            rights,
        } => (
            destination,
            Some(source),
            label::CNODE_COPY,
            &[word_of(*rights)],
        ),
        Invocation::Mint {
            destination,
            source,
            rights,
            badge,
        } => (
            destination,
            Some(source),
            label::CNODE_MINT,
            &[word_of(*rights), *badge],
        ),
        Invocation::Move {
            destination,
            source,
        } => (destination, Some(source), label::CNODE_MOVE, &[]),
        Invocation::Mutate {
            destination,
            source,
            badge,
        } => (destination, Some(source), label::CNODE_MUTATE, &[*badge]),
        Invocation::Revoke(slot) => (slot, None, label::CNODE_REVOKE, &[]),
        Invocation::Delete(slot) => (slot, None, label::CNODE_DELETE, &[]),
        Invocation::CancelBadgedSends(slot) => (slot, None, label::CNODE_CANCEL_BADGED_SENDS, &[]),
    };
    let mut words = [0; 6];
    words[..2].copy_from_slice(&[at.index, u64::from(at.depth)]);
    let mut length = 2;
    if let Some(source) = source {
        words[2..4].copy_from_slice(&[source.index, u64::from(source.depth)]);
        words[4..4 + data.len()].copy_from_slice(data);
        length = 4 + data.len();
    }
    let mut message = Message::new(0);
    message.set(label, &words[..length]);
    Encoded {
        service: at.root,
        along: Along::new(source.map(|source| source.root).as_slice()),
        message,
    }
}

/// The message of a `CNode_Rotate`, which goes to the root of `destination` with the roots of `pivot`
/// and `source` along. The data are new guards.
pub fn rotate(
    destination: CNodeSlot,
    (pivot, pivot_data): (CNodeSlot, u64),
    (source, source_data): (CNodeSlot, u64),
) -> Message {
    let [to, between, from] =
        [destination, pivot, source].map(|slot| [slot.index, u64::from(slot.depth)]);
    let words = [&to[..], &[pivot_data], &between, &[source_data], &from].concat();
    let mut message = Message::default();
    message.set(label::CNODE_ROTATE, &words);
    message
}

/// Rights as an argument (`seL4_CapRights`).
pub(crate) const fn word_of(rights: Rights) -> u64 {
    rights.write as u64
        | (rights.read as u64) << 1
        | (rights.grant as u64) << 2
        | (rights.grant_reply as u64) << 3
}

/// The rights that an argument stands for; the bits above the four are ignored.
pub(crate) const fn rights_of(word: u64) -> Rights {
    Rights {
        write: word & 1 != 0,
        read: word & 2 != 0,
        grant: word & 4 != 0,
        grant_reply: word & 8 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_survive_being_an_argument() {
        for word in 0..16 {
            assert_eq!(word_of(rights_of(word)), word);
            assert_eq!(word_of(rights_of(word | 0xf0)), word);
        }
    }
}

//! Invocations as messages: their labels and arguments.
//!
//! The kernel knows an invocation by its label and its words alone, so a message to a CNode may be
//! one by accident, and an invocation of an endpoint is a message.

use portcullis_kernel::{CPtr, Invocation, Message, Rights};

/// Labels of invocations (`enum invocation_label`) in every configuration without
/// `CONFIG_HARDWARE_DEBUG_API`, on aarch64 and riscv64: Microkit's `release` and `benchmark`, and
/// `debug` on riscv64. With it, on aarch64 in `debug`, those of CNodes are four higher.
pub mod label {
    /// Reads a thread's registers; two words at least.
    pub(crate) const TCB_READ_REGISTERS: u64 = 2;
    /// Writes a thread's registers; two words at least.
    pub(crate) const TCB_WRITE_REGISTERS: u64 = 3;
    /// First of the TCB invocations that begin by looking at an extra capability. The model brings
    /// them none.
    pub(crate) const TCB_COPY_REGISTERS: u64 = 4;
    /// Last of these.
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
}

/// What an invocation is to the kernel.
pub(crate) struct Encoded {
    /// The capability that is invoked.
    pub(crate) service: CPtr,
    /// The capability that goes along: the root that the source is looked up from.
    pub(crate) extra: Option<CPtr>,
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
        extra: source.map(|source| source.root),
        message,
    }
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

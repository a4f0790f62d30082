//! System calls: as a trait that components use, and as data.
//!
//! The trait is what images implement with the `sel4` crate. [`Syscall`] is the same thing as a
//! value: the hosted kernel receives it from a component's socket, property tests generate it, and
//! the comparison with the real kernel replays it.

use crate::{Badge, CPtr, KernelError, Message, ReplyObject, Rights};

/// The system calls that a component makes. All block as seL4's do.
pub trait Syscalls {
    /// seL4 `Call`: sends `message`, waits for the reply, which then stands in `message`. Where the
    /// kernel refuses, the label is the error's code.
    fn call(&mut self, to: CPtr, message: &mut Message);

    /// seL4 `Send`: waits until a receiver takes the message. Silent where `to` is not valid.
    fn send(&mut self, to: CPtr, message: &Message);

    /// seL4 `NBSend`: delivers if a receiver waits, otherwise drops the message, silently.
    fn nb_send(&mut self, to: CPtr, message: &Message);

    /// seL4 `Signal` on a notification.
    fn signal(&mut self, to: CPtr);

    /// seL4 `Recv` on `from`; also returns for the component's bound notification. The caller whose
    /// message arrives is held in `reply`; whoever was held there before waits for ever.
    fn recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge;

    /// seL4 `NBRecv`: as [`recv`](Self::recv), but `None` where nothing waits.
    fn nb_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Option<Badge>;

    /// seL4 `ReplyRecv`: replies with `message` to the caller that `reply` holds (to nobody, silently,
    /// where it holds none), then receives with it.
    fn reply_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge;

    /// seL4 `Send` on a reply object: replies with `message` to the caller that it holds (to nobody,
    /// silently, where it holds none). Never waits.
    fn reply(&mut self, to: ReplyObject, message: &Message) {
        self.send(to.0, message);
    }

    /// seL4 `Yield`: gives the rest of the time slice away.
    fn yield_now(&mut self);
}

/// A slot of a CNode, as CNode invocations name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CNodeSlot {
    /// Capability to the CNode that the lookup starts from.
    pub root: CPtr,
    /// Pointer that is resolved from `root`.
    pub index: u64,
    /// How many of the low bits of `index` are resolved, 1 to 64.
    pub depth: u8,
}

/// The CNode invocations. Only the manager uses them.
pub trait CNodes: Syscalls {
    /// Invokes a CNode.
    fn invoke(&mut self, invocation: &Invocation) -> Result<(), KernelError>;
}

/// A CNode invocation (seL4 manual, "seL4_CNode").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invocation {
    /// Copies `source` to `destination`, with at most `rights`. The badge stays.
    Copy {
        /// Empty slot to fill.
        destination: CNodeSlot,
        /// Capability to copy.
        source: CNodeSlot,
        /// Rights to keep.
        rights: Rights,
    },
    /// As `Copy`, with a badge (endpoints and notifications) or guard (CNodes).
    Mint {
        /// Empty slot to fill.
        destination: CNodeSlot,
        /// Capability to copy.
        source: CNodeSlot,
        /// Rights to keep.
        rights: Rights,
        /// Badge or guard data.
        badge: u64,
    },
    /// Moves `source` to `destination`.
    Move {
        /// Empty slot to fill.
        destination: CNodeSlot,
        /// Capability to move.
        source: CNodeSlot,
    },
    /// Moves `source` to `destination` and sets its badge or guard.
    Mutate {
        /// Empty slot to fill.
        destination: CNodeSlot,
        /// Capability to move.
        source: CNodeSlot,
        /// Badge or guard data.
        badge: u64,
    },
    /// Deletes every capability that was derived from the one in this slot.
    Revoke(CNodeSlot),
    /// Deletes the capability in this slot.
    Delete(CNodeSlot),
    /// Takes every message that is queued with this capability's badge out of the queue.
    CancelBadgedSends(CNodeSlot),
}

/// A system call as a value: what a thread asks of the kernel.
#[derive(Clone, PartialEq, Debug)]
pub enum Syscall {
    /// `Call`.
    Call(CPtr, Message),
    /// `Send` (on a notification: `Signal`).
    Send(CPtr, Message),
    /// `NBSend`.
    NbSend(CPtr, Message),
    /// `NBSendRecv`: `NBSend` and then `Recv`. A receiver without a scheduling context gets the
    /// sender's.
    NbSendRecv {
        /// What the message is sent through.
        to: CPtr,
        /// The message.
        message: Message,
        /// Endpoint or notification.
        from: CPtr,
        /// Reply object.
        reply: CPtr,
    },
    /// `NBSendWait`: as `NBSendRecv`, without a reply object.
    NbSendWait {
        /// What the message is sent through.
        to: CPtr,
        /// The message.
        message: Message,
        /// Endpoint or notification.
        from: CPtr,
    },
    /// `Recv` with a reply object.
    Recv {
        /// Endpoint or notification.
        from: CPtr,
        /// Reply object.
        reply: CPtr,
    },
    /// `NBRecv` with a reply object.
    NbRecv {
        /// Endpoint or notification.
        from: CPtr,
        /// Reply object.
        reply: CPtr,
    },
    /// `ReplyRecv`: the message is the reply.
    ReplyRecv {
        /// Endpoint or notification.
        from: CPtr,
        /// Reply object.
        reply: CPtr,
        /// The reply.
        message: Message,
    },
    /// `Wait`: receive without a reply object.
    Wait(CPtr),
    /// `NBWait` (`Poll`).
    NbWait(CPtr),
    /// An invocation of a CNode.
    Invoke(Invocation),
    /// `Yield`.
    Yield,
}

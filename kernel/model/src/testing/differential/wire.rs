//! Orders and reports, and the lines of text that carry them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use portcullis_kernel::{CPtr, MAX_WORDS, Message, Syscall};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::invocation;

/// Something that the machine is told to do. Threads are places in `layout::THREADS`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// A thread makes a system call, if it is in none.
    Trap(u8, Trap),
    /// A thread is suspended from outside the world.
    Suspend(u8),
    /// A thread is resumed from outside the world.
    Resume(u8),
    /// A thread's spare scheduling context is taken from whoever has it and, where that is not the
    /// thread, bound to the thread.
    Lend(u8),
    /// A thread's registers are written from outside the world, so that it is in no system call.
    Redirect(u8),
    /// Every capability to a thread is deleted.
    Destroy(u8),
}

/// A system call, as the registers and the IPC buffer of its thread hold it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trap {
    /// Which.
    pub call: Call,
    /// Register of the capability.
    pub capability: u64,
    /// Register of the message info (`seL4_MessageInfo`).
    pub info: u64,
    /// Register of the reply capability.
    pub reply: u64,
    /// Register of the capability that `NBSendRecv` sends through.
    pub destination: u64,
    /// The message registers.
    pub words: Vec<u64>,
    /// The capabilities beside the message in the IPC buffer.
    pub along: Vec<u64>,
}

/// A system call of the MCS kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are seL4's own names")]
pub enum Call {
    Call,
    ReplyRecv,
    Send,
    NbSend,
    NbSendRecv,
    NbSendWait,
    Recv,
    NbRecv,
    Wait,
    NbWait,
    Yield,
}

/// What the machine says came of an order: of each thread that went on, in the order in which they
/// did.
pub type Report = Vec<Event>;

/// What became of a thread's system call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The thread.
    pub thread: u8,
    /// What became of it.
    pub outcome: Outcome,
}

/// How a system call ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// The thread went on.
    Ended {
        /// Register of the badge.
        badge: u64,
        /// Register of the message info.
        info: u64,
        /// As many message registers as the info says.
        words: Vec<u64>,
    },
    /// The thread faulted.
    Faulted {
        /// Label of the fault's message (`seL4_Fault_tag`).
        label: u64,
        /// The fault's message.
        words: Vec<u64>,
    },
}

/// Bits of a message info: length, capabilities and which of them were unwrapped, label.
const LENGTH_BITS: u32 = 7;
pub(super) const LABEL_SHIFT: u32 = 12;
/// Message info that is in the register where a receive begins, so that it shows when it is left.
pub(super) const STALE: u64 = 0x5a5a5 << LABEL_SHIFT;

/// The message info of a message. One of all 120 words says at times that it has more, up to the
/// 127 that fit into the field.
fn info(message: &Message, along: &[CPtr]) -> u64 {
    let excess = match message.words().len() {
        MAX_WORDS => message.label() % 8,
        _ => 0,
    };
    let length = message.words().len() as u64 + excess;
    let along = (along.len() as u64) << LENGTH_BITS;
    message.label() << LABEL_SHIFT | along | length
}

impl Trap {
    /// The system call that the model takes as `call`.
    pub(super) fn of(call: &Syscall, along: &[CPtr]) -> Self {
        let trap = |call, capability: CPtr, reply: CPtr| Self {
            call,
            capability: capability.bits(),
            info: STALE,
            reply: reply.bits(),
            destination: 0,
            words: Vec::new(),
            along: Vec::new(),
        };
        const NONE: CPtr = CPtr(0);
        let send = |call, to, reply, message: &Message, along: &[CPtr]| Self {
            info: info(message, along),
            words: message.words().into(),
            along: along.iter().map(|pointer| pointer.bits()).collect(),
            ..trap(call, to, reply)
        };
        match call {
            Syscall::Call(to, message) => send(Call::Call, *to, NONE, message, along),
            Syscall::Send(to, message) => send(Call::Send, *to, NONE, message, along),
            Syscall::NbSend(to, message) => send(Call::NbSend, *to, NONE, message, along),
            Syscall::NbSendRecv {
                to,
                message,
                from,
                reply,
            } => Self {
                destination: to.bits(),
                ..send(Call::NbSendRecv, *from, *reply, message, along)
            },
            Syscall::NbSendWait { to, message, from } => {
                send(Call::NbSendWait, *from, *to, message, along)
            }
            Syscall::ReplyRecv {
                from,
                reply,
                message,
            } => send(Call::ReplyRecv, *from, *reply, message, along),
            Syscall::Recv { from, reply } => trap(Call::Recv, *from, *reply),
            Syscall::NbRecv { from, reply } => trap(Call::NbRecv, *from, *reply),
            Syscall::Wait(from) => trap(Call::Wait, *from, NONE),
            Syscall::NbWait(from) => trap(Call::NbWait, *from, NONE),
            Syscall::Yield => trap(Call::Yield, NONE, NONE),
            Syscall::Invoke(invocation) => {
                let encoded = invocation::encode(invocation);
                let (to, message) = (encoded.service, &encoded.message);
                send(Call::Call, to, NONE, message, encoded.along.pointers())
            }
        }
    }
}

/// A line of text that carries a value.
///
/// # Errors
///
/// Where the value cannot be encoded, which none of the types here is.
pub fn to_line<T: Serialize>(value: &T) -> postcard::Result<String> {
    let bytes = postcard::to_allocvec(value)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The value that a line of text carries; `None` where it carries none of this type.
pub fn from_line<T: DeserializeOwned>(line: &str) -> Option<T> {
    let digits = line.as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks(2) {
        let pair = core::str::from_utf8(pair).ok()?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
    }
    postcard::from_bytes(&bytes).ok()
}

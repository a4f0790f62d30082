//! The packets between a component's process and the kernel's.
//!
//! One packet is one message of a SOCK_SEQPACKET socket: a fixed header (`Request` or `Answer`)
//! and the words in use, little-endian as all of Portcullis's formats. The component sends a request
//! and reads one answer; nothing else crosses. The kernel trusts no byte of a request: [`decode`]
//! gives a system call of the model or the one reason why it is none.

mod invocation;

use std::fmt;

use portcullis_kernel::{Badge, CPtr, Invocation, KernelError, MAX_WORDS, Message, Syscall};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Largest packet either way, in bytes: a header and all the words of a message.
pub const MAX_PACKET: usize = size_of::<Request>() + MAX_WORDS * 8;

/// Bits of a message's label (seL4's `seL4_MessageInfo_t`).
const LABEL_BITS: u32 = 52;

/// Header of what a component sends.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
struct Request {
    operation: u8,
    /// Words that follow.
    words: u8,
    reserved: [u8; 6],
    capability: U64,
    /// Reply object of a receive; zero elsewhere.
    reply: U64,
    /// Label of the message, or kind of a CNode invocation.
    label: U64,
}

/// Header of what the kernel sends.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
struct Answer {
    kind: u8,
    /// Words that follow.
    words: u8,
    reserved: [u8; 6],
    badge: U64,
    label: U64,
}

mod operation {
    pub(super) const CALL: u8 = 1;
    pub(super) const SEND: u8 = 2;
    pub(super) const NB_SEND: u8 = 3;
    pub(super) const RECV: u8 = 4;
    pub(super) const NB_RECV: u8 = 5;
    pub(super) const REPLY_RECV: u8 = 6;
    pub(super) const WAIT: u8 = 7;
    pub(super) const NB_WAIT: u8 = 8;
    pub(super) const INVOKE: u8 = 9;
    pub(super) const YIELD: u8 = 10;
    /// The component gives up; the words are a text that says why.
    pub(super) const PANIC: u8 = 11;
}

mod kind {
    pub(super) const DONE: u8 = 1;
    pub(super) const MESSAGE: u8 = 2;
    pub(super) const NOTHING: u8 = 3;
    pub(super) const INVOKED: u8 = 4;
}

/// What a well-formed request asks for.
#[expect(
    clippy::large_enum_variant,
    reason = "one a packet, never kept: to allocate on each call would cost more than the room"
)]
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    /// A system call.
    Syscall(Syscall),
    /// Nothing more, ever: the component panicked, with this text.
    Panic(String),
}

/// Why a packet is not a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// It is not as long as its header says, or shorter than a header, or longer than any request.
    Length {
        /// Bytes received.
        found: usize,
    },
    /// There is no such operation.
    Operation(u8),
    /// A field that must be zero is not.
    Reserved,
    /// The label has more than 52 bits.
    Label(u64),
    /// There is no such CNode invocation, or its fields are out of their ranges.
    Invocation(u64),
}

/// What the kernel answers.
#[expect(
    clippy::large_enum_variant,
    reason = "one a packet, never kept: to allocate on each call would cost more than the room"
)]
#[derive(Clone, PartialEq, Debug)]
pub enum Answered {
    /// The system call is over and gives nothing.
    Done,
    /// A message, or the reply to a call, with its badge.
    Message(Badge, Message),
    /// A non-blocking receive found nothing.
    Nothing,
    /// A CNode invocation's result.
    Invoked(Result<(), KernelError>),
}

/// A packet under construction: a buffer that is used again and again.
pub struct Packet {
    bytes: [u8; MAX_PACKET],
    length: usize,
}

impl Default for Packet {
    fn default() -> Self {
        Self::new()
    }
}

impl Packet {
    /// An empty packet.
    pub const fn new() -> Self {
        Self {
            bytes: [0; MAX_PACKET],
            length: 0,
        }
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Makes it the request for a system call that carries `message`.
    pub fn message(&mut self, call: Carrying, capability: CPtr, reply: CPtr, message: &Message) {
        let request = Request {
            operation: call as u8,
            words: 0,
            reserved: [0; 6],
            capability: U64::new(capability.bits()),
            reply: U64::new(reply.bits()),
            label: U64::new(message.label() & ((1 << LABEL_BITS) - 1)),
        };
        self.request(request, message.words());
    }

    /// Makes it the request for a system call that carries no message.
    pub fn plain(&mut self, call: Plain, capability: CPtr, reply: CPtr) {
        let request = Request {
            operation: call as u8,
            words: 0,
            reserved: [0; 6],
            capability: U64::new(capability.bits()),
            reply: U64::new(reply.bits()),
            label: U64::ZERO,
        };
        self.request(request, &[]);
    }

    /// Makes it the request for a CNode invocation.
    pub fn invoke(&mut self, invocation: &Invocation) {
        let (kind, words) = invocation::encode(invocation);
        let request = Request {
            operation: operation::INVOKE,
            words: 0,
            reserved: [0; 6],
            capability: U64::ZERO,
            reply: U64::ZERO,
            label: U64::new(kind),
        };
        self.request(request, &words);
    }

    /// Makes it the last thing that a component says: why it gives up. A long text is cut.
    pub fn panic(&mut self, text: &str) {
        let text = &text.as_bytes()[..text.len().min((MAX_WORDS - 1) * 8)];
        let mut words = [0; MAX_WORDS];
        words[0] = text.len() as u64;
        for (word, chunk) in words[1..].iter_mut().zip(text.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(padded);
        }
        let request = Request {
            operation: operation::PANIC,
            words: 0,
            reserved: [0; 6],
            capability: U64::ZERO,
            reply: U64::ZERO,
            label: U64::ZERO,
        };
        self.request(request, &words[..1 + text.len().div_ceil(8)]);
    }

    /// Makes it the kernel's answer.
    pub fn answer(&mut self, answered: &Answered) {
        let (kind, badge, label, words) = match answered {
            Answered::Done => (kind::DONE, 0, 0, &[][..]),
            Answered::Message(badge, message) => {
                (kind::MESSAGE, badge.0, message.label(), message.words())
            }
            Answered::Nothing => (kind::NOTHING, 0, 0, &[][..]),
            Answered::Invoked(result) => {
                let code = result.err().map_or(0, |error| u64::from(error.code()));
                (kind::INVOKED, 0, code, &[][..])
            }
        };
        let header = Answer {
            kind,
            words: words.len() as u8,
            reserved: [0; 6],
            badge: U64::new(badge),
            label: U64::new(label),
        };
        self.fill(header.as_bytes(), words);
    }

    fn request(&mut self, request: Request, words: &[u64]) {
        let request = Request {
            words: words.len() as u8,
            ..request
        };
        self.fill(request.as_bytes(), words);
    }

    fn fill(&mut self, header: &[u8], words: &[u64]) {
        let (start, rest) = self.bytes.split_at_mut(header.len());
        start.copy_from_slice(header);
        for (bytes, word) in rest.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.length = header.len() + words.len() * 8;
    }
}

/// The system calls that carry a message, by their number in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Carrying {
    /// `Call`.
    Call = operation::CALL,
    /// `Send`.
    Send = operation::SEND,
    /// `NBSend`.
    NbSend = operation::NB_SEND,
    /// `ReplyRecv`.
    ReplyRecv = operation::REPLY_RECV,
}

/// The system calls that carry no message, by their number in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Plain {
    /// `Recv`.
    Recv = operation::RECV,
    /// `NBRecv`.
    NbRecv = operation::NB_RECV,
    /// `Wait`.
    Wait = operation::WAIT,
    /// `NBWait`.
    NbWait = operation::NB_WAIT,
    /// `Yield`.
    Yield = operation::YIELD,
}

/// Reads what a component sent.
pub fn decode(packet: &[u8]) -> Result<Asked, Malformed> {
    let wrong_length = Malformed::Length {
        found: packet.len(),
    };
    let (request, rest) = Request::read_from_prefix(packet).map_err(|_| wrong_length)?;
    let words = usize::from(request.words);
    if words > MAX_WORDS || rest.len() != words * 8 {
        return Err(wrong_length);
    }
    if request.reserved != [0; 6] {
        return Err(Malformed::Reserved);
    }
    if request.operation == operation::PANIC {
        return Ok(Asked::Panic(panic_text(rest)));
    }
    syscall(&request, rest).map(Asked::Syscall)
}

fn syscall(request: &Request, rest: &[u8]) -> Result<Syscall, Malformed> {
    let capability = CPtr(request.capability.get());
    let reply = CPtr(request.reply.get());
    let plain = |syscall| {
        if rest.is_empty() && request.label == U64::ZERO {
            Ok(syscall)
        } else {
            Err(Malformed::Reserved)
        }
    };
    Ok(match request.operation {
        operation::CALL => Syscall::Call(capability, carried(request, rest)?),
        operation::SEND => Syscall::Send(capability, carried(request, rest)?),
        operation::NB_SEND => Syscall::NbSend(capability, carried(request, rest)?),
        operation::REPLY_RECV => Syscall::ReplyRecv {
            from: capability,
            reply,
            message: carried(request, rest)?,
        },
        operation::RECV => plain(Syscall::Recv {
            from: capability,
            reply,
        })?,
        operation::NB_RECV => plain(Syscall::NbRecv {
            from: capability,
            reply,
        })?,
        operation::WAIT => plain(Syscall::Wait(capability))?,
        operation::NB_WAIT => plain(Syscall::NbWait(capability))?,
        operation::YIELD => plain(Syscall::Yield)?,
        operation::INVOKE => Syscall::Invoke(invocation::decode(request.label.get(), rest)?),
        other => return Err(Malformed::Operation(other)),
    })
}

/// Reads what the kernel sent; `None` only if the other end is not this kernel.
pub fn decode_answer(packet: &[u8]) -> Option<Answered> {
    let (answer, rest) = Answer::read_from_prefix(packet).ok()?;
    if rest.len() != usize::from(answer.words) * 8 {
        return None;
    }
    Some(match answer.kind {
        kind::DONE => Answered::Done,
        kind::NOTHING => Answered::Nothing,
        kind::MESSAGE => Answered::Message(
            Badge(answer.badge.get()),
            message(answer.label.get(), rest)?,
        ),
        kind::INVOKED => Answered::Invoked(match answer.label.get() {
            0 => Ok(()),
            code => Err(KernelError::from_code(code)?),
        }),
        _ => return None,
    })
}

fn carried(request: &Request, rest: &[u8]) -> Result<Message, Malformed> {
    let label = request.label.get();
    if label >> LABEL_BITS != 0 {
        return Err(Malformed::Label(label));
    }
    message(label, rest).ok_or(Malformed::Length { found: rest.len() })
}

fn message(label: u64, bytes: &[u8]) -> Option<Message> {
    let mut words = [0; MAX_WORDS];
    let used = words.get_mut(..bytes.len() / 8)?;
    for (word, bytes) in used.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = U64::read_from_bytes(bytes).ok()?.get();
    }
    let mut message = Message::new(label);
    message.set(label, used);
    Some(message)
}

fn panic_text(words: &[u8]) -> String {
    let Ok((length, text)) = U64::read_from_prefix(words) else {
        return String::new();
    };
    let length = usize::try_from(length.get()).map_or(text.len(), |length| length.min(text.len()));
    // The text goes to a terminal: nothing in it may steer one.
    String::from_utf8_lossy(&text[..length])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(
                f,
                "{found} bytes are no request: the header says otherwise, or it holds more than \
                 {MAX_WORDS} words"
            ),
            Self::Operation(number) => write!(f, "there is no operation {number}"),
            Self::Reserved => f.write_str("a field that must be zero is not"),
            Self::Label(label) => write!(f, "label {label:#x} has more than {LABEL_BITS} bits"),
            Self::Invocation(kind) => write!(f, "CNode invocation {kind} is not valid"),
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests;

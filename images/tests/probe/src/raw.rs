//! The bare system call, and what else a program can do to the processor.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "riscv64")]
mod riscv64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "riscv64")]
pub use riscv64::*;

/// An instruction, which leaves in the word that it is given where it goes on; and the label and cause
/// of the fault that is due.
pub type Privileged = (fn(*mut u64), (u64, u64));

/// A system call's number, as the kernel reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number(pub i64);

impl Number {
    /// `seL4_Call`.
    pub const CALL: Self = Self(-1);
    /// `seL4_ReplyRecv`.
    pub const REPLY_RECV: Self = Self(-2);
    /// `seL4_NBSendRecv`.
    pub const NB_SEND_RECV: Self = Self(-3);
    /// `seL4_NBSendWait`.
    pub const NB_SEND_WAIT: Self = Self(-4);
    /// `seL4_Send`.
    pub const SEND: Self = Self(-5);
    /// `seL4_NBSend`.
    pub const NB_SEND: Self = Self(-6);
    /// `seL4_Recv`.
    pub const RECV: Self = Self(-7);
    /// `seL4_NBRecv`.
    pub const NB_RECV: Self = Self(-8);
    /// `seL4_Wait`.
    pub const WAIT: Self = Self(-9);
    /// `seL4_NBWait`.
    pub const NB_WAIT: Self = Self(-10);
    /// `seL4_Yield`, the last that every kernel has.
    pub const YIELD: Self = Self(-11);
}

/// The registers of a system call. After it: the badge, the message's tag, and its first words.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Registers {
    /// The capability that is invoked or received from; afterwards the badge.
    pub cptr: u64,
    /// The message's tag.
    pub info: u64,
    /// The words of a message that go in registers.
    pub words: [u64; 4],
    /// The reply object, or the capability of the first phase of `NBSendWait`.
    pub reply: u64,
    /// The capability of the first phase of `NBSendRecv`.
    pub first: u64,
}

/// A message's tag, with every bit as one likes (manual, `seL4_MessageInfo`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Info {
    /// 52 bits.
    pub label: u64,
    /// Capabilities that were unwrapped, or are claimed to have been: 3 bits.
    pub unwrapped: u64,
    /// Capabilities that go with the message: 2 bits.
    pub extra: u64,
    /// Words: 7 bits, though no message has more than 120.
    pub length: u64,
}

impl Info {
    /// A tag of this label and length.
    pub const fn new(label: u64, length: u64) -> Self {
        Self {
            label,
            unwrapped: 0,
            extra: 0,
            length,
        }
    }

    /// The same, with so many capabilities.
    #[must_use]
    pub const fn with_extra(self, extra: u64) -> Self {
        Self { extra, ..self }
    }

    /// The tag as a register holds it.
    pub const fn bits(self) -> u64 {
        self.label << 12 | (self.unwrapped & 7) << 9 | (self.extra & 3) << 7 | self.length & 127
    }

    /// Reads a register.
    pub const fn read(bits: u64) -> Self {
        Self {
            label: bits >> 12,
            unwrapped: bits >> 9 & 7,
            extra: bits >> 7 & 3,
            length: bits & 127,
        }
    }
}

//! Why a system call was refused, with all that the kernel tells the caller.
//!
//! Follows `setMRs_syscall_error` and `setMRs_lookup_failure`.

use core::fmt;

use portcullis_kernel::{CPtr, KernelError, Message};

/// Why a capability pointer did not resolve (seL4 manual, "Lookup Failure Description").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LookupFault {
    /// The lookup did not start from a CNode.
    InvalidRoot,
    /// The slot that was found has no capability of the kind that is needed.
    MissingCapability {
        /// Bits left to resolve.
        bits_left: u64,
    },
    /// Too few or too many bits for the CNodes on the way.
    DepthMismatch {
        /// Bits that the next CNode resolves.
        bits_found: u64,
        /// Bits left to resolve.
        bits_left: u64,
    },
    /// A CNode's guard is not in the pointer.
    GuardMismatch {
        /// The CNode's guard.
        guard: u64,
        /// Bits of the guard.
        guard_size: u64,
        /// Bits left to resolve.
        bits_left: u64,
    },
}

/// The fault of a thread whose capability pointer did not resolve.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CapabilityFault {
    /// The pointer.
    pub address: CPtr,
    /// Whether the thread was receiving.
    pub receiving: bool,
    /// What is wrong with the pointer.
    pub lookup: LookupFault,
}

/// Label of a capability fault's message (`seL4_Fault_CapFault`).
const CAPABILITY_FAULT: u64 = 1;

impl CapabilityFault {
    /// The message that a fault handler gets (`setMRs_fault`). The model has no instructions: the
    /// address of the one that faulted is 0.
    pub(crate) fn message(self) -> Message {
        let (lookup, length) = self.lookup.words();
        let mut words = [0, self.address.bits(), self.receiving.into(), 0, 0, 0, 0];
        words[3..].copy_from_slice(&lookup);
        let mut message = Message::default();
        message.set(CAPABILITY_FAULT, &words[..3 + length]);
        message
    }
}

/// The error of an invocation, with its details (the kernel's `syscall_error_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SyscallError {
    InvalidCapability { number: u64 },
    IllegalOperation,
    Range { least: u64, most: u64 },
    FailedLookup { of_source: bool, fault: LookupFault },
    TruncatedMessage,
    DeleteFirst,
}

/// Why an invocation is not executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The kernel refuses it.
    Error(SyscallError),
    /// The model does not state its result.
    Unmodelled,
}

impl From<SyscallError> for Refusal {
    fn from(error: SyscallError) -> Self {
        Self::Error(error)
    }
}

impl SyscallError {
    pub(crate) const fn code(self) -> KernelError {
        match self {
            Self::InvalidCapability { .. } => KernelError::InvalidCapability,
            Self::IllegalOperation => KernelError::IllegalOperation,
            Self::Range { .. } => KernelError::RangeError,
            Self::FailedLookup { .. } => KernelError::FailedLookup,
            Self::TruncatedMessage => KernelError::TruncatedMessage,
            Self::DeleteFirst => KernelError::DeleteFirst,
        }
    }

    /// The message that the kernel answers a refused call with.
    pub(crate) fn message(self) -> Message {
        let mut message = Message::new(0);
        let label = u64::from(self.code().code());
        match self {
            Self::InvalidCapability { number } => message.set(label, &[number]),
            Self::Range { least, most } => message.set(label, &[least, most]),
            Self::FailedLookup { of_source, fault } => {
                let (words, length) = fault.words();
                let [kind, first, second, third] = words;
                let all = [u64::from(of_source), kind, first, second, third];
                message.set(label, &all[..=length]);
            }
            Self::IllegalOperation | Self::TruncatedMessage | Self::DeleteFirst => {
                message.set_label(label);
            }
        }
        message
    }
}

impl LookupFault {
    /// The kernel's number for it (`seL4_LookupFailureType`).
    pub const fn number(self) -> u8 {
        match self {
            Self::InvalidRoot => 1,
            Self::MissingCapability { .. } => 2,
            Self::DepthMismatch { .. } => 3,
            Self::GuardMismatch { .. } => 4,
        }
    }

    /// The words that describe it, and how many there are.
    pub(crate) const fn words(self) -> ([u64; 4], usize) {
        let number = self.number() as u64;
        match self {
            Self::InvalidRoot => ([number, 0, 0, 0], 1),
            Self::MissingCapability { bits_left } => ([number, bits_left, 0, 0], 2),
            Self::DepthMismatch {
                bits_found,
                bits_left,
            } => ([number, bits_left, bits_found, 0], 3),
            Self::GuardMismatch {
                guard,
                guard_size,
                bits_left,
            } => ([number, bits_left, guard, guard_size], 4),
        }
    }
}

impl fmt::Display for LookupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRoot => f.write_str("the lookup does not start from a CNode"),
            Self::MissingCapability { .. } => {
                f.write_str("the slot holds no capability of the kind that is needed")
            }
            Self::DepthMismatch {
                bits_found,
                bits_left,
            } => write!(
                f,
                "{bits_left} bits are left where the CNode resolves {bits_found}"
            ),
            Self::GuardMismatch {
                guard,
                guard_size,
                bits_left,
            } => write!(
                f,
                "the {bits_left} bits left do not begin with the guard {guard:#x} of {guard_size} bits"
            ),
        }
    }
}

impl fmt::Display for CapabilityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = if self.receiving { "receive" } else { "send" };
        write!(
            f,
            "capability fault in the {phase} phase at {:#x}: {}",
            self.address.bits(),
            self.lookup
        )
    }
}

impl core::error::Error for CapabilityFault {}

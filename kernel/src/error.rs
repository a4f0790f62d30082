//! The errors of an invocation.

use core::fmt;

/// Why the kernel refused an invocation: seL4's error codes (manual, "Error Codes").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum KernelError {
    /// An argument is not valid for the invocation.
    InvalidArgument = 1,
    /// The invoked capability, or one passed along, is not of the right kind, or its slot is empty.
    InvalidCapability = 2,
    /// The invocation is not valid for the object in its present state.
    IllegalOperation = 3,
    /// An argument is out of its range.
    RangeError = 4,
    /// An address is not aligned.
    AlignmentError = 5,
    /// A slot could not be looked up.
    FailedLookup = 6,
    /// The message is too short for the invocation.
    TruncatedMessage = 7,
    /// The destination slot is occupied.
    DeleteFirst = 8,
    /// The object still has capabilities derived from it.
    RevokeFirst = 9,
    /// There is not enough untyped memory.
    NotEnoughMemory = 10,
}

impl KernelError {
    /// The error with seL4's code `code`; `None` for 0 (no error) and unknown codes.
    pub const fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            1 => Self::InvalidArgument,
            2 => Self::InvalidCapability,
            3 => Self::IllegalOperation,
            4 => Self::RangeError,
            5 => Self::AlignmentError,
            6 => Self::FailedLookup,
            7 => Self::TruncatedMessage,
            8 => Self::DeleteFirst,
            9 => Self::RevokeFirst,
            10 => Self::NotEnoughMemory,
            _ => return None,
        })
    }

    /// seL4's code, which is also the label of the kernel's answer to a refused call.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidArgument => "invalid argument",
            Self::InvalidCapability => "invalid capability",
            Self::IllegalOperation => "illegal operation",
            Self::RangeError => "argument out of range",
            Self::AlignmentError => "address not aligned",
            Self::FailedLookup => "capability lookup failed",
            Self::TruncatedMessage => "message too short",
            Self::DeleteFirst => "destination slot is occupied",
            Self::RevokeFirst => "object has derived capabilities",
            Self::NotEnoughMemory => "not enough memory",
        })
    }
}

impl core::error::Error for KernelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_kernel() {
        for code in 1..=10 {
            let error = KernelError::from_code(code).unwrap();
            assert_eq!(u64::from(error.code()), code);
        }
        for code in [0, 11, 16, u64::MAX] {
            assert_eq!(KernelError::from_code(code), None);
        }
        assert_eq!(KernelError::InvalidCapability.code(), 2);
        assert_eq!(KernelError::FailedLookup.code(), 6);
        assert_eq!(KernelError::DeleteFirst.code(), 8);
    }
}

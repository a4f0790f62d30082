//! Faults: what the kernel tells the handler of a thread that it stopped.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::Message;

/// Labels of fault messages (`seL4_Fault_tag` of seL4 16.0.0 with `CONFIG_KERNEL_MCS`).
mod tag {
    pub(super) const CAP_FAULT: u64 = 1;
    pub(super) const UNKNOWN_SYSCALL: u64 = 2;
    pub(super) const USER_EXCEPTION: u64 = 3;
    pub(super) const TIMEOUT: u64 = 5;
    pub(super) const VM_FAULT: u64 = 6;
}

/// Why the kernel stopped a thread (seL4 manual, "Faults"). `ip` is the address of the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// None of the others, or not of the form that the manual gives it.
    Other {
        /// Label of the message.
        label: u64,
    },
    /// A capability pointer did not resolve, or what it names cannot be received from.
    CapFault {
        /// Instruction.
        ip: u64,
        /// The pointer.
        pointer: u64,
        /// Whether the thread was receiving.
        receiving: bool,
        /// What is wrong with the pointer (`seL4_LookupFailureType`): 1 invalid root, 2 missing
        /// capability, 3 depth mismatch, 4 guard mismatch.
        lookup: u8,
    },
    /// A system call that seL4 does not have.
    UnknownSyscall {
        /// Instruction.
        ip: u64,
        /// Number of the system call.
        number: u64,
    },
    /// An exception of the processor that is not about memory.
    UserException {
        /// Instruction.
        ip: u64,
        /// What it was: `ESR` on aarch64, `scause` on riscv64.
        number: u64,
        /// More about it; 0 on both.
        code: u64,
    },
    /// The budget ran out. Nothing in our images asks to be told.
    Timeout {
        /// Badge of the scheduling context.
        data: u64,
        /// Microseconds that were used.
        consumed: u64,
    },
    /// Memory that is not mapped, or not for this access.
    VmFault {
        /// Instruction.
        ip: u64,
        /// Address that was accessed.
        address: u64,
        /// Whether an instruction was fetched.
        instruction: bool,
        /// What was tried: `ESR` on aarch64; on riscv64 the `scause` of an access fault, also where it
        /// was a page fault (1 fetch, 5 load, 7 store).
        status: u64,
    },
}

impl Fault {
    /// Reads a fault message. The layouts of two kinds differ between aarch64 and riscv64, and so do
    /// their lengths: a message is read by its length.
    pub fn read(message: &Message) -> Self {
        match (message.label(), message.words()) {
            (tag::CAP_FAULT, &[ip, pointer, receiving, lookup, ..]) => Self::CapFault {
                ip,
                pointer,
                receiving: receiving != 0,
                lookup: u8::try_from(lookup).unwrap_or(u8::MAX),
            },
            // aarch64: x0 to x7, IP, SP, LR, SPSR; riscv64: IP, SP, RA, a0 to a6.
            (tag::UNKNOWN_SYSCALL, &[_, _, _, _, _, _, _, _, ip, _, _, _, number])
            | (tag::UNKNOWN_SYSCALL, &[ip, _, _, _, _, _, _, _, _, _, number]) => {
                Self::UnknownSyscall { ip, number }
            }
            // aarch64: IP, SP, SPSR; riscv64: IP, SP.
            (tag::USER_EXCEPTION, &[ip, _, _, number, code])
            | (tag::USER_EXCEPTION, &[ip, _, number, code]) => {
                Self::UserException { ip, number, code }
            }
            (tag::TIMEOUT, &[data, consumed]) => Self::Timeout { data, consumed },
            (tag::VM_FAULT, &[ip, address, instruction, status]) => Self::VmFault {
                ip,
                address,
                instruction: instruction != 0,
                status,
            },
            (label, _) => Self::Other { label },
        }
    }

    /// A message that [`Fault::read`] reads as this fault, in riscv64's layout: for a kernel that is
    /// not seL4. Registers that the fault does not hold are zero.
    pub fn message(&self) -> Message {
        let mut message = Message::default();
        match *self {
            Self::Other { label } => message.set(label, &[]),
            Self::CapFault {
                ip,
                pointer,
                receiving,
                lookup,
            } => message.set(
                tag::CAP_FAULT,
                &[ip, pointer, receiving.into(), lookup.into()],
            ),
            Self::UnknownSyscall { ip, number } => message.set(
                tag::UNKNOWN_SYSCALL,
                &[ip, 0, 0, 0, 0, 0, 0, 0, 0, 0, number],
            ),
            Self::UserException { ip, number, code } => {
                message.set(tag::USER_EXCEPTION, &[ip, 0, number, code]);
            }
            Self::Timeout { data, consumed } => message.set(tag::TIMEOUT, &[data, consumed]),
            Self::VmFault {
                ip,
                address,
                instruction,
                status,
            } => message.set(tag::VM_FAULT, &[ip, address, instruction.into(), status]),
        }
        message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Other { label } => write!(f, "fault {label}"),
            Self::CapFault {
                ip,
                pointer,
                receiving,
                lookup,
            } => {
                let phase = if receiving { "receive" } else { "send" };
                write!(
                    f,
                    "cap fault in {phase} phase at {pointer:#x}, lookup failure {lookup}, ip {ip:#x}"
                )
            }
            // seL4's system calls are negative.
            Self::UnknownSyscall { ip, number } => {
                write!(f, "unknown syscall {}, ip {ip:#x}", number.cast_signed())
            }
            Self::UserException { ip, number, code } => {
                write!(f, "user exception {number:#x}, code {code:#x}, ip {ip:#x}")
            }
            Self::Timeout { data, consumed } => {
                write!(f, "timeout of {data:#x} after {consumed} us")
            }
            Self::VmFault {
                ip,
                address,
                instruction,
                status,
            } => {
                let what = if instruction { "code" } else { "data" };
                write!(
                    f,
                    "vm fault on {what} at {address:#x}, status {status:#x}, ip {ip:#x}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    /// A message as the kernel sends it: every word its own place, from 100 on.
    fn sent(label: u64, length: u64) -> Message {
        let words: std::vec::Vec<u64> = (100..100 + length).collect();
        let mut message = Message::default();
        message.set(label, &words);
        message
    }

    #[test]
    fn the_layouts_are_those_of_the_kernel() {
        // Lengths and places: libsel4's `constants.h` of each architecture, and `shared_types.h`.
        let cap_fault = |lookup| Fault::CapFault {
            ip: 100,
            pointer: 101,
            receiving: true,
            lookup,
        };
        for length in 4..8 {
            assert_eq!(Fault::read(&sent(1, length)), cap_fault(103));
        }
        let unknown = |ip, number| Fault::UnknownSyscall { ip, number };
        assert_eq!(Fault::read(&sent(2, 13)), unknown(108, 112), "aarch64");
        assert_eq!(Fault::read(&sent(2, 11)), unknown(100, 110), "riscv64");
        let exception = |number, code| Fault::UserException {
            ip: 100,
            number,
            code,
        };
        assert_eq!(Fault::read(&sent(3, 5)), exception(103, 104), "aarch64");
        assert_eq!(Fault::read(&sent(3, 4)), exception(102, 103), "riscv64");
        let timeout = Fault::Timeout {
            data: 100,
            consumed: 101,
        };
        assert_eq!(Fault::read(&sent(5, 2)), timeout);
        let vm_fault = Fault::VmFault {
            ip: 100,
            address: 101,
            instruction: true,
            status: 103,
        };
        assert_eq!(Fault::read(&sent(6, 4)), vm_fault);
    }

    #[test]
    fn what_has_no_layout_is_known_by_its_label() {
        let known = [(2, 11), (2, 13), (3, 4), (3, 5), (5, 2), (6, 4)];
        for label in (0..12).chain([u64::MAX]) {
            for length in 0..14 {
                let is_known = known.contains(&(label, length)) || label == 1 && length >= 4;
                let read = Fault::read(&sent(label, length));
                assert_eq!(
                    read != Fault::Other { label },
                    is_known,
                    "{label}, {length}"
                );
            }
        }
    }

    #[test]
    fn flags_are_read_as_words() {
        let mut message = Message::default();
        message.set(6, &[4, 8, 0, 15]);
        let said = Fault::read(&message).to_string();
        assert_eq!(said, "vm fault on data at 0x8, status 0xf, ip 0x4");
        message.set(6, &[4, 8, 1, 12]);
        let said = Fault::read(&message).to_string();
        assert_eq!(said, "vm fault on code at 0x8, status 0xc, ip 0x4");
        message.set(1, &[4, 8, 0, 300]);
        let said = Fault::read(&message).to_string();
        assert_eq!(
            said,
            "cap fault in send phase at 0x8, lookup failure 255, ip 0x4"
        );
    }

    #[test]
    fn a_written_message_reads_as_its_fault() {
        for fault in [
            Fault::Other { label: 8 },
            Fault::CapFault {
                ip: 1,
                pointer: u64::MAX,
                receiving: false,
                lookup: 2,
            },
            Fault::UnknownSyscall {
                ip: 2,
                number: 7_u64.wrapping_neg(),
            },
            Fault::UserException {
                ip: 3,
                number: 2,
                code: 11,
            },
            Fault::Timeout {
                data: 9,
                consumed: 1_000,
            },
            Fault::VmFault {
                ip: 4,
                address: 5,
                instruction: true,
                status: 6,
            },
        ] {
            assert_eq!(Fault::read(&fault.message()), fault);
        }
    }
}

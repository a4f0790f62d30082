//! Reads a record from its bytes, and from no others.
//!
//! Postcard reads more than it writes: a number may be padded. A log in which one record could have
//! two encodings would let a byte be changed without a change of meaning, so each number is read
//! in its shortest form only.

use portcullis_kernel::{Fault, Generation, Grant, MethodSet, Mode, Principal};

use crate::block::{LogId, LogKind};

use super::{BootId, Cause, GrantFields, Operation, Outcome, Record};

const OPERATIONS: [Operation; 11] = [
    Operation::Boot,
    Operation::Mint,
    Operation::Copy,
    Operation::Attenuate,
    Operation::Revoke,
    Operation::Expire,
    Operation::Deny,
    Operation::Fault,
    Operation::Update,
    Operation::Seal,
    Operation::History,
];

const LOGS: [LogKind; 2] = [LogKind::Grants, LogKind::Worm];

const MODES: [Mode; 4] = [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream];

/// Bytes being read.
struct In<'b>(&'b [u8]);

impl Record {
    /// Decodes one record; `None` where the bytes are not exactly one, in its only encoding.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = In(bytes);
        let record = Self {
            sequence: bytes.varint()?,
            boot: BootId(bytes.array()?),
            time: bytes.varint()?,
            operation: *OPERATIONS.get(usize::from(bytes.byte()?))?,
            grant: if bytes.flag()? {
                Some(bytes.grant()?)
            } else {
                None
            },
            cause: bytes.cause()?,
            outcome: bytes.outcome()?,
        };
        // The largest record with a grant and this cause would not fit.
        let fits = record.grant.is_none() || !matches!(record.cause, Cause::Leaves { .. });
        (bytes.0.is_empty() && fits).then_some(record)
    }
}

impl In<'_> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits << shift;
            if byte & 0x80 == 0 {
                let fits = bits << shift >> shift == bits;
                let shortest = byte != 0 || shift == 0;
                return (fits && shortest).then_some(number);
            }
        }
        None
    }

    #[inline]
    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    #[inline]
    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn option<T: TryFrom<u64>>(&mut self) -> Option<Option<T>> {
        if self.flag()? {
            self.small().map(Some)
        } else {
            Some(None)
        }
    }

    fn grant(&mut self) -> Option<GrantFields> {
        Some(GrantFields {
            index: self.small()?,
            generation: Generation::new(self.small()?)?,
            grant: Grant {
                subject: Principal::Component(self.small()?),
                slot: self.small()?,
                object: self.small()?,
                interface: self.small()?,
                methods: MethodSet(self.small()?),
                mode: *MODES.get(usize::from(self.byte()?))?,
            },
            parent: self.option()?,
            lease_ms: self.option()?,
        })
    }

    fn cause(&mut self) -> Option<Cause> {
        Some(match self.byte()? {
            0 => Cause::Policy {
                line: self.small()?,
            },
            1 => Cause::Request {
                by: Principal::Component(self.small()?),
                line: self.option()?,
            },
            2 => Cause::Load {
                version: self.small()?,
                sha256: self.array()?,
            },
            3 => Cause::Complete {
                grants: self.small()?,
            },
            4 => Cause::Fault {
                component: self.small()?,
                fault: self.fault()?,
            },
            5 => Cause::Leaves {
                disk: LogId(self.array()?),
                log: *LOGS.get(usize::from(self.byte()?))?,
                size: self.varint()?,
                root: self.array()?,
            },
            _ => return None,
        })
    }

    fn fault(&mut self) -> Option<Fault> {
        Some(match self.byte()? {
            0 => Fault::Other {
                label: self.varint()?,
            },
            1 => Fault::CapFault {
                ip: self.varint()?,
                pointer: self.varint()?,
                receiving: self.flag()?,
                lookup: self.byte()?,
            },
            2 => Fault::UnknownSyscall {
                ip: self.varint()?,
                number: self.varint()?,
            },
            3 => Fault::UserException {
                ip: self.varint()?,
                number: self.varint()?,
                code: self.varint()?,
            },
            4 => Fault::Timeout {
                data: self.varint()?,
                consumed: self.varint()?,
            },
            5 => Fault::VmFault {
                ip: self.varint()?,
                address: self.varint()?,
                instruction: self.flag()?,
                status: self.varint()?,
            },
            _ => return None,
        })
    }

    fn outcome(&mut self) -> Option<Outcome> {
        Some(match self.byte()? {
            0 => Outcome::Done,
            1 => Outcome::Forbidden,
            2 => Outcome::NotPermitted,
            3 => Outcome::Unavailable,
            4 => Outcome::Error(self.byte()?),
            _ => return None,
        })
    }
}

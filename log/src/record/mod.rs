//! One record of the grant log.
//!
//! The encoding is postcard's (version 1): the fields in order, numbers as varints, enums by the
//! number of their variant. [`Record::encode`] and [`Record::decode`] are written out, for speed on
//! the path of a mint and so that a record has one encoding only.

mod decode;
mod encode;

use portcullis_kernel::{Fault, Generation, Grant, KernelError, Principal};
use serde::{Deserialize, Serialize};

use crate::block::{LogId, LogKind};
use crate::merkle::Hash;

/// Most bytes that an encoded record takes; two bytes less than a slot of the ring.
pub const RECORD_MAX: usize = 126;

/// Tells boots apart: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

/// A record of the grant log. Components, interfaces and lines are numbers of the policy that the
/// latest `boot` or `update` record names by its hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Position among the records of its boot, from 0, without gaps. (The position in the whole log is
    /// the record's leaf index: the manager starts before the ledger has read what earlier boots left.)
    pub sequence: u64,
    /// The boot that wrote it.
    pub boot: BootId,
    /// Nanoseconds since 1970-01-01 UTC where the platform knows the time, else since boot.
    pub time: u64,
    /// What was done.
    pub operation: Operation,
    /// To which grant; `None` for `boot`, `update`, `seal`, and faults.
    pub grant: Option<GrantFields>,
    /// Why.
    pub cause: Cause,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a record says was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// The manager started with a policy.
    Boot,
    /// A grant was issued.
    Mint,
    /// A grant was delegated: issued to another subject from the one that holds it.
    Copy,
    /// A grant was narrowed.
    Attenuate,
    /// A grant was taken back.
    Revoke,
    /// A grant's lease ended.
    Expire,
    /// A request was denied.
    Deny,
    /// A component faulted.
    Fault,
    /// Another policy came into force.
    Update,
    /// The boot grants are complete.
    Seal,
    /// The appliance, while it was off, was told to leave an earlier history of a log behind.
    History,
}

impl Operation {
    /// Its name, in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Mint => "mint",
            Self::Copy => "copy",
            Self::Attenuate => "attenuate",
            Self::Revoke => "revoke",
            Self::Expire => "expire",
            Self::Deny => "deny",
            Self::Fault => "fault",
            Self::Update => "update",
            Self::Seal => "seal",
            Self::History => "history",
        }
    }
}

/// The grant that a record is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GrantFields {
    /// Its index in the manager's table, as in its badge.
    pub index: u16,
    /// The generation of the index, as in its badge.
    pub generation: Generation,
    /// The grant itself.
    pub grant: Grant,
    /// Index of the grant that it was derived from.
    pub parent: Option<u16>,
    /// How long it lasts, in milliseconds.
    pub lease_ms: Option<u32>,
}

/// Why something was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// A line of the policy says so.
    Policy {
        /// Line of the policy source, from 1.
        line: u32,
    },
    /// Somebody asked for it.
    Request {
        /// Who.
        by: Principal,
        /// The policy line that allows or forbids it; `None`: no line does either.
        line: Option<u32>,
    },
    /// A policy came into force.
    Load {
        /// The policy's version.
        version: u32,
        /// SHA-256 of its body.
        sha256: [u8; 32],
    },
    /// All boot grants were issued.
    Complete {
        /// How many are in force.
        grants: u32,
    },
    /// A component faulted.
    Fault {
        /// The component.
        component: u16,
        /// What the kernel stopped it for.
        fault: Fault,
    },
    /// A log had more records than there are now, or others. The record has no grant.
    Leaves {
        /// The disk that the log was on.
        disk: LogId,
        /// Which log.
        log: LogKind,
        /// Records that its last checkpoint at hand vouches for.
        size: u64,
        /// Their root; that of the empty tree where no checkpoint was at hand.
        root: Hash,
    },
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Done,
    /// A rule forbids it.
    Forbidden,
    /// No rule allows it.
    NotPermitted,
    /// Allowed, but the object is down or a table is full.
    Unavailable,
    /// The kernel refused, with this error code.
    Error(u8),
}

impl From<KernelError> for Outcome {
    fn from(error: KernelError) -> Self {
        Self::Error(error.code())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_kernel::{MethodSet, Mode};

    use super::*;

    fn largest() -> Record {
        Record {
            sequence: u64::MAX,
            boot: BootId([0xff; 16]),
            time: u64::MAX,
            operation: Operation::Seal,
            grant: Some(GrantFields {
                index: u16::MAX,
                generation: Generation::MAX,
                grant: Grant {
                    subject: Principal::Component(u16::MAX),
                    slot: u16::MAX,
                    object: u16::MAX,
                    interface: u16::MAX,
                    methods: MethodSet(u32::MAX),
                    mode: Mode::Stream,
                },
                parent: Some(u16::MAX),
                lease_ms: Some(u32::MAX),
            }),
            cause: Cause::Load {
                version: u32::MAX,
                sha256: [0xff; 32],
            },
            outcome: Outcome::Error(255),
        }
    }

    #[test]
    fn the_largest_record_fits() {
        let mut buffer = [0; RECORD_MAX];
        let record = largest();
        assert_eq!(Record::decode(record.encode(&mut buffer)), Some(record));
    }

    #[test]
    fn a_second_encoding_of_the_same_record_is_refused() {
        let mut buffer = [0; RECORD_MAX];
        let record = Record {
            sequence: 1,
            ..largest()
        };
        let bytes = record.encode(&mut buffer);
        assert_eq!(bytes[0], 1);
        let mut padded = std::vec![0x81, 0x00];
        padded.extend_from_slice(&bytes[1..]);
        assert_eq!(Record::decode(&padded), None);
    }
}

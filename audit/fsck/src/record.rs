//! Reads a record of the grant log, of whichever version.
//!
//! Version 1 was postcard: see *Grant-log record, version 1* in `docs/formats.md`. A record of it is read
//! as one of today, as far as it says what one of today says.

use portcullis_kernel::{Fault, Generation, Grant, MethodSet, Mode, Principal};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::record::MARK;
use portcullis_log::{BootId, Cause, Decoded, GrantFields, Operation, Outcome, Record, Time};
use serde::{Deserialize, Serialize};

/// Version 1 has no grant ids. This and the index stand for one.
pub const BY_INDEX: u64 = 1 << 63;

/// Most bytes of a record of version 1.
const V1_MAX: usize = 126;

/// From here on a number of nanoseconds counts from 1970, where it does not say from when; below, from the
/// start of the boot: 10^17 ns after 1970 is March 1973.
pub const WALL_CLOCK: u64 = 100_000_000_000_000_000;

/// Reads a record; `None` where the bytes are none, or not in its only encoding.
pub fn read(bytes: &[u8]) -> Option<Decoded> {
    if bytes.starts_with(&MARK) {
        return Decoded::read(bytes).filter(|decoded| !has_index(decoded));
    }
    let record: V1 = postcard::from_bytes(bytes).ok()?;
    // Postcard reads numbers with more digits than it writes, and passes over what follows.
    let mut again = [0; V1_MAX];
    let is_only = postcard::to_slice(&record, &mut again).is_ok_and(|again| again == bytes);
    let leaves = matches!(record.cause, V1Cause::Leaves { .. });
    let is_sound = is_only && !(record.grant.is_some() && leaves);
    is_sound.then(|| Decoded::Record(record.into()))
}

/// Whether an id of a record is such as stands for an index.
fn has_index(decoded: &Decoded) -> bool {
    let Decoded::Record(Record {
        grant: Some(grant), ..
    }) = decoded
    else {
        return false;
    };
    (grant.id | grant.parent.unwrap_or(0)) & BY_INDEX != 0
}

/// Reads a record that is of no later kind.
pub fn read_known(bytes: &[u8]) -> Option<Record> {
    match read(bytes)? {
        Decoded::Record(record) => Some(record),
        Decoded::Unknown(_) => None,
    }
}

#[derive(Serialize, Deserialize)]
struct V1 {
    sequence: u64,
    boot: [u8; 16],
    time: u64,
    operation: V1Operation,
    grant: Option<V1Grant>,
    cause: V1Cause,
    outcome: V1Outcome,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum V1Operation {
    Boot,
    Mint,
    Copy,
    Attenuate,
    Revoke,
    Expire,
    Deny,
    Fault,
    Update,
    Seal,
    History,
}

#[derive(Serialize, Deserialize)]
struct V1Grant {
    index: u16,
    generation: Generation,
    subject: u16,
    slot: u16,
    object: u16,
    interface: u16,
    methods: MethodSet,
    mode: Mode,
    parent: Option<u16>,
    lease_ms: Option<u32>,
}

#[derive(Serialize, Deserialize)]
enum V1Cause {
    Policy {
        line: u32,
    },
    Request {
        by: u16,
        line: Option<u32>,
    },
    Load {
        version: u32,
        sha256: [u8; 32],
    },
    Complete {
        grants: u32,
    },
    Fault {
        component: u16,
        fault: Fault,
    },
    Leaves {
        disk: LogId,
        log: LogKind,
        size: u64,
        root: [u8; 32],
    },
}

#[derive(Serialize, Deserialize)]
enum V1Outcome {
    Done,
    Forbidden,
    NotPermitted,
    Unavailable,
    Error(u8),
}

impl From<V1> for Record {
    fn from(record: V1) -> Self {
        let is_wall_clock = record.time >= WALL_CLOCK;
        Self {
            sequence: record.sequence,
            boot: BootId(record.boot),
            time: Time {
                monotonic: if is_wall_clock { 0 } else { record.time },
                utc: is_wall_clock.then_some(record.time),
            },
            policy: match record.cause {
                V1Cause::Load { version, .. } => version,
                _ => 0,
            },
            operation: Operation::ALL[record.operation as usize],
            grant: record.grant.map(Into::into),
            cause: record.cause.into(),
            outcome: match record.outcome {
                V1Outcome::Done => Outcome::Done,
                V1Outcome::Forbidden => Outcome::Forbidden,
                V1Outcome::NotPermitted => Outcome::NotPermitted,
                V1Outcome::Unavailable => Outcome::Unavailable,
                V1Outcome::Error(code) => Outcome::Error(code),
            },
        }
    }
}

impl From<V1Grant> for GrantFields {
    fn from(grant: V1Grant) -> Self {
        Self {
            id: BY_INDEX | u64::from(grant.index),
            index: grant.index,
            generation: grant.generation,
            grant: Grant {
                subject: grant.subject,
                slot: grant.slot,
                object: grant.object,
                interface: grant.interface,
                methods: grant.methods,
                mode: grant.mode,
            },
            parent: grant.parent.map(|index| BY_INDEX | u64::from(index)),
            lease_ms: grant.lease_ms.filter(|it| *it != 0),
        }
    }
}

impl From<V1Cause> for Cause {
    fn from(cause: V1Cause) -> Self {
        match cause {
            V1Cause::Policy { line } => Self::Policy { line },
            V1Cause::Request { by, line } => Self::Request {
                by: Principal::component(by),
                line: line.filter(|it| *it != 0),
            },
            V1Cause::Load { sha256, .. } => Self::Load {
                policy: sha256,
                system: [0; 32],
                image: [0; 32],
            },
            V1Cause::Complete { grants } => Self::Complete { grants },
            V1Cause::Fault { component, fault } => Self::Fault { component, fault },
            V1Cause::Leaves {
                disk,
                log,
                size,
                root,
            } => Self::Leaves {
                disk,
                log,
                size,
                root,
            },
        }
    }
}

//! One record of the grant log, and its layout.
//!
//! A record has a fixed part of 96 bytes and, for some causes, a detail behind it: `docs/formats.md` says
//! which byte is what. A record is written on the path of every mint, so that it is a few stores of
//! whole words, without a branch for each byte. It has one encoding: what decodes is encoded to the
//! same bytes again, or refused.
//!
//! This is version 2. Version 1 was postcard, and is read on a host alone: no record of it begins with
//! [`MARK`].

use portcullis_kernel::{
    Behind, Fault, Generation, Grant, KernelError, MethodSet, Mode, Principal,
};
use serde::{Deserialize, Serialize};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::block::{LogId, LogKind};
use crate::merkle::Hash;

/// Most bytes that an encoded record takes; eight less than a slot of the ring.
pub const RECORD_MAX: usize = 248;
/// First bytes of a record. No record of version 1 has them: they are a number with more digits than
/// it needs.
pub const MARK: [u8; 2] = [0x80, 0x00];
/// Version of the layout.
pub const VERSION: u8 = 2;
/// Offset of the operation's number.
pub const OPERATION: usize = 3;
/// Bytes of a record before its detail.
const HEAD: usize = size_of::<Head>();
/// Room for a detail: the longest is three digests.
const DETAIL: usize = RECORD_MAX - HEAD;

const _: () = assert!(HEAD == 96);

/// Tells boots apart: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Time {
    /// Nanoseconds since the machine started. Never goes back in a boot.
    pub monotonic: u64,
    /// Nanoseconds since 1970-01-01 UTC, where that is known. Never goes back in a boot.
    pub utc: Option<u64>,
}

/// A record of the grant log. Components, interfaces and lines are numbers of the policy in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Position among the records of its boot, from 0, without gaps. (The position in the whole log is
    /// the record's leaf index: the manager starts before the ledger has read what earlier boots left.)
    pub sequence: u64,
    /// The boot that wrote it.
    pub boot: BootId,
    /// When.
    pub time: Time,
    /// Version of the policy in force, which `boot` and `update` name by its hash. 0: none.
    pub policy: u32,
    /// What was done.
    pub operation: Operation,
    /// To which grant; `None` for `boot`, `update`, `seal`, and faults.
    pub grant: Option<GrantFields>,
    /// Why.
    pub cause: Cause,
    /// How it ended.
    pub outcome: Outcome,
}

impl Time {
    /// A moment of which UTC is not known.
    pub const fn since_start(monotonic: u64) -> Self {
        let utc = None;
        Self { monotonic, utc }
    }

    /// Nanoseconds since 1970-01-01 UTC where that is known, else since the machine started.
    pub fn best(self) -> u64 {
        self.utc.unwrap_or(self.monotonic)
    }
}

/// Which record it is, and when it was written: what every version from 2 on says in the same place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// As of a [`Record`].
    pub sequence: u64,
    /// As of a [`Record`].
    pub boot: BootId,
    /// As of a [`Record`].
    pub time: Time,
}

/// What the bytes of a record say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A record.
    Record(Record),
    /// A record of a kind that came later than this code: it is kept, and what it did is not known.
    Unknown(Stamp),
}

/// What a record says was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
    /// All, in the order of their numbers in a record.
    pub const ALL: [Self; 11] = [
        Self::Boot,
        Self::Mint,
        Self::Copy,
        Self::Attenuate,
        Self::Revoke,
        Self::Expire,
        Self::Deny,
        Self::Fault,
        Self::Update,
        Self::Seal,
        Self::History,
    ];

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantFields {
    /// Its number in its boot, from 1, in the order in which grants are issued: never used again. 0: what
    /// was asked for was never issued.
    pub id: u64,
    /// Its index in the manager's table, as in its badge.
    pub index: u16,
    /// The generation of the index, as in its badge.
    pub generation: Generation,
    /// The grant itself.
    pub grant: Grant,
    /// Number of the grant that it was derived from.
    pub parent: Option<u64>,
    /// How long it lasts, in milliseconds.
    pub lease_ms: Option<u32>,
}

/// Why something was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
        /// SHA-256 of the policy's body.
        policy: [u8; 32],
        /// SHA-256 of the system description that it is for; zeros where it does not say.
        system: [u8; 32],
        /// SHA-256 that tells which image runs; zeros where nobody knows.
        image: [u8; 32],
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// A record as it is written, behind its length: what a slot of the ring holds.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Clone, Debug)]
#[repr(C, align(8))]
pub struct Encoded {
    length: U64,
    head: Head,
    detail: [u8; DETAIL],
}

const _: () = assert!(size_of::<Encoded>() == size_of::<u64>() + RECORD_MAX);

/// A record's fixed part. Numbers are little-endian. What a record does not have is zero.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Clone, Debug)]
#[repr(C, align(8))]
struct Head {
    mark: [u8; 2],
    version: u8,
    operation: u8,
    policy: U32,
    sequence: U64,
    boot: [u8; 16],
    monotonic: U64,
    utc: U64,
    /// 0: it was never issued.
    id: U64,
    /// 0: derived from none.
    parent: U64,
    index: U16,
    generation: U16,
    subject: U16,
    slot: U16,
    object: U16,
    interface: U16,
    methods: U32,
    /// 0: it has no end.
    lease_ms: U32,
    /// 0: the record is about no grant; else the mode's number and one.
    mode: u8,
    outcome: u8,
    /// Of outcome 4.
    error: u8,
    cause: u8,
    /// Line of the policy; 0: none.
    line: U32,
    /// The component that asked, or that faulted.
    component: U16,
    /// Who stands behind it: 0 nobody, 1 a guest, 2 a key, 3 a token, 4 the host.
    behind: u8,
    reserved: u8,
}

/// The detail of a fault.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Default)]
#[repr(C)]
struct FaultDetail {
    kind: u8,
    /// Receiving, or an instruction was fetched.
    flag: u8,
    lookup: u8,
    reserved: [u8; 5],
    words: [U64; 3],
}

/// The detail of a history that was left behind.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct LeavesDetail {
    disk: [u8; 16],
    log: u8,
    reserved: [u8; 7],
    size: U64,
    root: Hash,
}

impl Encoded {
    /// No record.
    pub const EMPTY: Self = zerocopy::transmute!([0_u8; size_of::<Self>()]);

    /// The record's bytes, which the log's leaf hash covers.
    pub fn record(&self) -> &[u8] {
        self.slot().get(size_of::<U64>()..).unwrap_or_default()
    }

    /// The slot's bytes, as far as they are in use.
    pub(crate) fn slot(&self) -> &[u8] {
        let length = size_of::<U64>() + self.length.get() as usize;
        self.as_bytes().get(..length).unwrap_or_default()
    }

    /// Makes it this record.
    #[inline(always)]
    pub(crate) fn set(&mut self, record: &Record) {
        let (cause, outcome) = (&record.cause, record.outcome);
        let head = &mut self.head;
        (head.mark, head.version) = (MARK, VERSION);
        head.operation = record.operation as u8;
        head.policy = record.policy.into();
        head.sequence = record.sequence.into();
        head.boot = record.boot.0;
        head.monotonic = record.time.monotonic.into();
        head.utc = record.time.utc.unwrap_or(0).into();
        head.set_grant(record.grant.as_ref());
        (head.outcome, head.error) = match outcome {
            Outcome::Done => (0, 0),
            Outcome::Forbidden => (1, 0),
            Outcome::NotPermitted => (2, 0),
            Outcome::Unavailable => (3, 0),
            Outcome::Error(code) => (4, code),
        };
        (head.line, head.component, head.behind, head.reserved) = (U32::ZERO, U16::ZERO, 0, 0);
        let detail = head.set_cause(cause, &mut self.detail);
        self.length = ((HEAD + detail) as u64).into();
    }
}

impl Head {
    #[inline(always)]
    fn set_grant(&mut self, fields: Option<&GrantFields>) {
        let Some(fields) = fields else {
            (self.id, self.parent) = (U64::ZERO, U64::ZERO);
            (self.index, self.generation) = (U16::ZERO, U16::ZERO);
            (self.subject, self.slot) = (U16::ZERO, U16::ZERO);
            (self.object, self.interface) = (U16::ZERO, U16::ZERO);
            (self.methods, self.lease_ms, self.mode) = (U32::ZERO, U32::ZERO, 0);
            return;
        };
        let grant = &fields.grant;
        self.id = fields.id.into();
        self.parent = fields.parent.unwrap_or(0).into();
        self.index = fields.index.into();
        self.generation = fields.generation.number().into();
        self.subject = grant.subject.into();
        self.slot = grant.slot.into();
        self.object = grant.object.into();
        self.interface = grant.interface.into();
        self.methods = grant.methods.0.into();
        self.lease_ms = fields.lease_ms.unwrap_or(0).into();
        self.mode = grant.mode as u8 + 1;
    }

    /// Writes the cause; gives the bytes that its detail takes.
    #[inline(always)]
    fn set_cause(&mut self, cause: &Cause, detail: &mut [u8; DETAIL]) -> usize {
        match cause {
            Cause::Policy { line } => {
                (self.cause, self.line) = (0, (*line).into());
                0
            }
            Cause::Request { by, line } => {
                (self.cause, self.line) = (1, line.unwrap_or(0).into());
                self.component = by.component.into();
                match &by.behind {
                    None => 0,
                    Some(behind) => self.set_behind(behind, detail),
                }
            }
            Cause::Load {
                policy,
                system,
                image,
            } => {
                self.cause = 2;
                put(detail, &[*policy, *system, *image])
            }
            Cause::Complete { grants } => {
                self.cause = 3;
                put(detail, &U32::new(*grants))
            }
            Cause::Fault { component, fault } => {
                (self.cause, self.component) = (4, (*component).into());
                put(detail, &FaultDetail::from(*fault))
            }
            Cause::Leaves {
                disk,
                log,
                size,
                root,
            } => {
                self.cause = 5;
                let leaves = LeavesDetail {
                    disk: disk.0,
                    log: log.code(),
                    reserved: [0; 7],
                    size: (*size).into(),
                    root: *root,
                };
                put(detail, &leaves)
            }
        }
    }

    fn set_behind(&mut self, behind: &Behind, detail: &mut [u8; DETAIL]) -> usize {
        let (code, length) = match behind {
            Behind::Guest(number) => (1, put(detail, &U16::new(*number))),
            Behind::Key(key) => (2, put(detail, key)),
            Behind::Token(digest) => (3, put(detail, digest)),
            Behind::Host => (4, 0),
        };
        self.behind = code;
        length
    }

    /// What the record says; `None` where something in it is of a kind that came later.
    fn read(&self, detail: &[u8]) -> Option<Record> {
        let grant = match self.mode {
            0 => None,
            mode => Some(self.grant(*Mode::ALL.get(usize::from(mode) - 1)?)),
        };
        Some(Record {
            sequence: self.sequence.get(),
            boot: BootId(self.boot),
            time: self.time(),
            policy: self.policy.get(),
            operation: *Operation::ALL.get(usize::from(self.operation))?,
            grant,
            cause: self.cause(detail)?,
            outcome: match self.outcome {
                0 => Outcome::Done,
                1 => Outcome::Forbidden,
                2 => Outcome::NotPermitted,
                3 => Outcome::Unavailable,
                4 => Outcome::Error(self.error),
                _ => return None,
            },
        })
    }

    fn time(&self) -> Time {
        Time {
            monotonic: self.monotonic.get(),
            utc: (self.utc.get() != 0).then(|| self.utc.get()),
        }
    }

    fn grant(&self, mode: Mode) -> GrantFields {
        let some = |number: u64| (number != 0).then_some(number);
        GrantFields {
            id: self.id.get(),
            index: self.index.get(),
            // What is no generation is not encoded to the same bytes again.
            generation: Generation::new(self.generation.get()).unwrap_or_default(),
            grant: Grant {
                subject: self.subject.get(),
                slot: self.slot.get(),
                object: self.object.get(),
                interface: self.interface.get(),
                methods: MethodSet(self.methods.get()),
                mode,
            },
            parent: some(self.parent.get()),
            lease_ms: some(self.lease_ms.get().into()).map(|it| it as u32),
        }
    }

    fn cause(&self, detail: &[u8]) -> Option<Cause> {
        let line = self.line.get();
        let component = self.component.get();
        Some(match self.cause {
            0 => Cause::Policy { line },
            1 => Cause::Request {
                by: Principal {
                    component,
                    behind: match self.behind {
                        0 => None,
                        1 => Some(Behind::Guest(take::<U16>(detail).get())),
                        2 => Some(Behind::Key(take(detail))),
                        3 => Some(Behind::Token(take(detail))),
                        4 => Some(Behind::Host),
                        _ => return None,
                    },
                },
                line: (line != 0).then_some(line),
            },
            2 => {
                let [policy, system, image] = take(detail);
                Cause::Load {
                    policy,
                    system,
                    image,
                }
            }
            3 => Cause::Complete {
                grants: take::<U32>(detail).get(),
            },
            4 => Cause::Fault {
                component,
                fault: take::<FaultDetail>(detail).read()?,
            },
            5 => {
                let leaves: LeavesDetail = take(detail);
                Cause::Leaves {
                    disk: LogId(leaves.disk),
                    log: LogKind::from_code(leaves.log)?,
                    size: leaves.size.get(),
                    root: leaves.root,
                }
            }
            _ => return None,
        })
    }
}

/// Writes a detail; gives its length.
#[inline(always)]
fn put(detail: &mut [u8; DETAIL], value: &(impl IntoBytes + Immutable)) -> usize {
    // Every detail fits: the longest is three digests.
    let written = value.write_to_prefix(detail);
    written.map_or(0, |()| size_of_val(value))
}

/// Reads a detail. One of another length is read as zeros: it is not encoded to the same bytes again.
fn take<T: FromBytes>(detail: &[u8]) -> T {
    T::read_from_bytes(detail).unwrap_or_else(|_| T::new_zeroed())
}

impl From<Fault> for FaultDetail {
    fn from(fault: Fault) -> Self {
        let (kind, flag, lookup, words) = match fault {
            Fault::Other { label } => (0, false, 0, [label, 0, 0]),
            Fault::CapFault {
                ip,
                pointer,
                receiving,
                lookup,
            } => (1, receiving, lookup, [ip, pointer, 0]),
            Fault::UnknownSyscall { ip, number } => (2, false, 0, [ip, number, 0]),
            Fault::UserException { ip, number, code } => (3, false, 0, [ip, number, code]),
            Fault::Timeout { data, consumed } => (4, false, 0, [data, consumed, 0]),
            Fault::VmFault {
                ip,
                address,
                instruction,
                status,
            } => (5, instruction, 0, [ip, address, status]),
        };
        Self {
            kind,
            flag: flag.into(),
            lookup,
            reserved: [0; 5],
            words: words.map(U64::new),
        }
    }
}

impl FaultDetail {
    fn read(&self) -> Option<Fault> {
        let [ip, second, third] = self.words.map(U64::get);
        Some(match self.kind {
            0 => Fault::Other { label: ip },
            1 => Fault::CapFault {
                ip,
                pointer: second,
                receiving: self.flag == 1,
                lookup: self.lookup,
            },
            2 => Fault::UnknownSyscall { ip, number: second },
            3 => Fault::UserException {
                ip,
                number: second,
                code: third,
            },
            4 => Fault::Timeout {
                data: ip,
                consumed: second,
            },
            5 => Fault::VmFault {
                ip,
                address: second,
                instruction: self.flag == 1,
                status: third,
            },
            _ => return None,
        })
    }
}

impl Record {
    /// The record as it is written.
    pub fn encode(&self) -> Encoded {
        let mut encoded = Encoded::EMPTY;
        encoded.set(self);
        encoded
    }

    /// Reads a record; `None` where the bytes are none, not in its only encoding, or of a kind that came
    /// later.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match Decoded::read(bytes)? {
            Decoded::Record(record) => Some(record),
            Decoded::Unknown(_) => None,
        }
    }

    /// Which it is, and when it was written.
    pub const fn stamp(&self) -> Stamp {
        Stamp {
            sequence: self.sequence,
            boot: self.boot,
            time: self.time,
        }
    }
}

impl Decoded {
    /// Reads a record of this version or a later one; `None` where the bytes are none, or not in its
    /// only encoding.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (head, detail) = Head::read_from_prefix(bytes).ok()?;
        if head.mark != MARK || head.version < VERSION || bytes.len() > RECORD_MAX {
            return None;
        }
        let known = (head.version == VERSION).then(|| head.read(detail));
        match known.flatten() {
            Some(record) => (record.encode().record() == bytes).then_some(Self::Record(record)),
            None => Some(Self::Unknown(Stamp {
                sequence: head.sequence.get(),
                boot: BootId(head.boot),
                time: head.time(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> std::vec::Vec<u8> {
        let record = Record {
            sequence: 1,
            boot: BootId([7; 16]),
            time: Time {
                monotonic: 5,
                utc: Some(9),
            },
            policy: 3,
            operation: Operation::Fault,
            grant: None,
            cause: Cause::Fault {
                component: 2,
                fault: Fault::Other { label: 4 },
            },
            outcome: Outcome::Done,
        };
        record.encode().record().to_vec()
    }

    #[test]
    fn what_came_later_is_told_from_what_is_no_record() {
        // Version, operation, outcome, cause, kind of fault.
        for place in [2, 3, 85, 87, HEAD] {
            let mut bytes = bytes();
            bytes[place] = 200;
            let Some(Decoded::Unknown(stamp)) = Decoded::read(&bytes) else {
                panic!("byte {place}");
            };
            assert_eq!((stamp.sequence, stamp.boot), (1, BootId([7; 16])));
            assert_eq!(stamp.time.utc, Some(9));
            assert_eq!(Record::decode(&bytes), None);
        }
        // What nothing of this version has a use for.
        for place in [
            0,
            1,
            86,
            88,
            94,
            95,
            HEAD + 1,
            HEAD + 2,
            HEAD + 3,
            HEAD + 16,
        ] {
            let mut bytes = bytes();
            bytes[place] ^= 1;
            assert_eq!(Decoded::read(&bytes), None, "byte {place}");
        }
    }
}

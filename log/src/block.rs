//! The blocks that an append-only log is stored in.
//!
//! A log (the grant log, the write-once ledger) is a region of a disk, cut into blocks of
//! [`BLOCK_SIZE`] bytes, and these into sectors of [`SECTOR`]. A block holds *parts*, one behind the
//! other from its first sector on; behind the last, it is zero. A part begins with a sector and is
//! written once, whole, and never again, however little it holds. All numbers are little-endian.
//!
//! | bytes of a part | what                                                                       |
//! |-----------------|----------------------------------------------------------------------------|
//! | 0..88           | [`Header`]: what it is, where it belongs, what it goes on from             |
//! | 88..            | records: two bytes of length, then the record, one after another; then zeros |
//! | the last 104    | [`Footer`]: the signed tree head, in the last part of a commit             |
//!
//! A **commit** is at most [`COMMIT_PARTS`] parts, that become durable as a whole: the first in the
//! block where the last commit ended, or in the next, and each other in the block after. The last part has
//! the flag [`FLAG_COMMIT`] and the footer, and ends with the sector that the footer fits; every other takes
//! the rest of its block. Its records are in the log from the moment that the writer knows all its parts
//! to be durable.
//!
//! **A sector that holds something is never written again with other bytes.** So what was acknowledged
//! does not depend on what is written beside it: of the sectors that a commit adds to a block, each is
//! there or zero after a cut, and all others are as they were.
//!
//! **What holds it together** is the Merkle tree alone, so that each record is hashed once. A commit
//! counts only where the tree over all records up to its last has the size and the root that its
//! footer says; every other byte of its parts has one value that it can have, given where the part
//! lies and what came before. A part has no checksum of its own: torn, changed or forged, it does
//! not lead to the root.
//!
//! **The chain.** Every part of a commit holds the root that the log had before it. A commit that
//! was interrupted or torn stays where it is and is passed over, and nothing ever chains to it. Whoever
//! opens a log goes on in the block behind the last that holds anything. Parts are written where all is zero,
//! and a disk writes [`SECTOR`] bytes or none of them, so a torn part [has a sector of
//! zeros](may_be_torn) where something should be, and nothing behind it in its block. A commit that does
//! not count and has none was changed later, and that is damage.
//!
//! **Written again.** When a log is opened, nobody knows whether the flush of its last commit
//! succeeded, and what is read back proves nothing: it may come from a cache. The writer then writes
//! that commit again, behind everything else: same records, same root before and after; and so it
//! does where anything else lies behind the last commit. A reader accepts a commit that goes on from
//! the last one, or from where the last one did; the later takes the place of the earlier.
//!
//! **Format 2** had one part in a block, which took all of it, with the footer at its end. Its blocks
//! are read like all others.
//!
//! Roots and chain find damage; signatures find forgery. Neither finds that whole commits
//! were cut off the end: that takes a checkpoint kept elsewhere.

use core::fmt;

use serde::{Deserialize, Serialize};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::merkle::Hash;

/// Bytes of a block: what blk reads and writes at once.
pub const BLOCK_SIZE: usize = 4096;
/// Bytes that a disk writes as a whole: the smallest sector in use.
pub const SECTOR: usize = 512;
/// First bytes of a part.
pub const MAGIC: [u8; 8] = *b"PCLSBLCK";
/// Version of the format; any change of the layout or its meaning raises it. Version 1 had a digest in
/// each block.
pub const FORMAT: u16 = 3;
/// The version before, which is read and no longer written: a part takes its whole block.
pub const WHOLE_BLOCKS: u16 = 2;
/// Flag: the part ends a commit and has a footer.
pub const FLAG_COMMIT: u8 = 1;
/// Most bytes of a record: a ledger entry is a digest and what describes it, not a document.
pub const ENTRY_MAX: usize = 1024;
/// Most parts of a commit: the ledger's disk buffer (256 KiB in `system.xml`) holds as many blocks.
pub const COMMIT_PARTS: usize = 64;
/// Bytes of a part that are not for records. Every part keeps room for a footer, so that any of them can
/// end a commit.
pub const PART_OVERHEAD: usize = size_of::<Header>() + size_of::<Footer>();
/// Bytes for records in a part that has a block to itself, their lengths included.
pub const PAYLOAD: usize = BLOCK_SIZE - PART_OVERHEAD;
/// Bytes that a record takes beside its own.
pub const RECORD_OVERHEAD: usize = 2;

/// Which log a block belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum LogKind {
    /// Records of the capability manager.
    Grants,
    /// Entries that components appended.
    Worm,
}

impl LogKind {
    /// The kind with this number in a header.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Grants),
            2 => Some(Self::Worm),
            _ => None,
        }
    }

    /// Its number in a header.
    pub const fn code(self) -> u8 {
        match self {
            Self::Grants => 1,
            Self::Worm => 2,
        }
    }

    /// Its name, as in the origin of its checkpoints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Worm => "worm",
        }
    }
}

/// Tells the logs of appliances apart: the id of the disk that they are on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct LogId(pub [u8; 16]);

/// What a part is, where it belongs, what it goes on from.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT`] or [`WHOLE_BLOCKS`].
    pub format: U16,
    /// [`LogKind::code`].
    pub kind: u8,
    /// [`FLAG_COMMIT`] or zero.
    pub flags: u8,
    /// Number of records; a part without any is never written.
    pub records: U16,
    /// Bytes of the payload in use.
    pub payload: U16,
    /// Position in its commit, from 0.
    pub part: U16,
    /// The sector of its block that it begins with, from 1; in [`WHOLE_BLOCKS`] zero.
    pub sector: u8,
    /// Zero.
    pub reserved: [u8; 5],
    /// The block in the log's region that it lies in, from 0.
    pub block: U64,
    /// Position in the log (leaf index) of its first record.
    pub first_record: U64,
    /// [`LogId`].
    pub log: [u8; 16],
    /// Merkle root of the log before the part's commit.
    pub previous: Hash,
}

/// The tree head at the end of a commit. The signature is over the text of its checkpoint: see
/// [`crate::checkpoint`].
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Footer {
    /// Records in the log up to and with this commit.
    pub tree_size: U64,
    /// Merkle root over them (RFC 6962).
    pub root: Hash,
    /// Ed25519 signature of the checkpoint note's text.
    pub signature: [u8; 64],
}

/// A block that was never written.
const VOID: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];
/// Bytes before the records.
const HEAD: usize = size_of::<Header>();
/// Bytes of a footer.
const TAIL: usize = size_of::<Footer>();

const _: () = assert!(HEAD == 88 && TAIL == 104 && HEAD <= SECTOR);

/// Bytes of a part that ends a commit and has so many bytes of records.
pub const fn part_length(payload: usize) -> usize {
    (PART_OVERHEAD + payload).next_multiple_of(SECTOR)
}

/// Bytes that a part with this header takes of `room`; `None`: it says what no part says.
fn length_of(header: &Header, room: usize) -> Option<usize> {
    let payload = usize::from(header.payload.get());
    let length = match header.format.get() {
        FORMAT if header.flags & FLAG_COMMIT != 0 => part_length(payload),
        _ => room,
    };
    (length <= room && PART_OVERHEAD + payload <= length).then_some(length)
}

/// Whether `bytes`, the rest of a block, may be a part that is torn: a sector that should hold some of it
/// reads as never written, and behind it is nothing. The header lies in one sector: it is not there, or
/// says what should be. Records of zeros look the same.
pub fn may_be_torn(bytes: &[u8]) -> bool {
    let Ok((header, _)) = Header::ref_from_prefix(bytes) else {
        return false;
    };
    if is_zero(header.as_bytes()) {
        return bytes.get(..SECTOR).is_some_and(is_zero);
    }
    let length = match check_header(header, bytes.len()) {
        Ok((_, length)) => length,
        Err(_) => return false,
    };
    let (part, behind) = bytes.split_at(length);
    let used = HEAD + usize::from(header.payload.get());
    let commit = header.flags & FLAG_COMMIT != 0;
    let written = |at| at < used || (commit && at + SECTOR == length);
    let mut sectors = (0..).step_by(SECTOR).zip(part.chunks(SECTOR));
    is_zero(behind) && sectors.any(|(at, sector)| written(at) && is_zero(sector))
}

/// A well-formed part. Holding one proves: every field has a value that the format allows, the
/// records fill the payload that the header states, and all other bytes are zero. It proves neither
/// that the records are those that were written nor that the part belongs where it was found:
/// [`crate::scanner`] decides that.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    header: &'a Header,
    kind: LogKind,
    payload: &'a [u8],
    footer: Option<&'a Footer>,
    length: usize,
}

/// Why bytes are not a well-formed part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockFault {
    /// All zeros: nothing was ever written.
    Void,
    /// It does not start with [`MAGIC`].
    NotABlock,
    /// It is of another format version.
    Format(u16),
    /// A field of the header, or a byte that must be zero, has a value the format does not allow.
    Field(&'static str),
    /// The lengths of the records do not add up to the header's.
    Records,
}

impl<'a> Part<'a> {
    /// Reads what `bytes`, the rest of a block from a sector on, begin with.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BlockFault> {
        let read = Header::ref_from_prefix(bytes);
        let Ok((header, _)) = read.map_err(drop) else {
            return Err(BlockFault::NotABlock);
        };
        if header.magic != MAGIC && is_zero(bytes) {
            return Err(BlockFault::Void);
        }
        let (kind, length) = check_header(header, bytes.len())?;
        let (part, _) = bytes.split_at(length);
        let (used, commit) = (
            HEAD + usize::from(header.payload.get()),
            header.flags & FLAG_COMMIT != 0,
        );
        let payload = part.get(HEAD..used);
        let end = length - if commit { TAIL } else { 0 };
        if !part.get(used..end).is_some_and(is_zero) {
            return Err(BlockFault::Field("unused payload"));
        }
        let footer = Footer::ref_from_suffix(part).ok().filter(|_| commit);
        let part = Self {
            header,
            kind,
            payload: payload.unwrap_or_default(),
            footer: footer.map(|(_, footer)| footer),
            length,
        };
        let mut records = part.records();
        let count = records.by_ref().count();
        if count == usize::from(header.records.get()) && records.rest.is_empty() {
            Ok(part)
        } else {
            Err(BlockFault::Records)
        }
    }

    /// The parts that a block begins with.
    pub fn all(block: &'a [u8; BLOCK_SIZE]) -> impl Iterator<Item = Self> {
        let mut rest = &block[..];
        core::iter::from_fn(move || {
            let part = Self::read(rest).ok()?;
            rest = rest.get(part.length..).unwrap_or_default();
            Some(part)
        })
    }

    /// Bytes that it takes.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The block that it lies in.
    pub fn block(&self) -> u64 {
        self.header.block.get()
    }

    /// Which log it belongs to.
    pub const fn log(&self) -> (LogKind, LogId) {
        (self.kind, LogId(self.header.log))
    }

    /// Position in its commit.
    pub fn part(&self) -> u16 {
        self.header.part.get()
    }

    /// Position in the log of its first record.
    pub fn first_record(&self) -> u64 {
        self.header.first_record.get()
    }

    /// Number of records; at least one.
    pub fn record_count(&self) -> u16 {
        self.header.records.get()
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'a> {
        Records::over(self.payload)
    }

    /// The records as they lie, each behind its length.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Merkle root of the log before its commit.
    pub const fn previous(&self) -> &'a Hash {
        &self.header.previous
    }

    /// The tree head, where it ends a commit.
    pub const fn footer(&self) -> Option<&'a Footer> {
        self.footer
    }
}

/// Whether all of it is zero. Compared as a whole, which is several times quicker than byte by byte.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    VOID.get(..bytes.len()) == Some(bytes)
}

/// Whether a header says what the format allows of a part at the beginning of so many bytes, the rest of a
/// block: which log's, and how many of them it takes.
fn check_header(header: &Header, room: usize) -> Result<(LogKind, usize), BlockFault> {
    if header.magic != MAGIC {
        return Err(BlockFault::NotABlock);
    }
    let part = usize::from(header.part.get());
    let sector = match (header.format.get(), room) {
        (WHOLE_BLOCKS, BLOCK_SIZE) => 0,
        (FORMAT | WHOLE_BLOCKS, room) => (1 + (BLOCK_SIZE - room) / SECTOR) as u8,
        (format, _) => return Err(BlockFault::Format(format)),
    };
    let kind = LogKind::from_code(header.kind).ok_or(BlockFault::Field("kind"))?;
    let length = length_of(header, room).ok_or(BlockFault::Field("payload"))?;
    let sound = [
        (header.flags & !FLAG_COMMIT == 0, "flags"),
        (header.reserved == [0; 5], "reserved"),
        (header.sector == sector, "sector"),
        (header.records.get() > 0, "records"),
        (part < COMMIT_PARTS, "part"),
        (u64::from(header.part.get()) <= header.block.get(), "part"),
        (part == 0 || room == BLOCK_SIZE, "part"),
    ];
    match sound.iter().find(|(holds, _)| !holds) {
        None => Ok((kind, length)),
        Some((_, field)) => Err(BlockFault::Field(field)),
    }
}

/// Walks the records of a part. Ends early where a length reaches past the payload or above
/// [`ENTRY_MAX`]; a well-formed part has none such.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records of a part's payload, or of the payloads of several put together.
    pub const fn over(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length));
        if length > ENTRY_MAX {
            return None;
        }
        let (record, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(record)
    }
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Void => f.write_str("nothing was written here"),
            Self::NotABlock => f.write_str("this is not a block of a log"),
            Self::Format(version) => write!(
                f,
                "the block has format version {version}, and this build reads version {FORMAT}"
            ),
            Self::Field(field) => write!(f, "the block's {field} is not what the format allows"),
            Self::Records => f.write_str("the lengths of the block's records do not add up"),
        }
    }
}

impl core::error::Error for BlockFault {}

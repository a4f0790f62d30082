//! The blocks that an append-only log is stored in.
//!
//! A log (the grant log, the write-once ledger) is a region of a disk, cut into blocks of
//! [`BLOCK_SIZE`] bytes. A block is written once, whole, and never again, however little it holds.
//! All numbers are little-endian.
//!
//! | bytes        | what                                                                          |
//! |--------------|-------------------------------------------------------------------------------|
//! | 0..88        | [`Header`]: what the block is, where it belongs, what it goes on from         |
//! | 88..3992     | records: two bytes of length, then the record, one after another; then zeros  |
//! | 3992..4096   | [`Footer`]: the signed tree head, in the last block of a commit; else zeros   |
//!
//! A **commit** is a run of consecutive blocks, at most [`COMMIT_BLOCKS`], that becomes durable as
//! a whole; its last block has the flag [`FLAG_COMMIT`] and the footer. Its records are in the log
//! from the moment that the writer knows all its blocks to be durable.
//!
//! **What holds it together** is the Merkle tree alone, so that each record is hashed once. A commit
//! counts only where the tree over all records up to its last has the size and the root that its
//! footer says; every other byte of its blocks has one value that it can have, given where the block
//! lies and what came before. A block has no checksum of its own: torn, changed or forged, it does
//! not lead to the root.
//!
//! **The chain.** Every block of a commit holds the root that the log had before it. A commit that
//! was interrupted or torn stays where it is and is passed over, and nothing ever chains to it. The
//! next commit starts behind the last block that holds anything. Blocks are written where all is zero,
//! and a disk writes [`SECTOR`] bytes or none of them, so a torn block [has a sector of
//! zeros](may_be_torn) where something should be. A commit that does not count and has none was
//! changed later, and that is damage.
//!
//! **Written again.** When a log is opened, nobody knows whether the flush of its last commit
//! succeeded, and what is read back proves nothing: it may come from a cache. The writer then writes
//! that commit again, behind everything else: same records, same root before and after; and so it
//! does where anything else lies behind the last commit. A reader accepts a commit that goes on from
//! the last one, or from where the last one did; the later takes the place of the earlier.
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
/// First bytes of a block.
pub const MAGIC: [u8; 8] = *b"PCLSBLCK";
/// Version of the format; any change of the layout or its meaning raises it. Version 1 had a digest in
/// each block.
pub const FORMAT: u16 = 2;
/// Flag: the block ends a commit and has a footer.
pub const FLAG_COMMIT: u8 = 1;
/// Most bytes of a record: a ledger entry is a digest and what describes it, not a document.
pub const ENTRY_MAX: usize = 1024;
/// Most blocks of a commit: the ledger's disk buffer (256 KiB in `system.xml`) holds as many.
pub const COMMIT_BLOCKS: usize = 64;
/// Bytes for records in a block, their lengths included. Every block keeps room for a footer, so
/// that any of them can end a commit.
pub const PAYLOAD: usize = BLOCK_SIZE - size_of::<Header>() - size_of::<Footer>();
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

/// What a block is, where it belongs, what it goes on from.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT`].
    pub format: U16,
    /// [`LogKind::code`].
    pub kind: u8,
    /// [`FLAG_COMMIT`] or zero.
    pub flags: u8,
    /// Number of records; a block without any is never written.
    pub records: U16,
    /// Bytes of the payload in use.
    pub payload: U16,
    /// Position in its commit, from 0.
    pub part: U16,
    /// Zero.
    pub reserved: [u8; 6],
    /// Position in the log's region, in blocks, from 0.
    pub block: U64,
    /// Position in the log (leaf index) of its first record.
    pub first_record: U64,
    /// [`LogId`].
    pub log: [u8; 16],
    /// Merkle root of the log before the block's commit.
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

/// The bytes of a block.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Debug)]
#[repr(C)]
pub struct Layout {
    /// The header.
    pub header: Header,
    /// The records.
    pub payload: [u8; PAYLOAD],
    /// The footer.
    pub footer: Footer,
}

const _: () = assert!(size_of::<Layout>() == BLOCK_SIZE);

/// A block that was never written.
const VOID: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];

/// Whether a sector that should hold some of the block reads as never written: what a torn block has.
/// The header lies in one sector, so it says what should be there. Records of zeros look the same.
pub fn may_be_torn(bytes: &[u8; BLOCK_SIZE]) -> bool {
    let layout: &Layout = zerocopy::transmute_ref!(bytes);
    let Header { flags, payload, .. } = layout.header;
    // A length that no writer writes says nothing.
    let payload = Some(usize::from(payload.get())).filter(|it| *it <= PAYLOAD);
    let used = size_of::<Header>() + payload.unwrap_or(0);
    let written = |at| at < used || (at + SECTOR == BLOCK_SIZE && flags & FLAG_COMMIT != 0);
    let mut sectors = (0..).step_by(SECTOR).zip(bytes.chunks(SECTOR));
    sectors.any(|(at, sector)| written(at) && is_zero(Some(sector)))
}

/// A well-formed block. Holding one proves: every field has a value that the format allows, the
/// records fill the payload that the header states, and all other bytes are zero. It proves neither
/// that the records are those that were written nor that the block belongs where it was found:
/// [`crate::scanner`] decides that.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    layout: &'a Layout,
    kind: LogKind,
}

/// Why bytes are not a well-formed block.
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

impl<'a> Block<'a> {
    /// Checks `bytes`.
    pub fn read(bytes: &'a [u8; BLOCK_SIZE]) -> Result<Self, BlockFault> {
        let layout: &Layout = zerocopy::transmute_ref!(bytes);
        let header = &layout.header;
        if header.magic != MAGIC {
            return Err(if *bytes == VOID {
                BlockFault::Void
            } else {
                BlockFault::NotABlock
            });
        }
        if header.format.get() != FORMAT {
            return Err(BlockFault::Format(header.format.get()));
        }
        let kind = LogKind::from_code(header.kind).ok_or(BlockFault::Field("kind"))?;
        check_fields(layout)?;
        let block = Self { layout, kind };
        let mut records = block.records();
        let count = records.by_ref().count();
        if count == usize::from(header.records.get()) && records.rest.is_empty() {
            Ok(block)
        } else {
            Err(BlockFault::Records)
        }
    }

    /// Position in its region.
    pub fn number(&self) -> u64 {
        self.layout.header.block.get()
    }

    /// Which log it belongs to.
    pub const fn log(&self) -> (LogKind, LogId) {
        (self.kind, LogId(self.layout.header.log))
    }

    /// Position in its commit.
    pub fn part(&self) -> u16 {
        self.layout.header.part.get()
    }

    /// Position in the log of its first record.
    pub fn first_record(&self) -> u64 {
        self.layout.header.first_record.get()
    }

    /// Number of records; at least one.
    pub fn record_count(&self) -> u16 {
        self.layout.header.records.get()
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'a> {
        Records::over(self.payload())
    }

    /// The records as they lie, each behind its length.
    pub fn payload(&self) -> &'a [u8] {
        let used = usize::from(self.layout.header.payload.get());
        let (payload, _) = self.layout.payload.split_at(used.min(PAYLOAD));
        payload
    }

    /// Merkle root of the log before its commit.
    pub const fn previous(&self) -> &'a Hash {
        &self.layout.header.previous
    }

    /// The tree head, where it ends a commit.
    pub const fn footer(&self) -> Option<&'a Footer> {
        if self.layout.header.flags & FLAG_COMMIT == 0 {
            None
        } else {
            Some(&self.layout.footer)
        }
    }
}

/// Whether all of it is zero; `None` is not. Compared as a whole, which is several times quicker than
/// byte by byte.
fn is_zero(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| VOID.get(..bytes.len()) == Some(bytes))
}

fn check_fields(layout: &Layout) -> Result<(), BlockFault> {
    let header = &layout.header;
    let used = usize::from(header.payload.get());
    let commit = header.flags & FLAG_COMMIT != 0;
    let sound = [
        (header.flags & !FLAG_COMMIT == 0, "flags"),
        (header.reserved == [0; 6], "reserved"),
        (header.records.get() > 0, "records"),
        (usize::from(header.part.get()) < COMMIT_BLOCKS, "part"),
        (u64::from(header.part.get()) <= header.block.get(), "part"),
        (used <= PAYLOAD, "payload"),
        (is_zero(layout.payload.get(used..)), "unused payload"),
        (commit || is_zero(Some(layout.footer.as_bytes())), "footer"),
    ];
    match sound.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, field)) => Err(BlockFault::Field(field)),
    }
}

/// Walks the records of a block. Ends early where a length reaches past the payload or above
/// [`ENTRY_MAX`]; a well-formed block has none such.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records of a block's payload, or of the payloads of several blocks put together.
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

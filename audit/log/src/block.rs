//! The blocks that an append-only log is stored in.
//!
//! A log (the grant log, the write-once ledger) is a region of a disk, cut into blocks of
//! [`BLOCK_SIZE`] bytes. A block is written once, whole, and never again, however little it holds.
//! All numbers are little-endian.
//!
//! | bytes        | what                                                                          |
//! |--------------|-------------------------------------------------------------------------------|
//! | 0..88        | [`Header`]: what the block is, where it belongs, what it chains to            |
//! | 88..3960     | records: two bytes of length, then the record, one after another; then zeros  |
//! | 3960..4064   | [`Footer`]: the signed tree head, in the last block of a commit; else zeros   |
//! | 4064..4096   | SHA-256 of all before: the block's *digest*                                   |
//!
//! A **commit** is a run of consecutive blocks, at most [`COMMIT_BLOCKS`], that becomes durable as
//! a whole; its last block has the flag [`FLAG_COMMIT`] and the footer. Its records are in the log
//! from the moment that the writer knows all its blocks to be durable.
//!
//! **The chain.** A block that continues a commit holds the digest of the block before it. The
//! first block of a commit holds the digest of the last block of the last commit that the writer
//! knew to be durable (zeros: there is none), and numbers its records from there. Blocks of a
//! commit that was interrupted (never written, torn, or sound but without their footer) stay
//! where they are and are skipped: nothing ever chains to them. The next commit starts after the
//! last block that holds anything. A writer sees to it that fewer than [`VOID_BLOCKS`] void blocks
//! follow one another before the end of the log, and a reader stops after as many.
//!
//! Where a write or a flush *failed*, a commit may be sound on the disk and yet never acknowledged.
//! The writer then commits the same records again, first and in the same order, chained to where
//! the failed commit was chained: the later commit *supersedes* the earlier. A reader accepts a
//! commit that chains to the last one or to the one before a superseded one, and no other.
//!
//! Chain and digests find damage; the signed root finds forgery. Neither finds that whole commits
//! were cut off the end: that takes a checkpoint kept elsewhere.

use core::fmt;

use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::merkle::Hash;

/// Bytes of a block: what blk reads and writes at once.
pub const BLOCK_SIZE: usize = 4096;
/// First bytes of a block.
pub const MAGIC: [u8; 8] = *b"PCLSBLCK";
/// Version of the format; any change of the layout or its meaning raises it.
pub const FORMAT: u16 = 1;
/// Flag: the block ends a commit and has a footer.
pub const FLAG_COMMIT: u8 = 1;
/// Most bytes of a record: a ledger entry is a digest and what describes it, not a document.
pub const ENTRY_MAX: usize = 1024;
/// Most blocks of a commit: the ledger's disk buffer (256 KiB in `system.xml`) holds as many.
pub const COMMIT_BLOCKS: usize = 64;
/// Void blocks in a row after which a log ends: 4 MiB, read in milliseconds, and room for 15 commits
/// in a row that failed and left nothing.
pub const VOID_BLOCKS: u64 = 1024;
/// Bytes for records in a block, their lengths included. Every block keeps room for a footer, so
/// that any of them can end a commit.
pub const PAYLOAD: usize = BLOCK_SIZE - size_of::<Header>() - size_of::<Footer>() - DIGEST;
/// Bytes that a record takes beside its own.
pub const RECORD_OVERHEAD: usize = 2;

const DIGEST: usize = size_of::<Hash>();

/// Which log a block belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct LogId(pub [u8; 16]);

/// What a block is, where it belongs, what it chains to.
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
    /// Digest of the block that it chains to.
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
    /// SHA-256 of all before.
    pub digest: Hash,
}

const _: () = assert!(size_of::<Layout>() == BLOCK_SIZE);

/// The digest that a block of these bytes must end with.
pub fn digest_of(bytes: &[u8; BLOCK_SIZE]) -> Hash {
    let layout: &Layout = zerocopy::transmute_ref!(bytes);
    layout.computed_digest()
}

impl Layout {
    /// SHA-256 of all but the digest.
    pub fn computed_digest(&self) -> Hash {
        Sha256::digest(&self.as_bytes()[..BLOCK_SIZE - DIGEST]).into()
    }
}

/// A sound block. Holding one proves: the digest is right, every field has a value that the format
/// allows, the records fill the payload that the header states, and all other bytes are zero. It
/// does not prove that the block belongs where it was found: [`crate::scanner`] decides that.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    layout: &'a Layout,
    kind: LogKind,
}

/// Why bytes are not a sound block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockFault {
    /// All zeros: nothing was ever written.
    Void,
    /// It does not start with [`MAGIC`].
    NotABlock,
    /// It is of another format version.
    Format(u16),
    /// The digest is not that of the bytes: it was torn or changed.
    Digest,
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
            let void = bytes.iter().all(|byte| *byte == 0);
            return Err(if void {
                BlockFault::Void
            } else {
                BlockFault::NotABlock
            });
        }
        if header.format.get() != FORMAT {
            return Err(BlockFault::Format(header.format.get()));
        }
        if layout.computed_digest() != layout.digest {
            return Err(BlockFault::Digest);
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

    /// Digest of the block that it chains to.
    pub const fn previous(&self) -> &'a Hash {
        &self.layout.header.previous
    }

    /// Its own digest.
    pub const fn digest(&self) -> &'a Hash {
        &self.layout.digest
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
        (
            layout.payload.iter().skip(used).all(|byte| *byte == 0),
            "unused payload",
        ),
        (
            commit || layout.footer.as_bytes().iter().all(|byte| *byte == 0),
            "footer",
        ),
    ];
    match sound.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, field)) => Err(BlockFault::Field(field)),
    }
}

/// Walks the records of a block. Ends early where a length reaches past the payload or above
/// [`ENTRY_MAX`]; a sound block has none such.
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
            Self::Digest => f.write_str("the block was torn or changed: its SHA-256 differs"),
            Self::Field(field) => write!(f, "the block's {field} is not what the format allows"),
            Self::Records => f.write_str("the lengths of the block's records do not add up"),
        }
    }
}

impl core::error::Error for BlockFault {}

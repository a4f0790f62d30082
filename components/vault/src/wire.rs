//! The bytes of the vault: all that it shares with who checks its disks.
//!
//! Numbers are little-endian. Superblock and index entry fit one [`SECTOR`] each, which a disk writes
//! as a whole. `docs/formats.md` says what is where, and what is sealed with what.

use portcullis_blk::BLOCK;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::little_endian::{U32, U64, U128},
};

use crate::{NAME_MAX, ObjectDigest};

/// Bytes of a superblock, and of an index entry: the unit that a disk writes as a whole.
pub const SECTOR: usize = 512;
/// Index entries in a block.
pub const ENTRIES: usize = BLOCK / SECTOR;
/// Copies of the superblock; the index follows, then the data.
pub const SUPERBLOCKS: u64 = 2;
/// Bytes of a superblock that its MAC covers.
pub const AUTHENTICATED: usize = SECTOR - 32 - 32;
/// Bytes of an index entry that are encrypted.
pub const BODY: usize = SECTOR - 4 - size_of::<Seal>();

/// First bytes of a superblock.
pub const VAULT_MAGIC: [u8; 8] = *b"PCULVAUL";
/// Version of the format.
pub const VAULT_VERSION: u32 = 2;
/// First bytes of an index entry.
pub const ENTRY_MAGIC: [u8; 4] = *b"PVOB";

/// Flag of an entry: the ledger says that the object may leave the vault.
pub const RELEASED: u8 = 1;
/// Flag of an entry: the ledger names the object.
pub const RECORDED: u8 = 2;
/// Flag of an entry: the object is gone, and the entry only says what was there.
pub const REMOVED: u8 = 4;

/// In place of a chunk's number: the seals of all chunks.
pub const SEALS: u32 = u32::MAX;

/// HKDF-SHA256's info for the key that objects are encrypted with.
pub const OBJECTS_KEY: &[u8] = b"portcullis vault v2: objects";
/// HKDF-SHA256's info for the key that index entries are encrypted with.
pub const INDEX_KEY: &[u8] = b"portcullis vault v2: index";
/// How the info of every keyed hash begins; its use follows, `: `, the associated data, the content.
pub const HASH: &[u8] = b"portcullis vault v2 ";
/// Use of a keyed hash: nonce of a chunk, or of the seals.
pub const OBJECT_NONCE: &[u8] = b"object nonce";
/// Use of a keyed hash: nonce of an index entry.
pub const INDEX_NONCE: &[u8] = b"index nonce";
/// Use of a keyed hash: what an entry adds to the hash of all entries.
pub const INDEX_ELEMENT: &[u8] = b"index element";
/// Use of a keyed hash: MAC of the superblock.
pub const SUPERBLOCK: &[u8] = b"superblock";

/// Bytes of a nonce of XChaCha20.
pub const NONCE: usize = 24;
/// Bytes of a tag of Poly1305.
pub const TAG: usize = 16;

/// What it takes to open something sealed, and to know that it is the very thing that was meant. It
/// is kept apart from it, one level up: chunk, seals of the chunks, index entry.
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Seal {
    /// Nonce.
    pub nonce: [u8; NONCE],
    /// Tag.
    pub tag: [u8; TAG],
}

impl Seal {
    /// The seal of nothing.
    pub const NONE: Self = Self {
        nonce: [0; NONCE],
        tag: [0; TAG],
    };
}

/// The superblock.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Clone, Copy, Debug)]
#[repr(C)]
pub struct Superblock {
    /// [`VAULT_MAGIC`].
    pub magic: [u8; 8],
    /// [`VAULT_VERSION`].
    pub version: U32,
    /// Blocks of a full chunk.
    pub chunk_blocks: U32,
    /// Blocks of the index.
    pub index_blocks: U64,
    /// Blocks of the data.
    pub data_blocks: U64,
    /// Zero.
    pub reserved: [u8; AUTHENTICATED - 8 - 4 - 4 - 2 * 8],
    /// Keyed hash of all before it.
    pub mac: [u8; 32],
    /// SHA-256 of all before it.
    pub sha256: [u8; 32],
}

/// An index entry.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct IndexEntry {
    /// [`ENTRY_MAGIC`].
    pub magic: [u8; 4],
    /// Opens the body; the slot is authenticated with it.
    pub seal: Seal,
    /// A [`Body`], encrypted.
    pub body: [u8; BODY],
}

/// What an index entry says, in the clear.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Body {
    /// Number of the write: rises.
    pub number: U64,
    /// The elements of all other entries, added without carry.
    pub others: U128,
    /// Every document that the ledger names below this index is there, or was removed.
    pub through: U64,
    /// How often the index was found to be another than it was left.
    pub changes: U32,
    /// Number of the object, which its parts are sealed with.
    pub object: U64,
    /// SHA-256 of its content.
    pub digest: ObjectDigest,
    /// Its size in bytes.
    pub size: U64,
    /// Its first block, from the start of the data.
    pub first: U64,
    /// Seal of the only chunk, or of the seals of all chunks.
    pub root: Seal,
    /// Index of the first entry of the ledger that names it, where it is [`RECORDED`].
    pub recorded: U64,
    /// Entries of the ledger below this index were followed, as far as they name it.
    pub followed: U64,
    /// Entries of the ledger that name it, less those that remove it.
    pub references: U32,
    /// When it could be published first, in the order of numbers: 0 where it cannot.
    pub available: U64,
    /// [`RELEASED`], [`RECORDED`], [`REMOVED`].
    pub flags: u8,
    /// Bytes of the name.
    pub name_length: u8,
    /// The name that the ledger gives it; then zeros.
    pub name: [u8; NAME_MAX],
    /// Zero.
    pub reserved: [u8; BODY - 417],
}

const _: () = assert!(size_of::<Superblock>() == SECTOR && size_of::<IndexEntry>() == SECTOR);
const _: () = assert!(size_of::<Body>() == BODY);

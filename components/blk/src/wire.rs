//! The bytes of header and marks: all that the driver shares with who checks its disks.
//!
//! Numbers are little-endian. Both fit one [`SECTOR`], which a disk writes as a whole, and end with
//! the SHA-256 of what comes before; the rest of their block is zero. The regions `vault`, `grants`
//! and `worm` follow, in the order of [`Area::ALL`](crate::api::Area::ALL).

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    byteorder::little_endian::{U32, U64},
};

/// Bytes that a disk writes as a whole.
pub const SECTOR: usize = 512;
/// Bytes of a header or of marks that their hash covers.
pub const HASHED: usize = SECTOR - 32;

/// First bytes of a Portcullis disk.
pub const DISK_MAGIC: [u8; 8] = *b"PCULDISK";
/// Version of the header, of the marks and of the logs in the regions.
pub const DISK_VERSION: u32 = 2;
/// First bytes of marks.
pub const MARKS_MAGIC: [u8; 8] = *b"PCULMARK";
/// Version of the marks; 1 did not say how far the regions were flushed.
pub const MARKS_VERSION: u32 = 2;
/// Blocks that hold marks; they follow the header.
pub const MARK_BLOCKS: u64 = 2;
/// Blocks before the first region: header and marks.
pub const FRONT: u64 = 1 + MARK_BLOCKS;
/// Blocks after the last region: the header's copy.
pub const BACK: u64 = 1;

/// The partition header.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Debug)]
#[repr(C)]
pub struct Header {
    /// [`DISK_MAGIC`].
    pub magic: [u8; 8],
    /// [`DISK_VERSION`].
    pub version: U32,
    /// Bytes of a block.
    pub block_size: U32,
    /// Blocks of the disk.
    pub blocks: U64,
    /// The disk's id.
    pub id: [u8; 16],
    /// The regions, in order.
    pub areas: [Span; 3],
    /// Zero.
    pub reserved: [u8; HASHED - 8 - 4 - 4 - 8 - 16 - 3 * 16],
    /// SHA-256 of all before it.
    pub sha256: [u8; 32],
}

/// Blocks of the disk that make up a region.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Debug)]
#[repr(C)]
pub struct Span {
    /// The first block.
    pub start: U64,
    /// How many.
    pub length: U64,
}

/// The marks of the append regions.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Debug)]
#[repr(C)]
pub struct Marks {
    /// [`MARKS_MAGIC`].
    pub magic: [u8; 8],
    /// [`MARKS_VERSION`].
    pub version: U32,
    /// Zero.
    pub unused: U32,
    /// Rises with each write; says which of the two blocks these marks are in.
    pub sequence: U64,
    /// The region `grants`.
    pub grants: Extent,
    /// The region `worm`.
    pub worm: Extent,
    /// Zero.
    pub reserved: [u8; HASHED - 8 - 4 - 4 - 5 * 8],
    /// SHA-256 of all before it.
    pub sha256: [u8; 32],
}

/// How far an append region is written, in blocks.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Debug)]
#[repr(C)]
pub struct Extent {
    /// Where the next block goes.
    pub mark: U64,
    /// Blocks that were flushed before these marks were written.
    pub flushed: U64,
}

const _: () = assert!(size_of::<Header>() == SECTOR && size_of::<Marks>() == SECTOR);

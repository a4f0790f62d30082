//! Why bytes are not what they should be.

use std::fmt;

/// Why a block is not a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderFault {
    /// It does not begin as one.
    NoMagic,
    /// Its hash is wrong.
    Hash,
    /// It has another version.
    Version(u32),
    /// It is of a disk with other blocks.
    BlockSize(u32),
    /// A field that must be zero is not.
    Reserved,
    /// Its regions do not lie on the disk one behind the other.
    Regions,
}

/// Why a block is not marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkFault {
    /// It does not begin as marks, or its hash is wrong.
    Damaged,
    /// They have another version.
    Version(u32),
    /// A field that must be zero is not.
    Reserved,
    /// Marks with this number belong in the other block.
    Sequence(u64),
    /// They reach past a region, or more was flushed than written.
    Bounds,
}

/// Why bytes are not a block of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockFault {
    /// They do not begin as one.
    NotABlock,
    /// It has another version.
    Format(u16),
    /// A field has a value that the format does not allow.
    Field(&'static str),
    /// The lengths of its records do not add up.
    Records,
}

/// Why a block is not a superblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SuperblockFault {
    /// It does not begin as one, or its hash is wrong.
    Damaged,
    /// It has another version.
    Version(u32),
    /// Another key made it.
    Key,
    /// A field that must be zero is not.
    Reserved,
    /// The region cannot be divided so.
    Division,
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMagic => f.write_str("it does not begin as one"),
            Self::Hash => f.write_str("its hash is wrong"),
            Self::Version(version) => write!(f, "its version is {version}"),
            Self::BlockSize(size) => write!(f, "its blocks have {size} bytes"),
            Self::Reserved => f.write_str("a field that must be zero is not"),
            Self::Regions => f.write_str("its regions do not lie one behind the other"),
        }
    }
}

impl fmt::Display for MarkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("this is none, or its hash is wrong"),
            Self::Version(version) => write!(f, "their version is {version}"),
            Self::Reserved => f.write_str("a field that must be zero is not"),
            Self::Sequence(number) => write!(f, "number {number} belongs in the other block"),
            Self::Bounds => f.write_str("they reach past a region, or past what was written"),
        }
    }
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABlock => f.write_str("this is no block of a log"),
            Self::Format(version) => write!(f, "the block has version {version} of the format"),
            Self::Field(field) => write!(f, "the block's {field} cannot be"),
            Self::Records => f.write_str("the lengths of the block's records do not add up"),
        }
    }
}

impl fmt::Display for SuperblockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("this is none, or its hash is wrong"),
            Self::Version(version) => write!(f, "its version is {version}"),
            Self::Key => f.write_str("another key made it"),
            Self::Reserved => f.write_str("a field that must be zero is not"),
            Self::Division => f.write_str("the region cannot be divided as it says"),
        }
    }
}

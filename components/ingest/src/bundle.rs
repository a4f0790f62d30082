//! The bundle: documents on their way in, as one block of bytes.
//!
//! A header, then one entry of fixed size a document, then the contents, each from a multiple of
//! [`ALIGNMENT`] on and padded with zeros. Numbers are little-endian. Header and entries carry a
//! check of themselves and every content has its SHA-256 in its entry, so no byte can change
//! unnoticed, and a damaged entry takes no other with it. A document that could not be packed has an
//! entry too, which says why: it is reported where all others are.
//!
//! The check finds damage; it does not say who packed the bundle. Nothing here panics on any bytes.

use core::fmt;

use portcullis_kernel::{OutOfRange, Region};
use portcullis_publish::{DocumentPath, PATH_MAX, PathError};
use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of a bundle.
pub const MAGIC: [u8; 8] = *b"PCLSBNDL";
/// Version of the format; any change of header or entries raises it.
pub const FORMAT: u16 = 1;
/// Size of the header, in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();
/// Size of an entry, in bytes.
pub const ENTRY_SIZE: usize = size_of::<RawEntry>();
/// Bytes of an entry that hold the path: all that a path can have, and whole words.
const PATH_FIELD: usize = PATH_MAX.next_multiple_of(8);
/// Contents start at multiples of this many bytes: a word, so that they can be copied by words.
pub const ALIGNMENT: u64 = 8;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format: U16,
    reserved: U16,
    count: U32,
    check: [u8; 8],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone)]
#[repr(C)]
struct RawEntry {
    offset: U64,
    size: U64,
    sha256: [u8; 32],
    content: u8,
    reserved: [u8; 5],
    path_length: U16,
    check: [u8; 8],
    path: [u8; PATH_FIELD],
}

/// A bundle whose header is in order, and whose entries lie in its region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bundle {
    count: u32,
}

/// A document of a bundle, as its entry says. Holding one proves that the entry is undamaged, the
/// path is a document's, and a content that is present lies in the bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its path.
    pub path: DocumentPath,
    /// Its size, in bytes.
    pub size: u64,
    /// What it holds.
    pub content: Content,
}

/// The content of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// It is in the bundle.
    Present {
        /// Offset of its first byte in the bundle.
        offset: u64,
        /// SHA-256 of its bytes, as the packer read them.
        sha256: [u8; 32],
    },
    /// It could not be packed.
    Missing(Missing),
}

/// Why a document is not in the bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Missing {
    /// It is above the limit.
    TooLarge = 1,
    /// It could not be opened or read, for none of the reasons below.
    Unreadable = 2,
    /// Its name is not a document's path; the entry's path is an escaped form of it.
    BadName = 3,
    /// It is a symbolic link that leads back to itself, or too deep.
    LinkLoop = 4,
    /// It is neither a file nor a directory.
    NotAFile = 5,
    /// Its permissions do not let the packer read it.
    Denied = 6,
    /// It changed while it was packed.
    Changed = 7,
    /// It is a symbolic link to nothing.
    Dangling = 8,
    /// It is a symbolic link to outside the documents.
    Outside = 9,
    /// It is a symbolic link to a directory.
    LinkToDirectory = 10,
    /// It lies in more directories than a path can name.
    TooDeep = 11,
    /// It is a private key of Portcullis.
    Key = 12,
}

impl Missing {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::TooLarge,
        Self::Unreadable,
        Self::BadName,
        Self::LinkLoop,
        Self::NotAFile,
        Self::Denied,
        Self::Changed,
        Self::Dangling,
        Self::Outside,
        Self::LinkToDirectory,
        Self::TooDeep,
        Self::Key,
    ];
}

/// Why there is no bundle to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BundleError {
    /// The bytes do not start with [`MAGIC`].
    NotABundle,
    /// It is of another format version.
    Format(u16),
    /// The header does not match its check.
    Damaged,
    /// It is shorter than its entries.
    Truncated {
        /// Bytes that header and entries take.
        expected: u64,
        /// Bytes that there are.
        found: usize,
    },
}

/// Why an entry cannot be used. Other entries can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryError {
    /// There are only so many entries.
    Index(u32),
    /// The entry does not match its check.
    Damaged,
    /// A field that must be zero is not, or the kind of content is unknown.
    Unknown,
    /// The path has more bytes than an entry can hold.
    PathLength(u16),
    /// The path is not a document's.
    Path(PathError),
    /// The content does not lie in the bundle.
    OutOfBounds {
        /// Offset that the entry gives.
        offset: u64,
        /// Size that the entry gives, in bytes.
        size: u64,
        /// Size of the region that holds the bundle, in bytes.
        region: usize,
    },
    /// The content starts at an offset that no packer gives it.
    Misplaced(u64),
    /// The bytes between this content and the next are not zero.
    Padding,
}

impl Bundle {
    /// Reads the header of the bundle in `region`.
    pub fn open(region: &impl Region) -> Result<Self, BundleError> {
        let mut header = Header::new_zeroed();
        let found = region.size();
        let truncated = |_: OutOfRange| BundleError::Truncated {
            expected: HEADER_SIZE as u64,
            found,
        };
        region.read(0, header.as_mut_bytes()).map_err(truncated)?;
        if header.magic != MAGIC {
            return Err(BundleError::NotABundle);
        }
        if header.format.get() != FORMAT {
            return Err(BundleError::Format(header.format.get()));
        }
        if header.check != header.computed_check() || header.reserved.get() != 0 {
            return Err(BundleError::Damaged);
        }
        let count = header.count.get();
        let expected = contents_offset(count);
        if expected > found as u64 {
            return Err(BundleError::Truncated { expected, found });
        }
        Ok(Self { count })
    }

    /// How many entries there are.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Reads entry `index`.
    pub fn entry(self, region: &impl Region, index: u32) -> Result<Entry, EntryError> {
        if index >= self.count {
            return Err(EntryError::Index(self.count));
        }
        let mut raw = RawEntry::new_zeroed();
        region
            .read(entry_offset(index) as usize, raw.as_mut_bytes())
            .map_err(|_| EntryError::Damaged)?;
        let entry = raw.checked()?;
        if let Content::Present { offset, .. } = entry.content {
            self.check_place(region, offset, entry.size)?;
        }
        Ok(entry)
    }

    /// Checks that a content lies behind the entries, in the region, and is padded with zeros.
    fn check_place(self, region: &impl Region, offset: u64, size: u64) -> Result<(), EntryError> {
        let out_of_bounds = EntryError::OutOfBounds {
            offset,
            size,
            region: region.size(),
        };
        let end = offset.checked_add(size).ok_or(out_of_bounds)?;
        let padded = end
            .checked_next_multiple_of(ALIGNMENT)
            .ok_or(out_of_bounds)?;
        if padded > region.size() as u64 {
            return Err(out_of_bounds);
        }
        if offset < contents_offset(self.count) || !offset.is_multiple_of(ALIGNMENT) {
            return Err(EntryError::Misplaced(offset));
        }
        let mut padding = [0; ALIGNMENT as usize];
        let padding = &mut padding[..(padded - end) as usize];
        region
            .read(end as usize, padding)
            .map_err(|_| out_of_bounds)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(EntryError::Padding);
        }
        Ok(())
    }
}

/// Where contents go, for a packer: it places one after the other and writes each entry when its
/// content is written. Bytes that are not written are zeros.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    end: u64,
}

impl Layout {
    /// The layout of a bundle with `count` entries.
    pub const fn new(count: u32) -> Self {
        Self {
            end: contents_offset(count),
        }
    }

    /// The offset of the next content, of `size` bytes; `None` where no offset is left.
    pub const fn place(&mut self, size: u64) -> Option<u64> {
        let offset = self.end;
        let Some(end) = offset.checked_add(size) else {
            return None;
        };
        let Some(end) = end.checked_next_multiple_of(ALIGNMENT) else {
            return None;
        };
        self.end = end;
        Some(offset)
    }

    /// Size of the bundle so far, in bytes.
    pub const fn size(&self) -> u64 {
        self.end
    }
}

/// Offset of entry `index`.
pub const fn entry_offset(index: u32) -> u64 {
    HEADER_SIZE as u64 + index as u64 * ENTRY_SIZE as u64
}

/// Offset of the first content of a bundle with `count` entries.
pub const fn contents_offset(count: u32) -> u64 {
    entry_offset(count)
}

/// The header of a bundle with `count` entries.
pub fn encode_header(count: u32) -> [u8; HEADER_SIZE] {
    let mut header = Header {
        magic: MAGIC,
        format: U16::new(FORMAT),
        reserved: U16::ZERO,
        count: U32::new(count),
        check: [0; 8],
    };
    header.check = header.computed_check();
    zerocopy::transmute!(header)
}

/// The bytes of `entry`.
pub fn encode_entry(entry: &Entry) -> [u8; ENTRY_SIZE] {
    let path = entry.path.as_str().as_bytes();
    let mut raw = RawEntry::new_zeroed();
    raw.size = U64::new(entry.size);
    raw.path_length = U16::new(path.len() as u16);
    raw.path[..path.len()].copy_from_slice(path);
    match entry.content {
        Content::Present { offset, sha256 } => {
            raw.offset = U64::new(offset);
            raw.sha256 = sha256;
        }
        Content::Missing(reason) => raw.content = reason as u8,
    }
    raw.check = raw.computed_check();
    zerocopy::transmute!(raw)
}

impl Header {
    fn computed_check(&self) -> [u8; 8] {
        let unchecked = Self {
            check: [0; 8],
            ..self.clone()
        };
        short_hash(unchecked.as_bytes())
    }
}

impl RawEntry {
    fn computed_check(&self) -> [u8; 8] {
        let unchecked = Self {
            check: [0; 8],
            ..self.clone()
        };
        short_hash(unchecked.as_bytes())
    }

    fn checked(&self) -> Result<Entry, EntryError> {
        if self.check != self.computed_check() {
            return Err(EntryError::Damaged);
        }
        if self.reserved != [0; 5] {
            return Err(EntryError::Unknown);
        }
        let length = self.path_length.get();
        let path = self
            .path
            .get(..usize::from(length))
            .ok_or(EntryError::PathLength(length))?;
        Ok(Entry {
            path: DocumentPath::from_bytes(path).map_err(EntryError::Path)?,
            size: self.size.get(),
            content: self.content()?,
        })
    }

    fn content(&self) -> Result<Content, EntryError> {
        let Some(number) = self.content.checked_sub(1) else {
            return Ok(Content::Present {
                offset: self.offset.get(),
                sha256: self.sha256,
            });
        };
        let missing = Missing::ALL.get(usize::from(number));
        missing
            .map(|missing| Content::Missing(*missing))
            .ok_or(EntryError::Unknown)
    }
}

/// The first eight bytes of the SHA-256 of `bytes`: enough to find damage, not to stop a forger.
fn short_hash(bytes: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(bytes);
    core::array::from_fn(|i| digest[i])
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "too large",
            Self::Unreadable => "cannot be read",
            Self::BadName => {
                "its name is not UTF-8, too long, or has control characters; rename it"
            }
            Self::LinkLoop => "a symbolic link that leads back to itself",
            Self::NotAFile => "neither a file nor a directory",
            Self::Denied => "cannot be read; check its permissions",
            Self::Changed => "changed while it was packed; run again",
            Self::Dangling => "a symbolic link to nothing",
            Self::Outside => "a symbolic link to outside the documents",
            Self::LinkToDirectory => "a symbolic link to a directory",
            Self::TooDeep => "nested in too many directories",
            Self::Key => "a private key of Portcullis, and no document",
        })
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABundle => f.write_str("the inbox holds no bundle"),
            Self::Format(format) => {
                write!(
                    f,
                    "the bundle has format {format}; this program reads {FORMAT}: pack it again"
                )
            }
            Self::Damaged => f.write_str("the bundle's header is damaged: pack it again"),
            Self::Truncated { expected, found } => {
                write!(
                    f,
                    "the bundle is cut off: {found} bytes, and its entries take {expected}"
                )
            }
        }
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(count) => write!(f, "there are only {count} entries"),
            Self::Damaged => f.write_str("the entry is damaged: pack the documents again"),
            Self::Unknown => f.write_str("the entry has a field that this program does not know"),
            Self::PathLength(length) => write!(f, "the name has {length} bytes; {PATH_FIELD} fit"),
            Self::Path(error) => error.fmt(f),
            Self::OutOfBounds {
                offset,
                size,
                region,
            } => write!(
                f,
                "{size} bytes at {offset} do not lie in the bundle of {region} bytes: it is cut off"
            ),
            Self::Misplaced(offset) => write!(f, "the content cannot start at byte {offset}"),
            Self::Padding => f.write_str("the bytes after the content are damaged"),
        }
    }
}

impl core::error::Error for BundleError {}
impl core::error::Error for EntryError {}

#[cfg(test)]
mod tests;

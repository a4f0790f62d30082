//! Memory regions: pages that a component shares with another, or a device.
//!
//! The other side may write at any moment, so portable code never holds a reference into a region:
//! it copies out, checks the copy, and uses the copy. What is behind the trait (a memfd mapping,
//! a Microkit memory region, a test's buffer) is the platform's business.

use core::fmt;

/// An access past the end of a region, or a word that is not aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfRange {
    /// Offset of the access, in bytes.
    pub offset: usize,
    /// Length of the access, in bytes.
    pub length: usize,
    /// Size of the region, in bytes.
    pub size: usize,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            length,
            size,
        } = self;
        write!(
            f,
            "{length} bytes at {offset} do not lie in a region of {size} bytes"
        )
    }
}

impl core::error::Error for OutOfRange {}

/// A region that the component may read.
pub trait Region {
    /// Size in bytes.
    fn size(&self) -> usize;

    /// Copies `buffer.len()` bytes from `offset` on out of the region.
    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange>;

    /// Reads the aligned little-endian word at `offset`, before any later access (acquire): what
    /// was written before the word was stored is seen.
    fn load(&self, offset: usize) -> Result<u64, OutOfRange>;
}

/// How a platform maps regions into a component: one type for what it may read, another for what it
/// may write too. The `Regions` of a component, its wiring by name, are made of these.
pub trait Mapping {
    /// A region that is mapped read-only.
    type ReadOnly: Region + fmt::Debug;
    /// A region that is mapped read-write.
    type ReadWrite: RegionMut + fmt::Debug;
}

/// A region that the component may write too.
pub trait RegionMut: Region {
    /// Copies `bytes` into the region at `offset`.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange>;

    /// Writes the aligned little-endian word at `offset`, after any earlier access (release).
    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange>;
}

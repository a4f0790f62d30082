//! The page `lease_deadline`: when the manager wants to be woken next.
//!
//! Word 0: nanoseconds of monotonic time; 0: never. Only the manager writes it.

use portcullis_kernel::{OutOfRange, Region, RegionMut};

/// Offset of the word in the page.
const WORD: usize = 0;

/// Writes the page; `None`: never. A system without a clock has no such page.
pub fn write(page: &mut impl RegionMut, at: Option<u64>) -> Result<(), OutOfRange> {
    // A deadline at the moment 0 has passed, as one at 1 has.
    page.store(WORD, at.map_or(0, |at| at.max(1)))
}

/// Reads the page.
pub fn read(page: &impl Region) -> Option<u64> {
    page.load(WORD).ok().filter(|at| *at > 0)
}

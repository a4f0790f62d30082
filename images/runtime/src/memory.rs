//! A memory region that Microkit mapped.

use core::sync::atomic::{AtomicU64, Ordering};

use portcullis_kernel::{OutOfRange, Region, RegionMut};

/// A mapped memory region. The other side may write it at any moment, so no reference into it is
/// ever made: bytes are copied with volatile accesses, words with atomic ones.
#[derive(Debug)]
pub struct Memory {
    base: *mut u8,
    size: usize,
}

impl Memory {
    /// The region of `size` bytes at `base`.
    ///
    /// # Safety
    ///
    /// `base` and `size` are those of a `<map>` element of this protection domain in `system.xml`
    /// (through `setvar_vaddr` and `setvar_size`), mapped for as long as the domain runs; nothing
    /// else in the domain accesses it; and [`RegionMut`] is used only where `perms` has `w`.
    pub const unsafe fn new(base: *mut u8, size: usize) -> Self {
        Self { base, size }
    }

    fn at(&self, offset: usize, length: usize) -> Result<*mut u8, OutOfRange> {
        let end = offset.checked_add(length).filter(|end| *end <= self.size);
        if end.is_none() {
            return Err(OutOfRange {
                offset,
                length,
                size: self.size,
            });
        }
        Ok(self.base.wrapping_add(offset))
    }

    fn word(&self, offset: usize) -> Result<&AtomicU64, OutOfRange> {
        let place = self.at(offset, 8)?;
        if !place.addr().is_multiple_of(8) {
            return Err(OutOfRange {
                offset,
                length: 8,
                size: self.size,
            });
        }
        // SAFETY: inside the region (`at`), aligned (above), mapped for ever (`new`); shared memory
        // may be accessed through an atomic by both sides.
        Ok(unsafe { AtomicU64::from_ptr(place.cast()) })
    }
}

impl Region for Memory {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let mut from = self.at(offset, buffer.len())?;
        let (words, tail) = buffer.as_chunks_mut::<8>();
        for word in words {
            // SAFETY: inside the region (`at`); plain bytes, any value is valid, unaligned allowed
            // by going through a byte array.
            *word = unsafe { from.cast::<[u8; 8]>().read_volatile() };
            from = from.wrapping_add(8);
        }
        for byte in tail {
            // SAFETY: as above.
            *byte = unsafe { from.read_volatile() };
            from = from.wrapping_add(1);
        }
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        Ok(u64::from_le(self.word(offset)?.load(Ordering::Acquire)))
    }
}

impl RegionMut for Memory {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let mut to = self.at(offset, bytes.len())?;
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            // SAFETY: inside the region (`at`), writable (`new`).
            unsafe { to.cast::<[u8; 8]>().write_volatile(*word) };
            to = to.wrapping_add(8);
        }
        for byte in tail {
            // SAFETY: as above.
            unsafe { to.write_volatile(*byte) };
            to = to.wrapping_add(1);
        }
        Ok(())
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        self.word(offset)?.store(word.to_le(), Ordering::Release);
        Ok(())
    }
}

//! A memory region that Microkit mapped.

use core::sync::atomic::{AtomicU64, Ordering};

use portcullis_kernel::{OutOfRange, Region, RegionMut};

/// A region that `system.xml` maps with `perms="r"`.
#[derive(Debug)]
pub struct ReadOnly(Mapped);

/// A region that `system.xml` maps with `perms="rw"`.
#[derive(Debug)]
pub struct ReadWrite(Mapped);

/// A region as a protection domain maps it: its type says how.
pub trait FromMap {
    /// The region of `size` bytes at `base`.
    ///
    /// # Safety
    ///
    /// `base` and `size` are those of a `<map>` element of this protection domain in `system.xml`
    /// (through `setvar_vaddr` and `setvar_size`), mapped for as long as the domain runs, with the
    /// `perms` of the type; and nothing else in the domain accesses it.
    unsafe fn new(base: *mut u8, size: usize) -> Self;
}

impl FromMap for ReadOnly {
    unsafe fn new(base: *mut u8, size: usize) -> Self {
        Self(Mapped { base, size })
    }
}

impl FromMap for ReadWrite {
    unsafe fn new(base: *mut u8, size: usize) -> Self {
        Self(Mapped { base, size })
    }
}

/// A mapped memory region. The other side may write it at any moment, so no reference into it is
/// ever made: bytes are copied with volatile accesses (eight at a time where both sides are aligned,
/// since the boards' compilers make byte accesses of all others), words with atomic ones.
#[derive(Debug)]
struct Mapped {
    base: *mut u8,
    size: usize,
}

impl Mapped {
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
        // SAFETY: inside the region (`at`), aligned (above), mapped for ever (`FromMap`); shared memory
        // may be accessed through an atomic by both sides.
        Ok(unsafe { AtomicU64::from_ptr(place.cast()) })
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let mut from = self.at(offset, buffer.len())?;
        // SAFETY: any eight bytes are a word, and any word is eight bytes.
        let (head, words, tail) = unsafe { buffer.align_to_mut::<u64>() };
        for byte in head {
            // SAFETY: inside the region (`at`); any value is valid.
            *byte = unsafe { from.read_volatile() };
            from = from.wrapping_add(1);
        }
        let aligned = from.addr().is_multiple_of(8);
        for word in words {
            // SAFETY: as above; and aligned, or through a byte array, which need not be.
            *word = unsafe {
                if aligned {
                    from.cast::<u64>().read_volatile()
                } else {
                    u64::from_ne_bytes(from.cast::<[u8; 8]>().read_volatile())
                }
            };
            from = from.wrapping_add(8);
        }
        for byte in tail {
            // SAFETY: as above.
            *byte = unsafe { from.read_volatile() };
            from = from.wrapping_add(1);
        }
        Ok(())
    }

    /// Only of a region that is mapped read-write.
    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let mut to = self.at(offset, bytes.len())?;
        // SAFETY: any eight bytes are a word.
        let (head, words, tail) = unsafe { bytes.align_to::<u64>() };
        for byte in head {
            // SAFETY: inside the region (`at`), writable (`FromMap`, since only [`ReadWrite`] does this).
            unsafe { to.write_volatile(*byte) };
            to = to.wrapping_add(1);
        }
        let aligned = to.addr().is_multiple_of(8);
        for word in words {
            // SAFETY: as above; and aligned, or through a byte array, which need not be.
            unsafe {
                if aligned {
                    to.cast::<u64>().write_volatile(*word);
                } else {
                    to.cast::<[u8; 8]>().write_volatile(word.to_ne_bytes());
                }
            }
            to = to.wrapping_add(8);
        }
        for byte in tail {
            // SAFETY: as above.
            unsafe { to.write_volatile(*byte) };
            to = to.wrapping_add(1);
        }
        Ok(())
    }
}

impl Region for ReadOnly {
    fn size(&self) -> usize {
        self.0.size
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        self.0.read(offset, buffer)
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        Ok(u64::from_le(self.0.word(offset)?.load(Ordering::Acquire)))
    }
}

impl Region for ReadWrite {
    fn size(&self) -> usize {
        self.0.size
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        self.0.read(offset, buffer)
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        Ok(u64::from_le(self.0.word(offset)?.load(Ordering::Acquire)))
    }
}

impl RegionMut for ReadWrite {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        self.0.write(offset, bytes)
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        self.0.word(offset)?.store(word.to_le(), Ordering::Release);
        Ok(())
    }
}

//! Memory regions of a component: shared mappings of memory files.
//!
//! The other side of a region may write at any moment, so no reference into one ever exists: bytes
//! are copied out and in with volatile accesses, words with atomic ones. A region that the
//! component may only read is mapped from a descriptor that was opened read-only, so that no later
//! `mprotect` can make it writable, whatever the sandbox would let through.
//!
//! All of this crate's pointer arithmetic is in this module.

use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_kernel::{OutOfRange, Region, RegionMut};
use rustix::fs::SealFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// A mapped region. Stays mapped for as long as the process lives.
#[derive(Debug)]
pub struct Mapped {
    start: NonNull<u8>,
    size: usize,
    /// Whether nobody can write or shorten the file any more.
    sealed: bool,
}

/// A region that is mapped read-write. Only the platform that mapped it makes one.
#[derive(Debug)]
pub struct MappedMut(Mapped);

impl Mapped {
    /// Maps the first `size` bytes of `file`, which cannot shrink below that (it is sealed), to be
    /// read. `file` may be closed afterwards.
    pub fn read_only(file: &OwnedFd, size: usize) -> rustix::io::Result<Self> {
        Self::map(file, size, ProtFlags::READ)
    }

    fn map(file: &OwnedFd, size: usize, protection: ProtFlags) -> rustix::io::Result<Self> {
        // SAFETY: a null hint lets the kernel choose unused addresses (mmap(2)), so nothing that
        // exists is replaced; the mapping is never undone.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                size,
                protection,
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        // A file of a file system has no seals.
        let seals = rustix::fs::fcntl_get_seals(file).unwrap_or(SealFlags::empty());
        let sealed = seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::SEAL);
        Ok(Self {
            start,
            size,
            sealed,
        })
    }

    /// The region's bytes, where nobody can write them any more, this process included.
    pub fn constant(&self) -> Option<&'static [u8]> {
        if !self.sealed {
            return None;
        }
        // SAFETY: the seals, which cannot be taken off, keep every byte of the file as it is and
        // where it is (memfd_create(2)), so nothing writes what the slice borrows; the mapping has
        // `size` bytes, is never undone, and starts on a page.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) })
    }

    /// Address of the first byte, for tests that attack the mapping.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// The place of `length` bytes at `offset`, if all of them lie in the region.
    fn place(&self, offset: usize, length: usize) -> Result<*mut u8, OutOfRange> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size => {
                // SAFETY: offset <= size, and the mapping of `size` bytes at `start` is never undone.
                Ok(unsafe { self.start.as_ptr().add(offset) })
            }
            _ => Err(OutOfRange {
                offset,
                length,
                size: self.size,
            }),
        }
    }

    fn word(&self, offset: usize) -> Result<&AtomicU64, OutOfRange> {
        let place = self.place(offset, WORD)?;
        if !offset.is_multiple_of(WORD) {
            return Err(OutOfRange {
                offset,
                length: WORD,
                size: self.size,
            });
        }
        // SAFETY: `place` checked that the word lies in the mapping; mappings start on a page and
        // the offset is a multiple of 8, so it is aligned; the mapping outlives every borrow; and
        // an atomic may be shared with whoever else maps the page.
        Ok(unsafe { AtomicU64::from_ptr(place.cast()) })
    }
}

impl MappedMut {
    /// Maps the first `size` bytes of `file`, which cannot shrink below that, to be read and written.
    pub fn read_write(file: &OwnedFd, size: usize) -> rustix::io::Result<Self> {
        Mapped::map(file, size, ProtFlags::READ | ProtFlags::WRITE).map(Self)
    }

    /// Address of the first byte, for tests that attack the mapping.
    pub fn address(&self) -> usize {
        self.0.address()
    }
}

impl Region for Mapped {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let place = self.place(offset, buffer.len())?;
        // SAFETY: `place` checked that the bytes lie in the mapping; `buffer` is this process's own
        // memory and no mapping of a region, so the two do not overlap.
        unsafe { copy_out(place, buffer) };
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        Ok(u64::from_le(self.word(offset)?.load(Ordering::Acquire)))
    }
}

impl Region for MappedMut {
    fn size(&self) -> usize {
        self.0.size()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        self.0.read(offset, buffer)
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        self.0.load(offset)
    }
}

impl RegionMut for MappedMut {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let place = self.0.place(offset, bytes.len())?;
        // SAFETY: `place` checked that the bytes lie in the mapping, which is writable because
        // `read_write` made it; `bytes` is this process's own memory, so the two do not overlap.
        unsafe { copy_in(place, bytes) };
        Ok(())
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        self.0.word(offset)?.store(word.to_le(), Ordering::Release);
        Ok(())
    }
}

/// Copies out of memory that another process may be changing. Accesses to it are volatile, so that
/// the compiler neither repeats nor leaves out one; words wherever it is aligned.
///
/// # Safety
/// `region` is valid for reading `buffer.len()` bytes, which do not overlap `buffer`.
unsafe fn copy_out(region: *const u8, buffer: &mut [u8]) {
    let head = region.align_offset(WORD).min(buffer.len());
    let (head, rest) = buffer.split_at_mut(head);
    let words = rest.len() / WORD * WORD;
    let (middle, tail) = rest.split_at_mut(words);
    for (i, byte) in head.iter_mut().enumerate() {
        // SAFETY: i is below the buffer's length.
        *byte = unsafe { region.add(i).read_volatile() };
    }
    for (i, word) in middle.chunks_exact_mut(WORD).enumerate() {
        // SAFETY: the word lies in the buffer's length, and the head ends where words are aligned.
        let value = unsafe {
            let place = region.add(head.len() + i * WORD).cast::<u64>();
            place.read_volatile()
        };
        word.copy_from_slice(&value.to_ne_bytes());
    }
    for (i, byte) in tail.iter_mut().enumerate() {
        // SAFETY: head, words and i together are below the buffer's length.
        *byte = unsafe { region.add(head.len() + words + i).read_volatile() };
    }
}

/// Copies into memory that another process may be reading, as [`copy_out`] does out of it.
///
/// # Safety
/// `region` is valid for writing `bytes.len()` bytes, which do not overlap `bytes`.
unsafe fn copy_in(region: *mut u8, bytes: &[u8]) {
    let (head, rest) = bytes.split_at(region.align_offset(WORD).min(bytes.len()));
    let (middle, tail) = rest.split_at(rest.len() / WORD * WORD);
    for (i, byte) in head.iter().enumerate() {
        // SAFETY: i is below the length of `bytes`.
        unsafe { region.add(i).write_volatile(*byte) };
    }
    for (i, word) in middle.chunks_exact(WORD).enumerate() {
        let value = u64::from_ne_bytes(word.try_into().expect("chunks of eight bytes"));
        // SAFETY: the word lies in the length of `bytes`, and the head ends where words are aligned.
        unsafe {
            let place = region.add(head.len() + i * WORD).cast::<u64>();
            place.write_volatile(value);
        }
    }
    for (i, byte) in tail.iter().enumerate() {
        // SAFETY: head, words and i together are below the length of `bytes`.
        unsafe {
            region
                .add(head.len() + middle.len() + i)
                .write_volatile(*byte)
        };
    }
}

//! Memory regions of tests.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use portcullis_kernel::{OutOfRange, Region, RegionMut};

/// Bytes of a word.
const WORD: usize = 8;

/// A memory region, zeroed at first. Clones are mappings of the same memory.
#[derive(Clone, Debug)]
pub struct SharedRegion(Rc<RefCell<Vec<u8>>>);

impl SharedRegion {
    /// A region of `size` zero bytes.
    pub fn new(size: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0; size])))
    }

    /// A region that holds `bytes`.
    pub fn with(bytes: &[u8]) -> Self {
        Self(Rc::new(RefCell::new(bytes.to_vec())))
    }

    /// A mapping of the same memory that can only be read.
    pub fn read_only(&self) -> ReadOnlyRegion {
        ReadOnlyRegion(self.clone())
    }

    /// A copy of what it holds.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }

    /// Where `length` bytes at `offset` lie, if they lie in the region.
    fn range(&self, offset: usize, length: usize) -> Result<core::ops::Range<usize>, OutOfRange> {
        let size = self.0.borrow().len();
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(offset..end),
            _ => Err(OutOfRange {
                offset,
                length,
                size,
            }),
        }
    }

    /// As [`range`](Self::range), of an aligned word.
    fn word(&self, offset: usize) -> Result<core::ops::Range<usize>, OutOfRange> {
        if offset.is_multiple_of(WORD) {
            return self.range(offset, WORD);
        }
        Err(OutOfRange {
            offset,
            length: WORD,
            size: self.size(),
        })
    }
}

impl Region for SharedRegion {
    fn size(&self) -> usize {
        self.0.borrow().len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let range = self.range(offset, buffer.len())?;
        buffer.copy_from_slice(&self.0.borrow()[range]);
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        let range = self.word(offset)?;
        let mut word = [0; WORD];
        word.copy_from_slice(&self.0.borrow()[range]);
        Ok(u64::from_le_bytes(word))
    }
}

impl RegionMut for SharedRegion {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let range = self.range(offset, bytes.len())?;
        self.0.borrow_mut()[range].copy_from_slice(bytes);
        Ok(())
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        let range = self.word(offset)?;
        self.0.borrow_mut()[range].copy_from_slice(&word.to_le_bytes());
        Ok(())
    }
}

/// A memory region that its holder can only read, whoever else writes it.
#[derive(Clone, Debug)]
pub struct ReadOnlyRegion(SharedRegion);

impl Region for ReadOnlyRegion {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_share_their_bytes() {
        let mut writer = SharedRegion::new(16);
        let reader = writer.read_only();
        writer.store(8, 0x0102).unwrap();
        assert_eq!(reader.load(8), Ok(0x0102));
        assert_eq!(writer.clone().bytes()[8..10], [2, 1]);
    }

    #[test]
    fn accesses_past_the_end_or_unaligned_are_refused() {
        let mut region = SharedRegion::with(&[1; 16]);
        assert!(region.read(0, &mut [0; 16]).is_ok());
        assert!(region.read(1, &mut [0; 16]).is_err());
        assert!(region.read(usize::MAX, &mut [0; 2]).is_err());
        assert!(region.load(4).is_err());
        assert!(region.store(16, 1).is_err());
        assert!(region.write(15, &[0; 2]).is_err());
        assert_eq!(region.bytes(), [1; 16]);
    }
}

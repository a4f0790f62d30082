//! Memory for tests: a region that a writer and a reader share.

use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

use portcullis_kernel::{OutOfRange, Region, RegionMut};

/// A region; a clone is another mapping of the same memory.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Rc<RefCell<Vec<u8>>>);

impl Memory {
    pub(crate) fn new(size: usize) -> Self {
        Self::of(std::vec![0; size])
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }

    fn range(&self, offset: usize, length: usize) -> Result<core::ops::Range<usize>, OutOfRange> {
        let size = self.size();
        let error = OutOfRange {
            offset,
            length,
            size,
        };
        let end = offset.checked_add(length).ok_or(error)?;
        if end <= size {
            Ok(offset..end)
        } else {
            Err(error)
        }
    }
}

impl Region for Memory {
    fn size(&self) -> usize {
        self.0.borrow().len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let range = self.range(offset, buffer.len())?;
        buffer.copy_from_slice(&self.0.borrow()[range]);
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        let mut word = [0; 8];
        self.read(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

impl RegionMut for Memory {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let range = self.range(offset, bytes.len())?;
        self.0.borrow_mut()[range].copy_from_slice(bytes);
        Ok(())
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        self.write(offset, &word.to_le_bytes())
    }
}

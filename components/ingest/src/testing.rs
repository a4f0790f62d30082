//! Memory for tests: a region that is a vector.

use std::vec::Vec;

use portcullis_kernel::{OutOfRange, Region};

/// A region that nobody else writes.
#[derive(Debug)]
pub(crate) struct Memory(Vec<u8>);

impl Memory {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Region for Memory {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let length = buffer.len();
        let size = self.size();
        let error = OutOfRange {
            offset,
            length,
            size,
        };
        let end = offset.checked_add(length).ok_or(error)?;
        buffer.copy_from_slice(self.0.get(offset..end).ok_or(error)?);
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        let mut word = [0; 8];
        self.read(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

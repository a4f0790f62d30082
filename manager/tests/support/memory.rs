//! A region that two sides map.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_kernel::{OutOfRange, Region, RegionMut};

#[derive(Clone, Debug)]
pub struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    pub fn new(size: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0; size])))
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), OutOfRange> {
        let size = self.size();
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(()),
            _ => Err(OutOfRange {
                offset,
                length,
                size,
            }),
        }
    }
}

impl Region for Shared {
    fn size(&self) -> usize {
        self.0.borrow().len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        self.check(offset, buffer.len())?;
        buffer.copy_from_slice(&self.0.borrow()[offset..offset + buffer.len()]);
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        let mut word = [0; 8];
        self.read(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

impl RegionMut for Shared {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        self.check(offset, bytes.len())?;
        self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        self.write(offset, &word.to_le_bytes())
    }
}

//! A disk in memory that fails and loses power on command.
//!
//! Keeps what is durable apart from what was only written, so that a test can cut the power after
//! any operation and choose, sector by sector, what of the unflushed writes is there afterwards.

use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

use crate::{BLOCK, Disk, DiskError, disk::check};

/// Bytes that a disk writes as a whole.
pub const SECTOR: usize = 512;

/// What is to go wrong. Operations are writes and flushes, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    /// The operation before which the power goes: it and every later one, reads too, fail.
    pub power_off: Option<u64>,
    /// The operation that fails. A write leaves its first `kept` sectors. A flush loses what was
    /// written before it: that is read back all the same, as out of a cache, and no later flush
    /// makes it durable.
    pub fail: Option<u64>,
    /// Sectors that a failed write leaves.
    pub kept: usize,
    /// The operation that does its work and then says that it failed.
    pub lie: Option<u64>,
    /// The write that says that it did its work, and did nothing.
    pub lost: Option<u64>,
    /// The write that says that it did its work, and did it from another block on.
    pub misdirected: Option<(u64, u64)>,
    /// The block that cannot be read.
    pub unreadable: Option<u64>,
}

/// A disk that outlives its driver, as a real one does.
impl<D: Disk> Disk for Rc<RefCell<D>> {
    fn blocks(&self) -> u64 {
        self.borrow().blocks()
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        self.borrow_mut().read(first, data)
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.borrow_mut().write(first, data)
    }

    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        self.borrow_mut().write_behind(first, kept, data)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.borrow_mut().flush()
    }
}

/// The disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    durable: Vec<u8>,
    now: Vec<u8>,
    unflushed: Vec<(usize, Vec<u8>)>,
    operations: u64,
    off: bool,
    /// What is to go wrong.
    pub plan: Plan,
}

impl FaultyDisk {
    /// A disk of zeroes.
    pub fn new(blocks: u64) -> Self {
        Self::from_bytes(std::vec![0; blocks as usize * BLOCK])
    }

    /// A disk with this content, all of it durable.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            durable: bytes.clone(),
            now: bytes,
            unflushed: Vec::new(),
            operations: 0,
            off: false,
            plan: Plan::default(),
        }
    }

    /// Writes and flushes so far.
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether the power went.
    pub const fn is_off(&self) -> bool {
        self.off
    }

    /// Sectors written and not flushed.
    pub fn unflushed_sectors(&self) -> usize {
        self.sectors().count()
    }

    /// The content as it is read now.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.now
    }

    /// The disk after a power cut: what was flushed, and of the sectors written since those for
    /// which `keep` says so, in the order in which they were written.
    #[must_use]
    pub fn cut(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut bytes = self.durable.clone();
        for (number, (at, sector)) in self.sectors().enumerate() {
            if keep(number) {
                bytes[at..][..SECTOR].copy_from_slice(sector);
            }
        }
        Self::from_bytes(bytes)
    }

    fn sectors(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.unflushed.iter().flat_map(|(at, data)| {
            let sectors = data.chunks(SECTOR).enumerate();
            sectors.map(move |(number, sector)| (at + number * SECTOR, sector))
        })
    }

    /// Counts an operation; its number, or `None` when the power is off.
    fn next(&mut self) -> Option<u64> {
        let number = self.operations;
        self.off |= self.plan.power_off == Some(number);
        if self.off {
            return None;
        }
        self.operations += 1;
        Some(number)
    }

    fn apply(&mut self, at: usize, data: &[u8]) {
        self.now[at..][..data.len()].copy_from_slice(data);
        self.unflushed.push((at, data.to_vec()));
    }
}

impl Disk for FaultyDisk {
    fn blocks(&self) -> u64 {
        (self.now.len() / BLOCK) as u64
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        check(first, data.len(), self.blocks())?;
        let blocks = first..first + (data.len() / BLOCK) as u64;
        let unreadable = self.plan.unreadable;
        if self.off || unreadable.is_some_and(|block| blocks.contains(&block)) {
            return Err(DiskError::Read { first });
        }
        data.copy_from_slice(&self.now[first as usize * BLOCK..][..data.len()]);
        Ok(())
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.write_behind(first, 0, data)
    }

    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        check(first, data.len(), self.blocks())?;
        let failed = Err(DiskError::Write { first });
        let Some(number) = self.next() else {
            return failed;
        };
        let at = match self.plan.misdirected {
            Some((operation, block)) if operation == number => {
                block.min(self.blocks() - (data.len() / BLOCK) as u64)
            }
            _ => first,
        };
        let at = at as usize * BLOCK + kept * SECTOR;
        let data = &data[kept * SECTOR..];
        if self.plan.lost == Some(number) {
            return Ok(());
        }
        if self.plan.fail == Some(number) {
            let kept = data.len().min(self.plan.kept * SECTOR);
            self.apply(at, &data[..kept]);
            return failed;
        }
        self.apply(at, data);
        if self.plan.lie == Some(number) {
            failed
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let Some(number) = self.next() else {
            return Err(DiskError::Flush);
        };
        if self.plan.fail == Some(number) {
            self.unflushed.clear();
            return Err(DiskError::Flush);
        }
        for (at, data) in self.unflushed.drain(..) {
            self.durable[at..][..data.len()].copy_from_slice(&data);
        }
        if self.plan.lie == Some(number) {
            Err(DiskError::Flush)
        } else {
            Ok(())
        }
    }
}

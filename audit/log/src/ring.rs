//! The ring that carries records from the manager to the ledger.
//!
//! Two regions. The *ring* the manager maps read-write and the ledger read-only: a header page
//! whose first word is the *head* (sequence number of the next record), then [`SLOT`]-byte slots;
//! record n lies in slot n modulo their number. The *acknowledgement* is a page the other way
//! round: its first word is the sequence number up to which the ledger has made records durable.
//! Nothing else can write either.
//!
//! Fail closed: a slot is reused only after its record was acknowledged, so when the ledger stops,
//! the ring fills and [`Writer::push`] refuses. The writer does not trust the acknowledgement: one
//! that goes back, or past the head, counts as none.

use portcullis_kernel::{OutOfRange, Region, RegionMut};

use crate::record::{RECORD_MAX, Record};

/// Bytes a slot: two of length, then the record.
pub const SLOT: usize = RECORD_MAX + 2;
/// Offset of the first slot: the header has a page of its own.
pub const SLOTS_OFFSET: usize = 4096;
/// Offset of the head in the ring.
pub const HEAD: usize = 0;
/// Offset, in the acknowledgement page, of the number of records of this boot that are durable.
pub const ACKNOWLEDGED: usize = 0;

/// The ring is full: the ledger has not acknowledged the oldest record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The manager's end.
#[derive(Debug)]
pub struct Writer<R, A> {
    ring: R,
    acknowledgement: A,
    slots: u64,
    head: u64,
    acknowledged: u64,
}

impl<R: RegionMut, A: Region> Writer<R, A> {
    /// A ring that is empty and starts at record 0.
    pub fn new(ring: R, acknowledgement: A) -> Result<Self, OutOfRange> {
        let slots = (ring.size().saturating_sub(SLOTS_OFFSET) / SLOT) as u64;
        if slots == 0 {
            let (offset, size) = (SLOTS_OFFSET, ring.size());
            return Err(OutOfRange {
                offset,
                length: SLOT,
                size,
            });
        }
        Ok(Self {
            ring,
            acknowledgement,
            slots,
            head: 0,
            acknowledged: 0,
        })
    }

    /// Sequence number of the next record, in this boot.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// Records that can be pushed before the ring is full.
    pub fn free(&mut self) -> u64 {
        if let Ok(acknowledged) = self.acknowledgement.load(ACKNOWLEDGED)
            && acknowledged > self.acknowledged
            && acknowledged <= self.head
        {
            self.acknowledged = acknowledged;
        }
        self.slots - (self.head - self.acknowledged)
    }

    /// Writes `record` and publishes it.
    pub fn push(&mut self, record: &Record) -> Result<(), Full> {
        if self.free() == 0 {
            return Err(Full);
        }
        let mut slot = [0; SLOT];
        let mut buffer = [0; RECORD_MAX];
        let bytes = record.encode(&mut buffer);
        slot[..2].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        slot[2..][..bytes.len()].copy_from_slice(bytes);
        let offset = offset(self.head, self.slots);
        self.ring
            .write(offset, &slot[..2 + bytes.len()])
            .map_err(|_| Full)?;
        self.head += 1;
        self.ring.store(HEAD, self.head).map_err(|_| Full)
    }
}

/// The ledger's end.
#[derive(Debug)]
pub struct Reader<R, A> {
    ring: R,
    acknowledgement: A,
    slots: u64,
    next: u64,
}

impl<R: Region, A: RegionMut> Reader<R, A> {
    /// The reading end of a ring that starts at record 0.
    pub fn new(ring: R, acknowledgement: A) -> Self {
        let slots = (ring.size().saturating_sub(SLOTS_OFFSET) / SLOT) as u64;
        Self {
            ring,
            acknowledgement,
            slots,
            next: 0,
        }
    }

    /// Copies the next record's bytes into `buffer`; `None` where there is none. A slot whose
    /// length makes no sense gives no bytes: the manager is trusted to mint, not to be right.
    pub fn pop<'b>(&mut self, buffer: &'b mut [u8; RECORD_MAX]) -> Option<&'b [u8]> {
        let head = self.ring.load(HEAD).ok()?;
        if self.next >= head || self.slots == 0 {
            return None;
        }
        let offset = offset(self.next, self.slots);
        let mut length = [0; 2];
        self.ring.read(offset, &mut length).ok()?;
        let bytes = buffer.get_mut(..usize::from(u16::from_le_bytes(length)))?;
        self.ring.read(offset + 2, bytes).ok()?;
        self.next += 1;
        Some(bytes)
    }

    /// Tells the manager that every record popped so far is durable.
    pub fn acknowledge(&mut self) -> Result<(), OutOfRange> {
        self.acknowledgement.store(ACKNOWLEDGED, self.next)
    }
}

fn offset(sequence: u64, slots: u64) -> usize {
    SLOTS_OFFSET + (sequence % slots) as usize * SLOT
}

//! The ring that carries records from the manager to the ledger.
//!
//! Two regions. The *ring* the manager maps read-write and the ledger read-only: a header page
//! whose first word is the *head* (sequence number of the next record), then [`SLOT`]-byte slots;
//! record n lies in slot n modulo their number. The *acknowledgement* is a page the other way
//! round: its first word is the sequence number up to which the ledger has made records durable.
//! Nothing else can write either.
//!
//! Fail closed: when the log takes no record any more, the ledger closes the ring, and
//! [`Writer::push`] refuses. A slot is reused only after its record was acknowledged, so when the
//! ledger just stops, the ring fills, and the same happens. The writer does not trust the acknowledgement: one
//! that goes back, or past the head, counts as none. Nor does the reader trust the ring: a head
//! that goes back or runs away, and a length that makes no sense, are faults, and after a fault
//! nothing more is read, since what follows could no longer be told to be complete. A page that acknowledges
//! anything before there is a record was filled by somebody else: the writer takes it for closed.

use core::fmt;

use portcullis_kernel::{OutOfRange, Region, RegionMut};

use crate::record::{Encoded, RECORD_MAX, Record};

/// Bytes a slot: eight of length, then the record.
pub const SLOT: usize = size_of::<Encoded>();
/// Offset of the first slot: the header has a page of its own.
pub const SLOTS_OFFSET: usize = 4096;
/// Offset of the head in the ring.
pub const HEAD: usize = 0;
/// Offset, in the acknowledgement page, of the number of records of this boot that are durable.
pub const ACKNOWLEDGED: usize = 0;

/// Offset, in the acknowledgement page, of a word that is not zero when no record is taken any more.
pub const CLOSED: usize = 8;

/// The ring is full: the ledger has not acknowledged the oldest record, or takes none any more.
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
    /// Something was acknowledged before there was anything: the page is not the ledger's.
    forged: bool,
    /// On its way into the ring, aligned as slots are, so that whole words can be copied.
    slot: Encoded,
}

const _: () = assert!(SLOT.is_multiple_of(8) && SLOTS_OFFSET.is_multiple_of(8));

impl<R: RegionMut, A: Region> Writer<R, A> {
    /// A ring that is empty and starts at record 0.
    pub fn new(ring: R, acknowledgement: A) -> Result<Self, OutOfRange> {
        let slots = slots(ring.size());
        if slots == 0 {
            let (offset, size) = (SLOTS_OFFSET, ring.size());
            return Err(OutOfRange {
                offset,
                length: SLOT,
                size,
            });
        }
        Ok(Self {
            forged: acknowledgement.load(ACKNOWLEDGED) != Ok(0),
            ring,
            acknowledgement,
            slots,
            head: 0,
            acknowledged: 0,
            slot: Encoded::EMPTY,
        })
    }

    /// Sequence number of the next record, in this boot.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// Records that can be pushed before the ring is full. None where the ledger takes no more.
    pub fn free(&mut self) -> u64 {
        if self.is_closed() {
            return 0;
        }
        self.update();
        self.known_free()
    }

    /// Whether that many records can be pushed. Looks at what is acknowledged only where it must.
    pub fn has_room(&mut self, records: u64) -> bool {
        if self.known_free() >= records {
            !self.is_closed()
        } else {
            self.free() >= records
        }
    }

    fn known_free(&self) -> u64 {
        self.slots - (self.head - self.acknowledged)
    }

    fn is_closed(&self) -> bool {
        self.forged || self.acknowledgement.load(CLOSED) != Ok(0)
    }

    fn update(&mut self) {
        if let Ok(acknowledged) = self.acknowledgement.load(ACKNOWLEDGED)
            && !self.forged
            && acknowledged > self.acknowledged
            && acknowledged <= self.head
        {
            self.acknowledged = acknowledged;
        }
    }

    /// Records of this boot that are durable.
    pub fn acknowledged(&mut self) -> u64 {
        self.update();
        self.acknowledged
    }

    /// The bytes of record `sequence` of this boot, for as long as no later one has its slot.
    pub fn record<'b>(&self, sequence: u64, slot: &'b mut [u8; SLOT]) -> Option<&'b [u8]> {
        if sequence >= self.head || self.head - sequence > self.slots {
            return None;
        }
        let place = offset(sequence, self.slots);
        self.ring.read(place, slot).ok()?;
        let (length, bytes) = slot.split_first_chunk()?;
        bytes.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)
    }

    /// Writes `record` and publishes it.
    pub fn push(&mut self, record: &Record) -> Result<(), Full> {
        if !self.has_room(1) {
            return Err(Full);
        }
        self.slot.set(record);
        self.ring
            .write(offset(self.head, self.slots), self.slot.slot())
            .map_err(|_| Full)?;
        self.head += 1;
        self.ring.store(HEAD, self.head).map_err(|_| Full)
    }
}

/// Why the ring can no longer be read: the manager did what it must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingFault {
    /// The head went back below records that were already read.
    Rewound {
        /// The head found.
        head: u64,
        /// Records read.
        read: u64,
    },
    /// Records were written over before they were read and acknowledged.
    Overrun {
        /// The head found.
        head: u64,
        /// The oldest record that is still whole if nothing was overrun.
        acknowledged: u64,
    },
    /// A record's length is zero or above [`RECORD_MAX`].
    Length {
        /// Sequence number of the record.
        sequence: u64,
        /// The length found, in bytes.
        length: u64,
    },
    /// The region is smaller than a ring.
    Region(OutOfRange),
}

/// The ledger's end.
#[derive(Debug)]
pub struct Reader<R, A> {
    ring: R,
    acknowledgement: A,
    slots: u64,
    next: u64,
    acknowledged: u64,
    fault: Option<RingFault>,
}

impl<R: Region, A: RegionMut> Reader<R, A> {
    /// The reading end of a ring that starts at record 0.
    pub fn new(ring: R, acknowledgement: A) -> Self {
        let slots = slots(ring.size());
        Self {
            ring,
            acknowledgement,
            slots,
            next: 0,
            acknowledged: 0,
            fault: None,
        }
    }

    /// Sequence number of the record that is read next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Copies the next record's bytes into `buffer`; `None` where there is none yet. The bytes are
    /// what the manager wrote: whether they are a record is for who reads the log to find out.
    pub fn pop<'b>(
        &mut self,
        buffer: &'b mut [u8; RECORD_MAX],
    ) -> Result<Option<&'b [u8]>, RingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let popped = self.read(buffer);
        match popped {
            Ok(None) => Ok(None),
            Ok(Some(length)) => {
                self.next += 1;
                Ok(buffer.get(..length))
            }
            Err(fault) => {
                self.fault = Some(fault);
                Err(fault)
            }
        }
    }

    /// Tells the manager that every record popped so far is durable.
    pub fn acknowledge(&mut self) -> Result<(), OutOfRange> {
        self.acknowledgement.store(ACKNOWLEDGED, self.next)?;
        self.acknowledged = self.next;
        Ok(())
    }

    /// Tells the manager that no record is taken any more: the log is full, or failed.
    pub fn close(&mut self) {
        // The page is there, or the constructor's caller gave no region: then nobody reads it.
        let _ = self.acknowledgement.store(CLOSED, 1);
    }

    /// The length of the next record, which is then in `buffer`.
    fn read(&self, buffer: &mut [u8; RECORD_MAX]) -> Result<Option<usize>, RingFault> {
        let head = self.ring.load(HEAD).map_err(RingFault::Region)?;
        let sequence = self.next;
        if head < sequence {
            return Err(RingFault::Rewound {
                head,
                read: sequence,
            });
        }
        if head - self.acknowledged > self.slots {
            return Err(RingFault::Overrun {
                head,
                acknowledged: self.acknowledged,
            });
        }
        if head == sequence {
            return Ok(None);
        }
        let offset = offset(sequence, self.slots);
        let length = self.ring.load(offset).map_err(RingFault::Region)?;
        let is_sound = (1..=RECORD_MAX as u64).contains(&length);
        match buffer.get_mut(..length as usize).filter(|_| is_sound) {
            Some(bytes) => {
                let read = self.ring.read(offset + size_of::<u64>(), bytes);
                read.map_err(RingFault::Region)?;
                Ok(Some(bytes.len()))
            }
            None => Err(RingFault::Length { sequence, length }),
        }
    }
}

fn slots(size: usize) -> u64 {
    (size.saturating_sub(SLOTS_OFFSET) / SLOT) as u64
}

fn offset(sequence: u64, slots: u64) -> usize {
    SLOTS_OFFSET + (sequence % slots) as usize * SLOT
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewound { head, read } => {
                write!(
                    f,
                    "the ring's head went back to {head}, and {read} records were read"
                )
            }
            Self::Overrun { head, acknowledged } => write!(
                f,
                "the ring was overrun: its head is {head}, and only {acknowledged} records were \
                 acknowledged"
            ),
            Self::Length { sequence, length } => write!(
                f,
                "record {sequence} in the ring has {length} bytes; a record has 1 to {RECORD_MAX}"
            ),
            Self::Region(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for RingFault {}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the ring is full: the ledger has not acknowledged the oldest record, or takes none any more",
        )
    }
}

impl core::error::Error for Full {}

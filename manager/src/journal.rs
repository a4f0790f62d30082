//! Records of this boot on their way into the ring.

use portcullis_kernel::{Region, RegionMut};
use portcullis_log::ring::{Full, Writer};
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record};

/// What a record says, beside when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) operation: Operation,
    pub(crate) grant: Option<GrantFields>,
    pub(crate) cause: Cause,
    pub(crate) outcome: Outcome,
}

/// Numbers and dates records, and puts them into the ring.
#[derive(Debug)]
pub(crate) struct Journal<R, A> {
    ring: Writer<R, A>,
    boot: BootId,
    latest: u64,
    announced: u64,
}

impl<R: RegionMut, A: Region> Journal<R, A> {
    pub(crate) const fn new(ring: Writer<R, A>, boot: BootId) -> Self {
        Self {
            ring,
            boot,
            latest: 0,
            announced: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, now: u64, event: Event) -> Result<(), Full> {
        let Event {
            operation,
            grant,
            cause,
            outcome,
        } = event;
        self.latest = self.latest.max(now);
        self.ring.push(&Record {
            sequence: self.ring.head(),
            boot: self.boot,
            time: self.latest,
            operation,
            grant,
            cause,
            outcome,
        })
    }

    /// Whether that many records can be pushed before the ring is full.
    pub(crate) fn has_room(&mut self, records: u64) -> bool {
        self.ring.has_room(records)
    }

    /// Records of this boot.
    pub(crate) const fn written(&self) -> u64 {
        self.ring.head()
    }

    /// Of these, durable ones.
    pub(crate) fn durable(&mut self) -> u64 {
        self.ring.acknowledged()
    }

    pub(crate) fn record(&self, sequence: u64) -> Option<Record> {
        self.ring.record(sequence)
    }

    /// Whether there are records that the ledger was not told of.
    pub(crate) const fn has_news(&self) -> bool {
        self.announced < self.ring.head()
    }

    /// Notes that the ledger was told of all records.
    pub(crate) const fn announce(&mut self) {
        self.announced = self.ring.head();
    }
}

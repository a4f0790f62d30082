//! The grants in the kernel's slots while a board starts, against the log on its disk.
//!
//! A grant's record is in the ring before its capability exists, and the ledger makes it durable. When a
//! board starts nothing can be durable before the ledger and its driver have the grants that they need
//! for it. So a grant in the slots is in the log on the disk, or, where the log of this boot is not
//! durable yet, in the ring. That until then no grant is used to keep anything is for
//! [`oracle`](crate::oracle) to see.

use std::fs;

use portcullis_audit::policies::Policies;
use portcullis_audit::replay::Replay;
use portcullis_boards::capscan::scan;
use portcullis_boards::{Image, Memory};
use portcullis_hosted::appliance::{Scan, compare};
use portcullis_log::Record;
use portcullis_log::ring::SLOT;
use portcullis_policy_format::Policy;

use crate::oracle::Held;
use crate::writes::Operation;

/// Bytes of a page.
const PAGE: usize = 4_096;

/// What there was at one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    compiled: Vec<u8>,
    /// The grants in the slots.
    slots: Scan,
    /// The records in the ring.
    ring: Vec<Record>,
    /// Operations on the disk so far.
    pub(crate) operations: usize,
    /// Of these, flushes.
    pub(crate) flushes: usize,
}

impl Moment {
    /// Reads the slots; `None`: there are no grants in them yet.
    pub(crate) fn of(
        image: &Image,
        state: &std::path::Path,
        memory: &Memory,
        operations: &[Operation],
    ) -> Option<Self> {
        let compiled = fs::read(state.join("appliance.policy")).unwrap();
        let slots = scan(image, memory, &Policy::inspect(&compiled).unwrap()).ok()?;
        let flushes = operations.iter().filter(|it| **it == Operation::Flush);
        (!slots.slots.is_empty()).then(|| Self {
            slots,
            ring: ring(memory),
            operations: operations.len(),
            flushes: flushes.count(),
            compiled,
        })
    }

    /// Holds the slots against the log, of which all is `durable` that was flushed before, in this boot
    /// and before it; `true` where that is enough, and the ring was not asked.
    pub(crate) fn holds(
        &self,
        durable: &Held,
        before: &Held,
        policies: &Policies,
    ) -> Result<bool, String> {
        let is_sealed = durable.is_sealed_since(before);
        let mut replay = Replay::new(policies);
        let records = durable
            .grants
            .iter()
            .filter_map(|bytes| Record::decode(bytes));
        let waiting = if is_sealed { &[][..] } else { &self.ring };
        for (index, record) in (0..).zip(records.chain(waiting.iter().copied())) {
            replay.take(index, &record);
        }
        let is_of_this_boot = is_sealed || !waiting.is_empty();
        let in_force = if is_of_this_boot {
            replay.grants()
        } else {
            Vec::new()
        };
        let policy = Policy::inspect(&self.compiled).unwrap();
        let mut differences = compare(&self.slots, &in_force, &policy).differences;
        // A grant that is in the log and not yet in its slots is about to be issued.
        differences.retain(|it| !it.contains(" is empty, and holds "));
        match differences.first() {
            Some(difference) => Err(format!(
                "{difference} (of {} records in the ring)",
                self.ring.len()
            )),
            None => Ok(is_sealed),
        }
    }
}

/// The records in the manager's ring: in the page whose slots hold most of a boot from its first on.
/// The policy has fewer grants than a page has slots. Anything can look like the first record.
fn ring(memory: &Memory) -> Vec<Record> {
    let record = |slot: &[u8]| {
        let (length, bytes) = slot.split_first_chunk()?;
        Record::decode(bytes.get(..u16::from_le_bytes(*length).into())?)
    };
    let records = |page: &[u8]| -> Vec<Record> {
        let slots = (0..).zip(page.chunks_exact(SLOT));
        slots
            .map_while(|(number, slot)| record(slot).filter(|it| it.sequence == number))
            .collect()
    };
    let pages = memory
        .written()
        .flat_map(|(_, bytes)| bytes.chunks_exact(PAGE));
    pages.map(records).max_by_key(Vec::len).unwrap_or_default()
}

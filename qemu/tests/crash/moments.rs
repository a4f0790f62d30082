//! The grants in the kernel's slots while a board starts, against the log on its disk.
//!
//! A grant's record is durable before its capability exists: what is in the slots is in the log, as it
//! would be after a power cut at this moment. Nothing can be durable before those have their grants who
//! make it so, whose records are in the ring by then.

use std::collections::BTreeSet;
use std::fs;

use portcullis_audit::capscan::{Scan, compare};
use portcullis_audit::policies::Policies;
use portcullis_audit::replay::{InForce, Replay};
use portcullis_kernel::Mode;
use portcullis_log::Record;
use portcullis_log::ring::SLOT;
use portcullis_policy_format::Policy;
use portcullis_qemu::capscan::scan;
use portcullis_qemu::{Image, Memory};

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
    /// and before it; `true` where all grants of this boot are.
    pub(crate) fn holds(
        &self,
        durable: &Held,
        before: &Held,
        policies: &Policies,
    ) -> Result<bool, String> {
        let policy = Policy::inspect(&self.compiled).unwrap();
        let mut in_force = self.in_force(durable, before, policies, &[]);
        let log_path = log_path(&policy);
        let early = self.in_force(durable, before, policies, &self.ring);
        let is_early = |it: &InForce| {
            let is_durable = in_force.iter().any(|durable| durable.grant == it.grant);
            !is_durable && log_path.contains(&it.grant.grant.subject)
        };
        let early: Vec<_> = early.into_iter().filter(is_early).collect();
        in_force.extend(early);
        let mut differences = compare(&self.slots, &in_force, &policy).differences;
        // A grant that is in the log and not yet in its slots is about to be issued.
        differences.retain(|it| !it.contains(" is empty, and holds "));
        match differences.first() {
            Some(difference) => Err(format!(
                "{difference} (of {} records in the ring)",
                self.ring.len()
            )),
            None => Ok(durable.is_sealed_since(before)),
        }
    }

    /// The grants of this boot that are in force by what is `durable`, and by more records of the boot.
    fn in_force(
        &self,
        durable: &Held,
        before: &Held,
        policies: &Policies,
        ring: &[Record],
    ) -> Vec<InForce> {
        let mut replay = Replay::new(policies);
        let records = durable.grants.iter().map(|bytes| Record::decode(bytes));
        let records = records.map(|it| it.expect("recovery found that it is one"));
        let known = durable.grants_since(before);
        let more = ring.iter().copied().skip(known);
        for (index, record) in (0..).zip(records.chain(more)) {
            replay.take(index, &record);
        }
        let is_of_this_boot = known > 0 || !ring.is_empty();
        if is_of_this_boot {
            replay.grants()
        } else {
            Vec::new()
        }
    }
}

/// The components without whose grants no record becomes durable: the manager, the ledger, and whom
/// these call or send to.
fn log_path(policy: &Policy<'_>) -> BTreeSet<u16> {
    let components = (0..).zip(policy.components());
    let own = components.filter(|(_, it)| ["manager", "ledger"].contains(&it.name));
    let mut path: BTreeSet<u16> = own.map(|(number, _)| number).collect();
    loop {
        let waits = policy.grants().map(|it| it.grant).filter(|grant| {
            let subject = grant.subject;
            matches!(grant.mode, Mode::Call | Mode::Send) && path.contains(&subject)
        });
        let more: Vec<_> = waits.map(|grant| grant.object).collect();
        let known = path.len();
        path.extend(more);
        if path.len() == known {
            return path;
        }
    }
}

/// The records in the manager's ring: behind the beginning of a page, in the slots that hold most of a
/// boot from its first on. Anything can look like the first record.
fn ring(memory: &Memory) -> Vec<Record> {
    let record = |slot: &[u8]| {
        let (length, bytes) = slot.split_first_chunk()?;
        Record::decode(bytes.get(..u64::from_le_bytes(*length) as usize)?)
    };
    let records = |slots: &[u8]| -> Vec<Record> {
        let slots = (0..).zip(slots.chunks_exact(SLOT));
        slots
            .map_while(|(number, slot)| record(slot).filter(|it| it.sequence == number))
            .collect()
    };
    let pages = memory.written().flat_map(|(_, bytes)| {
        let pages = (0..bytes.len()).step_by(PAGE);
        pages.map(|at| &bytes[at..])
    });
    pages.map(records).max_by_key(Vec::len).unwrap_or_default()
}

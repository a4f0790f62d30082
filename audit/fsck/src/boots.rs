//! The grant log's records: each is one, and they are boots, one after the other, without gaps.
//!
//! What the records *say* (grants, and whether the policy allows them) is `portcullis log verify`'s to
//! judge.

use std::collections::HashSet;

use portcullis_log::{BootId, Cause, Decoded, Operation, Record, Stamp};

use crate::finding::{At, Findings, Place, Region};
use crate::log::{Records, Sink};
use crate::record::read;
use crate::what::What;

/// Follows the boots of a grant log.
#[derive(Clone, Default, Debug)]
pub struct Boots {
    seen: HashSet<BootId>,
    /// The record before; its UTC is the last that a record of its boot had.
    last: Option<Stamp>,
}

impl Boots {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Takes the next record, where the bytes are one.
    pub fn decode(
        &mut self,
        (index, bytes): (u64, &[u8]),
        findings: &mut Findings,
    ) -> Option<Decoded> {
        let place = Place::new(Region::Grants, At::Record(index));
        let decoded = read(bytes);
        match &decoded {
            Some(Decoded::Record(record)) => self.record(index, record, findings),
            Some(Decoded::Unknown(stamp)) => {
                findings.unchecked(place, What::UnknownRecord);
                if let Some(before) = self.before(place, *stamp, true, findings) {
                    goes_on(place, before, *stamp, findings);
                }
            }
            None => findings.violation(place, What::NotARecord),
        }
        decoded
    }

    /// Takes the next record.
    pub fn record(&mut self, index: u64, record: &Record, findings: &mut Findings) {
        let place = Place::new(Region::Grants, At::Record(index));
        let loads = matches!(record.cause, Cause::Load { .. });
        let is_boot = record.operation == Operation::Boot;
        let leaves = matches!(record.cause, Cause::Leaves { .. });
        let is_history = record.operation == Operation::History && leaves;
        let starts = is_boot && loads || is_history;
        if let Some(before) = self.before(place, record.stamp(), starts, findings) {
            if is_boot {
                findings.violation(place, What::BootAgain);
            }
            goes_on(place, before, record.stamp(), findings);
        }
    }

    /// The record before, where it is of the same boot. The first of a boot has to be one that `starts`
    /// it.
    fn before(
        &mut self,
        place: Place,
        stamp: Stamp,
        starts: bool,
        findings: &mut Findings,
    ) -> Option<Stamp> {
        let before = self.last.replace(stamp);
        let same = before.filter(|before| before.boot == stamp.boot);
        if let (Some(last), Some(before)) = (&mut self.last, same) {
            last.time.utc = stamp.time.utc.or(before.time.utc);
        }
        if same.is_none() && !self.seen.insert(stamp.boot) {
            findings.violation(place, What::BootAgain);
        } else if same.is_none() && (!starts || stamp.sequence != 0) {
            findings.violation(place, What::NoBoot);
        }
        same
    }
}

/// Holds number and time of a record against those of the one before.
fn goes_on(place: Place, before: Stamp, stamp: Stamp, findings: &mut Findings) {
    let (expected, found) = (before.sequence.saturating_add(1), stamp.sequence);
    if found != expected {
        findings.violation(place, What::Sequence { expected, found });
    }
    let (before, found) = (before.time, stamp.time);
    let monotonic = ("since the start", before.monotonic, found.monotonic);
    // A time that is not known any more comes after none.
    let utc = before
        .utc
        .map(|before| ("UTC", before, found.utc.unwrap_or(0)));
    for (clock, before, found) in [Some(monotonic), utc].into_iter().flatten() {
        if found < before {
            let what = What::Time {
                clock,
                before,
                found,
            };
            findings.violation(place, what);
        }
    }
}

impl Sink for Boots {
    fn commit(&mut self, records: Records<'_>, findings: &mut Findings) {
        for record in records {
            self.decode(record, findings);
        }
    }
}

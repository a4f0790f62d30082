//! The grant log's records: each is one, and they are boots, one after the other, without gaps.
//!
//! What the records *say* (grants, and whether the policy allows them) is `portcullis log verify`'s to
//! judge.

use std::collections::HashSet;

use portcullis_log::{BootId, Cause, Operation, Record};

use crate::finding::{At, Findings, Place, Region};
use crate::log::{Records, Sink};
use crate::what::What;

/// Follows the boots of a grant log.
#[derive(Clone, Default, Debug)]
pub struct Boots {
    seen: HashSet<BootId>,
    /// The record before.
    last: Option<Record>,
}

impl Boots {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.seen.len() as u64
    }
}

impl Boots {
    /// Takes the next record, where the bytes are one.
    pub fn decode(
        &mut self,
        (index, bytes): (u64, &[u8]),
        findings: &mut Findings,
    ) -> Option<Record> {
        let record = Record::decode(bytes);
        match &record {
            Some(record) => self.record(index, record, findings),
            None => {
                let place = Place::new(Region::Grants, At::Record(index));
                findings.violation(place, What::NotARecord);
            }
        }
        record
    }

    /// Takes the next record.
    pub fn record(&mut self, index: u64, record: &Record, findings: &mut Findings) {
        let place = Place::new(Region::Grants, At::Record(index));
        let loads = matches!(record.cause, Cause::Load { .. });
        let is_boot = record.operation == Operation::Boot;
        let leaves = matches!(record.cause, Cause::Leaves { .. });
        let is_history = record.operation == Operation::History && leaves;
        let starts = (is_boot && loads || is_history) && record.sequence == 0;
        let before = self.last.replace(*record);
        let Some(before) = before.filter(|before| before.boot == record.boot) else {
            if !self.seen.insert(record.boot) {
                findings.violation(place, What::BootAgain);
            } else if !starts {
                findings.violation(place, What::NoBoot);
            }
            return;
        };
        if is_boot {
            findings.violation(place, What::BootAgain);
        }
        let (expected, found) = (before.sequence.saturating_add(1), record.sequence);
        if found != expected {
            findings.violation(place, What::Sequence { expected, found });
        }
        let (before, found) = (before.time, record.time);
        if found < before {
            findings.violation(place, What::Time { before, found });
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

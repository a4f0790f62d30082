//! Holding reports against the model.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use portcullis_kernel::{Badge, Message};

use super::plan::{Plan, Step};
use super::wire::{Call, LABEL_SHIFT, Outcome, Report, Trap};
use crate::testing::{Operation, layout};
use crate::{CapabilityFault, Completion};

/// Label of a capability fault's message (`seL4_Fault_CapFault`).
const CAPABILITY_FAULT: u64 = 1;

/// Why a report is not what the model says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// Place of the step.
    pub step: usize,
    /// What is different.
    pub difference: String,
}

impl Plan {
    /// Holds the machine's reports, one a step, against the model.
    pub fn compare(&self, reports: &[Report]) -> Result<(), Mismatch> {
        let mut stale = [0; layout::THREADS.len()];
        for (place, step) in self.steps.iter().enumerate() {
            let mismatch = |difference| Mismatch {
                step: place,
                difference,
            };
            if let Operation::Syscall(index, call, along) = &step.operation
                && step.began
            {
                let trap = Trap::of(call, along);
                // The kernel answers a call with a message; a receive may end with a signal.
                let info = if trap.call == Call::Call {
                    0
                } else {
                    trap.info
                };
                stale[*index % layout::THREADS.len()] = info;
            }
            let report = reports
                .get(place)
                .ok_or_else(|| mismatch("the machine did not get this far".into()))?;
            step.compare(report, &stale).map_err(mismatch)?;
        }
        Ok(())
    }
}

impl Step {
    fn compare(&self, report: &Report, stale: &[u64]) -> Result<(), String> {
        let mut left: Vec<_> = report.iter().collect();
        for (thread, expected) in &self.expected {
            let place = left
                .iter()
                .position(|event| usize::from(event.thread) == *thread)
                .ok_or_else(|| format!("thread {thread} did not go on; model: {expected:?}"))?;
            let event = left.remove(place);
            agree(expected, &event.outcome, stale[*thread]).map_err(|what| {
                format!(
                    "{what} of thread {thread}; model: {expected:?}; kernel: {:?}",
                    event.outcome
                )
            })?;
        }
        match left.first() {
            None => Ok(()),
            Some(event) => Err(format!("the model has no part for {event:?}")),
        }
    }
}

/// Whether the model and the kernel say the same; the error names what differs. `stale` is the
/// message info that the thread has where no message came.
fn agree(expected: &Completion, outcome: &Outcome, stale: u64) -> Result<(), &'static str> {
    let (badge, info, words) = match (expected, outcome) {
        (Completion::Fault(fault), Outcome::Faulted { label, words }) => {
            let same =
                *label == CAPABILITY_FAULT && words.get(1..) == Some(&fault_words(fault)[..]);
            return if same { Ok(()) } else { Err("the fault") };
        }
        (Completion::Fault(_), _) | (_, Outcome::Faulted { .. }) => {
            return Err("whether it faults");
        }
        (_, Outcome::Ended { badge, info, words }) => (Badge(*badge), *info, words),
    };
    let label = info >> LABEL_SHIFT;
    let check = |condition, what| if condition { Ok(()) } else { Err(what) };
    match expected {
        Completion::Done => check(info == stale, "the message info"),
        Completion::Nothing => {
            check(badge == Badge(0), "the badge")?;
            check(info == stale, "the message info")
        }
        Completion::Message {
            badge: told,
            message,
        } => {
            check(*told == badge, "the badge")?;
            if *message == Message::default() {
                return check(info == stale, "the message info");
            }
            check(message.label() == label, "the label")?;
            check(message.words() == &words[..], "the words")
        }
        Completion::Fault(_)
        | Completion::Invoked(_)
        | Completion::Restarted
        | Completion::Unmodelled { .. } => {
            unreachable!("looked at above, not in a plan, and followed up")
        }
    }
}

/// The words of the fault's message, without the instruction's address.
fn fault_words(fault: &CapabilityFault) -> Vec<u64> {
    let mut words = Vec::from([fault.address.bits(), fault.receiving.into()]);
    let (details, length) = fault.lookup.words();
    words.extend(&details[..length]);
    words
}

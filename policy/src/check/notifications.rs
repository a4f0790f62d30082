//! Whether every `notify` and `stream` grant gets a bit of its object's notification.

use std::collections::HashSet;

use miette::Diagnostic;
use portcullis_kernel::cspace::MAX_CHANNELS;
use portcullis_sdf::System;
use thiserror::Error;

use super::Check;
use crate::notification::Bits;

/// A notification without a bit left.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum NotificationFault {
    /// More grants than bits.
    #[error(
        "`{object}` can be the object of {over} notify and stream grants too many: its notification \
         has {MAX_CHANNELS} bits, which channels and interrupts use too"
    )]
    #[diagnostic(
        code(policy::notification_full),
        help("grant several components one component in between, or use mode \"send\"")
    )]
    Full {
        /// The object.
        object: String,
        /// How many have no bit.
        over: usize,
    },
}

pub(super) fn check(check: &mut Check<'_>, system: &System) {
    let policy = check.policy;
    let bits = Bits::assign(policy, check.ceiling, system);
    let mut seen = HashSet::new();
    for held in bits.unassigned() {
        if !seen.insert(held.object) {
            continue;
        }
        let of_object = |other: &&crate::ceiling::Held| other.object == held.object;
        let fault = NotificationFault::Full {
            object: policy.component(held.object).name.clone(),
            over: bits.unassigned().iter().filter(of_object).count(),
        };
        let place = &policy.grants[held.rule].places.object;
        check.broken(place, "the first without a bit", fault);
    }
}

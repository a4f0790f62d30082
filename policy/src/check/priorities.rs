//! Whether every callee runs above its callers.
//!
//! A callee at or below its caller's priority is kept waiting by whatever runs between them, and its
//! caller with it. Microkit holds channels to the same rule.

use std::collections::HashSet;

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_sdf::System;
use thiserror::Error;

use super::Check;

/// A callee that does not run above its caller.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum PriorityFault {
    /// The callee's priority is not above the caller's.
    #[error(
        "`{caller}`, priority {caller_priority}, may call `{callee}`, priority {callee_priority}: \
         a callee's priority is above its caller's"
    )]
    #[diagnostic(
        code(policy::priority_inversion),
        help(
            "in `system.xml`, raise the priority of `{callee}` above {caller_priority}, or lower that \
             of `{caller}` below {callee_priority}"
        )
    )]
    Inversion {
        /// The component that calls.
        caller: String,
        /// Its priority.
        caller_priority: u8,
        /// The component that is called.
        callee: String,
        /// Its priority.
        callee_priority: u8,
    },
}

pub(super) fn check(check: &mut Check<'_>, system: &System) {
    let (policy, ceiling) = (check.policy, check.ceiling);
    let mut seen = HashSet::new();
    for held in ceiling.grants().filter(|held| held.mode == Mode::Call) {
        if !seen.insert((held.subject, held.object)) {
            continue;
        }
        let [caller, callee] = [held.subject, held.object].map(|id| &policy.component(id).name);
        let priority = |name: &str| {
            let pd = system.pd_named(name)?;
            Some(system.pd(pd).priority.value)
        };
        if let (Some(caller_priority), Some(callee_priority)) = (priority(caller), priority(callee))
            && callee_priority <= caller_priority
        {
            let fault = PriorityFault::Inversion {
                caller: caller.clone(),
                caller_priority,
                callee: callee.clone(),
                callee_priority,
            };
            let place = &policy.grants[held.rule].places.object;
            check.broken(place, format!("priority {callee_priority}"), fault);
        }
    }
}

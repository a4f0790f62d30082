//! Whether every callee runs above its callers, and whatever the grant log depends on above the rest.
//!
//! A callee at or below its caller's priority is kept waiting by whatever runs between them, and its
//! caller with it. Microkit holds channels to the same rule. And a boot grant is in force when its
//! record is durable: whoever could run before that would look for its grants in vain.

use std::collections::HashSet;

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_policy_format::log_path;
use portcullis_sdf::System;
use thiserror::Error;

use super::Check;
use crate::model::ComponentId;

/// A component that runs too early.
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
    /// A component may run before its grants are in force.
    #[error(
        "`{early}`, priority {early_priority}, may run before its grants are in force: the grant log \
         that they wait for depends on `{needed}`, priority {needed_priority}"
    )]
    #[diagnostic(
        code(policy::runs_before_the_log),
        help(
            "in `system.xml`, raise the priority of `{needed}` above {early_priority}, or lower that \
             of `{early}` below {needed_priority}"
        )
    )]
    Early {
        /// The component that the log does not depend on.
        early: String,
        /// Its priority.
        early_priority: u8,
        /// The one of the lowest priority that it does depend on.
        needed: String,
        /// Its priority.
        needed_priority: u8,
    },
}

pub(super) fn check(check: &mut Check<'_>, system: &System) {
    check_calls(check, system);
    check_log_path(check, system);
}

fn check_calls(check: &mut Check<'_>, system: &System) {
    let (policy, ceiling) = (check.policy, check.ceiling);
    let mut seen = HashSet::new();
    for held in ceiling.grants().filter(|held| held.mode == Mode::Call) {
        if !seen.insert((held.subject, held.object)) {
            continue;
        }
        let [caller, callee] = [held.subject, held.object].map(|id| &policy.component(id).name);
        if let (Some(caller_priority), Some(callee_priority)) =
            (priority(system, caller), priority(system, callee))
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

fn check_log_path(check: &mut Check<'_>, system: &System) {
    let (policy, ceiling) = (check.policy, check.ceiling);
    // That there is no manager is found elsewhere.
    let Some(manager) = policy.manager() else {
        return;
    };
    let allowed = ceiling.grants();
    let allowed = allowed.map(|held| (held.subject.0, held.object.0, held.mode));
    let path = log_path(manager.0, allowed);
    let (path, others): (Vec<_>, Vec<_>) =
        policy.component_ids().partition(|id| path & 1 << id.0 != 0);
    let of = |id: ComponentId| {
        let name = &policy.component(id).name;
        Some((priority(system, name)?, name))
    };
    let Some((needed_priority, needed)) = path.iter().filter_map(|id| of(*id)).min() else {
        return;
    };
    let holds = |id: &ComponentId| ceiling.grants().any(|held| held.subject == *id);
    for id in others.into_iter().filter(holds) {
        if let Some((early_priority, early)) = of(id)
            && early_priority >= needed_priority
        {
            let fault = PriorityFault::Early {
                early: early.clone(),
                early_priority,
                needed: needed.clone(),
                needed_priority,
            };
            let place = &policy.component(id).place;
            check.broken(place, format!("priority {early_priority}"), fault);
        }
    }
}

fn priority(system: &System, name: &str) -> Option<u8> {
    let pd = system.pd_named(name)?;
    Some(system.pd(pd).priority.value)
}

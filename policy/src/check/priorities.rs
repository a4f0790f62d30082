//! Whether every callee runs above its callers, and whatever the grant log depends on above the rest.
//!
//! A callee at or below its caller's priority is kept waiting by whatever runs between them, and its
//! caller with it. Microkit holds channels to the same rule. And a boot grant is in force when its
//! record is durable: whoever could run before that would look for its grants in vain.

use std::collections::{HashMap, HashSet};

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_policy_format::log_path;
use portcullis_sdf::System;
use thiserror::Error;

use super::{Check, Described};
use crate::model::ComponentId;
use crate::relation::{Cause, Object, Relation};

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
            "in `{file}`, raise the priority of `{callee}` above {caller_priority}, or lower that \
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
        /// Name of the system description.
        file: String,
    },
    /// Caller and callee do not run on one core, in one scheduling domain.
    #[error(
        "`{caller}` may call `{callee}`, and they run {apart}: there a priority does not decide who runs \
         first"
    )]
    #[diagnostic(
        code(policy::call_apart),
        help(
            "in `{file}`, give both the same cpu and scheduling domain, or grant mode \"notify\""
        )
    )]
    CallApart {
        /// The component that calls.
        caller: String,
        /// The component that is called.
        callee: String,
        /// On two cores, or in two domains.
        apart: &'static str,
        /// Name of the system description.
        file: String,
    },
    /// A component may run before its grants are in force, on another core or in another domain.
    #[error(
        "`{early}` may run before its grants are in force: the grant log that they wait for depends on \
         `{needed}`, and they run {apart}"
    )]
    #[diagnostic(
        code(policy::runs_apart_from_the_log),
        help("in `{file}`, give `{early}` the cpu and scheduling domain of `{needed}`")
    )]
    EarlyApart {
        /// The component that the log does not depend on.
        early: String,
        /// One that it does depend on.
        needed: String,
        /// On two cores, or in two domains.
        apart: &'static str,
        /// Name of the system description.
        file: String,
    },
    /// What the grant log depends on does not always run.
    #[error(
        "the grant log depends on `{needed}`, which has {budget} of each {period} microseconds: when these \
         are used up, others run before their grants are in force"
    )]
    #[diagnostic(
        code(policy::log_without_time),
        help("in `{file}`, give `{needed}` a budget of its whole period, or leave out both")
    )]
    Throttled {
        /// The component.
        needed: String,
        /// Its budget.
        budget: u64,
        /// Its period.
        period: u64,
        /// Name of the system description.
        file: String,
    },
    /// A component may run before its grants are in force.
    #[error(
        "`{early}`, priority {early_priority}, may run before its grants are in force: the grant log \
         that they wait for depends on `{needed}`, priority {needed_priority}"
    )]
    #[diagnostic(
        code(policy::runs_before_the_log),
        help(
            "in `{file}`, raise the priority of `{needed}` above {early_priority}, or lower that \
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
        /// Name of the system description.
        file: String,
    },
}

pub(super) fn check(check: &mut Check<'_>, given: &Relation<'_>, described: Described<'_>) {
    let processors = Processors::of(given);
    check_calls(check, &processors, described);
    check_log_path(check, &processors, described);
}

/// Where each component runs. Priorities compare on one core, in one scheduling domain.
struct Processors<'a>(HashMap<&'a str, (u8, Option<usize>)>);

impl<'a> Processors<'a> {
    fn of(given: &Relation<'a>) -> Self {
        let facts = given.facts().iter();
        let runs = facts.filter_map(|fact| match fact.object {
            Object::Processor { core, domain } => Some((fact.subject.name(), (core, domain))),
            _ => None,
        });
        Self(runs.collect())
    }

    /// How two components run apart; `None`: their priorities compare.
    fn apart(&self, one: &str, other: &str) -> Option<&'static str> {
        let (one, other) = (self.0.get(one)?, self.0.get(other)?);
        match (one.0 == other.0, one.1 == other.1) {
            (false, _) => Some("on two cores"),
            (true, false) => Some("in two scheduling domains"),
            (true, true) => None,
        }
    }
}

fn check_calls(check: &mut Check<'_>, processors: &Processors<'_>, described: Described<'_>) {
    let (policy, ceiling, system) = (check.policy, check.ceiling, described.system);
    let file = || described.source.name().to_owned();
    let mut seen = HashSet::new();
    for held in ceiling.grants().filter(|held| held.mode == Mode::Call) {
        if !seen.insert((held.subject, held.object)) {
            continue;
        }
        let [caller, callee] = [held.subject, held.object].map(|id| &policy.component(id).name);
        let place = &policy.grants[held.rule].places.object;
        if let Some(apart) = processors.apart(caller, callee) {
            let fault = PriorityFault::CallApart {
                caller: caller.clone(),
                callee: callee.clone(),
                apart,
                file: file(),
            };
            check.broken(place, apart, fault);
        } else if let (Some(caller_priority), Some(callee_priority)) =
            (priority(system, caller), priority(system, callee))
            && callee_priority <= caller_priority
        {
            let fault = PriorityFault::Inversion {
                caller: caller.clone(),
                caller_priority,
                callee: callee.clone(),
                callee_priority,
                file: file(),
            };
            check.broken(place, format!("priority {callee_priority}"), fault);
        }
    }
}

fn check_log_path(check: &mut Check<'_>, processors: &Processors<'_>, described: Described<'_>) {
    let (policy, ceiling, system) = (check.policy, check.ceiling, described.system);
    let file = || described.source.name().to_owned();
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
    let others: Vec<_> = others.into_iter().filter(holds).collect();
    let throttled = path.iter().filter_map(|id| {
        let pd = system.pd(system.pd_named(&policy.component(*id).name)?);
        (!others.is_empty() && pd.budget.value < pd.period.value).then_some(pd)
    });
    for pd in throttled {
        let fault = PriorityFault::Throttled {
            needed: pd.name.value.clone(),
            budget: pd.budget.value,
            period: pd.period.value,
            file: file(),
        };
        check.at(
            &Cause::Element(&pd.budget.span),
            "not all of its time",
            fault,
        );
    }
    for id in others {
        let (early, place) = (&policy.component(id).name, &policy.component(id).place);
        let apart = path.iter().find_map(|needed| {
            let needed = &policy.component(*needed).name;
            Some((needed, processors.apart(early, needed)?))
        });
        if let Some((needed, apart)) = apart {
            let fault = PriorityFault::EarlyApart {
                early: early.clone(),
                needed: needed.clone(),
                apart,
                file: file(),
            };
            check.broken(place, apart, fault);
        } else if let Some((early_priority, early)) = of(id)
            && early_priority >= needed_priority
        {
            let fault = PriorityFault::Early {
                early: early.clone(),
                early_priority,
                needed: needed.clone(),
                needed_priority,
                file: file(),
            };
            check.broken(place, format!("priority {early_priority}"), fault);
        }
    }
}

fn priority(system: &System, name: &str) -> Option<u8> {
    let pd = system.pd_named(name)?;
    Some(system.pd(pd).priority.value)
}

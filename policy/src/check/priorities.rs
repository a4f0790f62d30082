//! Whether every callee runs above its callers, whatever the grant log depends on above the rest, and
//! whoever writes what the manager reads at its start above the manager.
//!
//! A callee at or below its caller's priority is kept waiting by whatever runs between them, and its
//! caller with it, be the call granted or on a static channel. And a boot grant is in force when its
//! record is durable: whoever could run before that would look for its grants in vain. A page that is
//! written after the manager has read it says nothing.

use std::collections::{HashMap, HashSet};

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_policy_format::log_path;
use portcullis_sdf::System;
use thiserror::Error;

use super::custody::{PeerPages, SEED};
use super::{Check, Described, Relations};
use crate::model::{ComponentId, MANAGER, Place, Subject};
use crate::relation::{Cause, Fact, Kind, Object, Relation, Rights};

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
            "in `{file}`, give both the same cpu and scheduling domain, or let one only notify the other"
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
    /// A page that the manager reads is written on another core, or in another domain.
    #[error("`{writer}` may write page `{region}` after `{MANAGER}` has read it: they run {apart}")]
    #[diagnostic(
        code(policy::page_written_apart),
        help("in `{file}`, give `{writer}` the cpu and scheduling domain of `{MANAGER}`")
    )]
    PageApart {
        /// Who writes it.
        writer: String,
        /// The page.
        region: String,
        /// On two cores, or in two domains.
        apart: &'static str,
        /// Name of the system description.
        file: String,
    },
    /// A page that the manager reads is written by one that runs after it.
    #[error(
        "`{writer}`, priority {priority}, may write page `{region}` after `{MANAGER}`, priority \
         {manager_priority}, has read it"
    )]
    #[diagnostic(
        code(policy::page_written_late),
        help("in `{file}`, raise the priority of `{writer}` above {manager_priority}")
    )]
    PageLate {
        /// Who writes it.
        writer: String,
        /// Its priority.
        priority: u8,
        /// The page.
        region: String,
        /// The manager's priority.
        manager_priority: u8,
        /// Name of the system description.
        file: String,
    },
    /// A page that the manager reads is written by one that does not always run.
    #[error(
        "`{writer}` may write page `{region}` after `{MANAGER}` has read it: it has {budget} of each \
         {period} microseconds"
    )]
    #[diagnostic(
        code(policy::page_without_time),
        help("in `{file}`, give `{writer}` a budget of its whole period, or leave out both")
    )]
    PageWithoutTime {
        /// Who writes it.
        writer: String,
        /// The page.
        region: String,
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

pub(super) fn check(
    check: &mut Check<'_>,
    relations: &Relations<'_>,
    described: Described<'_>,
    pages: &PeerPages<'_>,
) {
    let Relations {
        declared, given, ..
    } = relations;
    let processors = Processors::of(given);
    check_calls(check, declared, &processors, described);
    check_log_path(check, declared, &processors, described);
    check_pages(check, given, &processors, described, pages);
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

/// Who may call whom, by a grant or on a static channel, and where the policy says so. Left out is who
/// asks the manager on its channel: nothing else waits for that.
fn calls<'a>(declared: &Relation<'a>) -> impl Iterator<Item = (&'a str, &'a str, &'a Place)> {
    let asks =
        |fact: &Fact<'_>| fact.kind == Kind::Channel && fact.object == Object::Component(MANAGER);
    let calls = declared.facts().iter();
    let calls = calls.filter(move |fact| fact.rights.has(Rights::CALL) && !asks(fact));
    calls.filter_map(|fact| {
        let place = match fact.cause {
            Cause::Grant(grant, _) => &grant.places.object,
            cause => cause.place()?,
        };
        match (fact.subject, fact.object) {
            (Subject::Component(caller), Object::Component(callee)) => {
                Some((caller, callee, place))
            }
            _ => None,
        }
    })
}

fn check_calls(
    check: &mut Check<'_>,
    declared: &Relation<'_>,
    processors: &Processors<'_>,
    described: Described<'_>,
) {
    let system = described.system;
    let file = || described.source.name().to_owned();
    let mut seen = HashSet::new();
    for (caller, callee, place) in calls(declared) {
        if !seen.insert((caller, callee)) {
            continue;
        }
        if let Some(apart) = processors.apart(caller, callee) {
            let fault = PriorityFault::CallApart {
                caller: caller.to_owned(),
                callee: callee.to_owned(),
                apart,
                file: file(),
            };
            check.broken(place, apart, fault);
        } else if let (Some(caller_priority), Some(callee_priority)) =
            (priority(system, caller), priority(system, callee))
            && callee_priority <= caller_priority
        {
            let fault = PriorityFault::Inversion {
                caller: caller.to_owned(),
                caller_priority,
                callee: callee.to_owned(),
                callee_priority,
                file: file(),
            };
            check.broken(place, format!("priority {callee_priority}"), fault);
        }
    }
}

fn check_log_path(
    check: &mut Check<'_>,
    declared: &Relation<'_>,
    processors: &Processors<'_>,
    described: Described<'_>,
) {
    let (policy, ceiling, system) = (check.policy, check.ceiling, described.system);
    let file = || described.source.name().to_owned();
    // That there is no manager is found elsewhere.
    let Some(manager) = policy.manager() else {
        return;
    };
    let allowed = ceiling.grants();
    let allowed = allowed.map(|held| (held.subject.0, held.object.0, held.mode));
    let id = |name| Some(policy.component_named(name)?.0);
    let calls: Vec<_> = calls(declared)
        .filter_map(|(caller, callee, _)| Some((id(caller)?, id(callee)?, Mode::Call)))
        .collect();
    let path = log_path(manager.0, allowed.chain(calls.iter().copied()));
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

/// Whether who writes a page that the manager reads has written it before: with the first record the boot's
/// id is fixed. A date can come later, so that who says what time it is may run in parts.
fn check_pages(
    check: &mut Check<'_>,
    given: &Relation<'_>,
    processors: &Processors<'_>,
    described: Described<'_>,
    pages: &PeerPages<'_>,
) {
    let system = described.system;
    let Some(manager_priority) = priority(system, MANAGER) else {
        return;
    };
    let file = || described.source.name().to_owned();
    let writes = given
        .facts()
        .iter()
        .filter(|fact| fact.rights.has(Rights::WRITE));
    for fact in writes.filter(|fact| !fact.is_managers()) {
        let (Subject::Component(writer), Object::Region(region)) = (fact.subject, fact.object)
        else {
            continue;
        };
        let page = pages.statements.iter().find(|(_, own)| *own == region);
        let (Some((symbol, _)), Some(id)) = (page, system.pd_named(writer)) else {
            continue;
        };
        let (writer, region, pd) = (writer.to_owned(), region.to_owned(), system.pd(id));
        let (priority, file) = (pd.priority.value, file());
        let fault = if let Some(apart) = processors.apart(&writer, MANAGER) {
            PriorityFault::PageApart {
                writer,
                region,
                apart,
                file,
            }
        } else if priority <= manager_priority {
            PriorityFault::PageLate {
                writer,
                priority,
                region,
                manager_priority,
                file,
            }
        } else if *symbol == SEED && pd.budget.value < pd.period.value {
            PriorityFault::PageWithoutTime {
                writer,
                region,
                budget: pd.budget.value,
                period: pd.period.value,
                file,
            }
        } else {
            continue;
        };
        check.at(&fact.cause, "may write it too late", fault);
    }
}

fn priority(system: &System, name: &str) -> Option<u8> {
    let pd = system.pd_named(name)?;
    Some(system.pd(pd).priority.value)
}

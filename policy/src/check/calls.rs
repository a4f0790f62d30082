//! Whether components can wait for each other: they would wait for ever.
//!
//! A caller waits for the reply, and a sender until its message is taken. Nobody waits for a notification
//! to be seen, or for a stream to be read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use miette::Diagnostic;
use thiserror::Error;

use super::Check;
use crate::model::{Place, Policy, Subject};
use crate::problem::Problem;
use crate::relation::{Object, Relation, Rights};

/// Components that can come to wait for each other.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum CallFault {
    /// A cycle.
    #[error("components wait for each other in a circle: {cycle}")]
    #[diagnostic(
        code(policy::call_cycle),
        help(
            "each can wait for the next, for ever: replace one call or send of the circle by mode \
             \"notify\" or \"stream\""
        )
    )]
    Cycle {
        /// The components, the first again at the end.
        cycle: String,
    },
}

/// One component that may wait for another, and where the policy says so.
#[derive(Clone, Copy)]
struct Wait<'a> {
    waiter: &'a str,
    on: &'a str,
    /// Whether for a reply; else for its message to be taken.
    calls: bool,
    place: &'a Place,
}

/// For whom each component may wait.
type Waits<'a> = HashMap<&'a str, Vec<Wait<'a>>>;

pub(super) fn check(check: &mut Check<'_>, declared: &Relation<'_>) {
    let policy = check.policy;
    let waits = waits(declared);
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for component in &policy.components {
        let Some(cycle) = shortest_cycle(&waits, &component.name) else {
            continue;
        };
        // One report for each knot of cycles: untying it shows what is left.
        if cycle.iter().any(|wait| reported.contains(wait.waiter)) {
            continue;
        }
        reported.extend(cycle.iter().map(|wait| wait.waiter));
        check.problems.push(problem(policy, &cycle));
    }
}

fn waits<'a>(declared: &Relation<'a>) -> Waits<'a> {
    let mut waits = Waits::new();
    for fact in declared.facts() {
        let ends = (fact.subject, fact.object, fact.cause.place());
        let (Subject::Component(waiter), Object::Component(on), Some(place)) = ends else {
            continue;
        };
        // A component that waits for itself is reported as such.
        if fact.rights.has(Rights::CALL | Rights::SEND) && waiter != on {
            let calls = fact.rights.has(Rights::CALL);
            waits.entry(waiter).or_default().push(Wait {
                waiter,
                on,
                calls,
                place,
            });
        }
    }
    waits
}

/// The fewest waits that lead from `start` back to it, in their order.
fn shortest_cycle<'a>(waits: &Waits<'a>, start: &'a str) -> Option<Vec<Wait<'a>>> {
    let mut reached_by = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for wait in waits.get(at).into_iter().flatten() {
            if reached_by.contains_key(wait.on) {
                continue;
            }
            reached_by.insert(wait.on, *wait);
            if wait.on == start {
                return Some(cycle(start, &reached_by));
            }
            queue.push_back(wait.on);
        }
    }
    None
}

fn cycle<'a>(start: &str, reached_by: &BTreeMap<&'a str, Wait<'a>>) -> Vec<Wait<'a>> {
    let mut cycle = vec![reached_by[start]];
    while let Some(first) = cycle.last().filter(|wait| wait.waiter != start) {
        cycle.push(reached_by[first.waiter]);
    }
    cycle.reverse();
    cycle
}

fn problem(policy: &Policy, cycle: &[Wait<'_>]) -> Problem {
    let round = cycle.iter().chain(cycle.first());
    let names: Vec<String> = round.map(|wait| format!("`{}`", wait.waiter)).collect();
    let fault = CallFault::Cycle {
        cycle: names.join(" -> "),
    };
    let label = |wait: &Wait<'_>| {
        let does = if wait.calls { "calls" } else { "sends to" };
        format!("`{}` {does} `{}`", wait.waiter, wait.on)
    };
    let first = &cycle[0];
    let problem = Problem::broken(&policy.source, first.place, label(first), fault);
    cycle[1..].iter().fold(problem, |problem, wait| {
        problem.also(wait.place, label(wait))
    })
}

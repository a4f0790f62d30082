//! Whether the call graph has no cycle: components that wait for each other wait for ever.

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
    #[error("calls go round in a circle: {cycle}")]
    #[diagnostic(
        code(policy::call_cycle),
        help(
            "each waits for the next, for ever: replace one call of the circle by mode \"notify\" or \
             \"send\""
        )
    )]
    Cycle {
        /// The components, the first again at the end.
        cycle: String,
    },
}

/// A call that somebody may make, and where the policy says so.
#[derive(Clone, Copy)]
struct Call<'a> {
    caller: &'a str,
    callee: &'a str,
    place: &'a Place,
}

/// The calls that each component may make.
type Calls<'a> = HashMap<&'a str, Vec<Call<'a>>>;

pub(super) fn check(check: &mut Check<'_>, declared: &Relation<'_>) {
    let policy = check.policy;
    let calls = calls(declared);
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for component in &policy.components {
        let Some(cycle) = shortest_cycle(&calls, &component.name) else {
            continue;
        };
        // One report for each knot of cycles: untying it shows what is left.
        if cycle.iter().any(|call| reported.contains(call.caller)) {
            continue;
        }
        reported.extend(cycle.iter().map(|call| call.caller));
        check.problems.push(problem(policy, &cycle));
    }
}

fn calls<'a>(declared: &Relation<'a>) -> Calls<'a> {
    let mut calls = Calls::new();
    for fact in declared.facts() {
        let ends = (fact.subject, fact.object, fact.cause.place());
        let (Subject::Component(caller), Object::Component(callee), Some(place)) = ends else {
            continue;
        };
        // A component that calls itself is reported as such.
        if fact.rights.has(Rights::CALL) && caller != callee {
            let call = Call {
                caller,
                callee,
                place,
            };
            calls.entry(caller).or_default().push(call);
        }
    }
    calls
}

/// The fewest calls that lead from `start` back to it, in their order.
fn shortest_cycle<'a>(calls: &Calls<'a>, start: &'a str) -> Option<Vec<Call<'a>>> {
    let mut reached_by = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for call in calls.get(at).into_iter().flatten() {
            if reached_by.contains_key(call.callee) {
                continue;
            }
            reached_by.insert(call.callee, *call);
            if call.callee == start {
                return Some(cycle(start, &reached_by));
            }
            queue.push_back(call.callee);
        }
    }
    None
}

fn cycle<'a>(start: &str, reached_by: &BTreeMap<&'a str, Call<'a>>) -> Vec<Call<'a>> {
    let mut cycle = vec![reached_by[start]];
    while let Some(first) = cycle.last().filter(|call| call.caller != start) {
        cycle.push(reached_by[first.caller]);
    }
    cycle.reverse();
    cycle
}

fn problem(policy: &Policy, cycle: &[Call<'_>]) -> Problem {
    let round = cycle.iter().chain(cycle.first());
    let names: Vec<String> = round.map(|call| format!("`{}`", call.caller)).collect();
    let fault = CallFault::Cycle {
        cycle: names.join(" -> "),
    };
    let label = |call: &Call<'_>| format!("`{}` calls `{}`", call.caller, call.callee);
    let first = &cycle[0];
    let problem = Problem::broken(&policy.source, first.place, label(first), fault);
    cycle[1..].iter().fold(problem, |problem, call| {
        problem.also(call.place, label(call))
    })
}

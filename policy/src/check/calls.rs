//! Whether the call graph has no cycle: components that wait for each other wait for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{Authority, ComponentId, Holder, Place, Policy};
use crate::problem::Problem;

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

/// Who may call whom, and where it says so.
type Calls<'p> = BTreeMap<ComponentId, BTreeMap<ComponentId, &'p Place>>;

pub(super) fn check(check: &mut Check<'_>) {
    let policy = check.policy;
    let calls = calls(policy);
    let mut reported: BTreeSet<ComponentId> = BTreeSet::new();
    for start in policy.component_ids() {
        let Some(cycle) = shortest_cycle(&calls, start) else {
            continue;
        };
        // One report for each knot of cycles: untying it shows what is left.
        if cycle.iter().any(|id| reported.contains(id)) {
            continue;
        }
        reported.extend(&cycle);
        check.problems.push(problem(policy, &calls, &cycle));
    }
}

fn calls(policy: &Policy) -> Calls<'_> {
    let mut calls = Calls::new();
    let mut add = |caller: ComponentId, callee: ComponentId, place| {
        // A component that calls itself is reported as such.
        if caller != callee {
            let callees = calls.entry(caller).or_default();
            callees.entry(callee).or_insert(place);
        }
    };
    for grant in policy.grants.iter().filter(|it| it.mode == Mode::Call) {
        add(grant.subject, grant.object, &grant.places.mode);
        for delegate in &grant.delegate {
            add(delegate.component, grant.object, &delegate.place);
        }
    }
    for rule in &policy.statics {
        if let (Authority::Channel { peer, calls: true }, Holder::Component(caller)) =
            (&rule.authority, rule.holder)
        {
            add(caller, *peer, &rule.object);
        }
    }
    calls
}

/// The shortest way from `start` back to it: `start`, and those between.
fn shortest_cycle(calls: &Calls<'_>, start: ComponentId) -> Option<Vec<ComponentId>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in calls.get(&at).into_iter().flat_map(BTreeMap::keys) {
            if *next == start {
                return Some(way(start, at, &came_from));
            }
            came_from.entry(*next).or_insert_with(|| {
                queue.push_back(*next);
                at
            });
        }
    }
    None
}

fn way(
    start: ComponentId,
    end: ComponentId,
    came_from: &BTreeMap<ComponentId, ComponentId>,
) -> Vec<ComponentId> {
    let mut way = vec![end];
    while let Some(last) = way.last().filter(|last| **last != start) {
        way.push(came_from[last]);
    }
    way.reverse();
    way
}

fn problem(policy: &Policy, calls: &Calls<'_>, cycle: &[ComponentId]) -> Problem {
    let next = cycle.iter().cycle().skip(1);
    let steps: Vec<(&Place, String)> = cycle
        .iter()
        .zip(next)
        .map(|(caller, callee)| {
            let [from, to] = [caller, callee].map(|id| &policy.component(*id).name);
            (calls[caller][callee], format!("`{from}` calls `{to}`"))
        })
        .collect();
    let round = cycle.iter().chain(cycle.first());
    let names: Vec<String> = round
        .map(|id| format!("`{}`", policy.component(*id).name))
        .collect();
    let fault = CallFault::Cycle {
        cycle: names.join(" -> "),
    };
    let (first, label) = &steps[0];
    let problem = Problem::broken(&policy.source, first, label.clone(), fault);
    steps[1..].iter().fold(problem, |problem, (place, label)| {
        problem.also(place, label.clone())
    })
}

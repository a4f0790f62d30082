//! Whether what must never flow cannot, over the whole ceiling.

use miette::Diagnostic;
use thiserror::Error;

use super::Check;
use crate::information::{Hop, Information};
use crate::model::{Never, Policy};
use crate::problem::Problem;

/// A `never` rule that the rest of the policy breaks.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum NeverFault {
    /// Something can flow.
    #[error("something can flow from `{from}` to `{to}`, which must never be: {path}")]
    #[diagnostic(
        code(policy::never_broken),
        help(
            "remove one of these steps, or turn it around; a call flows both ways, since its reply \
             flows back, and so does memory that both may write"
        )
    )]
    Broken {
        /// The domain it starts in.
        from: String,
        /// The domain that it must not reach.
        to: String,
        /// The components on the way, with the policy line of every step.
        path: String,
    },
    /// A rule from a domain to itself.
    #[error("something always flows from `{domain}` to itself")]
    #[diagnostic(
        code(policy::never_to_itself),
        help("remove the rule; to keep two components apart, give them two domains")
    )]
    ToItself {
        /// The domain.
        domain: String,
    },
}

pub(super) fn check(check: &mut Check<'_>) {
    let policy = check.policy;
    if policy.nevers.is_empty() {
        return;
    }
    let information = Information::of(policy);
    for never in &policy.nevers {
        if never.from == never.to {
            let domain = policy.domain(never.from).name.clone();
            let fault = NeverFault::ToItself { domain };
            check.broken(&never.place, "this rule", fault);
            continue;
        }
        let sources = policy
            .component_ids()
            .filter(|id| policy.domain_of(*id) == never.from);
        let path = information.shortest_path(sources, |id| policy.domain_of(id) == never.to);
        if let Some(path) = path {
            check.problems.push(broken(policy, never, &path));
        }
    }
}

fn broken(policy: &Policy, never: &Never, path: &[Hop<'_>]) -> Problem {
    let name = |id| format!("`{}`", policy.component(id).name);
    let start = path.first().map(|hop| name(hop.from)).unwrap_or_default();
    let steps = path.iter().map(|hop| {
        let lines: Vec<String> = hop.lines(policy).iter().map(u32::to_string).collect();
        let word = if lines.len() == 1 { "line" } else { "lines" };
        format!(" -> {} ({word} {})", name(hop.to), lines.join(" and "))
    });
    let fault = NeverFault::Broken {
        from: policy.domain(never.from).name.clone(),
        to: policy.domain(never.to).name.clone(),
        path: start + &steps.collect::<String>(),
    };
    let mut problem = Problem::broken(&policy.source, &never.place, "must never be", fault);
    for (number, hop) in (1..).zip(path) {
        let [from, to] = [hop.from, hop.to].map(name);
        let how = hop.describe(policy);
        let label = format!("step {number}: {from} -> {to}, {how}");
        for place in hop.places(policy) {
            problem = problem.also(place, label.clone());
        }
    }
    problem
}

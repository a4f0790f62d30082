//! Whether what must never flow cannot, over the whole ceiling.

use miette::Diagnostic;
use thiserror::Error;

use super::Check;
use crate::model::{Never, Policy};
use crate::problem::Problem;
use crate::relation::{Hop, Kind, Relation, grant_log};
use crate::source::Source;

/// A `never` rule that the rest of the policy breaks.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum NeverFault {
    /// Something can flow.
    #[error("something can flow from `{from}` to `{to}`, which must never be: {path}")]
    #[diagnostic(
        code(policy::never_broken),
        help(
            "remove one of these steps, or turn it around; a call flows both ways, since its reply \
             flows back, and so does memory that both may write{hint}"
        )
    )]
    Broken {
        /// The domain it starts in.
        from: String,
        /// The domain that it must not reach.
        to: String,
        /// The subjects on the way, with the policy line of every step.
        path: String,
        /// What to do where the way is one that no line of its own is about.
        hint: String,
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

pub(super) fn check(check: &mut Check<'_>, relation: &Relation<'_>, system: Option<&Source>) {
    let policy = check.policy;
    if policy.nevers.is_empty() {
        return;
    }
    let flows = relation.flows();
    for never in &policy.nevers {
        if never.from == never.to {
            let domain = policy.domain(never.from).name.clone();
            let fault = NeverFault::ToItself { domain };
            check.broken(&never.place, "this rule", fault);
            continue;
        }
        if let Some(path) = relation.broken(never, &flows) {
            check
                .problems
                .push(broken(policy, relation, never, &path, system));
        }
    }
}

fn broken(
    policy: &Policy,
    relation: &Relation<'_>,
    never: &Never,
    path: &[Hop<'_>],
    system: Option<&Source>,
) -> Problem {
    let start = path.first().map(|hop| hop.from.to_string());
    let steps = path.iter().map(|hop| {
        let lines: Vec<String> = hop.lines().iter().map(u32::to_string).collect();
        let to = hop.to;
        match (lines.as_slice(), system) {
            ([], Some(system)) => format!(" -> {to} ({})", system.name()),
            ([], None) => format!(" -> {to}"),
            ([line], _) => format!(" -> {to} (line {line})"),
            (lines, _) => format!(" -> {to} (lines {})", lines.join(" and ")),
        }
    });
    let fault = NeverFault::Broken {
        from: policy.domain(never.from).name.clone(),
        to: policy.domain(never.to).name.clone(),
        path: start.unwrap_or_default() + &steps.collect::<String>(),
        hint: hint(policy, relation, path),
    };
    let mut problem = Problem::broken(&policy.source, &never.place, "must never be", fault);
    for (number, hop) in (1..).zip(path) {
        let label = format!(
            "step {number}: {} -> {}, {}",
            hop.from,
            hop.to,
            hop.describe()
        );
        for place in hop.places() {
            problem = problem.also(place, label.clone());
        }
    }
    problem
}

/// What to do about what Microkit's own tool hands out, and about the grant log.
fn hint(policy: &Policy, relation: &Relation<'_>, path: &[Hop<'_>]) -> String {
    match path.iter().any(|hop| hop.fact.kind == Kind::Receive) {
        true => String::from(
            "; in a system without a manager, whoever may call a component can also receive what others \
             send to it: add a manager, or let one of the two notify it instead",
        ),
        false => manager(policy, relation, path),
    }
}

/// What to do about what the manager says of others, and of pages that others write.
fn manager(policy: &Policy, relation: &Relation<'_>, path: &[Hop<'_>]) -> String {
    let through = |hop: &&Hop<'_>| {
        let kind = hop.learned.map(|learned| learned.kind);
        matches!(kind, Some(Kind::GrantLog | Kind::LogCopy)) || hop.fact.kind == Kind::Page
    };
    match path.iter().find(through) {
        Some(hop) if hop.fact.kind == Kind::Page => String::from(
            "; the manager puts what it reads there into records and answers, whoever they are about: let \
             a component write it that may tell their readers something",
        ),
        Some(hop) => log(policy, relation, hop).unwrap_or_default(),
        None => String::new(),
    }
}

/// The rule that keeps a component's denials and faults out of the grant log.
fn log(policy: &Policy, relation: &Relation<'_>, hop: &Hop<'_>) -> Option<String> {
    let (_, keeper) = grant_log(policy)?;
    let is_copy = hop
        .learned
        .is_some_and(|learned| learned.kind == Kind::LogCopy);
    if !is_copy && hop.to.name() != policy.component(keeper).name {
        return Some(String::from(
            "; to keep denials and faults to the log's keeper, unmap the log's region",
        ));
    }
    let from = &policy.domain(relation.domain_of(hop.from)?).name;
    let to = &policy.domain(policy.domain_of(keeper)).name;
    let rule = format!("`[[never]]` rule with from = \"{from}\", to = \"{to}\"");
    Some(match is_copy {
        true => format!(
            "; the log's keeper passes on the records that it keeps: to keep denials and faults of \
             `{from}` out of the grant log, have a {rule}, and no `records = \"opaque\"` on the manager's \
             stream"
        ),
        false => format!(
            "; to keep denials and faults of `{from}` out of the grant log, add a {rule}; to record them, \
             if the log's keeper acts on nothing that a record says, add `records = \"opaque\"` to the \
             manager's stream"
        ),
    })
}

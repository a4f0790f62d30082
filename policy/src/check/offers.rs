//! Whether a grant's object serves what is granted, and its subject may hold it at all.

use std::collections::BTreeMap;

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{Component, Grant, Place, Policy};
use crate::problem::Problem;

/// A grant of what is not there to be granted.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum OfferFault {
    /// The object does not serve the interface.
    #[error("`{object}` does not offer `{interface}`")]
    #[diagnostic(code(policy::not_offered), help("{help}"))]
    NotOffered {
        /// The object.
        object: String,
        /// The interface.
        interface: String,
        /// What it offers, or how to offer it.
        help: String,
    },
    /// Two interfaces of one component have a method of one number.
    #[error(
        "`{object}` offers `{first}` and `{second}`, whose methods `{one}` and `{other}` both have \
         number {number}"
    )]
    #[diagnostic(
        code(policy::method_numbers_overlap),
        help(
            "give the methods of all interfaces that one component offers different numbers: a grant \
             carries numbers, and would carry the other interface's method too"
        )
    )]
    Overlap {
        /// The object.
        object: String,
        /// The interface that it offers first.
        first: String,
        /// The other.
        second: String,
        /// The method of the first.
        one: String,
        /// The method of the other.
        other: String,
        /// Their number.
        number: u8,
    },
    /// A component is to be granted itself.
    #[error("`{component}` is granted its own interface `{interface}`")]
    #[diagnostic(
        code(policy::grant_to_itself),
        help("remove the rule: a component that waits for itself waits for ever")
    )]
    ToItself {
        /// The component.
        component: String,
        /// The interface.
        interface: String,
    },
    /// The manager is to wait for a component.
    #[error(
        "the manager is granted `{interface}` of `{object}` by {mode}, and may wait for nobody"
    )]
    #[diagnostic(
        code(policy::manager_waits),
        help(
            "use mode \"notify\" or \"stream\": a component that does not answer must not stop it"
        )
    )]
    ManagerWaits {
        /// The object.
        object: String,
        /// The interface.
        interface: String,
        /// The mode.
        mode: &'static str,
    },
}

pub(super) fn check(check: &mut Check<'_>) {
    for component in &check.policy.components {
        if let Some((fault, places)) = overlap(check.policy, component) {
            let source = &check.policy.source;
            let [one, other] = places;
            let problem = Problem::broken(source, &component.place, "offers both", fault);
            let problem = problem.also(one, "one").also(other, "the other");
            check.problems.push(problem);
        }
    }
    let policy = check.policy;
    let manager = policy.manager();
    for grant in &policy.grants {
        let object = policy.component(grant.object);
        if !object.offers.contains(&grant.interface) {
            check.problems.push(not_offered(policy, grant));
        }
        if grant.subject == grant.object {
            let fault = OfferFault::ToItself {
                component: object.name.clone(),
                interface: policy.interface(grant.interface).name.clone(),
            };
            check.broken(&grant.places.object, "is the subject", fault);
        }
        let waits = matches!(grant.mode, Mode::Call | Mode::Send);
        if waits && Some(grant.subject) == manager {
            let fault = OfferFault::ManagerWaits {
                object: object.name.clone(),
                interface: policy.interface(grant.interface).name.clone(),
                mode: grant.mode.name(),
            };
            check.broken(&grant.places.mode, "waits for the object", fault);
        }
    }
}

/// The first two methods of a component's interfaces that have one number.
fn overlap<'p>(policy: &'p Policy, component: &Component) -> Option<(OfferFault, [&'p Place; 2])> {
    let mut seen = BTreeMap::new();
    for interface in component.offers.iter().map(|id| policy.interface(*id)) {
        for method in &interface.methods {
            let Some((first, one)) = seen.insert(method.method, (interface, method)) else {
                continue;
            };
            let fault = OfferFault::Overlap {
                object: component.name.clone(),
                first: first.name.clone(),
                second: interface.name.clone(),
                one: one.name.clone(),
                other: method.name.clone(),
                number: method.method.number(),
            };
            return Some((fault, [&one.place, &method.place]));
        }
    }
    None
}

fn not_offered(policy: &Policy, grant: &Grant) -> Problem {
    let object = policy.component(grant.object);
    let interface = policy.interface(grant.interface).name.clone();
    let offered: Vec<String> = object
        .offers
        .iter()
        .map(|id| format!("`{}`", policy.interface(*id).name))
        .collect();
    let name = &object.name;
    let help = if offered.is_empty() {
        format!("it offers nothing: add `offers = [\"{interface}\"]` to `[components.{name}]`")
    } else {
        let offered = offered.join(", ");
        format!("it offers {offered}; name one of these, or add `{interface}` to its `offers`")
    };
    let fault = OfferFault::NotOffered {
        object: name.clone(),
        interface,
        help,
    };
    let place = &grant.places.interface;
    Problem::broken(&policy.source, place, "not offered by the object", fault)
        .also(&object.place, "the object")
}

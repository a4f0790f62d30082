//! Whether a grant's object serves what is granted, and its subject may hold it at all.

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{Grant, Policy};
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

//! Limits: how many there can be of each.

use miette::Diagnostic;
use portcullis_policy_format::{MANAGER_TABLE, MAX_COMPONENTS, MAX_GRANTS};
use thiserror::Error;

use super::Check;
use crate::ceiling::MAX_HELD;
use crate::model::Place;

/// Most domains, interfaces, methods, flows and `never` rules: the compiled form counts them so.
const MAX_ITEMS: usize = u16::MAX as usize;

/// A limit that is exceeded.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum LimitFault {
    /// More components than the manager has channels.
    #[error("the policy has {found} components; a manager serves at most {MAX_COMPONENTS}")]
    #[diagnostic(
        code(policy::too_many_components),
        help("each needs one of the manager's channels: join components, or split the system")
    )]
    Components {
        /// How many there are.
        found: usize,
    },
    /// A component that can hold more than its CNode has slots.
    #[error("`{component}` can hold {found} grants; a component holds at most {MAX_HELD}")]
    #[diagnostic(
        code(policy::too_many_grants_of_component),
        help(
            "its grants CNode has 4096 slots, and slot 0 stays empty: join rules that differ in \
             their methods only, or delegate less"
        )
    )]
    GrantsOfComponent {
        /// The component.
        component: String,
        /// How many it can hold.
        found: usize,
    },
    /// More grants than a badge can index.
    #[error("the policy allows {found} grants in all; a badge tells at most {MAX_GRANTS} apart")]
    #[diagnostic(
        code(policy::too_many_grants),
        help("join rules that differ in their methods only, or delegate less")
    )]
    Grants {
        /// How many there are, delegated ones included.
        found: usize,
    },
    /// More grants than the manager has room for.
    #[error(
        "the policy allows {found} grants in all; the manager's table has room for {MANAGER_TABLE}"
    )]
    #[diagnostic(
        code(policy::too_many_grants_for_manager),
        help("join rules that differ in their methods only, or delegate less")
    )]
    Table {
        /// How many there are, delegated ones included.
        found: usize,
    },
    /// More of something than the compiled form can count.
    #[error("the policy has {found} {what}; it can have at most {MAX_ITEMS}")]
    #[diagnostic(code(policy::too_many_items), help("remove those that no rule needs"))]
    Items {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
}

/// Checks the limits of the policy, and those of a system where it is for one.
pub(super) fn check(check: &mut Check<'_>, is_for_system: bool) {
    components(check);
    grants(check, is_for_system);
    items(check);
}

fn components(check: &mut Check<'_>) {
    let components = &check.policy.components;
    let found = components.len();
    if let Some(first_over) = components.get(usize::from(MAX_COMPONENTS)) {
        check.broken(
            &first_over.place,
            "the first over the limit",
            LimitFault::Components { found },
        );
    }
}

fn grants(check: &mut Check<'_>, is_for_system: bool) {
    let (policy, ceiling) = (check.policy, check.ceiling);
    for component in policy.component_ids() {
        let held = &ceiling.holdings(component).grants;
        if let Some(first_over) = held.get(MAX_HELD as usize) {
            let found = held.len();
            let component = policy.component(component).name.clone();
            check.broken(
                &policy.grants[first_over.rule].places.rule,
                "the first over the limit",
                LimitFault::GrantsOfComponent { component, found },
            );
        }
    }
    let found = ceiling.count();
    let (most, fault) = if found > MAX_GRANTS as usize {
        (MAX_GRANTS, LimitFault::Grants { found })
    } else if is_for_system {
        (MANAGER_TABLE, LimitFault::Table { found })
    } else {
        return;
    };
    if let Some(first_over) = ceiling.grants().nth(most as usize) {
        let place = &policy.grants[first_over.rule].places.rule;
        check.broken(place, "over the limit", fault);
    }
}

fn items(check: &mut Check<'_>) {
    let policy = check.policy;
    let methods = policy.interfaces.iter().map(|it| it.methods.len());
    let place = |place: Option<&Place>| place.cloned().unwrap_or_default();
    let over = MAX_ITEMS;
    let counts = [
        (
            "domains",
            policy.domains.len(),
            place(policy.domains.get(over).map(|it| &it.place)),
        ),
        (
            "interfaces",
            policy.interfaces.len(),
            place(policy.interfaces.get(over).map(|it| &it.place)),
        ),
        (
            "methods",
            methods.sum(),
            place(policy.interfaces.last().map(|it| &it.place)),
        ),
        (
            "flows",
            policy.flows.len(),
            place(policy.flows.get(over).map(|it| &it.place)),
        ),
        (
            "never rules",
            policy.nevers.len(),
            place(policy.nevers.get(over).map(|it| &it.place)),
        ),
    ];
    for (what, found, place) in counts {
        if found > MAX_ITEMS {
            let fault = LimitFault::Items { what, found };
            check.broken(&place, "over the limit", fault);
        }
    }
}

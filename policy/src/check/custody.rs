//! Whether the manager is nobody's but its own, and nobody is the manager's.
//!
//! `never` rules do not look at paths through the manager, since it passes nothing on. That is true
//! only while no component controls it: holds its TCB, scheduling context or VSpace, is its parent,
//! or writes memory that it reads. The page on which the ledger acknowledges records is the one
//! exception: the manager takes nothing from it but a count, and believes it only so far.

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{Authority, ComponentId, Policy, Static};

/// The region in which the ledger says which records are durable.
const ACKNOWLEDGEMENT: &str = "grant_log_ack";

/// A component that controls the manager.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum CustodyFault {
    /// Through a capability, or as its parent.
    #[error("`{component}` would hold {authority}, and could make the manager do anything")]
    #[diagnostic(
        code(policy::manager_held),
        help("remove the rule: no component controls the manager")
    )]
    Held {
        /// The component.
        component: String,
        /// What it would hold.
        authority: String,
    },
    /// Through memory.
    #[error("`{component}` would write region `{region}`, which the manager maps")]
    #[diagnostic(
        code(policy::manager_memory_written),
        help(
            "give it perms = \"r\", or another region: only `{ACKNOWLEDGEMENT}` may be written by \
             a component and read by the manager"
        )
    )]
    Written {
        /// The component.
        component: String,
        /// The region.
        region: String,
    },
    /// The other way round: the manager controls another protection domain, or a guest.
    #[error("`manager` would hold {authority}, and be told of its faults under another number")]
    #[diagnostic(
        code(policy::manager_parent),
        help(
            "give it another parent, or none: the manager is told of the faults of components by \
             their numbers, and would take this one's for another's"
        )
    )]
    Parent {
        /// What it would hold.
        authority: String,
    },
}

pub(super) fn check(check: &mut Check<'_>) {
    let policy = check.policy;
    let Some(manager) = policy.manager() else {
        return;
    };
    for rule in &policy.statics {
        if rule.component != manager {
            if let Some(fault) = fault(policy, manager, rule) {
                check.broken(&rule.object, "control of the manager", fault);
            }
        } else if let Authority::Child(_) | Authority::VirtualMachine(_) = &rule.authority {
            let authority = crate::text::authority(policy, &rule.authority);
            let fault = CustodyFault::Parent { authority };
            check.broken(&rule.object, "its faults come to the manager", fault);
        }
    }
}

fn fault(policy: &Policy, manager: ComponentId, rule: &Static) -> Option<CustodyFault> {
    let component = || policy.component(rule.component).name.clone();
    match &rule.authority {
        Authority::Cap { of, .. } | Authority::Child(of) if *of == manager => {
            let authority = crate::text::authority(policy, &rule.authority);
            Some(CustodyFault::Held {
                component: component(),
                authority,
            })
        }
        Authority::Region { region, perms }
            if perms.write && region != ACKNOWLEDGEMENT && is_mapped(policy, manager, region) =>
        {
            Some(CustodyFault::Written {
                component: component(),
                region: region.clone(),
            })
        }
        _ => None,
    }
}

/// Whether the manager maps a region: by a rule, or as the writer of a stream.
fn is_mapped(policy: &Policy, manager: ComponentId, wanted: &str) -> bool {
    let by_rule = policy.statics.iter().any(|rule| {
        rule.component == manager
            && matches!(&rule.authority, Authority::Region { region, .. } if region == wanted)
    });
    let by_stream = policy.grants.iter().any(|grant| {
        grant.subject == manager
            && grant.mode == Mode::Stream
            && grant
                .region
                .as_ref()
                .is_some_and(|region| region.name == wanted)
    });
    by_rule || by_stream
}

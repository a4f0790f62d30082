//! Whether the components that a grant may be delegated to can hold it.

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{Delegate, Grant, Policy};

/// A delegation that makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum DelegationFault {
    /// To the component that holds the grant.
    #[error("`{component}` may delegate to itself")]
    #[diagnostic(
        code(policy::delegate_to_itself),
        help("remove it from `delegate`: it holds the grant already")
    )]
    ToItself {
        /// The component.
        component: String,
    },
    /// To the component that serves the grant.
    #[error("`{component}` may be delegated a grant of its own interface")]
    #[diagnostic(
        code(policy::delegate_to_object),
        help("remove it from `delegate`: a component that waits for itself waits for ever")
    )]
    ToObject {
        /// The component.
        component: String,
    },
    /// To the manager, of a grant that waits.
    #[error("the manager may be delegated a {mode} grant, and may wait for nobody")]
    #[diagnostic(
        code(policy::delegate_to_manager),
        help("remove it from `delegate`: the manager holds grants of mode notify and stream only")
    )]
    ToManager {
        /// The mode.
        mode: &'static str,
    },
}

pub(super) fn check(check: &mut Check<'_>) {
    let policy = check.policy;
    for grant in &policy.grants {
        for delegate in &grant.delegate {
            if let Some(fault) = fault(policy, grant, delegate) {
                check.broken(&delegate.place, "this one", fault);
            }
        }
    }
}

fn fault(policy: &Policy, grant: &Grant, delegate: &Delegate) -> Option<DelegationFault> {
    let component = policy.component(delegate.component).name.clone();
    if delegate.component == grant.subject {
        Some(DelegationFault::ToItself { component })
    } else if delegate.component == grant.object {
        Some(DelegationFault::ToObject { component })
    } else if Some(delegate.component) == policy.manager()
        && matches!(grant.mode, Mode::Call | Mode::Send)
    {
        let mode = grant.mode.name();
        Some(DelegationFault::ToManager { mode })
    } else {
        None
    }
}

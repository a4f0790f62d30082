//! What the manager tells the operator: numbers of the policy in force.

use portcullis_kernel::{Fault, KernelError};

use crate::Refused;

/// Something that the operator should know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// The policy was refused: no grant is issued.
    Refused(Refused),
    /// The policy is in force, and all its boot grants are issued.
    InForce {
        /// How many grants are in force.
        grants: u32,
    },
    /// No grant of a component can be issued: its endpoint capability lacks rights.
    Unsound {
        /// The component.
        component: u16,
        /// What the kernel said.
        error: KernelError,
    },
    /// A grant was not issued.
    Unissued {
        /// To whom.
        subject: u16,
        /// Of what component.
        object: u16,
        /// Line of the policy that allows it.
        line: u32,
        /// Why.
        reason: Unissued,
    },
    /// A grant could not be revoked.
    StillInForce {
        /// Its index.
        index: u16,
        /// Who holds it.
        subject: u16,
        /// Line of the policy that allows it.
        line: u32,
        /// What the kernel said.
        error: KernelError,
    },
    /// An index is not used again in this boot.
    Retired {
        /// The index.
        index: u16,
        /// Who held its last grant.
        subject: u16,
    },
    /// A component was stopped by the kernel.
    Faulted {
        /// The component.
        component: u16,
        /// Why.
        fault: Fault,
    },
}

/// Why a grant was not issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unissued {
    /// The policy does not allow it: there is no such grant, it is not issued on request, or the
    /// grant that it is to be derived from is not the delegator's own of the same methods or more.
    NotPermitted,
    /// It is allowed, but is in force already, or cannot be: no index is left for it, or its subject or
    /// object is down.
    Unavailable,
    /// It is allowed with a lease, and no clock ends leases: the system has none, or it faulted.
    Leased,
    /// The ring has no room for its record.
    Full,
    /// The kernel refused.
    Kernel(KernelError),
}

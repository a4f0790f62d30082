//! What the manager knows of each component.

use portcullis_kernel::{Fault, KernelError};
use portcullis_policy_format::{Component, Grant, Items, OnFault};

/// A component of the policy in force.
#[derive(Clone, Debug)]
pub(crate) struct Member<'p> {
    /// The manager's id of the channel on which it asks.
    pub(crate) channel: Option<u8>,
    /// Number of its domain.
    pub(crate) domain: u16,
    /// What is done when it faults.
    pub(crate) on_fault: OnFault,
    /// Number, which is the index, of the first grant that it may hold.
    pub(crate) first: u32,
    /// The grants that it may hold are as many, from that one on.
    pub(crate) allowed: u16,
    grants: Items<'p, Grant>,
    /// Grants in force that it holds.
    pub(crate) holds: u32,
    /// Grants in force of which it is the object.
    pub(crate) serves: u32,
    /// Records of its denied requests.
    pub(crate) denials: u8,
    /// Whether it was stopped after a fault.
    pub(crate) down: bool,
    /// What the kernel stopped it for, where it did.
    pub(crate) fault: Fault,
    /// Whether a record of that fault is to be written yet.
    pub(crate) unlogged_fault: bool,
    /// What is wrong with the capability to its endpoint, that grants are minted from.
    pub(crate) unsound: Option<KernelError>,
}

impl<'p> Member<'p> {
    /// A component, and the grants of a policy from the first on that it may hold.
    pub(crate) const fn new(
        component: &Component<'p>,
        first: u32,
        allowed: u16,
        grants: Items<'p, Grant>,
    ) -> Self {
        Self {
            channel: component.channel,
            domain: component.domain,
            on_fault: component.on_fault,
            first,
            allowed,
            grants,
            holds: 0,
            serves: 0,
            denials: 0,
            down: false,
            fault: Fault::Other { label: 0 },
            unlogged_fault: false,
            unsound: None,
        }
    }

    /// The grants that it may hold, with their indices.
    pub(crate) fn grants(&self) -> impl Iterator<Item = (u16, Grant)> + use<'p> {
        self.indices().zip(self.grants.clone())
    }

    /// The indices of the grants that it may hold.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u16> + use<> {
        (self.first..self.first + u32::from(self.allowed))
            .map_while(|index| u16::try_from(index).ok())
    }
}

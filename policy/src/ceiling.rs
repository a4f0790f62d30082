//! The ceiling: the most that each component can ever hold, and where.
//!
//! What a component can hold is what it is granted at boot, what it may ask for, and what others may
//! delegate to it. Each has a slot of the component's grants CNode that nothing else ever uses, so
//! that the slot alone tells the grant.

use portcullis_kernel::{MethodSet, Mode};
use portcullis_manager_api::grants_radix;
use portcullis_policy_format::{MAX_GRANTS_PER_COMPONENT, When};

use crate::model::{self, ComponentId, InterfaceId, Policy};

/// Slot of the first grant. Slot 0 stays empty, so that a pointer of zeros names nothing.
pub const FIRST_SLOT: u32 = 1;
/// Most grants that one component can hold: one slot of the largest grants CNode stays empty.
pub const MAX_HELD: u32 = MAX_GRANTS_PER_COMPONENT - FIRST_SLOT;

/// The ceiling of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ceiling {
    holdings: Vec<Holdings>,
}

/// The most that one component can hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Holdings {
    /// Its grants by slot, from [`FIRST_SLOT`] without gaps: boot, then request, then delegated,
    /// each in the order of the policy.
    pub grants: Vec<Held>,
}

/// A grant as its subject can hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The component that holds it.
    pub subject: ComponentId,
    /// Slot of the subject's grants CNode.
    pub slot: u32,
    /// The component that serves it.
    pub object: ComponentId,
    /// The interface.
    pub interface: InterfaceId,
    /// The methods.
    pub methods: MethodSet,
    /// The mode.
    pub mode: Mode,
    /// When it is issued; a number is that of the component that delegates.
    pub when: When,
    /// How long it lasts once issued, in milliseconds.
    pub lease_ms: Option<u32>,
    /// Its rule: position in [`Policy::grants`].
    pub rule: usize,
}

impl Ceiling {
    /// The ceiling of `policy`.
    pub fn of(policy: &Policy) -> Self {
        let mut holdings = vec![Holdings::default(); policy.components.len()];
        let held = |subject, rule: usize, when| {
            let grant = &policy.grants[rule];
            Held {
                subject,
                slot: 0,
                object: grant.object,
                interface: grant.interface,
                methods: grant.methods,
                mode: grant.mode,
                when,
                lease_ms: grant.lease_ms,
                rule,
            }
        };
        let mut hold = |held: Held| {
            let grants = &mut holdings[held.subject.index()].grants;
            let slot = FIRST_SLOT + grants.len() as u32;
            grants.push(Held { slot, ..held });
        };
        for (when, issued) in [
            (model::When::Boot, When::Boot),
            (model::When::Request, When::Request),
        ] {
            for (rule, grant) in policy.grants.iter().enumerate() {
                if grant.when == when {
                    hold(held(grant.subject, rule, issued));
                }
            }
        }
        for (rule, grant) in policy.grants.iter().enumerate() {
            for delegate in &grant.delegate {
                let when = When::Delegated(grant.subject.0);
                hold(held(delegate.component, rule, when));
            }
        }
        Self { holdings }
    }

    /// The most that a component can hold.
    pub fn holdings(&self, component: ComponentId) -> &Holdings {
        &self.holdings[component.index()]
    }

    /// Every grant that can ever be held, by subject, then by slot.
    pub fn grants(&self) -> impl Iterator<Item = &Held> + Clone {
        self.holdings.iter().flat_map(|holdings| &holdings.grants)
    }

    /// How many grants can ever be held.
    pub fn count(&self) -> usize {
        self.holdings
            .iter()
            .map(|holdings| holdings.grants.len())
            .sum()
    }

    /// How many grants are issued at boot.
    pub fn boot_count(&self) -> usize {
        let boot = |held: &&Held| held.when == When::Boot;
        self.grants().filter(boot).count()
    }
}

impl Holdings {
    /// Bits of the component's grants CNode.
    pub fn radix(&self) -> u8 {
        grants_radix(self.grants.len() as u32)
    }

    /// How many of its grants are issued so.
    pub fn count(&self, issued: impl Fn(When) -> bool) -> usize {
        self.grants.iter().filter(|held| issued(held.when)).count()
    }
}

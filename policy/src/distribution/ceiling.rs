//! What of a policy decides who holds what: components, how many grants each can hold, and of whom.

use std::collections::BTreeSet;

use portcullis_kernel::Mode;
use portcullis_manager_api::{Authority, MANAGER};
use portcullis_policy_format::Policy;
use portcullis_sdf::{PdId, System};

use super::Mismatch;
use crate::clock::{self, Clock};

/// What the policy says, by protection domain.
pub(super) struct Ceiling {
    /// The components' protection domains, by number.
    pub(super) components: Vec<PdId>,
    /// How many grants each component can hold, by number.
    pub(super) held: Vec<u32>,
    /// Components that are the object of a grant.
    pub(super) objects: BTreeSet<u16>,
    /// Of these, components that reply to somebody: the object of a `call`.
    pub(super) servers: BTreeSet<u16>,
    /// All grants.
    pub(super) grants: u32,
    /// How many components may wait for an answer of the manager's.
    pub(super) callers: u8,
    /// The manager's number, where the policy has one.
    pub(super) manager: Option<u16>,
}

impl Ceiling {
    pub(super) fn read(policy: &Policy<'_>, system: &System) -> Result<Self, Mismatch> {
        let mut components = Vec::new();
        for component in policy.components() {
            let name = component.name;
            let pd = system
                .pd_named(name)
                .ok_or_else(|| Mismatch::NoProtectionDomain(name.to_owned()))?;
            let described = manager_channel(system, pd);
            if component.channel != described {
                return Err(Mismatch::OtherChannel {
                    component: name.to_owned(),
                    compiled: component.channel,
                    described,
                });
            }
            components.push(pd);
        }
        clock(policy, system, &components)?;
        let mut held = vec![0; components.len()];
        let grants = || policy.grants().map(|it| it.grant);
        for grant in grants() {
            // A verified policy's grants name its components.
            let highest = &mut held[usize::from(grant.subject)];
            *highest = u32::from(grant.slot).max(*highest);
        }
        let calls = grants().filter(|grant| grant.mode == Mode::Call);
        Ok(Self {
            components,
            held,
            objects: grants().map(|grant| grant.object).collect(),
            servers: calls.map(|grant| grant.object).collect(),
            grants: policy.counts().grants,
            callers: policy.callers(),
            manager: policy.component(MANAGER).map(|(number, _)| number),
        })
    }

    pub(super) fn number(&self, pd: PdId) -> Option<u16> {
        (0..)
            .zip(&self.components)
            .find(|(_, component)| **component == pd)
            .map(|(number, _)| number)
    }

    pub(super) fn layout(&self) -> Authority {
        Authority::new(self.components.len() as u16)
    }
}

/// Whether who watches the manager's deadline is the same in both.
fn clock(policy: &Policy<'_>, system: &System, components: &[PdId]) -> Result<(), Mismatch> {
    let described = clock::of(system);
    // A policy of the oldest format says nothing of it, and its manager has no clock.
    let Some(tail) = policy.tail() else {
        return Ok(());
    };
    let compiled = tail.clock.and_then(|clock| {
        let pd = *components.get(usize::from(clock.component))?;
        let channel = clock.channel;
        Some(Clock { pd, channel })
    });
    let named = |clock: Option<Clock>| match clock {
        Some(Clock { pd, channel }) => {
            format!("'{}' on channel {channel}", system.pd(pd).name.value)
        }
        None => "nobody".to_owned(),
    };
    match compiled == described {
        true => Ok(()),
        false => Err(Mismatch::OtherClock {
            compiled: named(compiled),
            described: named(described),
        }),
    }
}

/// The manager's id of the channel on which this protection domain can call it.
fn manager_channel(system: &System, pd: PdId) -> Option<u8> {
    let manager = system.pd_named(MANAGER)?;
    system
        .ends()
        .find(|(end, other)| end.pd.value == pd && end.pp.value && other.pd.value == manager)
        .map(|(_, other)| other.id.value)
}

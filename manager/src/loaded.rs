//! What was loaded: a policy, and what follows from it. It is fixed while the policy is in force.

use heapless::Vec;
use portcullis_kernel::{Grant, Mode, Principal};
use portcullis_log::BootId;
use portcullis_manager_api::{Authority, INSPECT, KeysError, MANAGER, Refused};
use portcullis_policy_format::{
    AllowedGrant, Component, MAX_COMPONENTS, OnFault, Policy, VerifyingKey, When, log_path,
};

/// Components that a policy can have.
pub(crate) const COMPONENTS: usize = MAX_COMPONENTS as usize;

/// What the manager starts from.
#[derive(Clone, Copy, Debug)]
pub struct Config<'p> {
    /// The compiled policy: the whole memory region. It does not change while the manager lives.
    pub policy: &'p [u8],
    /// The keys that may sign it, or why they cannot be read: see
    /// [`trusted_keys`](crate::trusted_keys).
    pub keys: Result<&'p [VerifyingKey], KeysError>,
    /// The version that is in force; 0: none.
    pub in_force: u32,
    /// Tells this boot apart from all others.
    pub boot: BootId,
}

/// A policy that may be in force. Holding one proves that it was verified against the trusted keys and
/// the version before it, and that the table has room for all that it allows.
#[derive(Debug)]
pub(crate) struct Loaded<'p> {
    policy: Policy<'p>,
    /// The grants that it allows, by number.
    allowed: &'p [AllowedGrant],
    components: Vec<Entrant, COMPONENTS>,
    layout: Authority,
    /// Number of the manager's own component, and of the interface that it serves.
    own: Option<u16>,
    inspect: Option<u16>,
    /// Number of the stream on which the ledger is told of records: the manager's first.
    ledger: Option<u16>,
    /// Components, a bit each, without whose grants no record becomes durable.
    log_path: u64,
    /// Components, a bit each, whose endpoints grants are minted from.
    sources: u64,
}

/// What the policy says of a component.
#[derive(Debug)]
struct Entrant {
    /// The manager's id of the channel on which it asks.
    channel: Option<u8>,
    domain: u16,
    on_fault: OnFault,
    /// The grants that it may hold: positions in `allowed`.
    grants: core::ops::Range<usize>,
}

impl<'p> Loaded<'p> {
    /// Verifies a policy, and reads into `memory` what it allows.
    pub(crate) fn load(
        config: &Config<'p>,
        memory: &'p mut [AllowedGrant],
    ) -> Result<Self, Refused> {
        let keys = config.keys.map_err(Refused::Keys)?;
        let policy =
            Policy::verify(config.policy, keys, config.in_force).map_err(Refused::Policy)?;
        let (allowed, room) = (policy.counts().grants, memory.len() as u32);
        if allowed > room {
            return Err(Refused::TableTooSmall { allowed, room });
        }
        for (place, grant) in memory.iter_mut().zip(policy.grants()) {
            *place = grant;
        }
        let (allowed, _) = memory.split_at(allowed as usize);
        let own = policy.component(MANAGER).map(|(number, _)| number);
        let ends =
            |it: &AllowedGrant| (it.grant.subject.component(), it.grant.object, it.grant.mode);
        let logs = |it: &AllowedGrant| {
            it.grant.mode == Mode::Stream && own == Some(it.grant.subject.component())
        };
        let endpoints = allowed.iter().filter(|it| !it.grant.mode.signals());
        Ok(Self {
            components: entrants(&policy, allowed),
            layout: Authority::new(policy.counts().components),
            inspect: policy.interface(INSPECT).map(|(number, _)| number),
            ledger: allowed.iter().position(logs).map(|number| number as u16),
            log_path: own.map_or(0, |own| log_path(own, allowed.iter().map(ends))),
            sources: endpoints.fold(0, |all, it| all | 1 << it.grant.object),
            policy,
            allowed,
            own,
        })
    }

    pub(crate) const fn policy(&self) -> &Policy<'p> {
        &self.policy
    }

    pub(crate) const fn layout(&self) -> Authority {
        self.layout
    }

    /// The grants that are issued at boot, with their numbers.
    pub(crate) fn boot_grants(&self) -> impl Iterator<Item = (u16, &AllowedGrant)> {
        (0..=u16::MAX)
            .zip(self.allowed)
            .filter(|(_, it)| it.when == When::Boot)
    }

    /// The grants that a component may hold, with their numbers.
    pub(crate) fn grants_of(&self, component: u16) -> impl Iterator<Item = (u16, &AllowedGrant)> {
        let entrant = self.components.get(usize::from(component));
        let range = entrant.map_or(0..0, |it| it.grants.clone());
        let first = range.start as u16;
        (first..=u16::MAX).zip(&self.allowed[range])
    }

    /// The grants of which a component is the object, with their numbers.
    pub(crate) fn grants_to(&self, component: u16) -> impl Iterator<Item = (u16, &AllowedGrant)> {
        let to = move |it: &(u16, &AllowedGrant)| it.1.grant.object == component;
        (0..=u16::MAX).zip(self.allowed).filter(to)
    }

    /// The grant with this number.
    pub(crate) fn grant(&self, number: u16) -> Option<&AllowedGrant> {
        self.allowed.get(usize::from(number))
    }

    /// The line of the policy that allows the grant with this number.
    pub(crate) fn line(&self, number: u16) -> u32 {
        self.grant(number).map_or(0, |it| it.line)
    }

    /// The component that asks on this static channel.
    pub(crate) fn on_channel(&self, id: u8) -> Option<u16> {
        let asks = |it: &Entrant| it.channel == Some(id);
        self.components
            .iter()
            .position(asks)
            .map(|number| number as u16)
    }

    /// Whether there is a component with this number.
    pub(crate) fn has_component(&self, number: u16) -> bool {
        usize::from(number) < self.components.len()
    }

    pub(crate) fn domain(&self, component: u16) -> Option<u16> {
        self.components
            .get(usize::from(component))
            .map(|it| it.domain)
    }

    /// What is done when a component faults; `None`: there is no such component.
    pub(crate) fn on_fault(&self, component: u16) -> Option<OnFault> {
        self.components
            .get(usize::from(component))
            .map(|it| it.on_fault)
    }

    /// Whether this is the manager itself.
    pub(crate) fn is_own(&self, principal: Principal) -> bool {
        self.own == Some(principal.component())
    }

    /// Whether a grant is one of the manager's own interface.
    pub(crate) fn is_inspect(&self, grant: &Grant) -> bool {
        self.own == Some(grant.object) && self.inspect == Some(grant.interface)
    }

    /// Number of the stream on which the ledger is told of records.
    pub(crate) const fn ledger(&self) -> Option<u16> {
        self.ledger
    }

    /// Whether static channel `id` is that of the component that makes records durable.
    pub(crate) fn is_ledger(&self, id: u8) -> bool {
        let ledger = self.ledger.and_then(|number| self.grant(number));
        ledger.is_some_and(|it| self.on_channel(id) == Some(it.grant.object))
    }

    /// Whether no record becomes durable without the grants of this component.
    pub(crate) const fn is_on_log_path(&self, component: u16) -> bool {
        self.log_path & 1 << component != 0
    }

    /// The components whose endpoints grants are minted from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = u16> + use<> {
        let sources = self.sources;
        (0..MAX_COMPONENTS).filter(move |number| sources & 1 << number != 0)
    }
}

/// What the policy says of each component. Grants come by subject, so that each has a stretch of them.
fn entrants(policy: &Policy<'_>, allowed: &[AllowedGrant]) -> Vec<Entrant, COMPONENTS> {
    let mut start = 0;
    let entrant = |(number, component): (u16, Component<'_>)| {
        let own = |it: &&AllowedGrant| it.grant.subject == Principal::Component(number);
        let end = start + allowed[start..].iter().take_while(own).count();
        let grants = core::mem::replace(&mut start, end)..end;
        Entrant {
            channel: component.channel,
            domain: component.domain,
            on_fault: component.on_fault,
            grants,
        }
    };
    // A policy has at most as many components as there is room for here.
    (0..).zip(policy.components()).map(entrant).collect()
}

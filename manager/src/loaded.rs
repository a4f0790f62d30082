//! What was loaded: a policy, and what follows from it. It is fixed while the policy is in force.

use crate::identity::Identity;
use portcullis_kernel::{Grant, Mode};
use portcullis_manager_api::{Authority, BootIdOrigin, INSPECT, KeysError, MANAGER, Refused};
use portcullis_policy_format::{
    AllowedGrant, Clock, Component, MAX_COMPONENTS, Policy, VerifyingKey, log_path,
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
    pub boot: Identity,
    /// SHA-256 that tells which image runs; zeros where the platform does not know.
    pub image: [u8; 32],
}

/// A policy that may be in force. Holding one proves that it was verified against the trusted keys and
/// the version before it, and that the table has room for all that it allows.
#[derive(Debug)]
pub(crate) struct Loaded<'p> {
    policy: Policy<'p>,
    /// The grants that it allows, by number: by subject, then by slot.
    allowed: &'p [AllowedGrant],
    /// Number of the manager's own component, and of the interface that it serves.
    own: Option<u16>,
    inspect: Option<u16>,
    /// Number of the stream on which the ledger is told of records: the manager's first.
    ledger: Option<u16>,
    /// Components, a bit each, without whose grants no record becomes durable.
    log_path: u64,
    /// Who watches the manager's deadline.
    clock: Option<Clock>,
    image: [u8; 32],
    /// What the boot's id is made of.
    boot_id: BootIdOrigin,
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
        let grants = allowed.iter().map(|it| &it.grant);
        let ends = grants.map(|it| (it.subject, it.object, it.mode));
        let logs =
            |it: &AllowedGrant| it.grant.mode == Mode::Stream && own == Some(it.grant.subject);
        Ok(Self {
            ledger: allowed.iter().position(logs).map(|number| number as u16),
            inspect: policy.interface(INSPECT).map(|(number, _)| number),
            log_path: own.map_or(0, |own| log_path(own, ends)),
            clock: policy.tail().and_then(|tail| tail.clock),
            policy,
            allowed,
            own,
            image: config.image,
            boot_id: config.boot.origin,
        })
    }

    pub(crate) const fn policy(&self) -> &Policy<'p> {
        &self.policy
    }

    /// What the boot's id is made of.
    pub(crate) const fn boot_id(&self) -> BootIdOrigin {
        self.boot_id
    }

    pub(crate) const fn layout(&self) -> Authority {
        Authority::new(self.policy.counts().components)
    }

    /// The grants that it allows, with their numbers.
    pub(crate) fn grants(&self) -> impl Iterator<Item = (u16, &AllowedGrant)> {
        (0..=u16::MAX).zip(self.allowed)
    }

    /// Those that a component may hold.
    pub(crate) fn grants_of(&self, component: u16) -> impl Iterator<Item = (u16, &AllowedGrant)> {
        let subject = component;
        let start = self
            .allowed
            .partition_point(|it| it.grant.subject < subject);
        let own = move |it: &(u16, &AllowedGrant)| it.1.grant.subject == subject;
        let from = self.allowed.iter().skip(start);
        (start as u16..=u16::MAX).zip(from).take_while(own)
    }

    /// The grant with this number.
    pub(crate) fn grant(&self, number: u16) -> Option<&AllowedGrant> {
        self.allowed.get(usize::from(number))
    }

    /// The line of the policy that allows the grant with this number.
    pub(crate) fn line(&self, number: u16) -> u32 {
        self.grant(number).map_or(0, |it| it.line)
    }

    /// What tells which image runs.
    pub(crate) const fn image(&self) -> &[u8; 32] {
        &self.image
    }

    /// The component with this number.
    pub(crate) fn component(&self, number: u16) -> Option<Component<'p>> {
        self.policy.component_at(number)
    }

    /// The component that asks on this static channel, and its number.
    pub(crate) fn on_channel(&self, id: u8) -> Option<(u16, Component<'p>)> {
        let mut components = (0..).zip(self.policy.components());
        components.find(|(_, component)| component.channel == Some(id))
    }

    /// How many components may wait for an answer: reply objects of the manager's pool.
    pub(crate) fn callers(&self) -> u8 {
        self.policy.callers()
    }

    /// Whether this is the manager itself.
    pub(crate) fn is_own(&self, component: u16) -> bool {
        self.own == Some(component)
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
        let keeper = ledger.and_then(|it| self.component(it.grant.object));
        keeper.is_some_and(|keeper| keeper.channel == Some(id))
    }

    /// Who watches the manager's deadline.
    pub(crate) const fn clock(&self) -> Option<Clock> {
        self.clock
    }

    /// Whether no record becomes durable without the grants of this component.
    pub(crate) const fn is_on_log_path(&self, component: u16) -> bool {
        self.log_path & 1 << component != 0
    }
}

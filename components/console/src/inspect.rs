//! What the console asks the manager: the interface `inspect`, from its caller's side.

use portcullis_kernel::{CallGrant, GrantBadge, Refusal, Syscalls};
use portcullis_log::Decoded;
use portcullis_manager_api::{
    COMPONENT, ComponentView, GRANTS, GrantView, INSPECT, MANAGER, NO_MORE, RECORD, STATUS, Status,
    WHY, Why, ask, find_call,
};
use portcullis_policy_format::Policy;

/// The grant to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inspect(CallGrant);

impl Inspect {
    pub(crate) fn find(kernel: &mut impl Syscalls, channel: u8) -> Result<Self, Refusal> {
        find_call(kernel, channel, MANAGER, INSPECT).map(Self)
    }

    /// The first grant in force at or after `index`; `None` where there is none.
    pub(crate) fn grant(
        self,
        kernel: &mut impl Syscalls,
        index: u16,
    ) -> Result<Option<GrantView>, Refusal> {
        match ask::<_, GrantView>(kernel, self.0, GRANTS, &index, &mut [0; _]) {
            // A cursor that goes back would never end.
            Ok(grant) if grant.index < index => Err(Refusal::Garbled),
            Ok(grant) => Ok(Some(grant)),
            Err(Refusal::Object(NO_MORE)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Component `number`.
    pub(crate) fn component(
        self,
        kernel: &mut impl Syscalls,
        number: u16,
    ) -> Result<ComponentView, Refusal> {
        ask(kernel, self.0, COMPONENT, &number, &mut [0; _])
    }

    /// The record of this boot with this sequence number.
    pub(crate) fn record(
        self,
        kernel: &mut impl Syscalls,
        sequence: u64,
    ) -> Result<Decoded, Refusal> {
        let buffer = &mut [0; _];
        let bytes: &[u8] = ask(kernel, self.0, RECORD, &sequence, buffer)?;
        Decoded::read(bytes).ok_or(Refusal::Garbled)
    }

    /// Whether a grant that the policy allows is in force, and its object up.
    pub(crate) fn is_usable(self, kernel: &mut impl Syscalls, grant: Why) -> Result<bool, Refusal> {
        ask(kernel, self.0, WHY, &grant, &mut [0; _])
    }

    pub(crate) fn status(self, kernel: &mut impl Syscalls) -> Result<Status, Refusal> {
        ask(kernel, self.0, STATUS, &(), &mut [0; _])
    }
}

/// Where what the console shows comes from: the manager, in numbers, and the policy in force, which
/// has the names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'p> {
    pub(crate) inspect: Inspect,
    pub(crate) policy: Policy<'p>,
}

impl<'p> Source<'p> {
    /// The policy in a region, if it is the one in force: numbers are of no other.
    pub(crate) fn new(inspect: Inspect, region: &'p [u8], status: &Status) -> Option<Self> {
        let policy = Policy::inspect(region).ok()?;
        Some(Self { inspect, policy }).filter(|it| it.is_in_force(status))
    }

    /// Whether its policy is the one in force.
    pub(crate) fn is_in_force(&self, status: &Status) -> bool {
        *self.policy.sha256() == status.sha256
    }

    /// The name of the holder of the grant with this very badge.
    pub(crate) fn name(&self, kernel: &mut impl Syscalls, badge: GrantBadge) -> Option<&'p str> {
        let grant = self.inspect.grant(kernel, badge.index()).ok()??;
        let known = (grant.index, grant.generation) == (badge.index(), badge.generation());
        let number = grant.grant.subject;
        let holder = self.policy.component_at(number)?;
        known.then_some(holder.name)
    }
}

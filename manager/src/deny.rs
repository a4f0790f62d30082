//! Why a request is denied, and the record of it.

use portcullis_kernel::{Mode, Region, RegionMut};
use portcullis_log::{Cause, GrantFields, Operation, Outcome};
use portcullis_manager_api::{FORBIDDEN, NOT_PERMITTED, UNAVAILABLE};
use portcullis_policy_format::Policy;

use crate::journal::Event;
use crate::{Manager, Platform};

/// Records of a component's denied requests in one boot. One more says that there are others: its
/// grant and its policy line are both absent and its outcome is *unavailable*, which no single
/// denial's record has. Three times what a component of the reference appliance ever looks for.
pub const DENIAL_RECORDS: u8 = 16;

/// Records that the ring must have room for before a denial is recorded: so no component can take
/// the room that grants and revocations need.
pub const DENIAL_ROOM: u64 = 64;

/// Why a component does not get what it looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denial {
    /// No rule allows it.
    NotPermitted,
    /// The rule in this line forbids it.
    Forbidden(u32),
    /// It is the grant with this index, which is allowed but not in force.
    Unavailable(u16),
}

impl Denial {
    /// The code that the component gets.
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::NotPermitted => NOT_PERMITTED,
            Self::Forbidden(_) => FORBIDDEN,
            Self::Unavailable(_) => UNAVAILABLE,
        }
    }
}

/// The line of the rule that forbids what goes from one domain to another; with `mode`, also what
/// comes back in that mode.
pub(crate) fn forbidden(
    policy: &Policy<'_>,
    from: u16,
    to: u16,
    mode: Option<Mode>,
) -> Option<u32> {
    let back = mode.is_some_and(Mode::flows_back);
    policy
        .nevers()
        .find(|never| {
            let there = (never.from, never.to) == (from, to);
            there || back && (never.from, never.to) == (to, from)
        })
        .map(|never| never.line)
}

impl<P: Platform, R: RegionMut, A: Region> Manager<'_, P, R, A> {
    /// Records that a component was denied what it asked for, where the policy does not redact it, and
    /// its share of records and the ring's room allow it.
    pub(crate) fn record_denial(&mut self, component: u16, denial: Denial) {
        let denials = self.members[usize::from(component)].denials;
        let is_redacted = self.policy().is_some_and(|it| it.is_redacted(component));
        if is_redacted || denials > DENIAL_RECORDS || !self.journal.has_room(DENIAL_ROOM + 1) {
            return;
        }
        let (grant, line, outcome) = if denials == DENIAL_RECORDS {
            (None, None, Outcome::Unavailable)
        } else {
            self.denied(denial)
        };
        let recorded = self.record(Event {
            operation: Operation::Deny,
            grant,
            cause: Cause::Request { component, line },
            outcome,
        });
        if recorded.is_ok() {
            self.members[usize::from(component)].denials += 1;
        }
    }

    fn denied(&self, denial: Denial) -> (Option<GrantFields>, Option<u32>, Outcome) {
        match denial {
            Denial::NotPermitted => (None, None, Outcome::NotPermitted),
            Denial::Forbidden(line) => (None, Some(line), Outcome::Forbidden),
            Denial::Unavailable(index) => {
                let entry = self.grants.at(index);
                let grant = entry.fields(index);
                (Some(grant), Some(entry.line), Outcome::Unavailable)
            }
        }
    }
}

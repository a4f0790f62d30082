//! What a component may ask on its static channel: where its grants lie.

use portcullis_kernel::{Message, Region, RegionMut, label};
use portcullis_manager_api::{Awaited, Buffer, Find, Found, NOT_PERMITTED, UNAVAILABLE};
use portcullis_policy_format::Policy;

use crate::deny::{Denial, forbidden};
use crate::{Manager, Platform};

impl<P: Platform, R: RegionMut, A: Region> Manager<'_, P, R, A> {
    /// Answers the component on static channel `channel`. The kernel says which channel it is, so
    /// nobody can ask in another's name.
    pub(crate) fn find(&mut self, channel: u8, message: &mut Message) {
        let Some(policy) = self.policy().copied() else {
            return message.refuse(UNAVAILABLE);
        };
        let Some(subject) = self.who(channel) else {
            // The policy knows no component on this channel, so there is nobody to hold a record
            // against.
            return message.refuse(NOT_PERMITTED);
        };
        let mut buffer: Buffer = [0; _];
        let Some(wanted) = message.decode(&mut buffer) else {
            return message.refuse(label::BAD_REQUEST);
        };
        match self.locate(&policy, subject, &wanted) {
            Ok(found) => answer(message, &found),
            Err(denial) => {
                self.record_denial(subject, denial);
                message.refuse(denial.code());
            }
        }
    }

    /// Tells the component on static channel `channel` which bit of its notification a grant sets. It
    /// asks for no authority, so that a refusal is no record.
    pub(crate) fn signal(&self, channel: u8, message: &mut Message) {
        let Some(policy) = self.policy() else {
            return message.refuse(UNAVAILABLE);
        };
        let mut buffer: Buffer = [0; _];
        let Some(awaited) = message.decode::<Awaited<'_>>(&mut buffer) else {
            return message.refuse(label::BAD_REQUEST);
        };
        let sets = self.who(channel).and_then(|object| {
            let (subject, _) = policy.component(awaited.subject)?;
            let (interface, _) = policy.interface(awaited.interface)?;
            let sought = (subject, object, interface, awaited.mode);
            policy.grants().find_map(|grant| {
                let it = (grant.subject, grant.object, grant.interface, grant.mode);
                grant.notification.filter(|_| it == sought)
            })
        });
        match sets {
            Some(bit) => answer(message, &bit),
            None => message.refuse(NOT_PERMITTED),
        }
    }

    /// The component on static channel `channel`.
    fn who(&self, channel: u8) -> Option<u16> {
        let mut members = (0..).zip(&self.members);
        let asks = members.find(|(_, member)| member.channel == Some(channel));
        asks.map(|(number, _)| number)
    }

    /// Says why the policy was refused. That tells of the policy alone: no component could do anything yet.
    pub(crate) fn show_reason(&self, message: &mut Message) {
        match self.refused() {
            Some(reason) => answer(message, &format_args!("{reason}")),
            None => message.refuse(label::BAD_METHOD),
        }
    }

    fn locate(
        &self,
        policy: &Policy<'_>,
        subject: u16,
        wanted: &Find<'_>,
    ) -> Result<Found, Denial> {
        let (object, served) = policy
            .component(wanted.object)
            .ok_or(Denial::NotPermitted)?;
        let (interface, _) = policy
            .interface(wanted.interface)
            .ok_or(Denial::NotPermitted)?;
        let member = &self.members[usize::from(subject)];
        let sought = (object, interface, wanted.mode);
        let mut closed = None;
        for (index, grant) in member.grants() {
            if (grant.object, grant.interface, grant.mode) != sought {
                continue;
            }
            if self.is_usable(index) || self.seems_usable(index) {
                let methods = self.grants.at(index).methods;
                let slot = grant.slot;
                return Ok(Found { slot, methods });
            }
            closed.get_or_insert(index);
        }
        if let Some(index) = closed {
            return Err(Denial::Unavailable(index));
        }
        let rule = forbidden(policy, member.domain, served.domain, Some(wanted.mode));
        Err(rule.map_or(Denial::NotPermitted, Denial::Forbidden))
    }

    /// Whether a grant is one way and its object was stopped: what its subject sends is lost without a
    /// word, and asking must not tell it either, since nothing flows back.
    fn seems_usable(&self, index: u16) -> bool {
        let entry = self.grants.at(index);
        !entry.mode.flows_back() && self.is_down(entry.object)
    }

    /// Whether a grant is in force and its object up.
    pub(crate) fn is_usable(&self, index: u16) -> bool {
        self.is_in_force(index) && !self.is_down(self.grants.at(index).object)
    }
}

/// Makes `message` the reply that carries `value`.
pub(crate) fn answer(message: &mut Message, value: &impl serde::Serialize) {
    if message.encode(label::OK, value).is_err() {
        message.refuse(UNAVAILABLE);
    }
}

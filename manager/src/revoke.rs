//! Taking grants back: in force first, then in the log.

use core::fmt;

use portcullis_kernel::{CNodes, Fault, Invocation, KernelError, Message, Region, RegionMut};
use portcullis_log::ring::Full;
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_policy_format::{OnFault, When};

use crate::entry::{By, Next, State};
use crate::journal::Event;
use crate::{Manager, Platform, slots};

/// Why a grant was not revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RevokeError {
    /// There is nothing to revoke: no such grant is issued, or there is no such component.
    NotInForce,
    /// The kernel refused to take the grant, or one derived from it, back: that one is still in force.
    Kernel(KernelError),
}

impl<P: Platform, R: RegionMut, A: Region> Manager<'_, P, R, A> {
    /// Revokes grant `index` and, before it, everything derived from it, deepest first. `by` is the
    /// component that asked for it; `None`: none did. [`announce`](Self::announce) its record afterwards.
    ///
    /// What cannot be taken back stays in force while everything else is revoked. A call that its
    /// object is already serving keeps its reply.
    pub fn revoke<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        by: Option<u16>,
    ) -> Result<(), RevokeError> {
        let revoked = match self.requester(by) {
            Some(by) if self.grants.is_issued(index) => self
                .revoke_tree(kernel, index, by)
                .map_err(RevokeError::Kernel),
            _ => Err(RevokeError::NotInForce),
        };
        self.progress(kernel);
        revoked
    }

    fn requester(&self, by: Option<u16>) -> Option<By> {
        let Some(component) = by else {
            return Some(By::Policy);
        };
        let known = usize::from(component) < self.members.len();
        known.then_some(By::Request(component as u8))
    }

    /// Takes note of a component's fault, for which the kernel stopped it: revokes every grant that
    /// it holds. Where the policy says `on_fault = "restart"`, issues its boot grants anew under
    /// another generation; where it says `stop`, revokes every grant to it too, so that nobody waits
    /// for it in its queue. Whom it was serving is answered as the kernel answers a call through no
    /// capability.
    ///
    /// Of a component that the policy redacts, the log tells the fault without what it was. Of faults
    /// that come before the log has taken the revocations of an earlier one, the log tells that one's.
    pub fn revoke_component<K: CNodes>(
        &mut self,
        kernel: &mut K,
        number: u8,
        fault: Fault,
    ) -> Result<(), RevokeError> {
        self.report_fault(number, fault);
        let unlogged = self.has_unlogged();
        let is_redacted = self
            .policy()
            .is_some_and(|it| it.is_redacted(number.into()));
        let member = self
            .members
            .get_mut(usize::from(number))
            .ok_or(RevokeError::NotInForce)?;
        if !unlogged && !is_redacted {
            member.fault = fault;
        }
        member.unlogged_fault = true;
        member.down = member.on_fault == OnFault::Stop;
        self.unlogged_faults = true;
        // The fault itself may be told before what it led to; without room both are told later.
        let _ = self.log_boot().and_then(|()| self.log_revocations());
        let held = self.members[usize::from(number)].indices();
        let mut revoked = self.revoke_all(kernel, held, number);
        if self.members[usize::from(number)].down {
            // Whoever waits for it would wait for ever: their grants go too, which wakes them.
            for subject in 0..self.members.len() {
                let grants = self.members[subject].grants();
                let served = grants.filter(|(_, grant)| grant.object == number.into());
                let freed = self.revoke_all(kernel, served.map(|(index, _)| index), number);
                revoked = revoked.and(freed);
            }
        }
        self.answer_for(kernel, number);
        self.restart(number);
        self.progress(kernel);
        self.announce(kernel);
        revoked.map_err(RevokeError::Kernel)
    }

    fn report_fault(&mut self, number: u8, fault: Fault) {
        match self.component_name(number.into()) {
            "" => self
                .platform
                .report(format_args!("component {number} faulted: {fault}")),
            name => self
                .platform
                .report(format_args!("'{name}' faulted: {fault}")),
        }
    }

    /// Answers the caller that a stopped component was serving, if it was: nobody else will. A call
    /// is not in the endpoint's queue any more once it is served, so that no revocation ends it.
    fn answer_for<K: CNodes>(&self, kernel: &mut K, number: u8) {
        let reply = slots::pointer(self.layout.reply(number.into()));
        let refused = KernelError::InvalidCapability.code();
        // Silent where the slot is empty (nobody may call the component) or nobody waits.
        kernel.nb_send(reply, &Message::new(refused.into()));
    }

    /// Revokes those of `indices` that are issued, since component `number` faulted.
    fn revoke_all<K: CNodes>(
        &mut self,
        kernel: &mut K,
        indices: impl IntoIterator<Item = u16>,
        number: u8,
    ) -> Result<(), KernelError> {
        let mut result = Ok(());
        for index in indices {
            if self.grants.is_issued(index) {
                let revoked = self.revoke_tree(kernel, index, By::Fault(number));
                result = result.and(revoked);
            }
        }
        result
    }

    /// Has a component's boot grants issued anew, once their revocation is logged.
    fn restart(&mut self, number: u8) {
        let member = &self.members[usize::from(number)];
        if member.on_fault != OnFault::Restart {
            return;
        }
        for (index, grant) in member.grants() {
            let entry = self.grants.at_mut(index);
            match entry.state {
                _ if grant.when != When::Boot => {}
                State::Idle => self.make_due(index),
                State::Unlogged(Next::Idle) => entry.state = State::Unlogged(Next::Due),
                State::Unlogged(Next::Due | Next::Retired)
                | State::Due
                | State::Logged
                | State::InForce
                | State::Retired => {}
            }
        }
    }

    /// Revokes `index` and all that was derived from it. The first refusal of the kernel is the
    /// result; what could not be revoked is then derived from none, and stays in force.
    fn revoke_tree<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        by: By,
    ) -> Result<(), KernelError> {
        let mut result = Ok(());
        let mut from = index;
        loop {
            let leaf = self.grants.deepest(from);
            let parent = self.grants.at(leaf).parent(leaf);
            let revoked = self.take_back(kernel, leaf, by);
            if let Err(error) = revoked {
                self.report_in_force(leaf, by, error);
            }
            result = result.and(revoked);
            if leaf == index {
                if revoked.is_ok() {
                    self.grants.detach(leaf);
                }
                return result;
            }
            self.grants.detach(leaf);
            from = parent.unwrap_or(index);
        }
    }

    /// Takes one grant back and queues it to be logged.
    fn take_back<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        by: By,
    ) -> Result<(), KernelError> {
        let reusable = if self.is_in_force(index) {
            self.unmake(kernel, index)?
        } else {
            // It waits for its record, and there is nothing that the kernel holds.
            self.logged.remove(&mut self.grants, index);
            true
        };
        let entry = self.grants.at_mut(index);
        entry.state = State::Unlogged(if reusable { Next::Idle } else { Next::Retired });
        entry.by = by;
        self.unlogged.push(&mut self.grants, index);
        Ok(())
    }

    /// Has the kernel take a grant's capabilities; gives whether its index may be used again.
    fn unmake<K: CNodes>(&mut self, kernel: &mut K, index: u16) -> Result<bool, KernelError> {
        let root = slots::authority(self.layout.root(index));
        let reusable = if self.is_own(index) {
            // The manager holds the root alone, and is not waiting to send anything.
            kernel.invoke(&Invocation::Delete(root))?;
            true
        } else {
            kernel.invoke(&Invocation::Revoke(root))?;
            // From here on the subject holds nothing. If a message with the badge may still be
            // queued, or the root is still taken, the index is not used again.
            let cancelled = if self.grants.at(index).is_endpoint() {
                kernel.invoke(&Invocation::CancelBadgedSends(root))
            } else {
                Ok(())
            };
            let freed = kernel.invoke(&Invocation::Delete(root));
            cancelled.and(freed).is_ok()
        };
        self.count(index, false);
        Ok(reusable)
    }

    /// Says, where it can be said, that a grant could not be revoked.
    fn report_in_force(&mut self, index: u16, by: By, error: KernelError) {
        if self.log_revocations().is_ok() {
            let _ = self.record_grant(Operation::Revoke, index, by, error.into());
        }
        let entry = self.grants.at(index);
        let (line, subject) = (entry.line, entry.subject);
        self.platform.report(format_args!(
            "grant {index} of '{}', line {line} of the policy, could not be revoked ({error}): it \
             is still in force",
            self.component_name(subject.into())
        ));
    }

    /// Whether something was done whose record is not yet written.
    pub(crate) fn has_unlogged(&self) -> bool {
        self.unlogged_faults || self.unlogged.first().is_some()
    }

    /// Writes the records of faults and revocations that are not yet written, in their order.
    pub(crate) fn log_revocations(&mut self) -> Result<(), Full> {
        if self.unlogged_faults {
            self.log_faults()?;
        }
        while let Some(index) = self.unlogged.first() {
            let entry = self.grants.at(index);
            let (by, state) = (entry.by, entry.state);
            self.record_grant(Operation::Revoke, index, by, Outcome::Done)?;
            self.unlogged.pop(&self.grants);
            if let State::Unlogged(next) = state {
                self.renew(index, next);
            }
        }
        Ok(())
    }

    fn log_faults(&mut self) -> Result<(), Full> {
        for number in 0..self.members.len() {
            let member = &self.members[number];
            if !member.unlogged_fault {
                continue;
            }
            let cause = Cause::Fault {
                component: number as u16,
                fault: member.fault,
            };
            self.record(Event {
                operation: Operation::Fault,
                grant: None,
                cause,
                outcome: Outcome::Done,
            })?;
            self.members[number].unlogged_fault = false;
        }
        self.unlogged_faults = false;
        Ok(())
    }
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInForce => f.write_str("there is no such grant in force"),
            Self::Kernel(error) => {
                write!(
                    f,
                    "the kernel did not take it back ({error}): it is still in force"
                )
            }
        }
    }
}

impl core::error::Error for RevokeError {}

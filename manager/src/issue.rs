//! Issuing grants: the record first, then, once it is durable, the root and the subject's copy.

use core::fmt;

use portcullis_kernel::{CNodes, GrantBadge, Invocation, KernelError, Region, RegionMut};
use portcullis_log::Outcome;
use portcullis_log::ring::Full;

use crate::entry::{By, Entry, Next, Origin, State};
use crate::manager::Stage;
use crate::{Manager, Platform, slots};

/// Records that the ring must have room for before a grant is logged: the grant's, and the one that
/// says that the kernel refused it.
pub const ISSUE_ROOM: u64 = 2;

/// Why a grant was not issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unissued {
    /// The policy does not allow it: there is no such grant, it is not issued on request, or the
    /// grant that it is to be derived from is not the delegator's own of the same methods or more.
    NotPermitted,
    /// It is allowed, but is in force already, or cannot be: its index is retired, its subject is
    /// down, or it has a lease, which nothing ends yet.
    Unavailable,
    /// The ring has no room for its record.
    Full,
    /// The kernel refused.
    Kernel(KernelError),
}

impl<P: Platform, R: RegionMut, A: Region> Manager<'_, P, R, A> {
    /// Issues grant `index` (its number in the policy) because its subject asked for it, or because
    /// the holder of grant `parent` delegates it. Its record is written, and it is in force when that
    /// is durable: [`announce`](Self::announce) it afterwards.
    pub fn issue<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        parent: Option<u16>,
    ) -> Result<GrantBadge, Unissued> {
        self.progress(kernel);
        let requester = self.permits(index, parent)?;
        let entry = self.grants.at(index);
        let down = self.is_down(entry.subject) || self.is_down(entry.object);
        if entry.state != State::Idle || down {
            return Err(Unissued::Unavailable);
        }
        if matches!(self.stage, Stage::Loaded(_)) || self.has_unlogged() {
            return Err(Unissued::Full);
        }
        if let Some(parent) = parent {
            self.grants.adopt(parent, index);
        }
        let logged = self.log(index, By::Request(requester));
        match logged {
            Ok(_) => self.await_durable(index),
            Err(_) => self.grants.orphan(index),
        }
        logged
    }

    /// The component that asks for grant `index`, where the policy allows it to.
    fn permits(&self, index: u16, parent: Option<u16>) -> Result<u8, Unissued> {
        let allowed = self.grant_in_policy(index).ok_or(Unissued::NotPermitted)?;
        match (allowed.origin, parent) {
            (Origin::Request, None) => Ok(allowed.subject),
            (Origin::Delegated(from), Some(parent)) => {
                let held = self.grant_in_policy(parent).ok_or(Unissued::NotPermitted)?;
                let reach = |it: &Entry| (it.object, it.interface, it.mode);
                if held.subject != from
                    || reach(held) != reach(allowed)
                    || !allowed.methods.is_subset(held.methods)
                {
                    Err(Unissued::NotPermitted)
                } else if held.state != State::InForce {
                    Err(Unissued::Unavailable)
                } else {
                    Ok(from)
                }
            }
            _ => Err(Unissued::NotPermitted),
        }
    }

    /// The entry of a grant that the policy in force allows.
    pub(crate) fn grant_in_policy(&self, index: u16) -> Option<&Entry> {
        let allowed = self.policy()?.counts().grants;
        self.grants
            .get(index)
            .filter(|_| u32::from(index) < allowed)
    }

    /// Issues the grants that are due: first their records, then, when these are durable, the grants.
    /// Says whether that is all, and no other has to wait for room in the ring or for the ledger.
    pub(crate) fn issue_due<K: CNodes>(&mut self, kernel: &mut K) -> bool {
        while self.make_durable(kernel).is_ok() {
            if self.due.first().is_none() {
                return true;
            }
            if self.log_due(kernel).is_err() {
                return false;
            }
        }
        false
    }

    /// Writes the records of the grants that are due, and makes those at once without which no record
    /// becomes durable.
    fn log_due<K: CNodes>(&mut self, kernel: &mut K) -> Result<(), Full> {
        while let Some(index) = self.due.first() {
            let entry = self.grants.at(index);
            let subject = entry.subject;
            if self.is_down(subject) || self.is_down(entry.object) {
                self.grants.at_mut(index).state = State::Idle;
                self.due.pop(&self.grants);
                continue;
            }
            let logged = self.log(index, By::Policy);
            if logged == Err(Unissued::Full) {
                return Err(Full);
            }
            self.due.pop(&self.grants);
            let issued = logged.and_then(|badge| {
                if self.log_path & 1 << subject != 0 {
                    return self.make(kernel, index, badge);
                }
                self.await_durable(index);
                Ok(())
            });
            if let Err(reason) = issued {
                self.report_unissued(index, reason);
            }
        }
        Ok(())
    }

    /// Puts a grant into the queue of those whose records are in the ring.
    fn await_durable(&mut self, index: u16) {
        self.grants.at_mut(index).state = State::Logged;
        self.logged.push(&mut self.grants, index);
    }

    /// Makes the grants whose records are durable. `Err` where others have to wait: for the ledger, or
    /// for room for the record that the kernel refused.
    fn make_durable<K: CNodes>(&mut self, kernel: &mut K) -> Result<(), Full> {
        let durable = self.journal.durable() as u32;
        let mut has_room = self.journal.has_room(1);
        while let Some(index) = self.logged.first() {
            let entry = self.grants.at(index);
            let (badge, waits) = (entry.badge(index), entry.logged_at.wrapping_sub(durable));
            // The ring is far shorter than half of the numbers.
            if waits.cast_signed() > 0 || !has_room {
                return Err(Full);
            }
            self.logged.pop(&self.grants);
            if let Some(badge) = badge
                && let Err(reason) = self.make(kernel, index, badge)
            {
                self.report_unissued(index, reason);
                has_room = self.journal.has_room(1);
            }
        }
        Ok(())
    }

    /// Writes the record that a grant is issued, or why it cannot be.
    fn log(&mut self, index: u16, by: By) -> Result<GrantBadge, Unissued> {
        if !self.journal.has_room(ISSUE_ROOM) {
            return Err(Unissued::Full);
        }
        let entry = self.grants.at(index);
        let (badge, issuing) = (entry.badge(index), entry.issuing(index));
        let badge = badge.ok_or(Unissued::NotPermitted)?;
        if let Some((outcome, reason)) = self.obstacle(entry) {
            self.record_grant(issuing, index, by, outcome)?;
            self.grants.at_mut(index).state = State::Idle;
            return Err(reason);
        }
        self.record_grant(issuing, index, by, Outcome::Done)?;
        let logged_at = self.journal.written() as u32;
        let entry = self.grants.at_mut(index);
        (entry.by, entry.logged_at) = (by, logged_at);
        Ok(badge)
    }

    /// Has the kernel make the capabilities of a grant whose record is written. Where that fails a
    /// second record says so, the grant is not in force, and its generation is not used again.
    fn make<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        badge: GrantBadge,
    ) -> Result<(), Unissued> {
        match self.mint(kernel, index, badge) {
            Ok(()) => {
                self.grants.at_mut(index).state = State::InForce;
                self.count(index, true);
                Ok(())
            }
            Err(Failed { error, next }) => {
                let entry = *self.grants.at(index);
                // Whoever comes here has seen that there is room for this record.
                let _ = self.record_grant(entry.issuing(index), index, entry.by, error.into());
                self.renew(index, next);
                Err(Unissued::Kernel(error))
            }
        }
    }

    /// What makes it impossible to issue a grant, with the outcome to record.
    fn obstacle(&self, entry: &Entry) -> Option<(Outcome, Unissued)> {
        // A grant that outlived its lease would be above the ceiling, and nothing ends leases yet.
        if entry.lease_ms.is_some() {
            return Some((Outcome::Unavailable, Unissued::Unavailable));
        }
        if !entry.is_endpoint() {
            return None;
        }
        let unsound = self.members[usize::from(entry.object)].unsound;
        unsound.map(|error| (error.into(), Unissued::Kernel(error)))
    }

    /// Makes the root and the subject's copy of it, or neither.
    fn mint<K: CNodes>(&self, kernel: &mut K, index: u16, badge: GrantBadge) -> Result<(), Failed> {
        let entry = self.grants.at(index);
        let (layout, is_own) = (self.layout, self.is_own(index));
        let root = slots::authority(layout.root(index));
        let source = if entry.is_endpoint() {
            layout.endpoint(entry.object.into())
        } else {
            layout.notification(entry.object.into())
        };
        let minted = kernel.invoke(&Invocation::Mint {
            destination: root,
            source: slots::authority(source),
            rights: entry.root_rights(is_own),
            badge: entry.badge_bits(badge),
        });
        minted.map_err(|error| Failed {
            error,
            next: Next::Idle,
        })?;
        if is_own {
            return Ok(());
        }
        let copied = kernel.invoke(&Invocation::Copy {
            destination: slots::grants(layout, entry.subject.into(), entry.slot),
            source: root,
            rights: entry.mode.rights(),
        });
        copied.map_err(|error| {
            let freed = kernel.invoke(&Invocation::Delete(root));
            let next = freed.map_or(Next::Retired, |()| Next::Idle);
            Failed { error, next }
        })
    }

    /// Ends a use of the index: the next, if there is one, has another generation.
    pub(crate) fn renew(&mut self, index: u16, next: Next) {
        self.grants.orphan(index);
        let entry = self.grants.at_mut(index);
        let generation = entry.generation.next();
        entry.state = match (next, generation) {
            (Next::Retired, _) | (_, None) => State::Retired,
            (Next::Idle | Next::Due, Some(_)) => State::Idle,
        };
        entry.generation = generation.unwrap_or(entry.generation);
        if entry.state == State::Retired {
            let subject = entry.subject;
            self.platform.report(format_args!(
                "grant {index} of '{}' is retired until the next boot",
                self.component_name(subject.into())
            ));
        } else if next == Next::Due {
            self.make_due(index);
        }
    }

    fn report_unissued(&mut self, index: u16, reason: Unissued) {
        let entry = self.grants.at(index);
        let (line, subject, object) = (entry.line, entry.subject, entry.object);
        self.platform.report(format_args!(
            "the grant of '{}' to '{}' in line {line} of the policy was not issued: {reason}",
            self.component_name(object.into()),
            self.component_name(subject.into())
        ));
    }
}

/// What the kernel refused, and what becomes of the index.
struct Failed {
    error: KernelError,
    next: Next,
}

impl From<Full> for Unissued {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl fmt::Display for Unissued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("the policy does not allow it"),
            Self::Unavailable => f.write_str(
                "it is in force already, or its index is retired, a component is stopped, or it has \
                 a lease, which nothing would end",
            ),
            Self::Full => f.write_str("the log has no room for its record"),
            Self::Kernel(error) => write!(f, "the kernel refused it ({error})"),
        }
    }
}

impl core::error::Error for Unissued {}

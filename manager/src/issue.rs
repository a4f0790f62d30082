//! Issuing grants: the record first, then the root, then the subject's copy.

use core::fmt;

use portcullis_kernel::{CNodes, GrantBadge, Invocation, KernelError, Region, RegionMut};
use portcullis_log::ring::Full;
use portcullis_log::{Operation, Outcome};

use crate::entry::{By, Entry, Next, Origin, State};
use crate::manager::Stage;
use crate::{Manager, Platform, slots};

/// Records that the ring must have room for before a grant is issued: the grant's, and the one that
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
    /// the holder of grant `parent` delegates it. [`announce`](Self::announce) its record afterwards.
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
        let issued = self.issue_logged(kernel, index, By::Request(requester));
        if issued.is_err() {
            self.grants.orphan(index);
        }
        issued
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

    /// Issues the grants that are due; `Err` where the ring became full.
    pub(crate) fn issue_due<K: CNodes>(&mut self, kernel: &mut K) -> Result<(), Full> {
        while let Some(index) = self.due.first() {
            if self.is_down(self.grants.at(index).subject) {
                self.grants.at_mut(index).state = State::Idle;
            } else {
                match self.issue_logged(kernel, index, By::Policy) {
                    Err(Unissued::Full) => return Err(Full),
                    Err(reason) => self.report_unissued(index, reason),
                    Ok(_) => {}
                }
            }
            self.due.pop(&self.grants);
        }
        Ok(())
    }

    /// Writes the record, then has the kernel make the capabilities. Where that fails a second record
    /// says so, the grant is not in force, and its generation is not used again.
    fn issue_logged<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        by: By,
    ) -> Result<GrantBadge, Unissued> {
        if !self.journal.has_room(ISSUE_ROOM) {
            return Err(Unissued::Full);
        }
        let entry = *self.grants.at(index);
        let badge = entry.badge(index).ok_or(Unissued::NotPermitted)?;
        let operation = match entry.parent(index) {
            Some(_) => Operation::Copy,
            None => Operation::Mint,
        };
        if let Some((outcome, reason)) = self.obstacle(&entry) {
            self.record_grant(operation, index, by, outcome)?;
            self.grants.at_mut(index).state = State::Idle;
            return Err(reason);
        }
        self.record_grant(operation, index, by, Outcome::Done)?;
        match self.mint(kernel, index, &entry, badge) {
            Ok(()) => {
                self.grants.at_mut(index).state = State::InForce;
                self.count(index, true);
                Ok(badge)
            }
            Err(Failed { error, next }) => {
                // There is room for this record: ISSUE_ROOM.
                let _ = self.record_grant(operation, index, by, error.into());
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
    fn mint<K: CNodes>(
        &self,
        kernel: &mut K,
        index: u16,
        entry: &Entry,
        badge: GrantBadge,
    ) -> Result<(), Failed> {
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

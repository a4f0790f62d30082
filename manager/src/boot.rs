//! From the policy's bytes to the grants that are due.

use core::fmt;

use portcullis_kernel::{CNodes, Invocation, Mode, Region, RegionMut};
use portcullis_log::ring::Full;
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager_api::{Authority, INSPECT, MANAGER};
use portcullis_policy_format::{Component, Grant, Items, Policy, PolicyError, When, log_path};

use crate::entry::Entry;
use crate::journal::Event;
use crate::manager::Stage;
use crate::member::Member;
use crate::{KeysError, Manager, Platform, slots};

/// Why a policy was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The keys that may sign one cannot be read.
    Keys(KeysError),
    /// It is not sound, not signed by a trusted key, or not above the one in force.
    Policy(PolicyError),
    /// It allows more grants than the manager's table has room for.
    TableTooSmall {
        /// Grants that the policy allows.
        allowed: u32,
        /// Grants that the table has room for.
        room: u32,
    },
}

impl<'p, P: Platform, R: RegionMut, A: Region> Manager<'p, P, R, A> {
    /// Verifies the policy and fills the table. The boot grants are then due; none is issued.
    pub(crate) fn load(&mut self) -> Result<(), Refused> {
        let config = self.config;
        let keys = config.keys.map_err(Refused::Keys)?;
        let policy =
            Policy::verify(config.policy, keys, config.in_force).map_err(Refused::Policy)?;
        let (allowed, room) = (policy.counts().grants, self.grants.0.len() as u32);
        if allowed > room {
            return Err(Refused::TableTooSmall { allowed, room });
        }
        self.layout = Authority::new(policy.counts().components);
        self.own = policy.component(MANAGER).map(|(number, _)| number);
        self.inspect = policy.interface(INSPECT).map(|(number, _)| number);
        let mut grants = policy.grants();
        let mut first = 0;
        for (number, component) in (0..).zip(policy.components()) {
            first += u32::from(self.admit(number, &component, first, &mut grants));
        }
        self.stage = Stage::Loaded(policy);
        let ends = |it: &Entry| (it.subject.into(), it.object.into(), it.mode);
        let allowed = self.entries_in_policy().map(ends);
        self.log_path = self.own.map_or(0, |own| log_path(own, allowed));
        Ok(())
    }

    /// Takes a component in, and an entry for each of the grants that it may hold: `grants` is at
    /// the first of them, which has the index `first`. Gives how many there are.
    fn admit(
        &mut self,
        number: u16,
        component: &Component<'p>,
        first: u32,
        grants: &mut Items<'p, Grant>,
    ) -> u16 {
        let start = grants.clone();
        let mut allowed = 0;
        loop {
            let before = grants.clone();
            match grants.next() {
                Some(grant) if grant.subject == number => {
                    // The policy has at most 65,536 grants, so that every index has 16 bits.
                    self.enter((first + u32::from(allowed)) as u16, &grant);
                    allowed += 1;
                }
                _ => {
                    *grants = before;
                    break;
                }
            }
        }
        let member = Member::new(component, first, allowed, start);
        // The policy has at most as many components as there is room for members.
        let _ = self.members.push(member);
        allowed
    }

    fn enter(&mut self, index: u16, grant: &Grant) {
        *self.grants.at_mut(index) = Entry::new(index, grant);
        if grant.when == When::Boot {
            self.make_due(index);
        }
        let is_stream = grant.mode == Mode::Stream && self.own == Some(grant.subject);
        if is_stream && self.ledger.is_none() {
            self.ledger = Some(index);
        }
    }

    /// Checks the endpoint capabilities that grants are minted from.
    ///
    /// Mint gives, silently, no more rights than its source has, and no invocation reads a slot
    /// back. But CancelBadgedSends demands an endpoint capability with every right, and does
    /// nothing where it has no badge. Sources do not change after boot, so checking each once
    /// proves that every root minted from it has all rights, and every copy the mode's. (A source
    /// that is badged makes Mint fail; a notification that lacks a right makes a grant that does
    /// not signal, which `portcullis check --image` finds.)
    pub(crate) fn check_sources<K: CNodes>(&mut self, kernel: &mut K) {
        let called = self.called();
        for (number, _) in (0..).zip(0..self.members.len()) {
            if called & 1 << number == 0 {
                continue;
            }
            let source = slots::authority(self.layout.endpoint(number));
            if let Err(error) = kernel.invoke(&Invocation::CancelBadgedSends(source)) {
                self.platform.report(format_args!(
                    "no grant of '{}' can be issued: its endpoint capability lacks rights ({error})",
                    self.component_name(number)
                ));
                self.members[usize::from(number)].unsound = Some(error);
            }
        }
    }

    /// The components, a bit each, whose endpoints are reached by grants that the policy allows.
    fn called(&self) -> u64 {
        self.entries_in_policy()
            .filter(|entry| entry.is_endpoint())
            .fold(0, |called, entry| called | 1 << entry.object)
    }

    fn entries_in_policy(&self) -> impl Iterator<Item = &Entry> + Clone {
        let allowed = self.policy().map_or(0, |policy| policy.counts().grants);
        self.grants.0.iter().take(allowed as usize)
    }

    /// Writes the `boot` record, where it is not yet written.
    pub(crate) fn log_boot(&mut self) -> Result<(), Full> {
        let Stage::Loaded(policy) = self.stage else {
            return Ok(());
        };
        self.record(Event {
            operation: Operation::Boot,
            grant: None,
            cause: Cause::Load {
                version: policy.version(),
                sha256: *policy.sha256(),
            },
            outcome: Outcome::Done,
        })?;
        self.stage = Stage::Issuing(policy);
        Ok(())
    }

    /// Writes the `seal` record, where all boot grants are issued and it is not yet written.
    pub(crate) fn seal(&mut self) {
        let Stage::Issuing(policy) = self.stage else {
            return;
        };
        let grants = self.in_force;
        let sealed = self.record(Event {
            operation: Operation::Seal,
            grant: None,
            cause: Cause::Complete { grants },
            outcome: Outcome::Done,
        });
        if sealed.is_ok() {
            self.stage = Stage::Sealed(policy);
            self.platform.report(format_args!(
                "policy '{}', version {}, is in force: {grants} grants issued",
                policy.name(),
                policy.version()
            ));
        }
    }

    /// The component's name; empty where no policy is in force or there is no such component.
    pub(crate) fn component_name(&self, number: u16) -> &'p str {
        let component = self
            .policy()
            .and_then(|policy| policy.components().nth(number.into()));
        component.map_or("", |component| component.name)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(error) => write!(f, "the keys that may sign the policy: {error}"),
            Self::Policy(error) => error.fmt(f),
            Self::TableTooSmall { allowed, room } => write!(
                f,
                "the policy allows {allowed} grants, and the manager was built for {room}: build it \
                 with a larger table"
            ),
        }
    }
}

impl core::error::Error for Refused {}

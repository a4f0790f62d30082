//! The manager as a component: which request goes to which part.

use portcullis_kernel::{
    CNodes, Caller, Component, Current, Fault, GrantBadge, Message, Method, NotifyGrant, Region,
    RegionMut, Signal, Signals, cspace, label,
};
use portcullis_log::ring::Writer;
use portcullis_manager_api::{
    DURABLE, FIND, REASON, Refused, Report, SIGNAL, UNAVAILABLE, Unissued,
};
use portcullis_policy_format::{AllowedGrant, Policy, When};

use crate::callers::Callers;
use crate::find::{answer, find, signal};
use crate::grants::{By, Grants};
use crate::issue::{self, Boot, Wanted, check_sources};
use crate::journal::{Journal, Ring};
use crate::lease::{self, Deadline};
use crate::loaded::Loaded;
use crate::members::Members;
use crate::revoke::{self, RevokeError};
use crate::{Config, Platform, Table, inspect, request, slots};

/// The capability manager. See the crate's documentation.
#[derive(Debug)]
pub struct Manager<'p, P, R, A> {
    stage: Stage<'p>,
    boot: Boot,
    grants: Grants<'p>,
    members: Members,
    callers: Callers,
    journal: Ring<P, R, A>,
    deadline: Deadline,
}

/// What is in force.
#[derive(Debug)]
enum Stage<'p> {
    /// Nothing yet: `init` loads this, into this memory.
    New(Config<'p>, &'p mut [AllowedGrant]),
    /// The policy was refused; nothing is granted in this boot.
    Refused(Refused),
    /// This policy.
    Loaded(Loaded<'p>),
}

impl<'p, P: Platform, R: RegionMut, A: Region> Manager<'p, P, R, A> {
    /// A manager that has not yet looked at its policy: that is [`Component::init`]'s to do.
    /// `table` has room for as many grants as the policy may allow.
    pub const fn new<const GRANTS: usize>(
        config: Config<'p>,
        platform: P,
        ring: Writer<R, A>,
        table: &'p mut Table<GRANTS>,
    ) -> Self {
        let (memory, grants) = table.split();
        Self {
            journal: Ring::new(platform, ring, config.boot.id),
            stage: Stage::New(config, memory),
            boot: Boot::Loaded,
            grants,
            members: Members::NEW,
            callers: Callers::NEW,
            deadline: Deadline::NEW,
        }
    }

    /// The policy in force.
    pub const fn policy(&self) -> Option<&Policy<'p>> {
        match &self.stage {
            Stage::New(..) | Stage::Refused(_) => None,
            Stage::Loaded(loaded) => Some(loaded.policy()),
        }
    }

    /// Why there is none.
    pub const fn refused(&self) -> Option<Refused> {
        match self.stage {
            Stage::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether all boot grants were issued and the `seal` record is written.
    pub fn is_sealed(&self) -> bool {
        self.boot == Boot::Sealed
    }

    /// The index, as in its badge, of the grant with this number in the policy; `None` where that is
    /// neither due, nor issued, nor waiting for its revocation to be logged.
    pub fn issued_as(&self, number: u16) -> Option<u16> {
        self.grants.issued_as(number)
    }

    /// Whether the grant with this index is in force.
    pub fn is_in_force(&self, index: u16) -> bool {
        self.grants.is_in_force(index)
    }

    /// How many grants are in force.
    pub const fn in_force(&self) -> u32 {
        self.grants.in_force()
    }

    /// How many callers wait for an answer.
    pub const fn waiting(&self) -> u32 {
        self.callers.count()
    }

    /// The platform that the manager was given.
    pub const fn platform(&self) -> &P {
        self.journal.platform()
    }

    /// Issues grant `number` of the policy because its subject asked for it, or because the holder of
    /// grant `parent` of the policy delegates it. Its record is written, and it is in force when that
    /// is durable: [`announce`](Self::announce) it afterwards.
    pub fn issue<K: CNodes>(
        &mut self,
        kernel: &mut K,
        number: u16,
        parent: Option<u16>,
    ) -> Result<GrantBadge, Unissued> {
        self.progress(kernel);
        let Stage::Loaded(loaded) = &self.stage else {
            return Err(Unissued::NotPermitted);
        };
        let wanted = Wanted {
            number,
            parent,
            methods: None,
            depth: None,
            lease_ms: None,
        };
        let (grants, members, journal) = (&mut self.grants, &self.members, &mut self.journal);
        issue::issue(loaded, self.boot, grants, members, journal, wanted)
    }

    /// Revokes the grant with this index and, before it, everything derived from it, deepest first. `by`
    /// is the component that asked for it; `None`: none did. [`announce`](Self::announce) its record
    /// afterwards.
    ///
    /// What cannot be taken back stays in force while everything else is revoked. A call that its
    /// object is already serving keeps its reply.
    pub fn revoke<K: CNodes>(
        &mut self,
        kernel: &mut K,
        index: u16,
        by: Option<u16>,
    ) -> Result<(), RevokeError> {
        let Stage::Loaded(loaded) = &self.stage else {
            return Err(RevokeError::NotInForce);
        };
        let is_known = by.is_none_or(|by| loaded.component(by).is_some());
        let (grants, members) = (&mut self.grants, &mut self.members);
        let revoked = if is_known && grants.is_issued(index) {
            let by = by.map_or(By::Policy, By::Request);
            let journal = &mut self.journal;
            revoke::revoke_tree(loaded, grants, members, journal, kernel, index, by)
                .map_err(RevokeError::Kernel)
        } else {
            Err(RevokeError::NotInForce)
        };
        self.progress(kernel);
        revoked
    }

    /// Takes note of a component's fault: see [`Component::faulted`].
    pub fn revoke_component<K: CNodes>(
        &mut self,
        kernel: &mut K,
        number: u8,
        fault: Fault,
    ) -> Result<(), RevokeError> {
        let component = number.into();
        let loaded = match &self.stage {
            Stage::Loaded(loaded) => Some(loaded),
            Stage::New(..) | Stage::Refused(_) => None,
        };
        self.journal
            .report(Report::Faulted { component, fault }, loaded);
        let loaded = loaded.ok_or(RevokeError::NotInForce)?;
        let revoked = revoke::revoke_component(
            loaded,
            &mut self.boot,
            &mut self.grants,
            &mut self.members,
            &mut self.journal,
            kernel,
            (component, fault),
        );
        self.callers.forget(kernel, component);
        self.progress(kernel);
        self.announce(kernel);
        revoked
    }

    /// Tells the ledger of new records, where it can be told, and the clock of the next deadline. The
    /// manager does so itself at the end of everything that it is asked as a [`Component`]; who issues and
    /// revokes grants from outside does so when done, once for all of them.
    pub fn announce<K: CNodes>(&mut self, kernel: &mut K) {
        self.tell_clock(kernel);
        if self.journal.has_news()
            && let Stage::Loaded(loaded) = &self.stage
            && let Some(number) = loaded.ledger()
            && let Some(index) = self.grants.in_force_as(number)
        {
            self.journal.announce();
            NotifyGrant(slots::pointer(loaded.layout().root(index))).signal(kernel);
        }
    }

    /// Leaves the end of the next lease for the clock, and signals it where it has to look.
    fn tell_clock<K: CNodes>(&mut self, kernel: &mut K) {
        let next = self.grants.first_lease().map(|(_, end)| end);
        if let Stage::Loaded(loaded) = &self.stage
            && let Some(clock) = loaded.clock()
            && self.deadline.is_news(next)
        {
            self.journal.set_deadline(next);
            if self.deadline.leave(next, self.journal.monotonic()) {
                kernel.signal(cspace::channel_notification(clock.channel));
            }
        }
    }

    /// Ends the leases that have ended, does what was put off, as far as it can be done now, and answers
    /// those who waited for it.
    #[inline(always)]
    fn progress<K: CNodes>(&mut self, kernel: &mut K) {
        let Stage::Loaded(loaded) = &self.stage else {
            return;
        };
        let (grants, members) = (&mut self.grants, &mut self.members);
        let journal = &mut self.journal;
        lease::expire(loaded, grants, members, journal, kernel);
        if issue::is_behind(self.boot, grants, members) {
            issue::catch_up(loaded, &mut self.boot, grants, members, journal, kernel);
        }
        self.callers.settle(loaded, grants, kernel);
    }
}

impl<K: CNodes, P: Platform, R: RegionMut, A: Region> Component<K> for Manager<'_, P, R, A> {
    fn init(&mut self, kernel: &mut K) {
        let Stage::New(config, memory) = &mut self.stage else {
            return;
        };
        match Loaded::load(config, core::mem::take(memory)) {
            Ok(loaded) => {
                self.journal.enforce(loaded.policy().version());
                self.grants.open(loaded.policy().counts().grants);
                for (number, allowed) in loaded.grants().filter(|(_, it)| it.when == When::Boot) {
                    self.grants.schedule(number, allowed);
                }
                self.callers.open(loaded.callers());
                if loaded.clock().is_some() {
                    self.grants.open_leases();
                }
                check_sources(&loaded, &mut self.members, &mut self.journal, kernel);
                self.stage = Stage::Loaded(loaded);
                self.progress(kernel);
                self.announce(kernel);
            }
            Err(reason) => {
                self.journal.report(Report::Refused(reason), None);
                self.stage = Stage::Refused(reason);
            }
        }
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        self.progress(kernel);
        let Self {
            stage,
            grants,
            members,
            callers,
            journal,
            ..
        } = self;
        match (stage, caller) {
            (Stage::Loaded(loaded), Caller::Channel(id)) if method == FIND => {
                find(loaded, grants, members, journal, id, message);
            }
            (Stage::Loaded(loaded), Caller::Channel(id)) if method == SIGNAL => {
                signal(loaded, id, message);
            }
            (Stage::Loaded(loaded), Caller::Channel(id)) if request::is_served(method) => {
                let (policy, of) = ((&*loaded, self.boot), (id, method));
                let awaited = request::serve(policy, grants, members, journal, kernel, of, message);
                if let Some(awaited) = awaited {
                    callers.wait(loaded, grants, kernel, awaited, message);
                }
            }
            (_, Caller::Channel(_))
                if method == FIND || method == SIGNAL || request::is_served(method) =>
            {
                message.refuse(UNAVAILABLE);
            }
            // That tells of the policy alone: no component could do anything yet.
            (Stage::Refused(reason), Caller::Channel(_)) if method == REASON => {
                answer(message, reason);
            }
            // What it says is not believed, but was looked up. The reply goes nowhere.
            (Stage::Loaded(loaded), Caller::Channel(id))
                if method == DURABLE && loaded.is_ledger(id) =>
            {
                message.reply(&[]);
            }
            (_, Caller::Channel(_)) => message.refuse(label::BAD_METHOD),
            // The badge includes the method; it may be stale, or of another interface.
            (Stage::Loaded(loaded), Caller::Grant(badge))
                if grants.is_badge(badge) && loaded.is_inspect(grants.grant(badge.index())) =>
            {
                inspect::serve(loaded, self.boot, grants, members, journal, method, message);
            }
            (_, Caller::Grant(_)) => message.refuse(UNAVAILABLE),
        }
        self.progress(kernel);
        self.announce(kernel);
    }

    fn reply_object(&self) -> Current {
        self.callers.current()
    }

    fn timer(&self) -> Option<Signal> {
        match &self.stage {
            Stage::Loaded(loaded) => loaded.clock().map(|clock| Signal::channel(clock.channel)),
            Stage::New(..) | Stage::Refused(_) => None,
        }
    }

    fn deadline_passed(&mut self, kernel: &mut K) {
        self.deadline.passed();
        self.progress(kernel);
        self.announce(kernel);
    }

    fn notified(&mut self, kernel: &mut K, _: Signals) {
        self.progress(kernel);
        self.announce(kernel);
    }

    fn faulted(&mut self, kernel: &mut K, number: u8, fault: Fault) {
        // What could not be revoked is still in force, and in the log as such.
        let _ = self.revoke_component(kernel, number, fault);
    }
}

//! The manager as a component, and its state.

use heapless::Vec;
use portcullis_kernel::{
    CNodes, Caller, Component, Fault, Message, Method, NotifyGrant, Region, RegionMut, Signals,
    label,
};
use portcullis_log::ring::{Full, Writer};
use portcullis_log::{BootId, Cause, Operation, Outcome};
use portcullis_manager_api::{Authority, DURABLE, FIND, REASON, SIGNAL};
use portcullis_policy_format::{MAX_COMPONENTS, Policy, VerifyingKey};

use crate::entry::{By, State};
use crate::journal::{Event, Journal};
use crate::member::Member;
use crate::queue::Queue;
use crate::table::Grants;
use crate::{KeysError, Platform, Refused, Table, slots};

/// Members that a policy can have.
const MEMBERS: usize = MAX_COMPONENTS as usize;

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

/// The capability manager. See the crate's documentation.
#[derive(Debug)]
pub struct Manager<'p, P, R, A> {
    pub(crate) platform: P,
    pub(crate) journal: Journal<R, A>,
    pub(crate) config: Config<'p>,
    pub(crate) grants: Grants<'p>,
    pub(crate) stage: Stage<'p>,
    pub(crate) members: Vec<Member<'p>, MEMBERS>,
    pub(crate) layout: Authority,
    /// Number of the manager's own component, and of the interface that it serves.
    pub(crate) own: Option<u16>,
    pub(crate) inspect: Option<u16>,
    /// The stream on which the ledger is told of records: the manager's first.
    pub(crate) ledger: Option<u16>,
    pub(crate) in_force: u32,
    /// Components, a bit each, without whose grants no record becomes durable.
    pub(crate) log_path: u64,
    /// Grants to issue: their records come first, as soon as the ring has room.
    pub(crate) due: Queue,
    /// Grants whose records are in the ring: in force as soon as these are durable.
    pub(crate) logged: Queue,
    /// Revoked grants whose records are to be written as soon as the ring has room.
    pub(crate) unlogged: Queue,
    pub(crate) unlogged_faults: bool,
}

/// How far the manager has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage<'p> {
    /// `init` did not run.
    New,
    /// The policy was refused; nothing is granted in this boot.
    Refused(Refused),
    /// The policy is in force; the `boot` record is to be written.
    Loaded(Policy<'p>),
    /// Boot grants are being issued.
    Issuing(Policy<'p>),
    /// All boot grants were issued, and the `seal` record says so.
    Sealed(Policy<'p>),
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
        Self {
            platform,
            journal: Journal::new(ring, config.boot),
            config,
            grants: Grants(table.entries()),
            stage: Stage::New,
            members: Vec::new(),
            layout: Authority::new(0),
            own: None,
            inspect: None,
            ledger: None,
            in_force: 0,
            log_path: 0,
            due: Queue::EMPTY,
            logged: Queue::EMPTY,
            unlogged: Queue::EMPTY,
            unlogged_faults: false,
        }
    }

    /// The policy in force.
    pub const fn policy(&self) -> Option<&Policy<'p>> {
        match &self.stage {
            Stage::New | Stage::Refused(_) => None,
            Stage::Loaded(policy) | Stage::Issuing(policy) | Stage::Sealed(policy) => Some(policy),
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
    pub const fn is_sealed(&self) -> bool {
        matches!(self.stage, Stage::Sealed(_))
    }

    /// Whether the grant with this index (its number in the policy) is in force.
    pub fn is_in_force(&self, index: u16) -> bool {
        self.grants.is_in_force(index)
    }

    /// How many grants are in force.
    pub const fn in_force(&self) -> u32 {
        self.in_force
    }

    /// The platform that the manager was given.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// Writes a record. In line, so that it is put together where it is written from.
    #[inline(always)]
    pub(crate) fn record(&mut self, event: Event) -> Result<(), Full> {
        self.journal.push(self.platform.now(), event)
    }

    /// Writes a record about grant `index`.
    pub(crate) fn record_grant(
        &mut self,
        operation: Operation,
        index: u16,
        by: By,
        outcome: Outcome,
    ) -> Result<(), Full> {
        let entry = self.grants.at(index);
        let (grant, line) = (entry.fields(index), entry.line);
        let event = |cause| Event {
            operation,
            grant: Some(grant),
            cause,
            outcome,
        };
        // Each cause is written in place: to choose one first and then copy it takes longer.
        match by {
            By::Policy => self.record(event(Cause::Policy { line })),
            By::Request(component) => self.record(event(Cause::Request {
                component: component.into(),
                line: Some(line),
            })),
            By::Fault(component) => {
                let fault = self.members[usize::from(component)].fault;
                self.record(event(Cause::Fault {
                    component: component.into(),
                    fault,
                }))
            }
        }
    }

    /// Does what was put off for want of room in the ring, or until records are durable, as far as it
    /// can be done now: first the records of what was revoked, then the grants that are due.
    #[inline(always)]
    pub(crate) fn progress<K: CNodes>(&mut self, kernel: &mut K) {
        let issues = self.due.first().or(self.logged.first()).is_some();
        if self.is_sealed() && !self.has_unlogged() && !issues {
            return;
        }
        self.catch_up(kernel);
    }

    /// Out of line: there is seldom something to do.
    #[inline(never)]
    fn catch_up<K: CNodes>(&mut self, kernel: &mut K) {
        if self.log_boot().is_err() || self.log_revocations().is_err() {
            return;
        }
        if self.issue_due(kernel) {
            self.seal();
        }
    }

    /// Tells the ledger of new records, where it can be told. The manager does so itself at the end of
    /// everything that it is asked as a [`Component`]; who issues and revokes grants from outside does
    /// so when done, once for all of them.
    pub fn announce<K: CNodes>(&mut self, kernel: &mut K) {
        if self.journal.has_news()
            && let Some(index) = self.ledger
            && self.is_in_force(index)
        {
            self.journal.announce();
            NotifyGrant(slots::pointer(self.layout.root(index))).signal(kernel);
        }
    }

    /// Counts grant `index` in, or out, where it is held and where it is served.
    pub(crate) fn count(&mut self, index: u16, in_force: bool) {
        let entry = self.grants.at(index);
        let (subject, object) = (usize::from(entry.subject), usize::from(entry.object));
        let step = |count: &mut u32| {
            *count = if in_force { *count + 1 } else { *count - 1 };
        };
        step(&mut self.in_force);
        step(&mut self.members[subject].holds);
        step(&mut self.members[object].serves);
    }

    /// Whether static channel `id` is that of the component that makes records durable.
    fn is_ledger(&self, id: u8) -> bool {
        let ledger = self.ledger.map(|index| self.grants.at(index).object);
        let member = ledger.and_then(|number| self.members.get(usize::from(number)));
        member.is_some_and(|member| member.channel == Some(id))
    }

    /// Whether the component was stopped after a fault.
    pub(crate) fn is_down(&self, component: u8) -> bool {
        self.members
            .get(usize::from(component))
            .is_some_and(|member| member.down)
    }
}

impl<K: CNodes, P: Platform, R: RegionMut, A: Region> Component<K> for Manager<'_, P, R, A> {
    fn init(&mut self, kernel: &mut K) {
        match self.load() {
            Ok(()) => {
                self.check_sources(kernel);
                self.progress(kernel);
                self.announce(kernel);
            }
            Err(reason) => {
                self.platform
                    .report(format_args!("no grant is issued: {reason}"));
                self.stage = Stage::Refused(reason);
            }
        }
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        self.progress(kernel);
        match caller {
            Caller::Channel(id) if method == FIND => self.find(id, message),
            Caller::Channel(id) if method == SIGNAL => self.signal(id, message),
            Caller::Channel(_) if method == REASON => self.show_reason(message),
            // What it says is not believed, but was looked up. The reply goes nowhere.
            Caller::Channel(id) if method == DURABLE && self.is_ledger(id) => message.reply(&[]),
            Caller::Channel(_) => message.refuse(label::BAD_METHOD),
            Caller::Grant(badge) => self.serve_inspect(badge, method, message),
        }
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

impl<P, R, A> Manager<'_, P, R, A> {
    /// Whether the entry's subject is the manager itself.
    pub(crate) fn is_own(&self, index: u16) -> bool {
        self.own == Some(self.grants.at(index).subject.into())
    }

    /// Puts a grant into the queue of those to issue.
    pub(crate) fn make_due(&mut self, index: u16) {
        self.grants.at_mut(index).state = State::Due;
        self.due.push(&mut self.grants, index);
    }
}

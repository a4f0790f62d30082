//! A manager, its machine and the log, driven one step at a time.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ed25519_dalek::SigningKey;
use portcullis_audit::policies::{Policies, PolicyTable};
use portcullis_audit::replay::Replay;
use portcullis_kernel::{
    Answer, Badge, Caller, Component as _, Fault, GrantBadge, KernelError, Message, Method, Mode,
    Principal, Refusal, ReplyObject, Signals, Source, Syscalls as _, cspace, dispatch, label,
};
use portcullis_log::ring::{Reader, SLOT, SLOTS_OFFSET, Writer};
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record, Time};
use portcullis_manager::{
    Config, Identity, Manager, Platform, Report, RevokeError, Table, Unissued,
};
use portcullis_manager_api::{Awaited, Buffer, Denied, FIND, Find, Found, SIGNAL};
use portcullis_model::{Completion, ThreadState};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{Policy, When};
use serde::{Deserialize, Serialize};

use super::ceiling::Scanned;
use super::draft::{self, MANAGER};
use super::machine::Machine;
use super::memory::Shared;

/// Grants that the tests' tables have room for.
pub const TABLE: usize = 64;
/// The boot id of every test.
pub const BOOT: BootId = BootId([0xb0; 16]);
pub const IMAGE: [u8; 32] = [0x1a; 32];
/// What every component of the tests did that faulted.
pub const FAULT: Fault = Fault::VmFault {
    ip: 0x20_0134,
    address: 0,
    instruction: false,
    status: 0x9200_0046,
};
/// Slots of a ring that no test fills.
pub const ROOMY: usize = 4_096;

/// A clock that ticks with each look and goes back now and then, and reports that are kept.
#[derive(Debug, Default)]
pub struct Desk {
    pub time: Rc<Cell<u64>>,
    /// What the manager left for the clock.
    pub deadline: Option<u64>,
    pub reports: Vec<Report>,
}

impl Platform for Desk {
    fn now(&mut self) -> Time {
        let time = self.time.get() + 1;
        self.time.set(time);
        let at = |every| match time.is_multiple_of(every) {
            true => time - 3,
            false => time,
        };
        Time {
            monotonic: at(5),
            utc: Some(at(7)).filter(|_| time > 9),
        }
    }

    fn set_deadline(&mut self, at: Option<u64>) {
        self.deadline = at;
    }

    fn report(&mut self, report: Report, policy: Option<&Policy<'_>>) {
        assert!(policy.is_some() || !matches!(report, Report::InForce { .. }));
        self.reports.push(report);
    }
}

pub struct World {
    pub machine: Machine,
    pub manager: Manager<'static, Desk, Shared, Shared>,
    /// What the manager's clock says.
    pub time: Rc<Cell<u64>>,
    /// The policy that it was given.
    policy: &'static [u8],
    slots: usize,
    /// Records that were there when the ring last ran.
    acknowledged: usize,
}

impl World {
    /// A system with this policy and a ring of so many records. Nothing has run.
    pub fn new(draft: &Draft<'static>, slots: usize) -> Self {
        Self::with_policy(draft, draft.sign(&draft::key()), slots)
    }

    /// As [`World::new`], but the manager is given these bytes as its policy.
    pub fn with_policy(draft: &Draft<'static>, policy: Vec<u8>, slots: usize) -> Self {
        Self::with_key(draft, policy, slots, &draft::key(), 0)
    }

    pub fn with_key(
        draft: &Draft<'static>,
        policy: Vec<u8>,
        slots: usize,
        key: &SigningKey,
        in_force: u32,
    ) -> Self {
        let ring = Shared::new(SLOTS_OFFSET + slots * SLOT);
        let acknowledgement = Shared::new(4096);
        let reader = Reader::new(ring.clone(), acknowledgement.clone());
        let writer = Writer::new(ring, acknowledgement).unwrap();
        // A few KiB for each world of a test's run.
        let policy: &'static [u8] = policy.leak();
        let config = Config {
            policy,
            keys: Ok(vec![key.verifying_key()].leak()),
            in_force,
            boot: Identity::random(BOOT.0),
            image: IMAGE,
        };
        let table = Box::leak(Box::new(Table::<TABLE>::new()));
        let desk = Desk::default();
        Self {
            time: Rc::clone(&desk.time),
            machine: Machine::new(draft, reader),
            manager: Manager::new(config, desk, writer, table),
            policy,
            slots,
            acknowledged: 0,
        }
    }

    /// A system that has booted.
    pub fn booted(draft: &Draft<'static>) -> Self {
        let mut world = Self::new(draft, ROOMY);
        world.boot();
        world
    }

    /// Boots, up to the last boot grant: the ledger makes the records durable, and says so.
    pub fn boot(&mut self) {
        self.start();
        self.acknowledge();
        self.notify();
    }

    /// Boots, and the ledger does nothing.
    pub fn start(&mut self) {
        self.manager.init(&mut self.machine);
        self.check();
    }

    /// A booted system with [`draft::small`] and a ring of so many records, whose room is used up by
    /// issuing and revoking grant 8: of an odd number of records nothing is left, of an even one 1.
    pub fn filled(slots: usize) -> Self {
        let mut world = Self::new(&draft::small(), slots);
        world.boot();
        while world.issue(8, None).is_ok() {
            world.revoke(8).unwrap();
        }
        world
    }

    /// Has the kernel refuse the invocation that comes after so many others.
    pub fn refuse(&mut self, after: u64, error: KernelError) {
        self.machine.refuse = Some((self.machine.invocations + after, error));
    }

    pub fn acknowledge(&mut self) {
        self.machine.acknowledge();
        self.acknowledged = self.machine.records.len();
    }

    pub fn notify(&mut self) {
        self.manager.notified(&mut self.machine, Signals::new(1));
        self.check();
    }

    /// Has the clock signal the manager.
    pub fn ring(&mut self) {
        self.manager.deadline_passed(&mut self.machine);
        self.check();
    }

    /// Calls the manager on a static channel.
    pub fn call<'b, A: Deserialize<'b>>(
        &mut self,
        caller: Caller,
        method: Method,
        request: &impl Serialize,
        buffer: &'b mut Buffer,
    ) -> Result<A, Refusal> {
        let mut message = Message::default();
        let label = label::REQUEST + u64::from(method.number());
        message.encode(label, request).unwrap();
        self.manager
            .call(&mut self.machine, caller, method, &mut message);
        self.check();
        message.outcome()?;
        message.decode(buffer).ok_or(Refusal::Garbled)
    }

    pub fn find(
        &mut self,
        channel: u8,
        object: &str,
        interface: &str,
        mode: Mode,
    ) -> Result<Found, Refusal> {
        let find = Find {
            object,
            interface,
            mode,
        };
        self.call(Caller::Channel(channel), FIND, &find, &mut [0; _])
    }

    pub fn find_signal(
        &mut self,
        channel: u8,
        subject: &str,
        interface: &str,
        mode: Mode,
    ) -> Result<u8, Refusal> {
        let awaited = Awaited {
            subject,
            interface,
            mode,
        };
        self.call(Caller::Channel(channel), SIGNAL, &awaited, &mut [0; _])
    }

    /// Has a grant of the policy issued, which the ledger makes durable.
    pub fn grant(&mut self, index: u16, parent: Option<u16>) -> Result<GrantBadge, Unissued> {
        let issued = self.issue(index, parent)?;
        self.acknowledge();
        self.notify();
        Ok(issued)
    }

    /// Has a grant issued, and the ledger does nothing.
    pub fn issue(&mut self, index: u16, parent: Option<u16>) -> Result<GrantBadge, Unissued> {
        let issued = self.manager.issue(&mut self.machine, index, parent);
        self.check();
        issued
    }

    /// Revokes a grant of the policy.
    pub fn revoke(&mut self, number: u16) -> Result<(), RevokeError> {
        self.revoke_by(number, None)
    }

    pub fn revoke_by(&mut self, number: u16, by: Option<u16>) -> Result<(), RevokeError> {
        let index = self.manager.issued_as(number).unwrap_or(u16::MAX);
        let revoked = self.manager.revoke(&mut self.machine, index, by);
        self.check();
        revoked
    }

    /// Whether a grant of the policy is in force.
    pub fn is_in_force(&self, number: u16) -> bool {
        let index = self.manager.issued_as(number);
        index.is_some_and(|index| self.manager.is_in_force(index))
    }

    /// Tells the manager of a fault, without a message.
    pub fn fault(&mut self, component: u8) -> Result<(), RevokeError> {
        if let Some(thread) = self.machine.threads.of(component.into()) {
            self.machine.kernel.suspend(thread);
        }
        let revoked = self
            .manager
            .revoke_component(&mut self.machine, component, FAULT);
        self.check();
        revoked
    }

    /// Has the manager take everything that waits for it: its receive loop.
    pub fn serve(&mut self) {
        let mut message = Message::default();
        while let Some(badge) =
            self.machine
                .nb_recv(cspace::INPUT, self.reply_object(), &mut message)
        {
            let answer = dispatch(&mut self.machine, &mut self.manager, badge, &mut message);
            if answer == Answer::Reply {
                let served = self.reply_object();
                self.machine.reply(served, &message);
            }
            self.check();
        }
    }

    fn reply_object(&self) -> ReplyObject {
        portcullis_kernel::Component::<Machine>::reply_object(&self.manager).object
    }

    /// Whether a component waits for the manager's answer.
    pub fn is_waiting(&self, component: u16) -> bool {
        let thread = self.machine.threads.of(component);
        thread.is_some_and(|it| self.machine.kernel.state(it) == ThreadState::BlockedOnReply)
    }

    /// Has a component ask something of the manager, which serves it. It may have to wait.
    pub fn ask(&mut self, component: u16, method: Method, request: &impl Serialize) {
        let mut message = Message::default();
        let label = label::REQUEST + u64::from(method.number());
        message.encode(label, request).unwrap();
        assert_eq!(self.machine.ask(component, message), []);
        self.serve();
    }

    /// What the manager answered a component since the last look.
    pub fn answer<A: for<'b> Deserialize<'b>>(
        &mut self,
        component: u16,
    ) -> Option<Result<A, Denied>> {
        let mut completed = self.machine.threads.completed(component);
        assert!(completed.len() < 2, "a call has one answer: {completed:?}");
        let Completion::Message { message, .. } = completed.pop()? else {
            panic!("a call ends with a message");
        };
        let answer = message.outcome().map(drop);
        let answer = answer.map_err(|refusal| Denied::read(refusal, &message));
        Some(answer.map(|()| message.decode(&mut [0; _]).expect("the answer decodes")))
    }

    /// The badge of a grant in force, as its object would see it.
    pub fn badge(&self, index: u16) -> GrantBadge {
        let grant = self.machine.draft.grants[usize::from(index)].grant;
        let held = self.machine.scan();
        let held = held
            .iter()
            .find(|it| (it.subject, it.slot) == (grant.subject, grant.slot))
            .expect("the grant is in force");
        match Badge(held.badge).source() {
            Source::Grant(badge) => badge,
            other => panic!("not an endpoint's: {other:?}"),
        }
    }

    /// Records of this boot, as operation, number of the grant in the policy, outcome.
    pub fn log(&self) -> Vec<(Operation, Option<u16>, Outcome)> {
        let number = |grant| self.machine.number_of(&grant) as u16;
        let of = |it: &Record| (it.operation, it.grant.map(number), it.outcome);
        self.machine.records.iter().map(of).collect()
    }

    /// Room in the ring, counted apart from the manager.
    pub fn room(&self) -> usize {
        self.slots - (self.machine.records.len() - self.acknowledged)
    }

    /// Every invariant that holds when the manager waits.
    pub fn check(&mut self) {
        self.machine.drain();
        self.machine.check_ceiling();
        let scanned = self.machine.scan();
        let replayed = self.replay();
        for held in &scanned {
            let told = replayed.get(held);
            let (grant, sequence) = told.unwrap_or_else(|| panic!("not in the log: {held:?}"));
            assert!(
                *sequence < self.acknowledged || !self.waits(grant),
                "in force, and its record is not durable: {grant:?}"
            );
        }
        for (told, (grant, sequence)) in &replayed {
            assert!(
                scanned.contains(told) || self.room() == 0 || *sequence >= self.acknowledged,
                "its record is durable, and it is not in force: {grant:?}"
            );
        }
        self.check_states(&scanned);
        self.check_log();
        let is_behind = self.acknowledged < self.machine.records.len();
        assert!(
            is_behind || self.manager.waiting() == 0,
            "somebody waits, and every record is durable"
        );
    }

    /// That an auditor finds nothing wrong with the records so far.
    fn check_log(&self) {
        let Ok(policy) = PolicyTable::read(self.policy) else {
            return assert_eq!(self.machine.records, [], "the policy is refused");
        };
        let mut policies = Policies::default();
        policies.add(policy);
        let mut replay = Replay::new(&policies);
        for (index, record) in (0..).zip(&self.machine.records) {
            replay.take(index, record);
        }
        let found = replay.findings().list.iter();
        let found: Vec<_> = found.map(|it| it.what.to_string()).collect();
        assert_eq!(found, [""; 0], "{:#?}", self.machine.records);
    }

    /// Whether a grant may not be in force before its record is durable: all but the boot grants of the
    /// manager, the ledger, and whom it calls or sends to.
    fn waits(&self, grant: &GrantFields) -> bool {
        let grants = &self.machine.draft.grants;
        let log = grants
            .iter()
            .map(|it| &it.grant)
            .find(|it| it.subject == MANAGER && it.mode == Mode::Stream);
        let mut path: BTreeSet<u16> = log.map(|it| it.object).into_iter().collect();
        for _ in grants {
            let waited_for: Vec<_> = grants
                .iter()
                .map(|it| &it.grant)
                .filter(|it| matches!(it.mode, Mode::Call | Mode::Send))
                .filter(|it| path.contains(&it.subject))
                .map(|it| it.object)
                .collect();
            path.extend(waited_for);
        }
        path.insert(MANAGER);
        grants[self.machine.number_of(grant)].when != When::Boot
            || !path.contains(&grant.grant.subject)
    }

    /// The manager's table says what a scan finds.
    fn check_states(&self, scanned: &BTreeSet<Scanned>) {
        for (number, allowed) in (0..).zip(&self.machine.draft.grants) {
            let place = (allowed.grant.subject, allowed.grant.slot);
            let held = scanned.iter().any(|it| (it.subject, it.slot) == place);
            assert_eq!(self.is_in_force(number), held, "grant {number}");
        }
        assert_eq!(self.manager.in_force() as usize, scanned.len());
        if !self.manager.is_sealed() {
            return;
        }
        let seals: Vec<_> = self
            .log()
            .into_iter()
            .filter(|it| it.0 == Operation::Seal)
            .collect();
        assert_eq!(seals, [(Operation::Seal, None, Outcome::Done)]);
    }

    /// A grant is issued when the policy says: at boot or again after a restart by itself, else
    /// because its subject, or its delegator, asked.
    fn check_cause(&self, record: &Record, grant: &GrantFields) {
        if !matches!(record.operation, Operation::Mint | Operation::Copy) {
            return;
        }
        let allowed = self.machine.draft.grants[self.machine.number_of(grant)];
        let line = allowed.line;
        let requester = match allowed.when {
            When::Boot => None,
            When::Request => Some(Principal::component(allowed.grant.subject)),
            When::Delegated(from) => Some(Principal::component(from)),
        };
        let expected = match requester {
            None => Cause::Policy { line },
            Some(by) => Cause::Request {
                by,
                line: Some(line),
            },
        };
        assert_eq!(record.cause, expected);
        let derived = matches!(allowed.when, When::Delegated(_));
        assert_eq!(grant.parent.is_some(), derived);
        assert_eq!(record.operation == Operation::Copy, derived);
    }

    /// The grants in force that the log tells of, each with its record's sequence number. No index and
    /// generation come twice, and a derived grant's parent is in force when it is issued.
    fn replay(&self) -> BTreeMap<Scanned, (GrantFields, usize)> {
        let mut in_force: BTreeMap<u16, (GrantFields, usize)> = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut time = Time::default();
        let mut last_id = 0;
        for (sequence, record) in self.machine.records.iter().enumerate() {
            assert_eq!(record.boot, BOOT);
            let (monotonic, utc) = (record.time.monotonic, record.time.utc);
            assert!(monotonic >= time.monotonic && utc >= time.utc);
            time = record.time;
            assert_eq!(record.policy, self.machine.draft.version);
            let Some(grant) = record.grant else { continue };
            self.check_cause(record, &grant);
            match (record.operation, record.outcome) {
                (Operation::Mint | Operation::Copy, Outcome::Done) => {
                    let pair = (grant.index, grant.generation);
                    assert!(used.insert(pair), "{pair:?} was used before");
                    assert!(grant.id > last_id, "{} was used before", grant.id);
                    last_id = grant.id;
                    let of = |id| in_force.values().find(|it| it.0.id == id);
                    let within = |id| of(id).is_some_and(|it| grant.grant.is_within(&it.0.grant));
                    let parent = grant.parent.map(within);
                    assert_ne!(parent, Some(false), "derived from nothing, or beyond that");
                    assert!(in_force.insert(grant.index, (grant, sequence)).is_none());
                }
                // Where nothing was tried there is no record before it to take back.
                (Operation::Mint | Operation::Copy, Outcome::Error(_))
                    if in_force.get(&grant.index).is_some_and(|it| it.0 == grant) =>
                {
                    in_force.remove(&grant.index);
                }
                (Operation::Revoke | Operation::Expire, Outcome::Done) => {
                    let revoked = in_force.remove(&grant.index);
                    assert_eq!(revoked.map(|it| it.0), Some(grant));
                }
                _ => {}
            }
        }
        let scanned = |grant: &GrantFields| Scanned {
            subject: grant.grant.subject,
            slot: grant.grant.slot,
            badge: self.machine.badge_of(grant),
        };
        let told = in_force.into_values();
        told.map(|it| (scanned(&it.0), it)).collect()
    }
}

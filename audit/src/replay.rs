//! Replays a grant log: which grants are in force, and whether each was allowed.
//!
//! Holds of every boot: it starts with `boot`, its sequence numbers have no gap, its time does not
//! go back, it comes once. Holds of every grant: it is issued once, into a free slot, under an index
//! and generation not used before; a derived grant is within its parent, which is in force; what is
//! revoked was in force, and nothing derived from it still is; and the policy that the boot or the
//! latest update names by its hash allows it, when it was issued, and to whoever asked for it.

use std::collections::BTreeMap;

use portcullis_fsck::{At, Boots, Findings, Place, Records, Region, Sink, What};
use portcullis_log::checkpoint::origin;
use portcullis_log::record::MARK;
use portcullis_log::{BootId, Cause, Decoded, GrantFields, Operation, Outcome, Record};
use portcullis_policy_format::{AllowedGrant, When};
use serde::Serialize;

use crate::policies::{Policies, PolicyTable};
use crate::table::{Id, Table};

/// A grant in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InForce {
    /// The grant.
    pub grant: GrantFields,
    /// The record that issued it: its position in the log.
    pub record: u64,
    /// Its sequence number in its boot.
    pub sequence: u64,
    /// When it was issued.
    pub time: u64,
    /// Version of the policy that it was issued under.
    pub policy: u32,
    /// Why.
    pub cause: Cause,
}

/// A boot, as far as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Boot {
    /// Its id.
    #[serde(serialize_with = "hex_id")]
    pub id: BootId,
    /// Position in the log of its first record.
    pub first_record: u64,
    /// Its records.
    pub records: u64,
    /// Time of its first record, in nanoseconds.
    pub start: u64,
    /// Time of its last record, in nanoseconds.
    pub end: u64,
    /// Whether its boot grants were complete.
    pub sealed: bool,
    /// Requests that were denied.
    pub denials: u64,
}

fn hex_id<S: serde::Serializer>(id: &BootId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&crate::Hex(&id.0))
}

/// Why a grant is to be revoked.
#[derive(Clone, Copy, Debug)]
enum Owed {
    /// This component faulted.
    Fault(u16),
    /// The policy that came into force does not allow it.
    Update,
}

/// What a log says, replayed record by record.
#[derive(Debug)]
pub struct Replay<'p> {
    policies: &'p Policies,
    boots: Vec<Boot>,
    /// Holds the records' boots, numbers and times against each other.
    order: Boots,
    policy: Option<([u8; 32], Option<&'p PolicyTable>)>,
    version: u32,
    table: Table,
    /// The grants in force that are to be revoked before another is issued, with why.
    owed: BTreeMap<u16, Owed>,
    /// A boot that has a record of a kind that came later: what it did to the grants is not known.
    blind: Option<BootId>,
    findings: Findings,
}

impl<'p> Replay<'p> {
    /// Before the first record.
    pub fn new(policies: &'p Policies) -> Self {
        Self {
            policies,
            boots: Vec::new(),
            order: Boots::default(),
            policy: None,
            version: 0,
            table: Table::default(),
            owed: BTreeMap::new(),
            blind: None,
            findings: Findings::default(),
        }
    }

    /// The boots, in order.
    pub fn boots(&self) -> &[Boot] {
        &self.boots
    }

    /// The policy in force, where it is at hand.
    pub fn policy(&self) -> Option<&'p PolicyTable> {
        self.policy.and_then(|(_, policy)| policy)
    }

    /// SHA-256 of the policy in force.
    pub fn policy_sha256(&self) -> Option<[u8; 32]> {
        self.policy.map(|(sha256, _)| sha256)
    }

    /// The grants in force, by subject and slot.
    pub fn grants(&self) -> Vec<InForce> {
        let mut grants: Vec<_> = self.table.in_force().collect();
        grants.sort_by_key(|it| (it.grant.grant.subject, it.grant.grant.slot, it.grant.index));
        grants
    }

    /// What is wrong.
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// What was wrong.
    pub fn into_findings(self) -> Findings {
        self.findings
    }

    /// Takes the next records of the log.
    pub fn records(&mut self, records: Records<'_>) {
        for (index, bytes) in records {
            match self.order.decode((index, bytes), &mut self.findings) {
                Some(Decoded::Record(record)) => {
                    self.version(index, &record, bytes.starts_with(&MARK));
                    self.replay(index, &record);
                }
                Some(Decoded::Unknown(stamp)) => self.blind = Some(stamp.boot),
                None => {}
            }
        }
    }

    /// Takes the record at position `index` of the log.
    pub fn take(&mut self, index: u64, record: &Record) {
        self.order.record(index, record, &mut self.findings);
        self.replay(index, record);
    }

    /// Holds the version of the policy that a record names against the one in force. `is_named`: its
    /// encoding says one.
    fn version(&mut self, index: u64, record: &Record, is_named: bool) {
        let loads = matches!(record.operation, Operation::Boot | Operation::Update);
        let goes_on = self.boots.last().is_some_and(|last| last.id == record.boot);
        let is_loaded = self.version != 0 && goes_on;
        if is_named && is_loaded && !loads && record.policy != self.version {
            let (said, version) = (record.policy, self.version);
            let text = format!("the record names policy version {said}, and {version} is in force");
            self.wrong(index, text);
        }
    }

    fn replay(&mut self, index: u64, record: &Record) {
        self.follow(index, record);
        if self.blind == Some(record.boot) {
            return;
        }
        if record.outcome != Outcome::Done {
            return self.not_done(record);
        }
        if !matches!(
            record.operation,
            Operation::Revoke | Operation::Expire | Operation::Fault | Operation::Deny
        ) {
            self.still_owed(index);
        }
        match record.operation {
            Operation::Boot | Operation::Update => self.load(index, record),
            Operation::Mint | Operation::Copy => self.issue(index, record),
            Operation::Attenuate => self.attenuate(index, record),
            Operation::Revoke | Operation::Expire => self.revoke(index, record),
            Operation::Seal => self.seal(index, record),
            Operation::Deny => self.wrong(index, "a denial has the outcome done"),
            Operation::Fault => self.fault(index, record),
            Operation::History => self.leave(index, record),
        }
    }

    fn violation(&mut self, index: u64, what: What) {
        self.findings.violation(place(index), what);
    }

    fn wrong(&mut self, index: u64, text: impl Into<String>) {
        self.violation(index, What::Grant(text.into()));
    }

    fn follow(&mut self, index: u64, record: &Record) {
        let last = self.boots.last();
        if last.is_none_or(|last| last.id != record.boot) {
            self.start(index, record);
        }
        if let Some(current) = self.boots.last_mut() {
            current.records = record.sequence.saturating_add(1);
            current.end = record.time.best();
        }
    }

    fn start(&mut self, index: u64, record: &Record) {
        self.boots.push(Boot {
            id: record.boot,
            first_record: index,
            records: 0,
            start: record.time.best(),
            end: record.time.best(),
            sealed: false,
            denials: 0,
        });
        // The capabilities of a boot end with it.
        self.table.clear();
        self.owed.clear();
        self.policy = None;
        self.version = 0;
    }

    fn load(&mut self, index: u64, record: &Record) {
        let Cause::Load { policy: sha256, .. } = record.cause else {
            return self.wrong(
                index,
                "the record does not name the policy that came into force",
            );
        };
        let version = record.policy;
        if version <= self.version {
            let text = format!("policy version {version} is not above {}", self.version);
            self.wrong(index, text);
        }
        self.version = version;
        let policy = self.policies.get(&sha256);
        self.policy = Some((sha256, policy));
        match policy {
            None => {
                let missing = What::PolicyMissing { sha256 };
                self.findings.unchecked(place(index), missing);
            }
            Some(policy) if policy.version != version => {
                let text = format!("the policy has version {}, not {version}", policy.version);
                self.wrong(index, text);
            }
            Some(policy) => {
                let beyond = |it: &InForce| policy.allows(&it.grant).is_err();
                let beyond = self.table.in_force().filter(beyond);
                self.owed
                    .extend(beyond.map(|it| (it.grant.index, Owed::Update)));
            }
        }
    }

    /// A component's grants are to be revoked, and those to it where it stays stopped.
    fn fault(&mut self, index: u64, record: &Record) {
        let Cause::Fault { component, .. } = record.cause else {
            return self.wrong(index, "the record does not say who faulted");
        };
        let stops = self.policy().is_some_and(|it| it.stops(component));
        let ends = |it: &InForce| {
            let grant = &it.grant.grant;
            grant.subject == component || stops && grant.object == component
        };
        let owed = self.table.in_force().filter(ends);
        self.owed
            .extend(owed.map(|it| (it.grant.index, Owed::Fault(component))));
    }

    /// Nothing is issued while grants are to be revoked first.
    fn still_owed(&mut self, index: u64) {
        for (grant, owed) in std::mem::take(&mut self.owed) {
            let text = match owed {
                Owed::Fault(component) => {
                    format!("component {component} faulted, and grant {grant} was not revoked")
                }
                Owed::Update => {
                    format!(
                        "the policy in force does not allow grant {grant}, which was not revoked"
                    )
                }
            };
            self.wrong(index, text);
        }
    }

    /// Something was refused or failed. A grant is recorded before it is made, so a second record
    /// takes the first back where the kernel then refuses; and a grant that could not be revoked
    /// stays in force, derived from none.
    fn not_done(&mut self, record: &Record) {
        let in_force = record
            .grant
            .filter(|grant| self.table.entry(grant.index).is(grant));
        match (record.operation, in_force) {
            (Operation::Deny, _) => {
                if let Some(boot) = self.boots.last_mut() {
                    boot.denials += 1;
                }
            }
            (Operation::Mint | Operation::Copy, Some(grant)) => {
                self.table.remove(grant.index);
            }
            (Operation::Revoke | Operation::Expire, Some(grant)) => {
                self.owed.remove(&grant.index);
                self.table.detach(grant.index);
            }
            _ => {}
        }
    }

    fn issue(&mut self, index: u64, record: &Record) {
        let Some(grant) = record.grant else {
            return self.wrong(index, "the record names no grant");
        };
        self.allowed(index, record, &grant);
        let entry = self.table.entry(grant.index);
        let generation = grant.generation.number();
        if entry.in_force.is_some() {
            self.wrong(index, format!("grant {} is in force already", grant.index));
        } else if generation < entry.lowest {
            let text = format!("grant {} had generation {generation} before", grant.index);
            self.wrong(index, text);
        }
        if !self.table.name(&grant) {
            self.wrong(index, format!("{} was issued before", Id(grant.id)));
        }
        match (record.operation, grant.parent) {
            (Operation::Copy, None) => self.wrong(index, "a delegated grant names no parent"),
            (_, Some(parent)) => self.derive(index, &grant, parent),
            (_, None) => {}
        }
        match self.table.slot(&grant) {
            Some(slot) => {
                if let Some(holder) = slot.replace(grant.index) {
                    let text = format!("slot {} already holds grant {holder}", grant.grant.slot);
                    self.wrong(index, text);
                }
            }
            None => self.wrong(
                index,
                format!("no component can have slot {}", grant.grant.slot),
            ),
        }
        self.put(index, record, grant);
    }

    fn put(&mut self, index: u64, record: &Record, grant: GrantFields) {
        let entry = self.table.entry(grant.index);
        entry.lowest = grant.generation.number().saturating_add(1);
        entry.in_force = Some(InForce {
            grant,
            record: index,
            sequence: record.sequence,
            time: record.time.best(),
            policy: record.policy,
            cause: record.cause,
        });
    }

    fn derive(&mut self, index: u64, grant: &GrantFields, parent: u64) {
        let entry = self.table.with_id(parent);
        let Some((entry, InForce { grant: from, .. })) = entry else {
            return self.wrong(
                index,
                format!("the parent, {}, is not in force", Id(parent)),
            );
        };
        entry.children += 1;
        if !grant.grant.is_within(&from.grant) {
            self.wrong(
                index,
                format!("the grant goes beyond its parent, {}", Id(parent)),
            );
        }
    }

    /// A grant is narrowed in place, or derived narrower from its parent.
    fn attenuate(&mut self, index: u64, record: &Record) {
        let Some(grant) = record.grant else {
            return self.wrong(index, "the record names no grant");
        };
        let Some(before) = self.table.entry(grant.index).in_force else {
            return self.issue(index, record);
        };
        let from = before.grant.grant;
        let place = |it: &GrantFields| (it.id, it.parent, it.grant.subject, it.grant.slot);
        let is_same = place(&grant) == place(&before.grant);
        let beyond = |it: InForce| {
            it.grant.parent == Some(grant.id) && !it.grant.grant.is_within(&grant.grant)
        };
        if !is_same || !grant.grant.is_within(&from) || self.table.in_force().any(beyond) {
            self.wrong(
                index,
                format!("grant {} was not narrowed but changed", grant.index),
            );
        }
        self.allowed(index, record, &grant);
        self.put(index, record, grant);
    }

    fn revoke(&mut self, index: u64, record: &Record) {
        let Some(named) = record.grant else {
            return self.wrong(index, "the record names no grant");
        };
        if !self.table.entry(named.index).is(&named) {
            let (number, generation) = (named.index, named.generation.number());
            let text = format!("grant {number}, generation {generation}, is not in force");
            return self.wrong(index, text);
        }
        if let Cause::Request { by, .. } = record.cause
            && !self.may_revoke(by.component, named)
        {
            let (by, number) = (by.component, named.index);
            let text = format!("component {by} neither holds grant {number} nor delegated it");
            self.wrong(index, text);
        }
        self.owed.remove(&named.index);
        if self.table.remove(named.index) > 0 {
            self.wrong(
                index,
                format!("grants derived from grant {} are in force", named.index),
            );
        }
    }

    /// Whether a component holds a grant, or one that it derives from.
    fn may_revoke(&mut self, component: u16, named: GrantFields) -> bool {
        let mut next = Some(named.id);
        while let Some((_, it)) = next.and_then(|id| self.table.with_id(id)) {
            if it.grant.grant.subject == component {
                return true;
            }
            // A parent has a lower id; one of version 1 stands for an index, and may not be below.
            next = it.grant.parent.filter(|parent| *parent < it.grant.id);
        }
        false
    }

    fn seal(&mut self, index: u64, record: &Record) {
        let in_force = self.table.in_force().count() as u32;
        match record.cause {
            Cause::Complete { grants } if grants == in_force => {}
            Cause::Complete { grants } => {
                let text = format!("{grants} grants were sealed, and {in_force} are in force");
                self.wrong(index, text);
            }
            _ => self.wrong(
                index,
                "the record does not say how many grants are in force",
            ),
        }
        let again = self.boots.last_mut();
        if again.is_some_and(|boot| std::mem::replace(&mut boot.sealed, true)) {
            self.wrong(index, "the boot was sealed before");
        }
    }

    /// An earlier history was left behind: whoever has its checkpoint will not find it here.
    fn leave(&mut self, index: u64, record: &Record) {
        let Cause::Leaves {
            disk,
            log,
            size,
            root,
        } = record.cause
        else {
            return self.wrong(
                index,
                "the record does not say which history was left behind",
            );
        };
        let origin = origin(log, disk).as_str().to_owned();
        let what = What::LeftBehind { origin, size, root };
        self.findings.note(place(index), what);
    }

    /// Holds a grant against the policy in force.
    fn allowed(&mut self, index: u64, record: &Record, grant: &GrantFields) {
        let Some((_, policy)) = self.policy else {
            return self.wrong(index, "a grant was issued with no policy in force");
        };
        let Some(policy) = policy else { return };
        match policy.allows(grant) {
            Err(text) => self.violation(index, What::Policy(text)),
            Ok(rule) => {
                let (line, text) = (rule.line, self.unasked(record, grant, policy, rule));
                let named = match record.cause {
                    Cause::Policy { line } => Some(line),
                    Cause::Request { line, .. } => line,
                    _ => None,
                };
                if named != Some(line) {
                    let said = named.map_or("no line".into(), |line| format!("line {line}"));
                    let text =
                        format!("the record names {said} of the policy, and line {line} allows it");
                    self.violation(index, What::Policy(text));
                }
                if let Some(text) = text {
                    self.violation(index, What::Policy(text));
                }
            }
        }
    }

    /// What is wrong with who asked for a grant, and with what it derives from: a boot grant is the
    /// manager's to issue, a requested one its subject's to ask for, a delegated one its delegator's.
    fn unasked(
        &mut self,
        record: &Record,
        grant: &GrantFields,
        policy: &PolicyTable,
        rule: &AllowedGrant,
    ) -> Option<String> {
        let line = rule.line;
        let asked = match record.cause {
            Cause::Request { by, .. } => Some(by.component),
            _ => None,
        };
        let (asker, holder) = match rule.when {
            When::Boot => (None, None),
            When::Request => (Some(rule.grant.subject), None),
            When::Delegated(from) => (Some(from), Some(from)),
        };
        if asked != asker {
            let name = |number| policy.component_name(number);
            let asked = asked.map_or("nobody".into(), name);
            let when = asker.map_or("at boot".into(), |it| format!("when {} asks", name(it)));
            return Some(format!(
                "{asked} asked for it, and line {line} issues it {when}"
            ));
        }
        match (grant.parent, holder) {
            (None, None) => None,
            (Some(_), None) => Some(format!(
                "it has a parent, and line {line} delegates nothing"
            )),
            (parent, Some(from)) => {
                let parent = parent.and_then(|parent| self.table.with_id(parent));
                let is_theirs = parent.is_some_and(|(_, it)| it.grant.grant.subject == from);
                let from = policy.component_name(from);
                (!is_theirs).then(|| {
                    format!("it derives from no grant in force of {from}, which line {line} names")
                })
            }
        }
    }
}

const fn place(index: u64) -> Place {
    Place::new(Region::Grants, At::Record(index))
}

impl Sink for Replay<'_> {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        self.records(records);
    }
}

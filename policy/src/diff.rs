//! What a change of the policy adds to the ceiling, and what it takes from it.
//!
//! Two policies are compared by what they allow, by name: a rule that moved, was split or was
//! reworded changes nothing. Grants are compared by method, all other authority as the facts of two
//! [`Relation`]s: of what became wider or narrower, only the difference is told. A `never` rule is
//! compared by the subjects that it keeps apart, so that one which lost a component counts. A method
//! that has another number is neither more nor less; it is told by itself, since the number is what
//! a grant carries.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_policy_format::When;
use serde::Serialize;

use crate::ceiling::{Ceiling, Held};
use crate::keys;
use crate::model::{self, OnFault, Policy, Subject};
use crate::relation::{Fact, Holding, Relation};
use crate::text;

/// The difference of two ceilings. Empty where both allow the same.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Difference {
    /// What the new policy allows and the old does not.
    pub added: Vec<Change>,
    /// What the old policy allows and the new does not.
    pub taken: Vec<Change>,
    /// Whose honesty every verdict on the new policy assumes, and on the old does not: "`blk`", "guest `linux`".
    pub assumed: Vec<String>,
    /// Whose honesty is assumed no longer.
    pub assumed_no_longer: Vec<String>,
    /// The methods that have another number.
    pub renumbered: Vec<Renumbered>,
}

/// A method that both policies have, with different numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Renumbered {
    /// The interface.
    pub interface: String,
    /// The method.
    pub method: String,
    /// Its number in the old policy.
    pub old: u8,
    /// Its number in the new policy.
    pub new: u8,
}

/// One thing that a policy allows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize)]
pub struct Change {
    /// `grant`, `flow`, `never`, `permanent`, `successor_key`, or the kind of a fact ([`Kind::name`](crate::relation::Kind::name)).
    pub kind: &'static str,
    /// Who can hold it, or the domain or subject that it starts in.
    pub subject: String,
    /// Whom it is about; `None`: `what` says it.
    pub object: Option<String>,
    /// The methods, the modes of a flow, or what else is held, with the rights.
    pub what: String,
    /// The mode of a grant.
    pub mode: Option<&'static str>,
    /// When a grant is issued: `boot`, `request`, or `delegated by X`.
    pub when: Option<String>,
    /// The lease of a grant, as the policy language writes it.
    pub lease: Option<String>,
    /// Line of its rule, in the policy that has it.
    pub line: Option<u32>,
}

/// Compares what two policies allow.
pub fn diff(old: &Policy, new: &Policy) -> Difference {
    let (before, after) = (Allowed::of(old), Allowed::of(new));
    let mut difference = Difference {
        added: after.beyond(&before),
        taken: before.beyond(&after),
        assumed: after.assumed_beyond(&before),
        assumed_no_longer: before.assumed_beyond(&after),
        renumbered: before.renumbered(&after),
    };
    // A rule less is something more that is allowed.
    for (less, more, changes) in [
        (&before, &after, &mut difference.added),
        (&after, &before, &mut difference.taken),
    ] {
        changes.extend(less.nevers_beyond(more));
        changes.extend(less.permanent_beyond(more));
    }
    difference.added.extend(after.signers_beyond(&before));
    difference.taken.extend(before.signers_beyond(&after));
    difference
}

impl Difference {
    /// Whether both policies allow the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What tells grants apart, beside their methods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GrantKey<'p> {
    subject: &'p str,
    object: &'p str,
    interface: &'p str,
    mode: &'static str,
    when: String,
    lease: Option<u32>,
}

/// All that a policy allows, each with its line.
struct Allowed<'p> {
    relation: Relation<'p>,
    methods: BTreeMap<(&'p str, &'p str), u8>,
    grants: BTreeMap<GrantKey<'p>, BTreeMap<&'p str, u32>>,
    flows: BTreeMap<(&'p str, &'p str), BTreeMap<&'static str, u32>>,
    nevers: BTreeMap<(&'p str, &'p str), Never<'p>>,
    /// The components to which others' grants outlast a fault, each with its line.
    restarted: BTreeMap<&'p str, u32>,
    /// Who may sign the next policy.
    signers: BTreeSet<String>,
}

/// What a `never` rule keeps apart.
struct Never<'p> {
    line: u32,
    /// Whether no later policy of the same image may be without it.
    is_permanent: bool,
    pairs: BTreeSet<(Subject<'p>, Subject<'p>)>,
}

impl<'p> Allowed<'p> {
    fn of(policy: &'p Policy) -> Self {
        let mut allowed = Self {
            relation: Relation::declared(policy),
            methods: BTreeMap::new(),
            grants: BTreeMap::new(),
            flows: BTreeMap::new(),
            nevers: BTreeMap::new(),
            restarted: restarted(policy),
            signers: signers(policy),
        };
        for interface in &policy.interfaces {
            let numbers = interface.methods.iter().map(|method| {
                let name = (interface.name.as_str(), method.name.as_str());
                (name, method.method.number())
            });
            allowed.methods.extend(numbers);
        }
        for held in Ceiling::of(policy).grants() {
            allowed.grant(policy, held);
        }
        let domain = |id| policy.domain(id).name.as_str();
        for flow in &policy.flows {
            let ends = (domain(flow.from), domain(flow.to));
            let modes = flow.modes.iter();
            let modes = modes.map(|mode| (mode.name(), flow.place.line));
            allowed.flows.entry(ends).or_default().extend(modes);
        }
        for never in &policy.nevers {
            let rule = Never {
                line: never.place.line,
                is_permanent: never.permanent,
                pairs: kept_apart(policy, never),
            };
            let pair = (domain(never.from), domain(never.to));
            allowed.nevers.insert(pair, rule);
        }
        allowed
    }

    fn grant(&mut self, policy: &'p Policy, held: &Held) {
        let name = |id| policy.component(id).name.as_str();
        let interface = policy.interface(held.interface);
        let key = GrantKey {
            subject: name(held.subject),
            object: name(held.object),
            interface: &interface.name,
            mode: held.mode.name(),
            when: issued(policy, held.when),
            lease: held.lease_ms,
        };
        let methods = self.grants.entry(key).or_default();
        for method in &interface.methods {
            if held.methods.contains(method.method) {
                methods.insert(&method.name, policy.grants[held.rule].line());
            }
        }
    }

    /// What this allows and `other` does not.
    fn beyond(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, methods) in &self.grants {
            let (names, line) = not_in(methods, other.grants.get(key));
            changes.extend(line.map(|line| key.change(&names, line)));
        }
        let held = Holding::all(self.relation.beyond(&other.relation));
        let mut held: Vec<Change> = held.iter().map(Change::of).collect();
        held.sort_by(|a, b| (&a.subject, &a.what).cmp(&(&b.subject, &b.what)));
        changes.extend(held);
        for (ends, modes) in &self.flows {
            let (modes, line) = not_in(modes, other.flows.get(ends));
            changes.extend(line.map(|line| Change {
                kind: "flow",
                what: modes.join(", "),
                ..Change::between(ends.0, ends.1, line)
            }));
        }
        let restarted = self.restarted.iter();
        let restarted = restarted.filter(|(name, _)| !other.restarted.contains_key(*name));
        changes.extend(restarted.map(|(name, line)| Change {
            kind: "on_fault",
            subject: (*name).to_owned(),
            what: String::from("what others hold to it stays in force when it faults"),
            line: Some(*line),
            ..Change::default()
        }));
        changes
    }

    /// What `never` rules of this keep apart and those of `other` do not: as a rule, where `other`
    /// has none between the same domains.
    fn nevers_beyond(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (ends, never) in &self.nevers {
            let lost: Vec<_> = never.pairs.iter().filter(|it| other.joins(it)).collect();
            let is_gone = !other.nevers.contains_key(ends);
            let forbidden = |from: &str, to: &str| Change {
                kind: "never",
                what: String::from("what the rule forbids"),
                ..Change::between(from, to, never.line)
            };
            if is_gone && (!lost.is_empty() || never.pairs.is_empty()) {
                changes.push(forbidden(ends.0, ends.1));
                continue;
            }
            changes.extend(
                lost.iter()
                    .map(|(from, to)| forbidden(&name_of(*from), &name_of(*to))),
            );
        }
        changes
    }

    /// The `never` rules that are permanent here and not in `other`.
    fn permanent_beyond(&self, other: &Self) -> Vec<Change> {
        let is_permanent = |ends| other.nevers.get(ends).is_some_and(|it| it.is_permanent);
        let beyond = self.nevers.iter();
        let beyond = beyond.filter(|(ends, never)| never.is_permanent && !is_permanent(*ends));
        let changes = beyond.map(|(ends, never)| Change {
            kind: "permanent",
            what: String::from("a later policy without the rule"),
            ..Change::between(ends.0, ends.1, never.line)
        });
        changes.collect()
    }

    /// Who may sign the next policy after this one, and not after `other`.
    fn signers_beyond(&self, other: &Self) -> Vec<Change> {
        let beyond = self.signers.difference(&other.signers);
        let changes = beyond.map(|signer| Change {
            kind: "successor_key",
            subject: signer.clone(),
            what: String::from("signs the next policy"),
            ..Change::default()
        });
        changes.collect()
    }

    /// Whether two subjects are both there, and no rule keeps them apart.
    fn joins(&self, pair: &(Subject<'_>, Subject<'_>)) -> bool {
        let is_there = |subject| self.relation.domain_of(subject).is_some();
        let mut rules = self.nevers.values();
        is_there(pair.0) && is_there(pair.1) && !rules.any(|rule| rule.pairs.contains(pair))
    }

    fn assumed_beyond(&self, other: &Self) -> Vec<String> {
        let [own, others] = [self, other].map(|it| it.relation.assumed_honest());
        own.difference(&others).map(ToString::to_string).collect()
    }

    fn renumbered(&self, new: &Self) -> Vec<Renumbered> {
        let both = self
            .methods
            .iter()
            .filter_map(|((interface, method), old)| {
                let new = *new.methods.get(&(*interface, *method))?;
                let old = *old;
                (old != new).then(|| Renumbered {
                    interface: (*interface).to_owned(),
                    method: (*method).to_owned(),
                    old,
                    new,
                })
            });
        both.collect()
    }
}

/// The components that are to be started again after a fault, each with its line.
fn restarted(policy: &Policy) -> BTreeMap<&str, u32> {
    let components = policy.components.iter();
    let restarted = components.filter(|component| component.on_fault == OnFault::Restart);
    let named = restarted.map(|component| (component.name.as_str(), component.place.line));
    named.collect()
}

/// The keys that may sign the next policy, or in words those that may sign this one.
fn signers(policy: &Policy) -> BTreeSet<String> {
    let keys = policy.successors.iter();
    let keys = keys.map(|key| keys::hexadecimal(key));
    let own = policy.successors.is_empty();
    let own = own.then(|| String::from("who signed this one"));
    keys.chain(own).collect()
}

/// The names that another table lacks, and the line of the first.
fn not_in<'n>(
    names: &BTreeMap<&'n str, u32>,
    others: Option<&BTreeMap<&str, u32>>,
) -> (Vec<&'n str>, Option<u32>) {
    let beyond = |name: &&str| !others.is_some_and(|others| others.contains_key(*name));
    let beyond: Vec<&str> = names.keys().copied().filter(beyond).collect();
    let line = beyond.first().map(|first| names[first]);
    (beyond, line)
}

/// The subjects that a `never` rule keeps apart.
fn kept_apart<'p>(
    policy: &'p Policy,
    never: &model::Never,
) -> BTreeSet<(Subject<'p>, Subject<'p>)> {
    let pairs = policy.members(never.from).flat_map(|from| {
        let to = policy.members(never.to);
        to.map(move |to| (from, to))
    });
    pairs.collect()
}

/// A component by its name; a guest or a device with what it is.
fn name_of(subject: Subject<'_>) -> String {
    match subject {
        Subject::Component(name) => name.to_owned(),
        other => other.to_string(),
    }
}

impl Change {
    fn between(from: &str, to: &str, line: u32) -> Self {
        Self {
            subject: from.to_owned(),
            object: Some(to.to_owned()),
            line: Some(line),
            ..Self::default()
        }
    }

    fn of(holding: &Holding<'_>) -> Self {
        let Fact {
            subject,
            kind,
            cause,
            ..
        } = holding.fact;
        let rights = holding.rights();
        Self {
            kind: kind.name(),
            subject: name_of(subject),
            what: holding.authority() + &rights.map_or_else(String::new, |it| format!(", {it}")),
            line: cause.line(),
            ..Self::default()
        }
    }
}

impl GrantKey<'_> {
    fn change(&self, methods: &[&str], line: u32) -> Change {
        Change {
            kind: "grant",
            what: format!("{}: {}", self.interface, methods.join(", ")),
            mode: Some(self.mode),
            when: Some(self.when.clone()),
            lease: self.lease.map(text::lease),
            ..Change::between(self.subject, self.object, line)
        }
    }
}

/// When a grant is issued, in words.
pub fn issued(policy: &Policy, when: When) -> String {
    match when {
        When::Boot => String::from("boot"),
        When::Request => String::from("request"),
        When::Delegated(by) => {
            let by = &policy.component(model::ComponentId(by)).name;
            format!("delegated by {by}")
        }
    }
}

//! What a change of the policy adds to the ceiling, and what it takes from it.
//!
//! Two policies are compared by what they allow, by name: a rule that moved, was split or was
//! reworded changes nothing. A `never` rule is compared by the components that it keeps apart, so
//! that one which lost a component counts. A method that has another number is neither more nor less;
//! it is told by itself, since the number is what a grant carries.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_policy_format::When;
use serde::Serialize;

use crate::ceiling::{Ceiling, Held};
use crate::model::{self, Authority, Policy, Subject};
use crate::text;

/// The difference of two ceilings. Empty where both allow the same.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Difference {
    /// What the new policy allows and the old does not.
    pub added: Vec<Change>,
    /// What the old policy allows and the new does not.
    pub taken: Vec<Change>,
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// Methods of a grant.
    Grant {
        /// The component that can hold it.
        subject: String,
        /// The component that serves it.
        object: String,
        /// The interface.
        interface: String,
        /// The mode.
        mode: &'static str,
        /// When it is issued: `boot`, `request`, or `delegated by X`.
        when: String,
        /// Its lease, as the policy language writes it.
        lease: Option<String>,
        /// The methods, by name.
        methods: Vec<String>,
        /// Line of its rule.
        line: u32,
    },
    /// What `system.xml` may give.
    Static {
        /// The component that holds it, or the guest or device.
        component: String,
        /// What it is.
        authority: String,
        /// Line of its rule.
        line: u32,
    },
    /// Modes that may cross a domain boundary.
    Flow {
        /// The domain it starts in.
        from: String,
        /// The domain it ends in.
        to: String,
        /// The modes.
        modes: Vec<&'static str>,
        /// Line of its rule.
        line: u32,
    },
    /// The lack of a `never` rule, which allows what it forbids.
    Never {
        /// The domain it starts in.
        from: String,
        /// The domain that it must not reach.
        to: String,
        /// Line of the rule, in the policy that has it.
        line: u32,
    },
    /// Two subjects that a `never` rule no longer keeps apart, since one is in another domain.
    Unguarded {
        /// The component, guest or device that something could start in.
        from: String,
        /// The one that it must not reach.
        to: String,
        /// Line of the rule, in the policy where it keeps them apart.
        line: u32,
    },
}

/// Compares what two policies allow.
pub fn diff(old: &Policy, new: &Policy) -> Difference {
    let (before, after) = (Allowed::of(old), Allowed::of(new));
    let mut difference = Difference {
        added: after.beyond(&before),
        taken: before.beyond(&after),
        renumbered: before.renumbered(&after),
    };
    // A rule less is something more that is allowed.
    difference.added.extend(before.nevers_beyond(&after));
    difference.taken.extend(after.nevers_beyond(&before));
    difference
}

impl Difference {
    /// Whether both policies allow the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.taken.is_empty() && self.renumbered.is_empty()
    }
}

/// What tells grants apart, beside their methods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GrantKey {
    subject: String,
    object: String,
    interface: String,
    mode: &'static str,
    when: String,
    lease: Option<u32>,
    region: Option<String>,
}

/// All that a policy allows, each with its line.
#[derive(Default)]
struct Allowed {
    subjects: BTreeSet<String>,
    methods: BTreeMap<(String, String), u8>,
    grants: BTreeMap<GrantKey, BTreeMap<String, u32>>,
    statics: BTreeMap<(String, String), u32>,
    flows: BTreeMap<(String, String), BTreeMap<&'static str, u32>>,
    nevers: BTreeMap<(String, String), Never>,
}

/// What a `never` rule keeps apart.
struct Never {
    line: u32,
    pairs: BTreeSet<(String, String)>,
}

impl Allowed {
    fn of(policy: &Policy) -> Self {
        let mut allowed = Self {
            subjects: policy.subjects().map(|(it, _)| name_of(it)).collect(),
            ..Self::default()
        };
        for interface in &policy.interfaces {
            let numbers = interface.methods.iter().map(|method| {
                let name = (interface.name.clone(), method.name.clone());
                (name, method.method.number())
            });
            allowed.methods.extend(numbers);
        }
        for held in Ceiling::of(policy).grants() {
            allowed.grant(policy, held);
        }
        for rule in &policy.statics {
            let component = name_of(policy.subject(rule.holder));
            let authority = static_text(policy, &rule.authority);
            let line = rule.place.line;
            allowed.statics.insert((component, authority), line);
        }
        let domain = |id| policy.domain(id).name.clone();
        for flow in &policy.flows {
            let modes = allowed
                .flows
                .entry((domain(flow.from), domain(flow.to)))
                .or_default();
            modes.extend(flow.modes.iter().map(|mode| (mode.name(), flow.place.line)));
        }
        for never in &policy.nevers {
            let rule = Never {
                line: never.place.line,
                pairs: kept_apart(policy, never),
            };
            let pair = (domain(never.from), domain(never.to));
            allowed.nevers.insert(pair, rule);
        }
        allowed
    }

    fn grant(&mut self, policy: &Policy, held: &Held) {
        let name = |id| policy.component(id).name.clone();
        let interface = policy.interface(held.interface);
        let rule = &policy.grants[held.rule];
        let key = GrantKey {
            subject: name(held.subject),
            object: name(held.object),
            interface: interface.name.clone(),
            mode: held.mode.name(),
            when: issued(policy, held.when),
            lease: held.lease_ms,
            region: rule.region.as_ref().map(|region| region.name.clone()),
        };
        let methods = self.grants.entry(key).or_default();
        for method in &interface.methods {
            if held.methods.contains(method.method) {
                methods.insert(method.name.clone(), rule.line());
            }
        }
    }

    /// What this allows and `other` does not.
    fn beyond(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, methods) in &self.grants {
            let others = other.grants.get(key);
            let beyond =
                |method: &&String| !others.is_some_and(|others| others.contains_key(*method));
            let names: Vec<String> = methods.keys().filter(beyond).cloned().collect();
            if let Some(first) = names.first() {
                let line = methods[first];
                changes.push(key.change(names, line));
            }
        }
        for ((component, authority), line) in &self.statics {
            let key = (component.clone(), authority.clone());
            if !other.statics.contains_key(&key) {
                let (component, authority) = key;
                let line = *line;
                changes.push(Change::Static {
                    component,
                    authority,
                    line,
                });
            }
        }
        for ((from, to), modes) in &self.flows {
            let others = other.flows.get(&(from.clone(), to.clone()));
            let beyond = |mode: &&str| !others.is_some_and(|others| others.contains_key(*mode));
            let beyond: Vec<&'static str> = modes.keys().copied().filter(|it| beyond(it)).collect();
            if let Some(first) = beyond.first() {
                changes.push(Change::Flow {
                    from: from.clone(),
                    to: to.clone(),
                    line: modes[first],
                    modes: beyond,
                });
            }
        }
        changes
    }

    /// What `never` rules of this keep apart and those of `other` do not: as a rule, where `other`
    /// has none between the same domains.
    fn nevers_beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Change> + 'a {
        self.nevers.iter().flat_map(|((from, to), never)| {
            let line = never.line;
            let lost: Vec<_> = never.pairs.iter().filter(|it| other.joins(it)).collect();
            let is_gone = !other.nevers.contains_key(&(from.clone(), to.clone()));
            if is_gone && (!lost.is_empty() || never.pairs.is_empty()) {
                let (from, to) = (from.clone(), to.clone());
                return vec![Change::Never { from, to, line }];
            }
            let unguarded = lost.into_iter().cloned();
            unguarded
                .map(|(from, to)| Change::Unguarded { from, to, line })
                .collect()
        })
    }

    /// Whether two subjects are both there, and no rule keeps them apart.
    fn joins(&self, pair: &(String, String)) -> bool {
        let is_there = |name| self.subjects.contains(name);
        let mut rules = self.nevers.values();
        is_there(&pair.0) && is_there(&pair.1) && !rules.any(|rule| rule.pairs.contains(pair))
    }

    fn renumbered(&self, new: &Self) -> Vec<Renumbered> {
        let both = self.methods.iter().filter_map(|(name, old)| {
            let new = *new.methods.get(name)?;
            let (interface, method) = name.clone();
            let old = *old;
            (old != new).then_some(Renumbered {
                interface,
                method,
                old,
                new,
            })
        });
        both.collect()
    }
}

/// The subjects that a `never` rule keeps apart, by name.
fn kept_apart(policy: &Policy, never: &model::Never) -> BTreeSet<(String, String)> {
    let pairs = policy.members(never.from).flat_map(|from| {
        let to = policy.members(never.to);
        to.map(move |to| (name_of(from), name_of(to)))
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

impl GrantKey {
    fn change(&self, methods: Vec<String>, line: u32) -> Change {
        Change::Grant {
            subject: self.subject.clone(),
            object: self.object.clone(),
            interface: self.interface.clone(),
            mode: self.mode,
            when: self.when.clone(),
            lease: self.lease.map(text::lease),
            methods,
            line,
        }
    }
}

/// When a grant is issued, in words.
pub fn issued(policy: &Policy, when: When) -> String {
    match when {
        When::Boot => String::from("boot"),
        When::Request => String::from("request"),
        When::Delegated(by) => {
            let by = &policy.component(crate::model::ComponentId(by)).name;
            format!("delegated by {by}")
        }
    }
}

fn static_text(policy: &Policy, authority: &Authority) -> String {
    let text = text::authority(policy, authority);
    match authority {
        Authority::Region { perms, .. } => format!("{text}, {perms}"),
        Authority::Channel { calls: false, .. } => format!("{text}, notify only"),
        _ => text,
    }
}

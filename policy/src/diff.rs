//! What a change of the policy adds to the ceiling, and what it takes from it.
//!
//! Two policies are compared by what they allow, by name: a rule that moved, was split or was
//! reworded changes nothing. A method whose number changed was taken and another added, since the
//! number is what a grant carries.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_policy_format::When;

use crate::ceiling::{Ceiling, Held};
use crate::model::{Authority, Policy};
use crate::text;

/// The difference of two ceilings. Empty where both allow the same.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Difference {
    /// What the new policy allows and the old does not.
    pub added: Vec<Change>,
    /// What the old policy allows and the new does not.
    pub taken: Vec<Change>,
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
        /// The methods, by number.
        methods: Vec<String>,
        /// Line of its rule.
        line: u32,
    },
    /// What `system.xml` may give.
    Static {
        /// The component that holds it.
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
}

/// Compares what two policies allow.
pub fn diff(old: &Policy, new: &Policy) -> Difference {
    let (before, after) = (Allowed::of(old), Allowed::of(new));
    let mut difference = Difference {
        added: after.beyond(&before),
        taken: before.beyond(&after),
    };
    // A rule less is something more that is allowed.
    difference.added.extend(before.nevers_beyond(&after));
    difference.taken.extend(after.nevers_beyond(&before));
    difference
}

impl Difference {
    /// Whether both policies allow the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.taken.is_empty()
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
    grants: BTreeMap<GrantKey, BTreeMap<(u8, String), u32>>,
    statics: BTreeMap<(String, String), u32>,
    flows: BTreeMap<(String, String), BTreeMap<&'static str, u32>>,
    nevers: BTreeMap<(String, String), u32>,
}

impl Allowed {
    fn of(policy: &Policy) -> Self {
        let mut allowed = Self::default();
        for held in Ceiling::of(policy).grants() {
            allowed.grant(policy, held);
        }
        for rule in &policy.statics {
            let component = policy.component(rule.component).name.clone();
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
            let pair = (domain(never.from), domain(never.to));
            allowed.nevers.insert(pair, never.place.line);
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
                let number = method.method.number();
                methods.insert((number, method.name.clone()), rule.line());
            }
        }
    }

    /// What this allows and `other` does not.
    fn beyond(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, methods) in &self.grants {
            let others = other.grants.get(key);
            let beyond =
                |method: &&(u8, String)| !others.is_some_and(|others| others.contains_key(*method));
            let names: Vec<&(u8, String)> = methods.keys().filter(beyond).collect();
            if let Some(first) = names.first() {
                let line = methods[*first];
                let methods = names.into_iter().map(|(_, name)| name.clone()).collect();
                changes.push(key.change(methods, line));
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

    /// The `never` rules that this has and `other` does not.
    fn nevers_beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Change> + 'a {
        let ours = self.nevers.iter();
        ours.filter(|(pair, _)| !other.nevers.contains_key(*pair))
            .map(|((from, to), line)| Change::Never {
                from: from.clone(),
                to: to.clone(),
                line: *line,
            })
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

/// The names of the components that only one of two policies has: first those of `new`.
pub fn components(old: &Policy, new: &Policy) -> (Vec<String>, Vec<String>) {
    let names = |policy: &Policy| -> BTreeSet<String> {
        policy.components.iter().map(|it| it.name.clone()).collect()
    };
    let (old, new) = (names(old), names(new));
    let only = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect();
    (only(&new, &old), only(&old, &new))
}

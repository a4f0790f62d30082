//! Information flow among components, over the whole ceiling.
//!
//! An edge from one component to another says that something the first does can be seen by the
//! second. A call flows both ways, since its reply flows back; a send, a notification and a stream
//! flow one way; a delegation flows from who gives to who gets; a memory region flows from whoever may
//! write it to whoever maps it. Parents, channels and extra capabilities flow both ways. One edge is
//! kept between two components: the first that the policy gives.
//!
//! Devices, timing and physical memory beyond what `system.xml` names are not looked at.

use std::collections::{BTreeMap, VecDeque};

use portcullis_kernel::Mode;

use crate::model::{Authority, ComponentId, Place, Policy};

/// Who can be told something by whom.
#[derive(Debug)]
pub struct Information<'p> {
    policy: &'p Policy,
    edges: BTreeMap<ComponentId, BTreeMap<ComponentId, Edge<'p>>>,
}

/// Why something flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge<'p> {
    /// A grant of the policy, by its position, from subject to object.
    Grant {
        /// The rule.
        rule: usize,
        /// The other way: its reply.
        back: bool,
        /// It is held by a component that it was delegated to.
        delegated: bool,
    },
    /// The delegation of a grant: who gets it sees it come and go.
    Delegation {
        /// The rule of the grant.
        rule: usize,
    },
    /// A memory region.
    Region {
        /// Its name.
        name: &'p str,
        /// The rule that says that the first may write it.
        written: Rule<'p>,
        /// The rule that says that the second maps it.
        mapped: Rule<'p>,
    },
    /// Another static rule, by its position.
    Static {
        /// The rule.
        rule: usize,
    },
}

/// A rule that maps memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule<'p> {
    /// Where it names the region.
    pub region: &'p Place,
    /// Its policy line, from 1.
    pub line: u32,
}

/// One step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop<'p> {
    /// Where it starts.
    pub from: ComponentId,
    /// Where it ends.
    pub to: ComponentId,
    /// Why something flows.
    pub edge: Edge<'p>,
}

/// Who maps a memory region, with the rules that say so.
#[derive(Default)]
pub(crate) struct Mappings<'p> {
    pub(crate) writers: Vec<(ComponentId, Rule<'p>)>,
    pub(crate) readers: Vec<(ComponentId, Rule<'p>)>,
}

impl<'p> Information<'p> {
    /// The information flow that `policy` allows at most.
    pub fn of(policy: &'p Policy) -> Self {
        let mut information = Self {
            policy,
            edges: BTreeMap::new(),
        };
        information.grants();
        information.regions();
        information.statics();
        information
    }

    fn add(&mut self, from: ComponentId, to: ComponentId, edge: Edge<'p>) {
        if from != to {
            let edges = self.edges.entry(from).or_default();
            edges.entry(to).or_insert(edge);
        }
    }

    fn grants(&mut self) {
        for (rule, grant) in self.policy.grants.iter().enumerate() {
            self.grant(grant.subject, rule, false);
            for delegate in &grant.delegate {
                self.grant(delegate.component, rule, true);
                self.add(grant.subject, delegate.component, Edge::Delegation { rule });
            }
        }
    }

    fn grant(&mut self, subject: ComponentId, rule: usize, delegated: bool) {
        let grant = &self.policy.grants[rule];
        for back in [false, true] {
            let edge = Edge::Grant {
                rule,
                back,
                delegated,
            };
            if !back {
                self.add(subject, grant.object, edge);
            } else if grant.mode.flows_back() {
                self.add(grant.object, subject, edge);
            }
        }
    }

    fn regions(&mut self) {
        for (name, mappings) in mappings(self.policy) {
            for (writer, written) in &mappings.writers {
                for (reader, mapped) in mappings.writers.iter().chain(&mappings.readers) {
                    let edge = Edge::Region {
                        name,
                        written: *written,
                        mapped: *mapped,
                    };
                    self.add(*writer, *reader, edge);
                }
            }
        }
    }

    fn statics(&mut self) {
        for (rule, given) in self.policy.statics.iter().enumerate() {
            let edge = Edge::Static { rule };
            let holder = given.component;
            match given.authority {
                Authority::Channel { peer, calls: false } => self.add(holder, peer, edge),
                Authority::Channel {
                    peer: other,
                    calls: true,
                }
                | Authority::Child(other)
                | Authority::Cap { of: other, .. } => {
                    self.add(holder, other, edge);
                    self.add(other, holder, edge);
                }
                Authority::Region { .. }
                | Authority::Irq(_)
                | Authority::IoPorts { .. }
                | Authority::VirtualMachine(_)
                | Authority::Smc => {}
            }
        }
    }

    /// The shortest path from one of `from` to one that `to` accepts. The manager is trusted: no
    /// path leads through it.
    pub fn shortest_path(
        &self,
        from: impl Iterator<Item = ComponentId>,
        to: impl Fn(ComponentId) -> bool,
    ) -> Option<Vec<Hop<'p>>> {
        let manager = self.policy.manager();
        let mut arrived: BTreeMap<ComponentId, Option<Hop<'p>>> = BTreeMap::new();
        let mut queue = VecDeque::new();
        for start in from {
            arrived.insert(start, None);
            queue.push_back(start);
        }
        while let Some(at) = queue.pop_front() {
            let started_here = arrived[&at].is_none();
            if to(at) && !started_here {
                return Some(path_to(at, &arrived));
            }
            if Some(at) == manager && !started_here {
                continue;
            }
            for (next, edge) in self.edges.get(&at).into_iter().flatten() {
                arrived.entry(*next).or_insert_with(|| {
                    queue.push_back(*next);
                    let (from, to, edge) = (at, *next, *edge);
                    Some(Hop { from, to, edge })
                });
            }
        }
        None
    }
}

/// The hops that lead to `end`, first to last.
fn path_to<'p>(end: ComponentId, arrived: &BTreeMap<ComponentId, Option<Hop<'p>>>) -> Vec<Hop<'p>> {
    let mut path = Vec::new();
    let mut at = end;
    while let Some(hop) = arrived[&at] {
        path.push(hop);
        at = hop.from;
    }
    path.reverse();
    path
}

/// Who maps each memory region, by static rules and by streams.
pub(crate) fn mappings(policy: &Policy) -> BTreeMap<&str, Mappings<'_>> {
    let mut regions: BTreeMap<&str, Mappings<'_>> = BTreeMap::new();
    for rule in &policy.statics {
        if let Authority::Region { region, perms } = &rule.authority {
            let mappings = regions.entry(region).or_default();
            let side = if perms.write {
                &mut mappings.writers
            } else {
                &mut mappings.readers
            };
            let (region, line) = (&rule.object, rule.place.line);
            side.push((rule.component, Rule { region, line }));
        }
    }
    for grant in &policy.grants {
        if let (Mode::Stream, Some(region)) = (grant.mode, &grant.region) {
            let mappings = regions.entry(&region.name).or_default();
            let rule = Rule {
                region: &region.place,
                line: grant.line(),
            };
            mappings.writers.push((grant.subject, rule));
            mappings.readers.push((grant.object, rule));
        }
    }
    regions
}

impl Hop<'_> {
    /// What flows, in words.
    pub fn describe(&self, policy: &Policy) -> String {
        match self.edge {
            Edge::Grant {
                rule,
                back,
                delegated,
            } => {
                let mode = policy.grants[rule].mode.name();
                let how = if delegated { ", once delegated" } else { "" };
                if back {
                    format!("the reply to a call{how}")
                } else {
                    format!("{mode}{how}")
                }
            }
            Edge::Delegation { .. } => String::from("sees the grant come and go"),
            Edge::Region { name, .. } => format!("memory region `{name}`"),
            Edge::Static { rule } => {
                crate::text::authority(policy, &policy.statics[rule].authority)
            }
        }
    }

    /// The rules that let it flow.
    pub fn places<'a>(&'a self, policy: &'a Policy) -> Vec<&'a Place> {
        match self.edge {
            Edge::Grant { rule, .. } => vec![&policy.grants[rule].places.mode],
            Edge::Delegation { rule } => {
                let delegates = &policy.grants[rule].delegate;
                let to = delegates.iter().find(|it| it.component == self.to);
                to.map(|delegate| &delegate.place).into_iter().collect()
            }
            Edge::Region {
                written, mapped, ..
            } if written == mapped => vec![written.region],
            Edge::Region {
                written, mapped, ..
            } => vec![written.region, mapped.region],
            Edge::Static { rule } => vec![&policy.statics[rule].object],
        }
    }

    /// The policy lines of these rules.
    pub fn lines(&self, policy: &Policy) -> Vec<u32> {
        match self.edge {
            Edge::Grant { rule, .. } | Edge::Delegation { rule } => {
                vec![policy.grants[rule].line()]
            }
            Edge::Region {
                written, mapped, ..
            } if written == mapped => vec![written.line],
            Edge::Region {
                written, mapped, ..
            } => vec![written.line, mapped.line],
            Edge::Static { rule } => vec![policy.statics[rule].place.line],
        }
    }
}

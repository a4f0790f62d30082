//! What subjects hold beside their grants, and what of it another relation does not give.
//!
//! Grants are told apart by their methods, which are the [`Ceiling`](crate::Ceiling)'s.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::{Fact, Kind, Object, Relation, Rights};
use crate::model::Subject;

/// Something that a subject holds beside its grants. What it learns through the manager of several
/// components is one.
#[derive(Clone, Debug)]
pub struct Holding<'a> {
    /// Its fact; the first, where there are several.
    pub fact: Fact<'a>,
    /// The components that it learns of.
    learns_of: Vec<&'a str>,
}

impl<'a> Holding<'a> {
    /// The holdings that are these facts.
    pub fn all(facts: impl IntoIterator<Item = Fact<'a>>) -> Vec<Self> {
        let mut holdings: Vec<Self> = Vec::new();
        for fact in facts {
            let Object::Activity(name) = fact.object else {
                let learns_of = Vec::new();
                holdings.push(Self { fact, learns_of });
                continue;
            };
            let learns = |holding: &&mut Self| holding.learns_through(&fact);
            match holdings.iter_mut().find(learns) {
                Some(holding) => holding.learns_of.push(name),
                None => holdings.push(Self {
                    fact,
                    learns_of: vec![name],
                }),
            }
        }
        holdings
    }

    fn learns_through(&self, fact: &Fact<'_>) -> bool {
        let source = |it: &Fact<'_>| (it.kind, it.cause.line());
        !self.learns_of.is_empty()
            && self.fact.subject == fact.subject
            && source(&self.fact) == source(fact)
    }

    /// What it is: "memory region `uart`".
    pub fn authority(&self) -> String {
        let names: Vec<String> = self.learns_of.iter().map(|it| format!("`{it}`")).collect();
        match names.as_slice() {
            [] => self.fact.object.describe(),
            names => format!("denials and faults of {}", names.join(", ")),
        }
    }

    /// What it allows, where that is not one thing alone: the permissions of a mapping, the rights on a
    /// channel.
    pub fn rights(&self) -> Option<String> {
        match self.fact.object {
            Object::Region(_) => Some(self.fact.rights.perms().to_string()),
            Object::Component(_) => Some(self.fact.rights.to_string()),
            _ => None,
        }
    }
}

impl<'a> Relation<'a> {
    /// The facts that are neither grants nor what comes with being there.
    pub fn beside_grants(&self) -> impl Iterator<Item = &Fact<'a>> {
        self.facts.iter().filter(|fact| match fact.kind {
            Kind::Grant
            | Kind::Delegated
            | Kind::Delegation
            | Kind::Receive
            | Kind::Activity
            | Kind::Page
            | Kind::Processor => false,
            // That a device does no DMA is nothing to hold.
            Kind::Dma => fact.reaches_all_memory(),
            _ => fact.object != Object::Activity(fact.subject.name()),
        })
    }

    /// What is given here beside grants and not by `other`, whatever kind of fact gives it: of each only
    /// the rights, or the I/O ports, that `other` does not give.
    pub fn beyond(&self, other: &Self) -> Vec<Fact<'a>> {
        let mut known: HashMap<(Subject<'a>, Object<'a>), Rights> = HashMap::new();
        for fact in other.beside_grants() {
            let rights = known.entry((fact.subject, fact.object)).or_default();
            *rights = *rights | fact.rights;
        }
        let mut known_ports: HashMap<Subject<'a>, PortRanges> = HashMap::new();
        for fact in &other.facts {
            if let Some(ports) = ports(fact) {
                known_ports.entry(fact.subject).or_default().add(ports);
            }
        }
        let mut beyond = Vec::new();
        for fact in self.beside_grants() {
            if let Some(ports) = ports(fact) {
                let known = known_ports.entry(fact.subject).or_default();
                let objects = known.add(ports).into_iter().map(|part| Object::Ports {
                    base: part.start,
                    size: part.end - part.start,
                });
                beyond.extend(objects.map(|object| Fact { object, ..*fact }));
                continue;
            }
            let known = known.entry((fact.subject, fact.object)).or_default();
            let rights = fact.rights.without(*known);
            *known = *known | fact.rights;
            if rights != Rights::default() {
                beyond.push(Fact { rights, ..*fact });
            }
        }
        beyond
    }
}

fn ports(fact: &Fact<'_>) -> Option<Range<u64>> {
    match fact.object {
        Object::Ports { base, size } => Some(base..base.saturating_add(size)),
        _ => None,
    }
}

/// I/O ports, as ranges that do not touch: where each starts and ends.
#[derive(Default)]
struct PortRanges(BTreeMap<u64, u64>);

impl PortRanges {
    /// Adds a range, and gives what of it was not there. It takes time for what it joins, which is then one.
    fn add(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let before = self.0.range(..range.start).next_back();
        let before = before.filter(|(_, end)| **end >= range.start);
        let first = before.map_or(range.start, |(start, _)| *start);
        let joined = self.0.range(first..=range.end);
        let joined: Vec<(u64, u64)> = joined.map(|(start, end)| (*start, *end)).collect();
        let mut new = Vec::new();
        let (mut at, mut end) = (range.start, range.end);
        for (other, others_end) in joined {
            self.0.remove(&other);
            new.push(at..other.min(range.end));
            at = at.max(others_end);
            end = end.max(others_end);
        }
        new.push(at..range.end);
        new.retain(|part| part.start < part.end);
        self.0.insert(first.min(range.start), end);
        new
    }
}

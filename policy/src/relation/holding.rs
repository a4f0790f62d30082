//! What subjects hold beside their grants, and what of it another relation does not give.
//!
//! Grants are told apart by their methods, which are the [`Ceiling`](crate::Ceiling)'s.

use std::collections::HashMap;
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
        let mut beyond = Vec::new();
        for fact in self.beside_grants() {
            if let Some(ports) = ports(fact) {
                let objects = left(ports, other, fact.subject);
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

/// What is left of I/O ports without those that `other` gives the same subject.
fn left<'a>(
    ports_here: Range<u64>,
    other: &Relation<'_>,
    subject: Subject<'_>,
) -> impl Iterator<Item = Object<'a>> {
    let others = other.facts.iter().filter(|fact| fact.subject == subject);
    let parts = others
        .filter_map(ports)
        .fold(vec![ports_here], |parts, known| {
            let around = |part: Range<u64>| {
                let (before, after) = (part.end.min(known.start), part.start.max(known.end));
                [part.start..before, after..part.end]
            };
            let parts = parts.into_iter().flat_map(around);
            parts.filter(|part| !part.is_empty()).collect()
        });
    parts.into_iter().map(|part| Object::Ports {
        base: part.start,
        size: part.end - part.start,
    })
}

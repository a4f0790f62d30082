//! What a subject does that another can see.
//!
//! A call flows both ways, since its reply flows back, and so does power over another. A send, a
//! notification, and a region that one writes and another maps flow one way. The manager is trusted and
//! passes nothing on, but for what it says of others and what stands on pages that others write, which are
//! facts of their own: no path leads through it. Timing is not looked at, and neither is what only somebody
//! dishonest would do of those that must be honest ([`Relation::assumed_honest`]): reach memory through a
//! device, or pass on what a record says that the log's keeper passed to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use portcullis_kernel::Mode;

use super::{Cause, Fact, Kind, Object, Relation, Rights};
use crate::model::{MANAGER, Place, Subject};

/// One step of a path.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Where it starts.
    pub from: Subject<'a>,
    /// Where it ends.
    pub to: Subject<'a>,
    /// What lets the first tell, or else the second learn.
    pub fact: Fact<'a>,
    /// What lets the second learn, where it is not the same.
    pub learned: Option<Fact<'a>>,
}

/// The step from each subject to each other: the first that the relation gives.
type Steps<'a> = BTreeMap<Subject<'a>, BTreeMap<Subject<'a>, Hop<'a>>>;

/// What can flow, from each subject to each other: the paths of a relation.
#[derive(Clone, Debug)]
pub struct Flows<'a> {
    steps: Steps<'a>,
    /// Who passes on nothing that a record says.
    honest: BTreeSet<Subject<'a>>,
}

impl<'a> Flows<'a> {
    /// The shortest path from one of `from` to one that `to` accepts.
    pub fn shortest_path(
        &self,
        from: impl Iterator<Item = Subject<'a>>,
        to: impl Fn(Subject<'a>) -> bool,
    ) -> Option<Vec<Hop<'a>>> {
        let arrived = self.arrive(from);
        let end = arrived.iter().find(|hop| to(hop.to))?;
        Some(self.path_to(end, &arrived))
    }

    /// Whom a subject can tell something, nearest first, each with the path to it.
    pub fn reach(&self, from: Subject<'a>) -> Vec<Vec<Hop<'a>>> {
        let arrived = self.arrive([from].into_iter());
        let mut told = BTreeSet::new();
        let nearest = arrived.iter().filter(|hop| told.insert(hop.to));
        nearest.map(|end| self.path_to(end, &arrived)).collect()
    }

    /// The last step to each subject that something from `from` arrives at, nearest first; a second one, where
    /// with the first alone it would go no further.
    fn arrive(&self, from: impl Iterator<Item = Subject<'a>>) -> Vec<Hop<'a>> {
        let mut queue: VecDeque<Subject<'a>> = from.collect();
        let mut passing: BTreeSet<Subject<'a>> = queue.iter().copied().collect();
        let mut kept = BTreeSet::new();
        let mut arrived = Vec::new();
        while let Some(at) = queue.pop_front() {
            for (next, hop) in self.steps.get(&at).into_iter().flatten() {
                if self.goes_on(hop) {
                    if passing.insert(*next) {
                        arrived.push(*hop);
                        queue.push_back(*next);
                    }
                } else if !passing.contains(next) && kept.insert(*next) {
                    arrived.push(*hop);
                }
            }
        }
        arrived
    }

    /// Whether who learns something in a step passes it on.
    fn goes_on(&self, hop: &Hop<'a>) -> bool {
        let is_copy = hop.learned.is_some_and(|it| it.kind == Kind::LogCopy);
        hop.to != Subject::Component(MANAGER) && !(is_copy && self.honest.contains(&hop.to))
    }

    /// The hops that lead to the end of `last`, first to last.
    fn path_to(&self, last: &Hop<'a>, arrived: &[Hop<'a>]) -> Vec<Hop<'a>> {
        let mut path = vec![*last];
        while let Some(before) = arrived
            .iter()
            .find(|hop| hop.to == path[path.len() - 1].from && self.goes_on(hop))
        {
            path.push(*before);
        }
        path.reverse();
        path
    }
}

impl<'a> Relation<'a> {
    /// What can flow. It takes time in all facts: whoever asks several times asks one.
    pub fn flows(&self) -> Flows<'a> {
        let mut honest = self.assumed_honest();
        honest.retain(|subject| self.distrusted != Some(*subject));
        let steps = Steps::new();
        let mut flows = Flows { steps, honest };
        // Of a step whether it goes on: the first that does is worth more.
        let mut known: HashMap<(usize, usize), bool> = HashMap::new();
        self.each_numbered_hop(|ends, hop| {
            if known.get(&ends) == Some(&true) {
                return;
            }
            let goes_on = flows.goes_on(&hop);
            if known.insert(ends, goes_on).is_none() || goes_on {
                let steps = flows.steps.entry(hop.from).or_default();
                steps.insert(hop.to, hop);
            }
        });
        flows
    }

    /// Every single step in which one subject can tell another something, by every way that there is.
    pub fn each_hop(&self, mut found: impl FnMut(Hop<'a>)) {
        self.each_numbered_hop(|_, hop| found(hop));
    }

    /// The same, with numbers of who tells and who learns: there can be millions of steps, and to compare
    /// their names takes longer than to find them.
    fn each_numbered_hop(&self, mut found: impl FnMut((usize, usize), Hop<'a>)) {
        let mut numbers: HashMap<Subject<'a>, usize> = HashMap::new();
        let mut number = |subject| {
            let next = numbers.len();
            *numbers.entry(subject).or_insert(next)
        };
        let mut learners: HashMap<Object<'a>, Vec<(usize, &Fact<'a>)>> = HashMap::new();
        let acts_on = |fact: &&Fact<'_>| {
            let keeper = self.opaque_keeper.map(Subject::Component);
            let is_record = matches!(fact.object, Object::Activity(_));
            !is_record || fact.kind != Kind::GrantLog || Some(fact.subject) != keeper
        };
        for fact in self
            .facts
            .iter()
            .filter(|fact| fact.learns())
            .filter(acts_on)
        {
            let learner = (number(fact.subject), fact);
            learners.entry(fact.object).or_default().push(learner);
        }
        let mut step =
            |(from, teller), (to, learner), fact: &Fact<'a>, learned: Option<&Fact<'a>>| {
                if from != to {
                    let (fact, learned) = (*fact, learned.copied());
                    let hop = Hop {
                        from: teller,
                        to: learner,
                        fact,
                        learned,
                    };
                    found((from, to), hop);
                }
            };
        for fact in &self.facts {
            let own = (number(fact.subject), fact.subject);
            if let Some(owner) = fact.object.owner() {
                let owner = (number(owner), owner);
                if fact.tells() {
                    step(own, owner, fact, None);
                }
                if fact.learns() {
                    step(owner, own, fact, None);
                }
            } else if fact.tells() && fact.kind != Kind::IoPorts {
                for (learner, learned) in learners.get(&fact.object).into_iter().flatten() {
                    step(own, (*learner, learned.subject), fact, Some(learned));
                }
            }
        }
        for (one, other) in self.shared_ports() {
            let [own, others] = [one, other].map(|fact| (number(fact.subject), fact.subject));
            step(own, others, one, Some(other));
            step(others, own, other, Some(one));
        }
    }

    /// Two facts of each two subjects that have an I/O port in common, of ranges that need not be the same:
    /// one pair, however many lines show it.
    fn shared_ports(&self) -> Vec<(&Fact<'a>, &Fact<'a>)> {
        let ports = self.facts.iter().filter_map(|fact| match fact.object {
            Object::Ports { base, size } => Some((base, base.saturating_add(size), fact)),
            _ => None,
        });
        let mut ports: Vec<_> = ports.collect();
        ports.sort_by_key(|(base, ..)| *base);
        // Who has the port that is looked at: until where, and by what fact.
        let mut open: BTreeMap<Subject<'a>, (u64, &Fact<'a>)> = BTreeMap::new();
        let mut known = HashSet::new();
        let mut shared = Vec::new();
        for (base, end, fact) in ports {
            let own = open.get_mut(&fact.subject);
            if let Some(own) = own.filter(|(end, _)| *end > base) {
                // Who else has it met the range before.
                if own.0 < end {
                    *own = (end, fact);
                }
                continue;
            }
            open.retain(|_, (end, _)| *end > base);
            for (other, (_, of_other)) in &open {
                let both = (fact.subject.min(*other), fact.subject.max(*other));
                if known.insert(both) {
                    shared.push((*of_other, fact));
                }
            }
            open.insert(fact.subject, (end, fact));
        }
        shared
    }
}

impl Fact<'_> {
    /// Whether what the subject does can be seen in the object. All memory is left out: a driver that
    /// reaches it through its device is assumed honest, and named in the verdict.
    pub fn tells(&self) -> bool {
        let telling =
            Rights::WRITE | Rights::CALL | Rights::SEND | Rights::SIGNAL | Rights::CONTROL;
        self.is_flow() && self.rights.has(telling)
    }

    /// Whether the subject can see what others do to the object. No mapping of a processor is writable
    /// and not readable; a device's may be.
    pub fn learns(&self) -> bool {
        let learning =
            Rights::READ | Rights::EXECUTE | Rights::CALL | Rights::CONTROL | Rights::RECEIVE;
        let reads_back = matches!(self.kind, Kind::Map | Kind::GuestMap);
        self.is_flow()
            && (self.rights.has(learning) || reads_back && self.rights.has(Rights::WRITE))
    }

    fn is_flow(&self) -> bool {
        !matches!(self.object, Object::Memory(_) | Object::Processor { .. })
    }
}

impl<'a> Hop<'a> {
    /// The mode that a flow between two domains must allow for this; `None`: it needs no flow of its own.
    pub fn mode(&self) -> Option<Mode> {
        let with_manager = [self.from, self.to].contains(&Subject::Component(MANAGER));
        match (self.fact.kind, self.fact.cause) {
            // A reply goes with its call, and what somebody controlled tells with the control.
            _ if self.from != self.fact.subject => None,
            (Kind::Grant | Kind::Delegated, Cause::Grant(grant, _)) => Some(grant.mode),
            // Channels to the manager need none.
            (Kind::Channel, _) if with_manager => None,
            (Kind::Channel, _) if self.fact.rights == Rights::SIGNAL => Some(Mode::Notify),
            (Kind::Interrupt, _) => Some(Mode::Notify),
            // No line is about them: they are for `never` alone.
            (Kind::ManagerChannel | Kind::Receive | Kind::Delegation, _) => None,
            (Kind::Activity | Kind::Page, _) => None,
            (Kind::IoPorts, _) => Some(Mode::Stream),
            _ if matches!(self.fact.object, Object::Region(_)) => Some(Mode::Stream),
            _ => Some(Mode::Call),
        }
    }

    /// What flows, in words.
    pub fn describe(&self) -> String {
        let back = self.from != self.fact.subject;
        match (self.fact.cause, self.fact.kind) {
            (Cause::Grant(..), Kind::Delegation) => String::from("sees the grant come and go"),
            (Cause::Grant(grant, delegate), Kind::Grant | Kind::Delegated) => {
                let how = if delegate.is_some() {
                    ", once delegated"
                } else {
                    ""
                };
                match back {
                    true => format!("the reply to a call{how}"),
                    false => format!("{}{how}", grant.mode.name()),
                }
            }
            _ => match (self.fact.object, self.learned.map(|learned| learned.kind)) {
                (Object::Page(region), Some(kind)) => {
                    let through = match kind {
                        Kind::Inspect => "the manager's `inspect`",
                        _ => "the grant log",
                    };
                    format!("what it writes into `{region}` is in {through}")
                }
                (_, Some(Kind::Inspect)) => String::from("is seen through the manager's `inspect`"),
                (_, Some(Kind::GrantLog)) => {
                    String::from("its denials and faults are in the grant log")
                }
                (_, Some(Kind::LogCopy)) => String::from(
                    "its denials and faults are in what the grant log's keeper passes on",
                ),
                (object, _) => object.describe(),
            },
        }
    }

    /// The facts that let it flow: one, or who tells and who learns.
    pub fn facts(&self) -> impl Iterator<Item = Fact<'a>> {
        // That a component is there to be denied something is nobody's rule.
        let told = (self.fact.kind != Kind::Activity).then_some(self.fact);
        told.into_iter().chain(self.learned)
    }

    /// The places of the policy that let it flow, each once.
    pub fn places(&self) -> Vec<&'a Place> {
        let mut places: Vec<_> = self.facts().filter_map(|fact| fact.cause.place()).collect();
        places.dedup();
        places
    }

    /// The policy lines that let it flow, each once.
    pub fn lines(&self) -> Vec<u32> {
        let mut lines: Vec<_> = self.facts().filter_map(|fact| fact.cause.line()).collect();
        lines.dedup();
        lines
    }
}

//! Whether everything that crosses a domain boundary has a flow.
//!
//! A grant needs a flow of its mode from its subject's domain to its object's. A memory region needs
//! a `stream` flow from the domain of each subject that may write it to that of each other that maps it.
//! A channel, a child, a virtual machine or an extra capability needs a `call` flow (`notify` for a
//! channel that only notifies). The channels to the manager need none.

use std::collections::{BTreeMap, HashMap, HashSet};

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{DomainId, Flow, MANAGER, Modes, Place, Policy, Subject};
use crate::problem::Problem;
use crate::relation::{Cause, Fact, Kind, Object, Relation, Rights};

/// A crossing without a flow, or a flow without a boundary.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum FlowFault {
    /// No flow lets it cross.
    #[error("{what} crosses from domain `{from}` to `{to}`, and no flow allows {mode} that way")]
    #[diagnostic(code(policy::crossing_without_flow), help("{help}"))]
    Crossing {
        /// What crosses.
        what: String,
        /// The domain it starts in.
        from: String,
        /// The domain it ends in.
        to: String,
        /// The mode it needs.
        mode: &'static str,
        /// What to do.
        help: String,
    },
    /// A flow from a domain to itself.
    #[error("the flow from `{domain}` to itself allows nothing")]
    #[diagnostic(
        code(policy::flow_to_itself),
        help("remove it: within a domain no flow is needed")
    )]
    ToItself {
        /// The domain.
        domain: String,
    },
}

pub(super) fn check(check: &mut Check<'_>, declared: &Relation<'_>) {
    let policy = check.policy;
    for flow in policy.flows.iter().filter(|flow| flow.from == flow.to) {
        let domain = policy.domain(flow.from).name.clone();
        check.broken(&flow.place, "this flow", FlowFault::ToItself { domain });
    }
    let crossings = Crossings {
        policy,
        declared,
        flows: policy
            .flows
            .iter()
            .map(|flow| ((flow.from, flow.to), flow))
            .collect(),
    };
    let direct = declared.facts().iter();
    let direct = direct.filter_map(|fact| crossings.direct(fact));
    let found: Vec<Crossing<'_>> = direct.chain(crossings.regions()).collect();
    let mut lacking: HashMap<(DomainId, DomainId), Modes> = HashMap::new();
    for crossing in &found {
        let modes = lacking.entry(crossing.domains).or_default();
        *modes = modes.with(crossing.mode);
    }
    for crossing in found {
        let modes = lacking[&crossing.domains];
        check.problems.push(crossings.problem(crossing, modes));
    }
}

/// Something that crosses a boundary without a flow.
struct Crossing<'p> {
    domains: (DomainId, DomainId),
    mode: Mode,
    what: String,
    place: &'p Place,
    labels: Vec<(&'p Place, String)>,
}

impl<'p> Crossing<'p> {
    fn also(mut self, place: &'p Place, label: String) -> Self {
        self.labels.push((place, label));
        self
    }
}

struct Crossings<'r, 'p> {
    policy: &'p Policy,
    declared: &'r Relation<'p>,
    flows: HashMap<(DomainId, DomainId), &'p Flow>,
}

impl<'p> Crossings<'_, 'p> {
    /// The crossing of what one subject does to another.
    fn direct(&self, fact: &Fact<'p>) -> Option<Crossing<'p>> {
        let owner = fact.object.owner()?;
        let manager = [fact.subject, owner].contains(&Subject::Component(MANAGER));
        // That a grant comes and goes is for `never`; channels to the manager need no flow.
        if fact.kind == Kind::Delegation || fact.kind == Kind::Channel && manager {
            return None;
        }
        let mode = match (fact.cause, fact.rights) {
            (Cause::Grant(grant, _), _) => grant.mode,
            (_, Rights::SIGNAL) => Mode::Notify,
            _ => Mode::Call,
        };
        let (what, place) = match fact.cause {
            Cause::Grant(grant, None) => (String::from("this grant"), &grant.places.mode),
            Cause::Grant(_, Some(delegate)) => {
                let what = format!("this grant, once delegated to {},", fact.subject);
                (what, &delegate.place)
            }
            other => (fact.object.describe(), other.place()?),
        };
        let crossing = self.crossing(fact.subject, owner, mode, what, place)?;
        let Cause::Grant(grant, None) = fact.cause else {
            return Some(crossing);
        };
        let domain = |id| format!("in domain `{}`", self.name(self.policy.domain_of(id)));
        Some(
            crossing
                .also(&grant.places.subject, domain(grant.subject))
                .also(&grant.places.object, domain(grant.object)),
        )
    }

    /// The crossings of memory: from each that may write a region to each other that maps it.
    fn regions(&self) -> Vec<Crossing<'p>> {
        let mut mappings: BTreeMap<&str, Vec<&Fact<'p>>> = BTreeMap::new();
        for fact in self.declared.facts() {
            if let Object::Region(region) = fact.object {
                mappings.entry(region).or_default().push(fact);
            }
        }
        let mut crossings = Vec::new();
        for (name, mappings) in mappings {
            let mut seen = HashSet::new();
            for writer in mappings.iter().filter(|fact| fact.tells()) {
                for reader in mappings.iter().filter(|fact| fact.learns()) {
                    let domains =
                        [writer, reader].map(|fact| self.declared.domain_of(fact.subject));
                    // A stream's own crossing is its grant's.
                    if writer.cause.is_same_grant(reader.cause) || !seen.insert(domains) {
                        continue;
                    }
                    crossings.extend(self.region(name, writer, reader));
                }
            }
        }
        crossings
    }

    fn region(&self, name: &str, writer: &Fact<'p>, reader: &Fact<'p>) -> Option<Crossing<'p>> {
        let (written, mapped) = (writer.cause.place()?, reader.cause.place()?);
        let what = format!("memory region `{name}`");
        let (from, to) = (writer.subject, reader.subject);
        let crossing = self.crossing(from, to, Mode::Stream, what, written)?;
        Some(
            crossing
                .also(written, format!("{from} may write it"))
                .also(mapped, format!("{to} maps it")),
        )
    }

    /// What crosses from one subject to another, where no flow allows that.
    fn crossing(
        &self,
        from: Subject<'p>,
        to: Subject<'p>,
        mode: Mode,
        what: String,
        place: &'p Place,
    ) -> Option<Crossing<'p>> {
        // A subject without a domain is reported as unknown.
        let (from, to) = (self.declared.domain_of(from)?, self.declared.domain_of(to)?);
        let flow = self.flows.get(&(from, to));
        let is_allowed = flow.is_some_and(|flow| flow.modes.contains(mode));
        (from != to && !is_allowed).then(|| Crossing {
            domains: (from, to),
            mode,
            what,
            place,
            labels: Vec::new(),
        })
    }

    /// The problem of a crossing. Its help names all modes that lack between the two domains, so that
    /// one rule is added for all.
    fn problem(&self, crossing: Crossing<'_>, lacking: Modes) -> Problem {
        let (from, to) = crossing.domains;
        let flow = self.flows.get(&(from, to));
        let [from, to] = [from, to].map(|id| self.name(id).to_owned());
        let quoted = |mode: Mode| format!("\"{}\"", mode.name());
        let modes: Vec<String> = lacking.iter().map(quoted).collect();
        let modes = modes.join(", ");
        let help = match flow {
            Some(flow) => format!(
                "add {modes} to the modes of the flow on line {}, or remove this",
                flow.place.line
            ),
            None => format!(
                "add a `[[flows]]` rule with from = \"{from}\", to = \"{to}\", modes = [{modes}], or \
                 remove this"
            ),
        };
        let fault = FlowFault::Crossing {
            what: crossing.what,
            from,
            to,
            mode: crossing.mode.name(),
            help,
        };
        let source = &self.policy.source;
        let problem = Problem::broken(source, crossing.place, "crosses", fault);
        let labels = crossing.labels.into_iter();
        labels.fold(problem, |problem, (place, label)| {
            problem.also(place, label)
        })
    }

    fn name(&self, domain: DomainId) -> &str {
        &self.policy.domain(domain).name
    }
}

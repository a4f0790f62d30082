//! Whether everything that crosses a domain boundary has a flow.
//!
//! It walks the steps that `never` walks. A grant needs a flow of its mode from its subject's domain to its
//! object's. A memory region needs a `stream` flow from the domain of each subject that may write it to
//! that of each other that maps it, and so do I/O ports. A channel, a child, a virtual machine, a device's registers, an extra
//! capability and secure monitor calls need a `call` flow, an interrupt and a channel that only notifies a
//! `notify` flow. The channels to the manager need none ([`Hop::mode`]).

use std::collections::{HashMap, HashSet};

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{DomainId, Flow, Modes, Place, Policy};
use crate::problem::{MAX_PROBLEMS, Problem};
use crate::relation::{Cause, Fact, Hop, Object, Relation};

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

pub(super) fn check(check: &mut Check<'_>, relation: &Relation<'_>) {
    let policy = check.policy;
    for flow in policy.flows.iter().filter(|flow| flow.from == flow.to) {
        let domain = policy.domain(flow.from).name.clone();
        check.broken(&flow.place, "this flow", FlowFault::ToItself { domain });
    }
    let crossings = Crossings {
        policy,
        relation,
        flows: policy
            .flows
            .iter()
            .map(|flow| ((flow.from, flow.to), flow))
            .collect(),
    };
    let Lacking { found, more, modes } = crossings.found();
    for crossing in found {
        let modes = modes[&crossing.domains];
        check.problems.push(crossings.problem(crossing, modes));
    }
    check.problems.count_more(more);
}

/// What crosses without a flow: as many as are said, how many more, and all modes that lack.
#[derive(Default)]
struct Lacking<'p> {
    found: Vec<Crossing<'p>>,
    more: usize,
    modes: HashMap<(DomainId, DomainId), Modes>,
}

/// Something that crosses a boundary without a flow.
struct Crossing<'p> {
    domains: (DomainId, DomainId),
    mode: Mode,
    what: String,
    place: &'p Place,
    labels: Vec<(&'p Place, String)>,
}

struct Crossings<'r, 'p> {
    policy: &'p Policy,
    relation: &'r Relation<'p>,
    flows: HashMap<(DomainId, DomainId), &'p Flow>,
}

impl<'p> Crossings<'_, 'p> {
    /// The crossings of all that `never` looks at too. What two domains share is one crossing, whoever
    /// of them shares it.
    fn found(&self) -> Lacking<'p> {
        let mut shared = HashSet::new();
        let mut lacking = Lacking::default();
        self.relation.each_hop(|hop| {
            let Some((domains, mode, place)) = self.lacks(&hop) else {
                return;
            };
            let modes = lacking.modes.entry(domains).or_default();
            *modes = modes.with(mode);
            if hop.learned.is_some() && !shared.insert((hop.fact.object, domains)) {
                return;
            }
            if lacking.found.len() == MAX_PROBLEMS {
                lacking.more += 1;
                return;
            }
            let (what, labels) = self.words(&hop);
            lacking.found.push(Crossing {
                domains,
                mode,
                what,
                place,
                labels,
            });
        });
        lacking
    }

    /// Between which domains a step crosses, how, and where that stands, if no flow allows it.
    fn lacks(&self, hop: &Hop<'p>) -> Option<((DomainId, DomainId), Mode, &'p Place)> {
        let mode = hop.mode()?;
        // A subject without a domain is reported as unknown.
        let domain = |subject| self.relation.domain_of(subject);
        let domains = (domain(hop.from)?, domain(hop.to)?);
        let flow = self.flows.get(&domains);
        let is_allowed = flow.is_some_and(|flow| flow.modes.contains(mode));
        // The memory of a stream crosses with its grant.
        let of_stream = |learned: Fact<'_>| hop.fact.cause.is_same_grant(learned.cause);
        if domains.0 == domains.1 || is_allowed || hop.learned.is_some_and(of_stream) {
            return None;
        }
        // What a device does by itself has its line where another hears of it.
        let learned = hop.learned.and_then(|learned| learned.cause.place());
        let place = hop.fact.cause.place().or(learned)?;
        Some((domains, mode, place))
    }

    /// What crosses in a step, and what its lines have to do with it.
    fn words(&self, hop: &Hop<'p>) -> (String, Vec<(&'p Place, String)>) {
        let what = hop.fact.object.describe();
        let domain = |id| format!("in domain `{}`", self.name(self.policy.domain_of(id)));
        match (hop.fact.cause, hop.learned) {
            (Cause::Grant(grant, None), None) => {
                let ends = [
                    (&grant.places.subject, domain(grant.subject)),
                    (&grant.places.object, domain(grant.object)),
                ];
                (String::from("this grant"), ends.into())
            }
            (Cause::Grant(_, Some(_)), None) => {
                let what = format!("this grant, once delegated to {},", hop.from);
                (what, Vec::new())
            }
            (_, None) => (what, Vec::new()),
            (_, Some(learned)) => {
                let (what, does, sees) = match hop.fact.object {
                    Object::Region(_) => (what, "may write it", "maps it"),
                    Object::Interrupt(_) => (what, "raises it", "handles it"),
                    Object::Ports { .. } => (what, "drives them", "drives some of them too"),
                    _ => {
                        let what = "what is left with the secure monitor";
                        (what.to_owned(), "calls it", "calls it too")
                    }
                };
                let tells = (hop.fact.cause.place(), format!("{} {does}", hop.from));
                let learns = (learned.cause.place(), format!("{} {sees}", hop.to));
                let labels = [tells, learns].into_iter();
                let labels = labels.filter_map(|(place, label)| Some((place?, label)));
                (what, labels.collect())
            }
        }
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

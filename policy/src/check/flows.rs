//! Whether everything that crosses a domain boundary has a flow.
//!
//! A grant needs a flow of its mode from its subject's domain to its object's. A memory region needs
//! a `stream` flow from the domain of each component that may write it to that of each other that
//! maps it. A channel, a child or an extra capability needs a `call` flow (`notify` for a channel
//! that only notifies). The channels to the manager need none.

use std::collections::{HashMap, HashSet};

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::information::mappings;
use crate::model::{Authority, ComponentId, DomainId, Flow, Place, Policy};
use crate::problem::Problem;
use crate::text::authority;

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

pub(super) fn check(check: &mut Check<'_>) {
    let policy = check.policy;
    for flow in policy.flows.iter().filter(|flow| flow.from == flow.to) {
        let domain = policy.domain(flow.from).name.clone();
        check.broken(&flow.place, "this flow", FlowFault::ToItself { domain });
    }
    let crossings = Crossings::new(policy);
    for problem in crossings.grants().chain(crossings.statics()) {
        check.problems.push(problem);
    }
    check.problems.extend(crossings.regions());
}

struct Crossings<'p> {
    policy: &'p Policy,
    flows: HashMap<(DomainId, DomainId), &'p Flow>,
}

impl<'p> Crossings<'p> {
    fn new(policy: &'p Policy) -> Self {
        let pair = |flow: &'p Flow| ((flow.from, flow.to), flow);
        Self {
            policy,
            flows: policy.flows.iter().map(pair).collect(),
        }
    }

    fn grants(&self) -> impl Iterator<Item = Problem> + '_ {
        self.policy.grants.iter().flat_map(|grant| {
            let places = &grant.places;
            let own = self.crossing(grant.subject, grant.object, grant.mode, || {
                (String::from("this grant"), &places.mode)
            });
            let own = own.map(|problem| {
                let domain = |id| format!("in domain `{}`", self.domain_name(id));
                problem
                    .also(&places.subject, domain(grant.subject))
                    .also(&places.object, domain(grant.object))
            });
            let delegated = grant.delegate.iter().filter_map(|delegate| {
                self.crossing(delegate.component, grant.object, grant.mode, || {
                    let name = &self.policy.component(delegate.component).name;
                    let what = format!("this grant, once delegated to `{name}`,");
                    (what, &delegate.place)
                })
            });
            own.into_iter().chain(delegated.collect::<Vec<_>>())
        })
    }

    fn statics(&self) -> impl Iterator<Item = Problem> + '_ {
        let manager = self.policy.manager();
        self.policy.statics.iter().filter_map(move |rule| {
            let (other, mode) = match rule.authority {
                Authority::Channel { peer, calls: true } => (peer, Mode::Call),
                Authority::Channel { peer, calls: false } => (peer, Mode::Notify),
                Authority::Child(other) | Authority::Cap { of: other, .. } => (other, Mode::Call),
                _ => return None,
            };
            let is_channel = matches!(rule.authority, Authority::Channel { .. });
            if is_channel && [Some(other), Some(rule.component)].contains(&manager) {
                return None;
            }
            self.crossing(rule.component, other, mode, || {
                (authority(self.policy, &rule.authority), &rule.object)
            })
        })
    }

    fn regions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, mappings) in mappings(self.policy) {
            let mut seen = HashSet::new();
            for (writer, written) in &mappings.writers {
                for (reader, mapped) in mappings.writers.iter().chain(&mappings.readers) {
                    let domains = [*writer, *reader].map(|id| self.policy.domain_of(id));
                    // A stream's own crossing is its grant's.
                    if written == mapped || !seen.insert(domains) {
                        continue;
                    }
                    let region = || (format!("memory region `{name}`"), written.region);
                    let problem = self.crossing(*writer, *reader, Mode::Stream, region);
                    let writes = format!("`{}` may write it", self.name(*writer));
                    let maps = format!("`{}` maps it", self.name(*reader));
                    problems.extend(
                        problem.map(|it| it.also(written.region, writes).also(mapped.region, maps)),
                    );
                }
            }
        }
        problems
    }

    /// The problem, if there is one, of something that crosses from one component to another.
    fn crossing<'a>(
        &self,
        from: ComponentId,
        to: ComponentId,
        mode: Mode,
        what: impl FnOnce() -> (String, &'a Place),
    ) -> Option<Problem> {
        let (from, to) = (self.policy.domain_of(from), self.policy.domain_of(to));
        let flow = self.flows.get(&(from, to)).copied();
        if from == to || flow.is_some_and(|flow| flow.modes.contains(mode)) {
            return None;
        }
        let (what, place) = what();
        let [from, to] = [from, to].map(|id| self.policy.domain(id).name.clone());
        let mode = mode.name();
        let help = match flow {
            Some(flow) => format!(
                "add \"{mode}\" to the modes of the flow on line {}, or remove this",
                flow.place.line
            ),
            None => format!(
                "add a `[[flows]]` rule with from = \"{from}\", to = \"{to}\", modes = [\"{mode}\"], \
                 or remove this"
            ),
        };
        let fault = FlowFault::Crossing {
            what,
            from,
            to,
            mode,
            help,
        };
        Some(Problem::broken(
            &self.policy.source,
            place,
            "crosses",
            fault,
        ))
    }

    fn name(&self, component: ComponentId) -> &str {
        &self.policy.component(component).name
    }

    fn domain_name(&self, component: ComponentId) -> &str {
        &self.policy.domain(self.policy.domain_of(component)).name
    }
}

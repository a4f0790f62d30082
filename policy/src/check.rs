//! The checks that a policy must pass, alone and held against a system description.
//!
//! One module each. A check reports everything that it finds and changes nothing; what a rule of the
//! policy leaves open is refused, never guessed. All take time near linear in the policy's rules:
//! with at most 62 components, what is not linear is bounded.

mod calls;
mod clock;
mod cover;
pub(crate) mod custody;
mod delegation;
mod duplicates;
mod flows;
mod limits;
mod log;
mod memory;
mod never;
mod notifications;
mod offers;
mod priorities;
pub(crate) mod roles;
mod streams;
pub(crate) mod symbols;
mod system;

pub use calls::CallFault;
pub use clock::ClockFault;
pub use cover::CoverFault;
pub use custody::CustodyFault;
pub use delegation::DelegationFault;
pub use duplicates::DuplicateFault;
pub use flows::FlowFault;
pub use limits::LimitFault;
pub use log::LogFault;
pub use memory::MemoryFault;
pub use never::NeverFault;
pub use notifications::NotificationFault;
pub use offers::OfferFault;
pub use priorities::PriorityFault;
pub use roles::RoleFault;
pub use streams::StreamFault;
pub use system::SystemFault;

use std::collections::HashSet;
use std::sync::Arc;

use miette::Diagnostic;
use portcullis_policy_format::MAX_COMPONENTS;
use portcullis_sdf::System;

use custody::PeerPages;

use crate::ceiling::Ceiling;
use crate::model::{Place, Policy, Subject};
use crate::problem::{Found, Problem, Problems};
use crate::read::{self, Reading};
use crate::relation::{Cause, Fact, Object, Relation};
use crate::source::Source;

/// A system description and the text that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Described<'s> {
    /// The description.
    pub system: &'s System,
    /// Its text.
    pub source: &'s Arc<Source>,
}

impl<'s> Described<'s> {
    /// A description with its text.
    pub const fn new(system: &'s System, source: &'s Arc<Source>) -> Self {
        Self { system, source }
    }
}

/// Reads a policy and checks it, alone or against a system: all problems at once, or the policy.
pub fn load(source: Arc<Source>, described: Option<Described<'_>>) -> Result<Policy, Problems> {
    let Reading { policy, problems } = read::read(source);
    // What a rule is about that could not be read is not known, and what is found without it misleads.
    let problems = match problems.is_empty() {
        true => run(&policy, described),
        false => problems,
    };
    match Problems::from_found(problems) {
        Some(problems) => Err(problems),
        None => Ok(policy),
    }
}

/// A policy that holds, and the system that it holds for: what is compiled, signed and run.
#[derive(Clone, Debug)]
pub struct Checked {
    policy: Policy,
    system: System,
    description: Arc<Source>,
}

impl Checked {
    /// Reads a policy and checks it against the system whose description has this text: all problems at
    /// once, or both.
    pub fn new(
        source: Arc<Source>,
        system: System,
        description: Arc<Source>,
    ) -> Result<Self, Problems> {
        let policy = load(source, Some(Described::new(&system, &description)))?;
        Ok(Self {
            policy,
            system,
            description,
        })
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The system.
    pub const fn system(&self) -> &System {
        &self.system
    }

    /// The text of the system's description.
    pub fn description(&self) -> &Source {
        &self.description
    }

    /// The system with its text.
    pub const fn described(&self) -> Described<'_> {
        Described::new(&self.system, &self.description)
    }
}

/// Checks a policy alone.
pub fn alone(policy: &Policy) -> Vec<Problem> {
    run(policy, None).into()
}

/// Checks a policy, alone and against the system whose description has this text.
pub fn with_system(policy: &Policy, system: &System, text: &Arc<Source>) -> Vec<Problem> {
    let described = Described::new(system, text);
    run(policy, Some(described)).into()
}

/// Checks a policy with one kind of fact left out. For tests that show that none can be.
#[cfg(feature = "testing")]
pub fn without(
    policy: &Policy,
    described: Option<Described<'_>>,
    kind: crate::relation::Kind,
) -> Vec<Problem> {
    let relations = || {
        let Relations {
            declared, given, ..
        } = Relations::of(policy, described);
        Relations::new(declared.without(kind), given.without(kind))
    };
    run_with(policy, described, relations).into()
}

fn run(policy: &Policy, described: Option<Described<'_>>) -> Found {
    let relations = || Relations::of(policy, described);
    run_with(policy, described, relations)
}

/// `relations`: not built of a policy that is over the limits.
fn run_with<'a>(
    policy: &'a Policy,
    described: Option<Described<'a>>,
    relations: impl FnOnce() -> Relations<'a>,
) -> Found {
    let ceiling = Ceiling::of(policy);
    let mut check = Check {
        policy,
        ceiling: &ceiling,
        source: described.map(|described| described.source),
        problems: Found::default(),
    };
    limits::check(&mut check, described.is_some());
    duplicates::check(&mut check);
    offers::check(&mut check);
    streams::check(&mut check);
    cover::words(&mut check);
    delegation::check(&mut check);
    // Beyond this, paths among components are no longer few, and numbers no longer fit.
    if policy.components.len() > usize::from(MAX_COMPONENTS) {
        return check.problems;
    }
    let relations = relations();
    let all = relations.declared.clone().with_fixed(&relations.given);
    flows::check(&mut check, &all);
    never::check(&mut check, &all, described.map(|it| &**it.source));
    let set = described.map(|described| custody::symbols(&mut check, described));
    let mut pages = PeerPages::declared(policy, &relations.declared);
    if let Some(set) = &set {
        pages.acknowledgement = set.acknowledgement.or(pages.acknowledgement);
        pages.statements.clone_from(&set.statements);
    }
    let mut said = HashSet::new();
    custody::check(&mut check, &relations.declared, &pages, &mut said);
    memory::check(&mut check, &relations);
    calls::check(&mut check, &relations.declared);
    if let Some((described, set)) = described.zip(set) {
        against(&mut check, &relations, described, &set);
        custody::check(&mut check, &relations.given, &set, &mut said);
        custody::maps(&mut check, described);
        custody::set_symbols(&mut check, described);
    }
    check.problems
}

fn against(
    check: &mut Check<'_>,
    relations: &Relations<'_>,
    described: Described<'_>,
    pages: &PeerPages<'_>,
) {
    let system = described.system;
    system::check(check, described);
    streams::check_maps(check, described);
    priorities::check(check, relations, described, pages);
    notifications::check(check, system);
    log::check(check, described);
    clock::check(check, described);
    memory::check_regions(check, described);
    cover::check(check, relations, described, pages);
}

/// What the policy declares, and what the system description gives.
struct Relations<'a> {
    declared: Relation<'a>,
    given: Relation<'a>,
    /// What of it no line can allow.
    refused: Vec<(Fact<'a>, MemoryFault)>,
    /// The same: who, to what.
    unallowed: HashSet<(Subject<'a>, Object<'a>)>,
}

impl<'a> Relations<'a> {
    fn of(policy: &'a Policy, described: Option<Described<'a>>) -> Self {
        let given = described.map(|it| Relation::given(it.system));
        Self::new(Relation::declared(policy), given.unwrap_or_default())
    }

    fn new(declared: Relation<'a>, given: Relation<'a>) -> Self {
        let mut refused = memory::refused(&given);
        let about = |(fact, _): &(Fact<'a>, MemoryFault)| (fact.subject, fact.object);
        let mut unallowed: HashSet<_> = refused.iter().map(about).collect();
        // What is said of the system description is not said again of the line that declares it.
        let lines = memory::refused(&declared).into_iter();
        let lines: Vec<_> = lines.filter(|it| !unallowed.contains(&about(it))).collect();
        unallowed.extend(lines.iter().map(about));
        refused.extend(lines);
        Self {
            declared,
            given,
            refused,
            unallowed,
        }
    }

    /// Whether no line can allow a fact.
    fn is_refused(&self, fact: &Fact<'_>) -> bool {
        self.unallowed.contains(&(fact.subject, fact.object))
    }
}

/// On whose honesty a verdict depends, with leave of the policy: of those that reach all memory through a
/// device or the secure monitor, and of the keeper of the grant log where its records are opaque to it. As
/// messages name them: "`blk`", "guest `linux`".
pub fn assumed_honest(policy: &Policy, described: Option<Described<'_>>) -> Vec<String> {
    let relations = Relations::of(policy, described);
    let honest = match described {
        None => relations.declared.assumed_honest(),
        Some(_) => cover::assumed_honest(&relations),
    };
    honest.iter().map(ToString::to_string).collect()
}

/// A check at work.
struct Check<'p> {
    policy: &'p Policy,
    ceiling: &'p Ceiling,
    /// The text of the system description.
    source: Option<&'p Arc<Source>>,
    problems: Found,
}

impl Check<'_> {
    fn broken(
        &mut self,
        place: &Place,
        label: impl Into<String>,
        fault: impl Diagnostic + Send + Sync + 'static,
    ) {
        let problem = Problem::broken(&self.policy.source, place, label, fault);
        self.problems.push(problem);
    }

    /// Reports a fault at its cause, in the policy or in the system description.
    fn at(
        &mut self,
        cause: &Cause<'_>,
        label: &'static str,
        fault: impl Diagnostic + Send + Sync + 'static,
    ) {
        let source = match (cause, self.source) {
            (Cause::Element(_), Some(system)) => system,
            _ => &self.policy.source,
        };
        let place = cause.of_source(self.source.map(|source| &**source));
        let problem = Problem::broken(source, &place, label, fault);
        self.problems.push(problem);
    }
}

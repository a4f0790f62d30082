//! The checks that a policy must pass, alone and held against a system description.
//!
//! One module each. A check reports everything that it finds and changes nothing; what a rule of the
//! policy leaves open is refused, never guessed. All take time near linear in the policy's rules:
//! with at most 62 components, what is not linear is bounded.

mod calls;
mod custody;
mod delegation;
mod duplicates;
mod flows;
mod limits;
mod log;
mod never;
mod notifications;
mod offers;
mod priorities;
mod streams;
mod system;

pub use calls::CallFault;
pub use custody::CustodyFault;
pub use delegation::DelegationFault;
pub use duplicates::DuplicateFault;
pub use flows::FlowFault;
pub use limits::LimitFault;
pub use log::LogFault;
pub use never::NeverFault;
pub use notifications::NotificationFault;
pub use offers::OfferFault;
pub use priorities::PriorityFault;
pub use streams::StreamFault;
pub use system::SystemFault;

use std::sync::Arc;

use miette::Diagnostic;
use portcullis_policy_format::MAX_COMPONENTS;
use portcullis_sdf::System;

use crate::ceiling::Ceiling;
use crate::model::{Place, Policy};
use crate::problem::{Problem, Problems};
use crate::read::{self, Incomplete, Reading};
use crate::source::Source;

/// A system description and the text that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Described<'s> {
    /// The description.
    pub system: &'s System,
    /// Its text.
    pub source: &'s Arc<Source>,
}

/// Reads a policy and checks it, alone or against a system: all problems at once, or the policy.
pub fn load(source: Arc<Source>, described: Option<Described<'_>>) -> Result<Policy, Problems> {
    let Reading {
        policy,
        mut problems,
        incomplete,
    } = read::read(source);
    problems.extend(run(&policy, incomplete, described));
    match Problems::from_vec(problems) {
        Some(problems) => Err(problems),
        None => Ok(policy),
    }
}

/// Checks a policy alone.
pub fn alone(policy: &Policy) -> Vec<Problem> {
    run(policy, Incomplete::default(), None)
}

/// Checks a policy, alone and against the system whose description has this text.
pub fn with_system(policy: &Policy, system: &System, text: &Arc<Source>) -> Vec<Problem> {
    let source = text;
    run(
        policy,
        Incomplete::default(),
        Some(Described { system, source }),
    )
}

fn run(policy: &Policy, incomplete: Incomplete, described: Option<Described<'_>>) -> Vec<Problem> {
    let ceiling = Ceiling::of(policy);
    let mut check = Check {
        policy,
        ceiling: &ceiling,
        problems: Vec::new(),
    };
    limits::check(&mut check);
    duplicates::check(&mut check);
    offers::check(&mut check);
    streams::check(&mut check);
    delegation::check(&mut check);
    // Beyond this, paths among components are no longer few, and numbers no longer fit.
    if policy.components.len() > usize::from(MAX_COMPONENTS) {
        return check.problems;
    }
    if !incomplete.flows {
        flows::check(&mut check);
    }
    never::check(&mut check);
    custody::check(&mut check);
    calls::check(&mut check);
    if let Some(described) = described {
        against(&mut check, incomplete, described);
    }
    check.problems
}

fn against(check: &mut Check<'_>, incomplete: Incomplete, described: Described<'_>) {
    let system = described.system;
    system::check(check, incomplete, described);
    streams::check_maps(check, described);
    priorities::check(check, system);
    notifications::check(check, system);
    log::check(check, described);
    if !incomplete.authority {
        let found = crate::authority::check(check.policy, described);
        check.problems.extend(found);
    }
}

/// A check at work.
struct Check<'p> {
    policy: &'p Policy,
    ceiling: &'p Ceiling,
    problems: Vec<Problem>,
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
}

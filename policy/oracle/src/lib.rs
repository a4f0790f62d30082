//! Finds out by brute force, from capabilities and memory, who can obtain what.
//!
//! The checker ([`portcullis check`]) decides by rules whether a policy holds. This crate decides the
//! same by trying: it lays out memory, hands out capabilities as the image does, makes every grant that
//! the policy could ever allow, and lets everybody do everything they can. What comes out is either an
//! attack on a promise, step by step, or a rule that is stricter on purpose, with the reason.
//!
//! It shares no code with the checker, by its `Cargo.toml`: what it says comes from `docs/`, Microkit's
//! manual and the kernel's. Its cases are random ([`generate`]) and are handed to the checker as text.
//! It also judges a finished image ([`image`]) by the distribution that the builder emits.
//!
//! [`portcullis check`]: https://github.com/portcullis-sel4/portcullis

#![forbid(unsafe_code)]

pub mod boot;
pub mod case;
pub mod finding;
pub mod generate;
pub mod image;
pub mod judge;
pub mod perturb;
mod print;
pub mod random;
pub mod read;
pub mod shrink;
pub mod steps;
pub mod strict;
pub mod world;

use std::collections::BTreeSet;

use case::{Case, Dma, Policy, What, Who};
use finding::Finding;
use world::{Object, World};

/// Everything for which a case must be refused.
pub fn findings(case: &Case) -> Vec<Finding> {
    let world = World::of(&case.system, &case.policy);
    let mut found = judge::attacks(&world, &case.policy);
    found.extend(boot::failures(case, &world));
    found.extend(strict::refused(case));
    found
}

/// Who must be honest for anything to hold: who reaches all memory by a line of the policy, the log's keeper
/// where it is taken to act on no record, and those of the honest to whom that passes records on.
pub fn trusted(case: &Case) -> Vec<String> {
    let mut without = case.policy.clone();
    let unbounded = unbounded(&case.policy);
    for line in &mut without.statics {
        line.dma = line
            .dma
            .filter(|_| !unbounded.contains(&through(&line.what)));
    }
    let world = World::of(&case.system, &without);
    let everybody = world.everybody.iter();
    let drivers = everybody.filter(|who| !judge::undisclosed(&world, &without, who).is_empty());
    let callers = world.caps.iter().filter(|cap| cap.on == Object::Smc);
    let callers = callers.map(|cap| &cap.holder);
    let keeper = case.policy.keeper().filter(|_| case.policy.is_opaque);
    let mut all: BTreeSet<Who> = drivers.chain(callers).cloned().collect();
    all.extend(keeper.map(Who::pd));
    let widest = World::widest(&case.system, &case.policy);
    let copies = steps::copies(&steps::steps(&widest, &case.policy), &case.policy);
    all.extend(copies.intersection(&honest(&case.policy)).cloned());
    let all = with_masters(&case.policy, all);
    all.iter().map(ToString::to_string).collect()
}

/// Who must be honest by the lines of a policy, whatever a system gives.
pub fn honest(policy: &Policy) -> BTreeSet<Who> {
    let unbounded = unbounded(policy);
    let reaches = |line: &&case::Static| {
        line.what == What::Smc || line.dma.is_some() && unbounded.contains(&through(&line.what))
    };
    let all = policy.statics.iter().filter(reaches);
    let keeper = policy.keeper().filter(|_| policy.is_opaque).map(Who::pd);
    let all = all.map(|line| line.who.clone()).chain(keeper);
    with_masters(policy, all.collect())
}

/// The registers of devices that reach all memory: one device does what any line says of it.
fn unbounded(policy: &Policy) -> BTreeSet<String> {
    let unbounded = |line: &&case::Static| line.dma == Some(Dma::Unbounded);
    let unbounded = policy.statics.iter().filter(unbounded);
    unbounded.map(|line| through(&line.what)).collect()
}

/// Those, and whoever controls one of them: an honest program helps nothing where another controls who runs
/// it.
fn with_masters(policy: &Policy, mut all: BTreeSet<Who>) -> BTreeSet<Who> {
    let over = |line: &case::Static| match &line.what {
        What::Child(name) | What::Cap(_, name) => vec![Who::pd(name)],
        What::Vm(name) => vec![Who::Guest(name.clone())],
        What::Region(region, _) => {
            let driven = policy.driven().filter(|(_, it)| it == region);
            driven
                .map(|(device, _)| Who::Device(device.to_owned()))
                .collect()
        }
        _ => Vec::new(),
    };
    let rules = || policy.statics.iter();
    while let Some(line) = rules()
        .find(|line| !all.contains(&line.who) && over(line).iter().any(|who| all.contains(who)))
    {
        all.insert(line.who.clone());
    }
    all
}

/// The registers of a line, as text.
fn through(what: &What) -> String {
    match what {
        What::Region(region, _) => region.clone(),
        other => format!("{other:?}"),
    }
}

/// What somebody could do in the widest system that the policy would let pass: a line may allow more than
/// today's system gives. A checker that judges lines refuses that too, which is stricter on purpose: the
/// policy is what was reviewed, and the system may change below it.
pub fn allowed_by_lines(case: &Case) -> Vec<Finding> {
    let world = World::widest(&case.system, &case.policy);
    let mut found = judge::attacks(&world, &case.policy);
    found.extend(boot::runs(&world, &case.policy));
    found
}

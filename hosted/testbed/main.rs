//! Components for the tests: two that talk, many that misbehave, two that ask for grants, and those of
//! the appliance.
//!
//! With arguments it is the whole appliance, for a test to kill.

mod appliance;
mod attack;
#[allow(dead_code, reason = "what reads it is a test's")]
mod journal;
mod misbehave;
mod probe;
mod requests;
mod talk;

use std::path::PathBuf;

use portcullis_hosted::{Program, component_main, pd};

fn programs(name: &str) -> Option<Program> {
    talk::program(name)
        .or_else(|| misbehave::program(name))
        .or_else(|| attack::program(name))
        .or_else(|| probe::program(name))
        .or_else(|| requests::program(name))
        .or_else(|| appliance::program(name))
        .or_else(|| pd::program(name))
}

fn main() {
    component_main(programs);
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    if let [policy, system, state, documents] = &arguments[..] {
        if let Err(error) = appliance::run(policy, system, state, documents) {
            eprintln!("{error}");
            std::process::exit(1);
        }
        return;
    }
    eprintln!("this program holds components for the tests of portcullis-hosted; run those");
    std::process::exit(2);
}

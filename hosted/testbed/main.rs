//! Components for the tests: two that talk, many that misbehave, and those of the appliance.

mod attack;
mod misbehave;
mod probe;
mod talk;

use portcullis_hosted::{Program, component_main, pd};

fn programs(name: &str) -> Option<Program> {
    talk::program(name)
        .or_else(|| misbehave::program(name))
        .or_else(|| attack::program(name))
        .or_else(|| probe::program(name))
        .or_else(|| pd::program(name))
}

fn main() {
    component_main(programs);
    eprintln!("this program holds components for the tests of portcullis-hosted; run those");
    std::process::exit(2);
}

//! The appliance as a process of its own: one that a test kills, on a disk that keeps a journal.

use std::error::Error;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use portcullis_appliance::Appliance;
use portcullis_hosted::appliance::{Console, Until, start};
use portcullis_hosted::machine::Spawner;
use portcullis_hosted::{Program, pd};

use crate::journal::Journaled;

/// What it shows whenever there is nothing left to do: once the documents are through, and after
/// each signal that asks it to end, which it does not.
const SETTLED: &str = "settled";

pub(crate) fn program(name: &str) -> Option<Program> {
    (name == "blk").then_some(|environment| pd::blk(environment, Journaled::new))
}

pub(crate) fn run(
    policy: &Path,
    system: &Path,
    state: &Path,
    documents: &Path,
) -> Result<(), Box<dyn Error>> {
    let mut appliance = Appliance::prepare(policy, system, state)?;
    appliance.pack(documents, &mut |_, _| ())?;
    let console = Console::with_output(io::stdout().as_fd().try_clone_to_owned()?)?;
    let report = Box::new(|event| eprintln!("kernel: {event}"));
    let mut running = start(appliance, &Spawner::this_executable(), console, report)?;
    loop {
        running.run(Until::Settled)?;
        writeln!(io::stdout(), "{SETTLED}")?;
        running.run(Until::Asked)?;
    }
}

//! `portcullis prepare`: makes ready what an image is built from.

use std::path::PathBuf;

use clap::Args;
use portcullis_hosted::appliance::Appliance;
use portcullis_text::Plain;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load;
use crate::options::{PolicyOption, StateOption};
use crate::output::Output;

const EXAMPLE: &str = "\
Makes the state directory where there is none (keys, disk), compiles and signs the policy into it,
and packs the documents. The files have the names that system.xml gives as prefill_path.

Examples:
  portcullis prepare --state target/appliance
  portcullis prepare --documents ~/archive --state /var/lib/archive";

/// Make keys, signed policy, documents and disk ready for an image
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Prepare {
    #[command(flatten)]
    policy: PolicyOption,
    /// The system description
    #[arg(long, value_name = "FILE", default_value = "system.xml")]
    system: PathBuf,
    /// The documents to take in
    #[arg(long, value_name = "DIR", default_value = "samples/documents")]
    documents: PathBuf,
    #[command(flatten)]
    place: StateOption,
}

/// What is ready.
#[derive(Serialize)]
struct Prepared {
    /// The state directory.
    state: PathBuf,
    /// Documents in the bundle.
    documents: u64,
    /// Their bytes.
    bytes: u64,
    /// Documents that were left out, each with the reason.
    left_out: Vec<String>,
}

impl Run for Prepare {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let system = load::system(&self.system)?;
        load::check(&self.policy.policy, Some(&system))?.map_err(Failure::problems)?;
        let appliance = Appliance::prepare(&self.policy.policy, &self.system, &self.place.state);
        let mut appliance = appliance.map_err(Failure::could_not_run)?;
        let state = appliance.state().path().to_owned();
        let packed = appliance.pack(&self.documents, &mut |_, _| {});
        let packed = packed.map_err(Failure::could_not_run)?;
        let left_out = packed
            .left_out
            .iter()
            .map(|it| format!("{}: {}", it.path, it.why));
        let prepared = Prepared {
            state,
            documents: packed.documents as u64,
            bytes: packed.bytes,
            left_out: left_out.collect(),
        };
        output.print(&prepared, human)?;
        Ok(Verdict::Holds)
    }
}

fn human(prepared: &Prepared) -> String {
    let Prepared {
        state,
        documents,
        bytes,
        left_out,
    } = prepared;
    let mut lines = vec![format!(
        "{}: {documents} documents, {bytes} bytes",
        Plain(state.display())
    )];
    lines.extend(left_out.iter().map(|it| format!("  left out {it}")));
    lines.join("\n")
}

//! `portcullis prepare`: makes ready what an image is built from.

use std::path::PathBuf;

use clap::Args;
use portcullis_appliance::pack;
use portcullis_appliance::{Appliance, State};
use portcullis_sdf::Board;
use portcullis_text::Plain;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{self, SystemOption};
use crate::options::{IntakeOptions, PolicyOption, StateOption};
use crate::output::Output;
use crate::run::show::{self, Documents};

const EXAMPLE: &str = "\
Makes the state directory where there is none (keys, disk), compiles and signs the policy into it, \
and packs the documents. The files have the names that system.xml gives as prefill_path.

Exit code 4: done, but documents were left out; each is named with the reason.

Examples:
  portcullis prepare --state target/appliance
  portcullis prepare --documents ~/archive --state /var/lib/archive";

/// Make keys, signed policy, documents and disk ready for an image
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Prepare {
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    system: SystemOption,
    #[command(flatten)]
    intake: IntakeOptions,
    #[command(flatten)]
    place: StateOption,
}

/// What is ready.
#[derive(Serialize)]
struct Prepared {
    /// The state directory.
    state: PathBuf,
    /// What was packed, and what was not.
    documents: Documents,
}

impl Run for Prepare {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let policy = &self.policy.policy;
        let system = self.system.needed(policy, &Board::default())?;
        let checked = load::checked(policy, system)?;
        pack::apart(&self.intake.documents, &self.place.state).map_err(Failure::could_not_run)?;
        let state = State::begin(&self.place.state, self.intake.begin());
        let state = state.map_err(Failure::could_not_run)?;
        show::say_unvouched(&state);
        let mut appliance = Appliance::prepare_from(&checked, state)?;
        let state = appliance.state().path().to_owned();
        let packed = appliance.pack(&self.intake.documents, &mut |_, _| {});
        let documents = Documents::of(packed.map_err(Failure::could_not_run)?);
        let verdict = documents.verdict();
        output.print(&Prepared { state, documents }, human)?;
        Ok(verdict)
    }
}

fn human(prepared: &Prepared) -> String {
    let Prepared { state, documents } = prepared;
    let (state, packed, bytes) = (Plain(state.display()), documents.packed, documents.bytes);
    let mut lines = vec![format!("{state}: {packed} documents, {bytes} bytes")];
    let left_out = documents.left_out.iter();
    lines.extend(left_out.map(|it| format!("  left out {}: {}", Plain(&it.path), Plain(&it.why))));
    lines.join("\n")
}

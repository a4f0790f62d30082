//! `portcullis log`: verifies, shows and proves what an appliance did.

mod export;
mod grants;
mod names;
mod open;
mod prove;
mod show;
mod verify;
mod verify_proof;
mod witness;

pub(crate) use open::{Progress, failure as state_failure, vouched};
pub(crate) use verify::{findings_table, keep_checkpoints};

use clap::{Args, Subcommand};

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Verify, show and prove what an appliance did: its grant log and its write-once ledger
#[derive(Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Verify(verify::Verify),
    Show(show::Show),
    Grants(grants::Grants),
    Prove(prove::Prove),
    ProveGrowth(prove::ProveGrowth),
    VerifyProof(verify_proof::VerifyProof),
    Export(export::Export),
    Witness(witness::WitnessLog),
}

impl Run for Log {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        match self.verb {
            Verb::Verify(verify) => verify.run(output),
            Verb::Show(show) => show.run(output),
            Verb::Grants(grants) => grants.run(output),
            Verb::Prove(prove) => prove.run(output),
            Verb::ProveGrowth(prove) => prove.run(output),
            Verb::VerifyProof(verify) => verify.run(output),
            Verb::Export(export) => export.run(output),
            Verb::Witness(witness) => witness.run(output),
        }
    }
}

//! `portcullis capscan`: holds the grant slots of a running appliance against its log.

use clap::Args;
use portcullis_audit::capscan::LogError;
use portcullis_hosted::appliance::{ControlError, capscan_of};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::options::StateOption;
use crate::output::Output;
use crate::run::show;

const EXAMPLE: &str = "\
Asks the running appliance what every grant slot holds, replays the log on its disk, and compares \
both: object, badge and rights, slot by slot.

Exit codes:
  0  the slots hold what the log says, and nothing else
  1  they differ, or the log does not hold
  3  no appliance runs on the state directory, or its log or policy cannot be read

Example:
  portcullis capscan --state target/appliance";

/// Hold the live grant slots against the log
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Capscan {
    #[command(flatten)]
    place: StateOption,
}

#[derive(Serialize)]
struct Found {
    equal: bool,
    grants_in_slots: usize,
    grants_in_log: usize,
    differences: Vec<String>,
}

impl Run for Capscan {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let comparison = match capscan_of(&self.place.state) {
            Ok(comparison) => comparison,
            Err(ControlError::Log(error @ LogError::DoesNotHold(_))) => {
                return Err(Failure::does_not_hold(error));
            }
            Err(error) => return Err(Failure::could_not_run(error)),
        };
        let found = Found {
            equal: comparison.is_equal(),
            grants_in_slots: comparison.scanned,
            grants_in_log: comparison.logged,
            differences: comparison.differences.clone(),
        };
        output.print(&found, |_| show::capscan(&comparison))?;
        Ok(Verdict::of(found.equal))
    }
}

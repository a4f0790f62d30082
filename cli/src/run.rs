//! `portcullis run`: boots the reference appliance on the hosted kernel.

pub(crate) mod show;

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use portcullis_appliance::pack;
use portcullis_appliance::{Appliance, State};
use portcullis_hosted::appliance::{Console, Paused, Running, Until, spawner, start};
use portcullis_hosted::isolation::{ThisMachine, isolation};
use portcullis_sdf::Board;
use portcullis_text::Plain;

use crate::Run;
use crate::failure::{self, Failure, Verdict};
use crate::load::{self, SystemOption};
use crate::options::{IntakeOptions, PolicyOption, StateOption};
use crate::output::{Output, Unwritten, write_line};
use show::Summary;

/// Packing that takes longer shows its progress.
const PATIENCE: Duration = Duration::from_secs(1);

const EXAMPLE: &str = "\
Each file in DIR goes through ingest into the vault, and its digest into the ledger; what lies in \
DIR/public is released to the edge. State stays in the state directory; the next run goes on \
from it. \
While it runs, type `help`; `quit`, Ctrl-D or Ctrl-C ends it.

Exit codes:
  0  the documents are through, or the appliance was ended
  1  the policy or the system description does not hold, a component failed, a \
     document was lost, or slots and log differ
  2  the policy or the system description cannot be understood
  3  it could not run: isolation is missing, the state is in use, or the disk is \
     not the one that the state directory knows
  4  the documents are through but for those that were left out, each of which is \
     named with the reason

Examples:
  portcullis run --once
  portcullis run --documents ~/archive --state /var/lib/archive";

/// Boot the reference appliance: each component in a process of its own
#[derive(Args)]
#[command(name = "run", after_help = EXAMPLE, args_override_self = true)]
pub(crate) struct RunAppliance {
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    system: SystemOption,
    #[command(flatten)]
    intake: IntakeOptions,
    #[command(flatten)]
    place: StateOption,
    /// End when the documents are through
    #[arg(long)]
    once: bool,
    /// Run even where Landlock or seccomp is missing
    #[arg(long)]
    accept_weaker_isolation: bool,
}

impl Run for RunAppliance {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let walls = isolation(&ThisMachine, self.accept_weaker_isolation)
            .map_err(Failure::could_not_run)?;
        let policy = &self.policy.policy;
        let system = self.system.needed(policy, &Board::default())?;
        let checked = load::checked(policy, system)?;
        pack::apart(&self.intake.documents, &self.place.state).map_err(Failure::could_not_run)?;
        let state = State::begin(&self.place.state, self.intake.begin());
        let state = state.map_err(Failure::could_not_run)?;
        show::say_unvouched(&state);
        let mut appliance = Appliance::prepare_from(&checked, state)?;
        let say = Say(!output.is_json());
        say.line(&show::prepared(&appliance, &walls))?;
        let packed = self.pack(&mut appliance)?;
        say.line(&packed)?;
        let console = if output.is_json() {
            Console::standard_error()
        } else {
            Console::standard(self.once)
        };
        let console = console.map_err(Failure::could_not_run)?;
        let report = Box::new(|event| failure::say(format_args!("kernel: {}", Plain(event))));
        let running = start(appliance, &spawner(walls), console, report);
        let mut running = running.map_err(Failure::could_not_run)?;
        let summary = self.live(&mut running)?;
        output.print(&summary, show::ended)?;
        Ok(summary.verdict())
    }
}

impl RunAppliance {
    /// Packs the documents, with a progress bar where that takes long.
    fn pack(&self, appliance: &mut Appliance) -> Result<String, Failure> {
        let start = Instant::now();
        let mut bar: Option<ProgressBar> = None;
        let packed = appliance.pack(&self.intake.documents, &mut |done, total| {
            if bar.is_none() && start.elapsed() > PATIENCE {
                let style = ProgressStyle::with_template(
                    "packing documents  {bar:40} {percent:>3} %  {bytes} of {total_bytes}",
                );
                let style = style.expect("the template is sound");
                bar = Some(ProgressBar::new(total).with_style(style));
            }
            if let Some(bar) = &bar {
                bar.set_position(done);
            }
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let packed = packed.map_err(Failure::could_not_run)?;
        Ok(show::packed(&self.intake.documents, packed))
    }

    /// Runs to the end, and says what came of it.
    fn live(&self, running: &mut Running) -> Result<Summary, Failure> {
        let run = |running: &mut Running, until| {
            let paused = running.run(until);
            paused.map_err(Failure::could_not_run)
        };
        let mut paused = run(running, Until::Idle)?;
        let stays = paused == Paused::Idle && !self.once;
        if stays {
            run(running, Until::Asked)?;
            paused = run(running, Until::Settled)?;
        } else if paused == Paused::Asked {
            failure::say("ending once the documents are through; Ctrl-C again ends at once");
            paused = run(running, Until::Settled)?;
        }
        let cut_short = paused == Paused::Asked;
        Summary::of(running, stays || cut_short, cut_short)
    }
}

/// Prints for people; nothing where JSON was asked for.
#[derive(Clone, Copy)]
struct Say(bool);

impl Say {
    fn line(self, text: &str) -> Result<(), Unwritten> {
        if self.0 { write_line(text) } else { Ok(()) }
    }
}

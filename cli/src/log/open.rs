//! Arguments that every verb of `log` shares, and the walk over a log with a progress bar.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use portcullis_audit::policies::PoliciesError;
use portcullis_audit::state::{State, StateError};
use portcullis_audit::walk::{Sink, Trust, Walked, walk};
use portcullis_log::block::LogKind;

use crate::failure::{Failure, Verdict};
use crate::options::Audited;

/// A walk that takes longer shows its progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is audited, and what it is held against.
#[derive(Args)]
pub(super) struct Place {
    #[command(flatten)]
    audited: Audited,
    /// A compiled policy, or a folder of them; DIR/policies is read by itself
    #[arg(long, value_name = "PATH", alias = "policy")]
    policies: Vec<PathBuf>,
}

/// Which of an appliance's logs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    /// What the capability manager did
    Grants,
    /// What components appended to the write-once ledger
    Worm,
}

impl From<Which> for LogKind {
    fn from(which: Which) -> Self {
        match which {
            Which::Grants => Self::Grants,
            Which::Worm => Self::Worm,
        }
    }
}

impl Place {
    pub(super) fn open(&self) -> Result<State, Failure> {
        let mut state = State::open(self.audited.path()).map_err(failure)?;
        for key in &self.audited.key {
            state.add_keys(key).map_err(failure)?;
        }
        for policy in &self.policies {
            state.add_policies(policy).map_err(failure)?;
        }
        Ok(state)
    }
}

/// How a state that cannot be audited ends: 3 where a file cannot be read, 2 where one is wrong.
pub(crate) fn failure(error: StateError) -> Failure {
    match &error {
        StateError::Missing { .. }
        | StateError::Read { .. }
        | StateError::NoKey { .. }
        | StateError::Policies(PoliciesError::Read { .. }) => Failure::could_not_run(error),
        _ => Failure::bad_input(error),
    }
}

/// Walks over a log for its records. Signatures are checked where the key is at hand.
pub(super) fn read(state: &State, kind: LogKind, sink: &mut impl Sink) -> Result<Walked, Failure> {
    let key = state.key(kind).ok();
    let trust = Trust {
        kind,
        log: state.log(),
        key: key.as_ref(),
        checkpoints: &[],
    };
    let mut progress = Progress::new(state.length(kind));
    let walked = walk(&mut state.blocks(kind), &trust, sink, |block| {
        progress.at(block)
    });
    progress.finish();
    walked.map_err(|error| Failure::file("read", state.path(), error))
}

/// What a verb that only reads says of a log that does not hold; the verdict goes with it.
pub(super) fn verdict(walked: &Walked) -> Verdict {
    let violations = walked
        .findings
        .iter()
        .filter(|finding| finding.is_violation())
        .count();
    if violations == 0 {
        return Verdict::Holds;
    }
    eprintln!("the log does not hold ({violations} violations): see `portcullis log verify`");
    Verdict::DoesNotHold
}

/// A bar on standard error, where that is a terminal, after a second.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    length: u64,
}

impl Progress {
    pub(crate) fn new(length: u64) -> Self {
        Self {
            bar: None,
            start: Instant::now(),
            length,
        }
    }

    pub(crate) fn at(&mut self, block: u64) {
        if self.bar.is_none() && self.start.elapsed() > PATIENCE {
            let bar = ProgressBar::new(self.length);
            let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  block {pos}");
            bar.set_style(style.expect("the template is sound"));
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(block);
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

//! Arguments that every verb of `log` shares, and the walk over a log with a progress bar.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use portcullis_audit::keys::{KeyError, Keyring};
use portcullis_audit::state::{State, StateError};
use portcullis_console::text::Counted;
use portcullis_fsck::{Findings, LogSummary, Severity, Sink};
use portcullis_log::block::LogKind;
use portcullis_text::Plain;

use crate::failure::{Failure, Verdict, say};
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
    /// The keys that were named: there need be no disk.
    pub(super) fn keys(&self) -> Result<Keyring, KeyError> {
        Keyring::resolve(&self.audited.key, None)
    }

    /// Whether keys were named.
    pub(super) fn names_keys(&self) -> bool {
        !self.audited.key.is_empty()
    }

    pub(super) fn open(&self) -> Result<State, Failure> {
        let path = self.audited.path();
        let mut state = State::open_with(path, &self.audited.key).map_err(failure)?;
        for policy in &self.policies {
            state.add_policies(policy).map_err(failure)?;
        }
        Ok(state)
    }
}

/// How a state that cannot be audited ends: 3 where a file cannot be read, 2 where one is wrong.
pub(crate) fn failure(error: StateError) -> Failure {
    if error.is_in_the_way() {
        Failure::could_not_run(error)
    } else {
        Failure::bad_input(error)
    }
}

/// Reads a log for its records.
pub(super) fn read(
    state: &State,
    kind: LogKind,
    sink: &mut impl Sink,
) -> Result<(LogSummary, Findings), Failure> {
    let mut progress = Progress::default();
    let read = state.read(kind, sink, |at| progress.at(at.done, at.total));
    progress.finish();
    read.map_err(failure)
}

/// Somebody changed a log while it was read.
pub(super) fn changed(state: &State) -> Failure {
    let path = Plain(state.path().display());
    Failure::could_not_run(format!("{path} was changed while it was read"))
}

/// What a verb that only reads says of who vouched for a log, and of one that does not hold; the verdict
/// goes with it.
pub(super) fn verdict(kind: LogKind, (summary, findings): &(LogSummary, Findings)) -> Verdict {
    for line in vouched(kind, summary) {
        say(Plain(line));
    }
    if findings.verdict() == portcullis_fsck::Verdict::DoesNotHold {
        let listed = findings.list.iter().filter(|it| it.is_violation());
        let (count, more) = (listed.count(), findings.more);
        let least = if more > 0 { "at least " } else { "" };
        say(format_args!(
            "the log does not hold ({least}{count} violations): see `portcullis log verify`"
        ));
    }
    let unchecked = findings.list.iter();
    for finding in unchecked.filter(|it| it.severity == Severity::Unchecked) {
        let (place, what, help) = (&finding.place, &finding.what, finding.what.help());
        say(format_args!("{place}: {what}: {help}"));
    }
    findings.verdict().into()
}

/// Who vouched for a log: the keys that signed it, and the checkpoints that it agrees with.
pub(crate) fn vouched(kind: LogKind, summary: &LogSummary) -> Vec<String> {
    let name = kind.name();
    let keys = summary.signed_by.iter().map(|it| {
        let (key, file, commits) = (&it.key, &it.file, Counted(it.commits, "commit"));
        format!("{name}: {commits} signed by {key}, from {file}")
    });
    let checkpoints = summary.held_against.iter().map(|it| {
        let (file, records) = (&it.file, Counted(it.records, "record"));
        let mut line = format!("{name}: {records} as in {file}");
        if !it.cosigned_by.is_empty() {
            line.push_str(&format!(", cosigned by {}", it.cosigned_by.join(", ")));
        }
        line
    });
    keys.chain(checkpoints).collect()
}

/// A bar on standard error, where that is a terminal, after a second.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            bar: None,
            start: Instant::now(),
        }
    }
}

impl Progress {
    pub(crate) fn at(&mut self, block: u64, total: u64) {
        if self.bar.is_none() && self.start.elapsed() > PATIENCE {
            let bar = ProgressBar::new(total);
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

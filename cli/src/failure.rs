//! How a verb ends: a verdict or a failure, and the exit code of each.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use miette::{Diagnostic, MietteHandlerOpts, Report};
use portcullis_appliance::PlanError;
use portcullis_policy::Problems;
use portcullis_text::{Lines, Message, Plain};
use serde::Serialize;

use crate::output::{Output, Unwritten};
use crate::problem::Found;

/// Most problems that are shown with their place: more are not read, and one mistake can cause many.
const MOST_REPORTED: usize = 100;

/// What a verb found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// What was asked holds, or was done.
    Holds,
    /// What could be checked holds.
    HoldsInPart,
    /// It does not hold.
    DoesNotHold,
    /// It was done, but documents were left out.
    LeftOut,
}

impl Verdict {
    pub(crate) const fn of(holds: bool) -> Self {
        if holds {
            Self::Holds
        } else {
            Self::DoesNotHold
        }
    }

    /// As a table says it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsInPart => "holds in part",
            Self::DoesNotHold => "DOES NOT HOLD",
            Self::LeftOut => "holds, documents left out",
        }
    }
}

impl From<portcullis_fsck::Verdict> for Verdict {
    fn from(found: portcullis_fsck::Verdict) -> Self {
        match found {
            portcullis_fsck::Verdict::Holds => Self::Holds,
            portcullis_fsck::Verdict::HoldsInPart => Self::HoldsInPart,
            portcullis_fsck::Verdict::DoesNotHold => Self::DoesNotHold,
        }
    }
}

/// A failure as JSON.
#[derive(Serialize)]
struct Document {
    error: &'static str,
    problems: Vec<Found>,
}

/// Why a verb found nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input can be understood, and does not hold.
    DoesNotHold(Vec<Report>),
    /// The input cannot be understood.
    BadInput(Vec<Report>),
    /// Something outside the input is in the way.
    CouldNotRun(Report),
}

impl Failure {
    /// Bad input, in words.
    pub(crate) fn bad_input(message: impl Display) -> Self {
        Self::BadInput(vec![said(message)])
    }

    /// What does not hold, in words.
    pub(crate) fn does_not_hold(message: impl Display) -> Self {
        Self::DoesNotHold(vec![said(message)])
    }

    /// Something in the way, in words.
    pub(crate) fn could_not_run(message: impl Display) -> Self {
        Self::CouldNotRun(said(message))
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: std::io::Error) -> Self {
        let path = Plain(path.display());
        Self::could_not_run(format_args!("cannot {doing} {path}: {error}"))
    }

    /// What is wrong with a policy.
    pub(crate) fn problems(problems: Problems) -> Self {
        let unreadable = problems.is_unreadable();
        let count = problems.count();
        let reports = bounded(problems, count);
        if unreadable {
            Self::BadInput(reports)
        } else {
            Self::DoesNotHold(reports)
        }
    }

    /// What is wrong with a policy of which something else was asked.
    pub(crate) fn bad_policy(problems: Problems) -> Self {
        let count = problems.count();
        Self::BadInput(bounded(problems, count))
    }

    /// The same, where they were printed already.
    pub(crate) fn quiet(problems: &Problems) -> Self {
        if problems.is_unreadable() {
            Self::BadInput(Vec::new())
        } else {
            Self::DoesNotHold(Vec::new())
        }
    }

    /// Why, in words.
    pub(crate) fn messages(&self) -> Vec<String> {
        let reports = match self {
            Self::DoesNotHold(reports) | Self::BadInput(reports) => reports.as_slice(),
            Self::CouldNotRun(report) => std::slice::from_ref(report),
        };
        reports.iter().map(ToString::to_string).collect()
    }

    /// Reports on standard error, and as JSON on standard output where that was asked for, and gives
    /// the exit code. What has no report was printed before.
    pub(crate) fn report(self, output: Output) -> ExitCode {
        let (error, reports) = match &self {
            Self::DoesNotHold(reports) => ("does not hold", reports.as_slice()),
            Self::BadInput(reports) => ("bad input", reports.as_slice()),
            Self::CouldNotRun(report) => ("could not run", std::slice::from_ref(report)),
        };
        if output.is_json() && !reports.is_empty() {
            let problems = reports.iter().map(Found::of_report).collect();
            let document = Document { error, problems };
            // A reader that has gone is told nothing; the exit code stays.
            let _ = output.print(&document, |_| String::new());
        }
        match self {
            Self::DoesNotHold(reports) => {
                print(&reports);
                Verdict::DoesNotHold.into()
            }
            Self::BadInput(reports) => {
                print(&reports);
                ExitCode::from(2)
            }
            Self::CouldNotRun(report) => {
                print(&[report]);
                ExitCode::from(3)
            }
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::State(error) => Self::could_not_run(error),
            PlanError::Compiled(_) | PlanError::Mismatch(_) => Self::does_not_hold(error),
        }
    }
}

impl From<Unwritten> for Failure {
    fn from(Unwritten(error): Unwritten) -> Self {
        Self::file("write", Path::new("standard output"), error)
    }
}

/// A report of words alone.
fn said(message: impl Display) -> Report {
    Report::msg(Message(message).to_string())
}

/// Reports of the first of `count` things that are wrong.
pub(crate) fn bounded<D>(wrong: impl IntoIterator<Item = D>, count: usize) -> Vec<Report>
where
    D: Diagnostic + Send + Sync + 'static,
{
    let shown = wrong.into_iter().take(MOST_REPORTED).map(Report::new);
    let mut reports: Vec<Report> = shown.collect();
    if count > reports.len() {
        let more = count - reports.len();
        reports.push(said(format_args!("{more} more problems")));
    }
    reports
}

fn print(reports: &[Report]) {
    for report in reports {
        say_as_is(&format!("{report:?}"));
    }
}

/// Says something on standard error, escaped. That nobody reads it is no failure.
pub(crate) fn say(text: impl Display) {
    say_as_is(&Lines(text).to_string());
}

/// The same of what was escaped, and carries our own styling.
fn say_as_is(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => ExitCode::SUCCESS,
            Verdict::HoldsInPart | Verdict::DoesNotHold => ExitCode::from(1),
            Verdict::LeftOut => ExitCode::from(portcullis_appliance::pack::LEFT_OUT),
        }
    }
}

/// Sets how messages look: in colour on a terminal, plain elsewhere. No line is wrapped: a path, a command
/// or a line of a policy that is to be copied stays whole, and what a test or a log captures does not
/// depend on who runs it.
pub(crate) fn set_up_messages() {
    use std::io::IsTerminal;
    let is_terminal = std::io::stderr().is_terminal();
    let set = miette::set_hook(Box::new(move |_| {
        let look = MietteHandlerOpts::new().wrap_lines(false);
        let look = match is_terminal {
            true => look,
            false => look.force_graphical(true).unicode(true).color(false),
        };
        Box::new(look.terminal_links(false).build())
    }));
    debug_assert!(set.is_ok(), "main sets the hook once");
}

//! How a verb ends: a verdict or a failure, and the exit code of each.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use miette::{GraphicalReportHandler, Report};

/// What a verb found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// What was asked holds, or was done.
    Holds,
    /// It does not hold.
    DoesNotHold,
}

/// Why a verb found nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input cannot be understood.
    BadInput(Vec<Report>),
    /// Something outside the input is in the way.
    CouldNotRun(Report),
    /// The reader of our output has gone, as `head` does: nothing is wrong.
    NobodyReads,
}

impl Failure {
    /// Bad input, in words.
    pub(crate) fn bad_input(message: impl Display) -> Self {
        Self::BadInput(vec![Report::msg(message.to_string())])
    }

    /// Something in the way, in words.
    pub(crate) fn could_not_run(message: impl Display) -> Self {
        Self::CouldNotRun(Report::msg(message.to_string()))
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: std::io::Error) -> Self {
        Self::CouldNotRun(Report::msg(format!(
            "cannot {doing} {}: {error}",
            path.display()
        )))
    }

    /// Reports on standard error, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::BadInput(reports) => {
                for report in reports {
                    eprintln!("{report:?}");
                }
                ExitCode::from(2)
            }
            Self::CouldNotRun(report) => {
                eprintln!("{report:?}");
                ExitCode::from(3)
            }
            Self::NobodyReads => ExitCode::SUCCESS,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => ExitCode::SUCCESS,
            Verdict::DoesNotHold => ExitCode::from(1),
        }
    }
}

/// Sets how messages look: in colour on a terminal, plain and of fixed width elsewhere, so that
/// what a test or a log captures does not depend on who runs it.
pub(crate) fn set_up_messages() {
    use std::io::IsTerminal;
    const PLAIN_WIDTH: usize = 100;
    if std::io::stderr().is_terminal() {
        return;
    }
    let plain = miette::set_hook(Box::new(|_| {
        Box::new(
            GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
                .with_width(PLAIN_WIDTH)
                .with_links(false),
        )
    }));
    debug_assert!(plain.is_ok(), "main sets the hook once");
}

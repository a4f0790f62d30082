//! `portcullis diff`: what a change of the policy adds to the ceiling, and takes from it.

use std::path::PathBuf;

use clap::Args;
use portcullis_policy::diff::{Change, Difference, Renumbered, diff};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load;
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Exit code: 0 the new policy allows nothing that the old does not; 1 it allows something more, or gives
a method another number; 2 one of them cannot be understood or does not hold; 3 a file cannot be read.

JSON: within (whether exit code 0), added and taken: arrays of {kind, subject, object, what, mode,
when, lease, line}; kind is grant, static, flow or never; renumbered: an array of {interface, method,
old, new}. What a `never` rule forbade and forbids no longer is added, since it is allowed: subject and
object are the rule's domains where the rule is gone, and components where one of them is in another
domain. A method with another number is the same method to the policy, and another one to whatever was
built with the old number: build both components anew.

Example:
  portcullis diff policy/appliance.toml new.toml";

/// Show what a change of the policy adds to the ceiling, and takes from it
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Diff {
    /// The policy before
    old: PathBuf,
    /// The policy after
    new: PathBuf,
}

#[derive(Serialize)]
struct Report {
    within: bool,
    added: Vec<Row>,
    taken: Vec<Row>,
    renumbered: Vec<Renumbered>,
}

#[derive(Serialize, Default)]
struct Row {
    kind: &'static str,
    subject: String,
    object: Option<String>,
    what: String,
    mode: Option<&'static str>,
    when: Option<String>,
    lease: Option<String>,
    line: u32,
}

impl Run for Diff {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let (old, new) = (load::policy(&self.old)?, load::policy(&self.new)?);
        let Difference {
            added,
            taken,
            renumbered,
        } = diff(&old, &new);
        let report = Report {
            within: added.is_empty() && renumbered.is_empty(),
            renumbered,
            added: added.into_iter().map(Row::of).collect(),
            taken: taken.into_iter().map(Row::of).collect(),
        };
        output.print(&report, human)?;
        Ok(Verdict::of(report.within))
    }
}

fn human(report: &Report) -> String {
    if report.added.is_empty() && report.taken.is_empty() && report.renumbered.is_empty() {
        return String::from("both policies allow the same");
    }
    let cells = |sign: &'static str, row: &Row| {
        let option = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            sign.to_owned(),
            row.kind.to_owned(),
            row.subject.clone(),
            option(&row.object),
            row.what.clone(),
            row.mode.unwrap_or_default().to_owned(),
            option(&row.when),
            option(&row.lease),
            row.line.to_string(),
        ]
    };
    let added = report.added.iter().map(|row| cells("+", row));
    let taken = report.taken.iter().map(|row| cells("-", row));
    let headers = [
        "", "kind", "subject", "object", "what", "mode", "when", "lease", ">line",
    ];
    let renumbered = report.renumbered.iter().map(|it| {
        let what = format!("{}: {}, {} -> {}", it.interface, it.method, it.old, it.new);
        let mut cells = vec![String::new(); headers.len()];
        (cells[0], cells[1], cells[4]) = ("=".to_owned(), "number".to_owned(), what);
        cells
    });
    table(&headers, added.chain(taken).chain(renumbered))
}

impl Row {
    fn of(change: Change) -> Self {
        match change {
            Change::Grant {
                subject,
                object,
                interface,
                mode,
                when,
                lease,
                methods,
                line,
            } => Self {
                kind: "grant",
                subject,
                object: Some(object),
                what: format!("{interface}: {}", methods.join(", ")),
                mode: Some(mode),
                when: Some(when),
                lease,
                line,
            },
            Change::Static {
                component,
                authority,
                line,
            } => Self {
                kind: "static",
                subject: component,
                what: authority,
                line,
                ..Self::default()
            },
            Change::Flow {
                from,
                to,
                modes,
                line,
            } => Self {
                kind: "flow",
                subject: from,
                object: Some(to),
                what: modes.join(", "),
                line,
                ..Self::default()
            },
            Change::Never { from, to, line } | Change::Unguarded { from, to, line } => Self {
                kind: "never",
                subject: from,
                object: Some(to),
                what: String::from("what the rule forbids"),
                line,
                ..Self::default()
            },
        }
    }
}

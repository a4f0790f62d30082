//! `portcullis diff`: what a change of the policy adds to the ceiling, and takes from it.

use std::path::PathBuf;

use clap::Args;
use portcullis_policy::diff::{Change, Difference, Renumbered, diff};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load;
use crate::output::{Output, all_unquoted, table};

const EXAMPLE: &str = "\
Exit code: 0 the new policy allows nothing that the old does not; 1 it allows something more, gives a \
method another number, or holds only if somebody more is honest; 2 one of them cannot be understood or does \
not hold; 3 a file cannot be read.

What became wider or narrower is told by what was added or taken alone. A grant that is issued at another \
time, or for another lease, counts as another one. What components, guests and devices can learn through \
the manager is told as what they hold.

JSON: within (whether exit code 0), added and taken: arrays of {kind, subject, object, what, mode, \
when, lease, line}; kind is grant, flow, never, permanent (a later policy may be without a \
`never` rule that was permanent), on_fault (what others hold to subject stays in force when it faults), \
successor_key (subject signs the next policy), or a kind that `reach` knows (map, channel, cap, dma, \
inspect ...); assumed and assumed_no_longer: the components that must be honest for any verdict to hold, \
from now on or no longer; renumbered: an array of {interface, method, old, new}. What a `never` rule \
forbade and forbids no longer is added, since it is allowed: subject and object are the rule's domains \
where the rule is gone, and components where one of them is in another domain. A method with another number is the same method to the policy, and another one to whatever was \
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
    added: Vec<Change>,
    taken: Vec<Change>,
    #[serde(serialize_with = "all_unquoted")]
    assumed: Vec<String>,
    #[serde(serialize_with = "all_unquoted")]
    assumed_no_longer: Vec<String>,
    renumbered: Vec<Renumbered>,
}

impl Run for Diff {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let (old, new) = (
            load::policy(&self.old, None)?,
            load::policy(&self.new, None)?,
        );
        let Difference {
            added,
            taken,
            assumed,
            assumed_no_longer,
            renumbered,
        } = diff(&old, &new);
        let report = Report {
            within: added.is_empty() && renumbered.is_empty() && assumed.is_empty(),
            added,
            taken,
            assumed,
            assumed_no_longer,
            renumbered,
        };
        output.print(&report, human)?;
        Ok(Verdict::of(report.within))
    }
}

fn human(report: &Report) -> String {
    let honesty = report.assumed.len() + report.assumed_no_longer.len();
    if report.added.len() + report.taken.len() + report.renumbered.len() + honesty == 0 {
        return String::from("both policies allow the same");
    }
    let cells = |sign: &'static str, row: &Change| {
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
            row.line.map_or_else(String::new, |line| line.to_string()),
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
    let mut text = table(&headers, added.chain(taken).chain(renumbered));
    let assumed = report.assumed.iter();
    let assumed = assumed.map(|name| format!("{name} must be honest from now on"));
    let no_longer = report.assumed_no_longer.iter();
    let no_longer = no_longer.map(|name| format!("{name} need not be honest any longer"));
    for honesty in assumed.chain(no_longer) {
        text += &format!("\nnote: {honesty} for a verdict to hold");
    }
    text
}

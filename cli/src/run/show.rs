//! What `portcullis run` prints.

use std::path::Path;

use portcullis_appliance::pack::Packed;
use portcullis_appliance::{Appliance, Began, State};
use portcullis_audit::capscan::Comparison;
use portcullis_console::text::Counted;
use portcullis_hosted::appliance::Running;
use portcullis_hosted::component::Isolation;
use portcullis_policy::keys::hexadecimal;
use portcullis_policy_format::Policy;
use portcullis_text::Plain;
use serde::Serialize;

use crate::failure::{Failure, Verdict, say};
use crate::log::keep_checkpoints;

/// How a run ended.
#[derive(Serialize)]
pub(super) struct Summary {
    /// Whether every document was tried.
    through: bool,
    /// Whether somebody ended it.
    ended: bool,
    /// What failed.
    failures: Vec<String>,
    /// What was packed to be taken in, and what was not.
    documents: Documents,
    /// Grants whose capabilities are in the slots.
    grants_in_slots: Option<usize>,
    /// Grants in force in the log.
    grants_in_log: Option<usize>,
    /// How slots and log differ.
    differences: Vec<String>,
    /// What each log holds, once verified; its checkpoint is then kept in the state directory.
    logs: Vec<String>,
}

/// What was packed, and what was not.
#[derive(Serialize)]
pub(crate) struct Documents {
    /// Files that were found.
    pub(crate) found: usize,
    /// Those that were packed.
    pub(crate) packed: usize,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Those that were not.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A document that was left out.
#[derive(Serialize)]
pub(crate) struct LeftOut {
    /// Its path below the documents.
    pub(crate) path: String,
    /// Why, as one word.
    reason: &'static str,
    /// Why, in words.
    pub(crate) why: String,
}

impl Documents {
    pub(crate) fn of(packed: &Packed) -> Self {
        let left_out = packed.left_out.iter().map(|it| LeftOut {
            path: it.path.clone(),
            reason: it.why.word(),
            why: it.why.to_string(),
        });
        let left_out: Vec<_> = left_out.collect();
        let count = packed.documents as usize;
        Self {
            found: count + left_out.len(),
            packed: count,
            bytes: packed.bytes,
            left_out,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.left_out.is_empty() {
            Verdict::Holds
        } else {
            Verdict::LeftOut
        }
    }
}

impl Summary {
    /// Holds slots against log, and asks what failed. Where somebody cut it short, what did not come
    /// to its end is no failure.
    pub(super) fn of(running: &Running, ended: bool, cut_short: bool) -> Result<Self, Failure> {
        let outcome = running.outcome().map_err(Failure::could_not_run)?;
        let through = outcome.is_through();
        let mut failures = outcome.failures;
        if !cut_short {
            let unfinished = outcome.unfinished.iter();
            failures.extend(unfinished.map(|name| format!("{name} did not come to its end")));
        }
        let compared = running.capscan();
        let compared = compared
            .map_err(|error| failures.push(error.to_string()))
            .ok();
        let count = |of: fn(&Comparison) -> usize| compared.as_ref().map(of);
        // What came of the run is said in any case.
        let logs = keep_checkpoints(running.appliance().state().path());
        let logs = logs.unwrap_or_else(|failure| {
            failures.extend(failure.messages());
            Vec::new()
        });
        let broken = logs.iter().filter(|(_, holds)| !holds);
        failures.extend(broken.map(|(log, _)| format!("log {log}: see portcullis log verify")));
        Ok(Self {
            through,
            ended,
            failures,
            documents: Documents::of(running.appliance().packed()),
            grants_in_slots: count(|it| it.scanned),
            grants_in_log: count(|it| it.logged),
            differences: compared.map_or_else(Vec::new, |it| it.differences),
            logs: logs.into_iter().map(|(log, _)| log).collect(),
        })
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.failures.is_empty() && self.differences.is_empty() {
            self.documents.verdict()
        } else {
            Verdict::DoesNotHold
        }
    }
}

/// What nobody vouches for: said on standard error, since it may be that somebody took it away.
pub(crate) fn say_unvouched(state: &State) {
    for log in &state.unvouched {
        let (log, path) = (log.name(), Plain(state.path().display()));
        say(format_args!(
            "NOTE: {path} has no {log}.checkpoint: nobody can tell whether disk.img went back since the last \
             run. A run that was cut short keeps none; else put the checkpoint's copy back, and start again"
        ));
    }
}

/// What was made ready.
pub(super) fn prepared(appliance: &Appliance, walls: &Isolation) -> String {
    let state = appliance.state();
    let what = match &state.began {
        Began::New => "made new".to_owned(),
        Began::GoesOn => "goes on from the last run".to_owned(),
        Began::NewHistory(left) => format!("a new history; the old one is in {}", left.display()),
    };
    let mut lines = vec![row(
        "state",
        &format!("{}, {what}", Plain(state.path().display())),
    )];
    if let Ok(policy) = Policy::inspect(&appliance.plan().compiled) {
        let counts = policy.counts();
        let sha256 = hexadecimal(policy.sha256());
        let text = format!(
            "{} version {}, {} components, {} grants, sha256 {}",
            policy.name(),
            policy.version(),
            counts.components,
            counts.grants,
            &sha256[..16]
        );
        lines.push(row("policy", &text));
    }
    let isolation = match (walls.landlock, walls.seccomp) {
        (true, true) => "a process a component, each under Landlock and seccomp",
        (false, true) => "WEAKER: a process a component, each under seccomp alone",
        (true, false) => "WEAKER: a process a component, each under Landlock alone",
        (false, false) => "WEAKER: a process a component, and no sandbox",
    };
    lines.push(row("isolation", isolation));
    lines.join("\n")
}

/// What was packed, and what was not.
pub(super) fn packed(directory: &Path, packed: &Packed) -> String {
    let documents = Counted(packed.documents as u64, "document");
    let bytes = Counted(packed.bytes, "byte");
    let text = format!("{documents}, {bytes}, from {}", Plain(directory.display()));
    let mut lines = vec![row("documents", &text)];
    for left_out in &packed.left_out {
        lines.push(row(
            "  left out",
            &format!("{}: {}", left_out.path, left_out.why),
        ));
    }
    lines.join("\n") + "\n"
}

/// How the run ended.
pub(super) fn ended(summary: &Summary) -> String {
    // Apart from what the components said.
    let mut lines = vec![String::new()];
    if let (Some(scanned), Some(logged)) = (summary.grants_in_slots, summary.grants_in_log) {
        lines.push(capscan(&Comparison {
            scanned,
            logged,
            differences: summary.differences.clone(),
        }));
    }
    lines.extend(summary.logs.iter().map(|log| row("log", log)));
    for failure in &summary.failures {
        lines.push(row("failed", failure));
    }
    let left_out = summary.documents.left_out.len() as u64;
    let end = match (summary.failures.is_empty(), summary.through) {
        (true, true) if left_out > 0 => {
            let documents = Counted(left_out, "document");
            &format!("the documents are through, and {documents} left out")
        }
        (true, true) => "the documents are through",
        (false, _) => "not everything went well",
        (true, false) => "ended before the documents were through",
    };
    lines.push(row("end", end));
    lines.join("\n")
}

/// The result of a capscan.
pub(crate) fn capscan(compared: &Comparison) -> String {
    row("capscan", &compared.to_string())
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<11} {text}").trim_end().to_owned()
}

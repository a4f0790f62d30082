//! `portcullis log verify`: whether the logs are what was written, and what the policy allows.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::files::{self, Said};
use portcullis_audit::state::{CHECKPOINT, LOGS, State};
use portcullis_audit::verify::Report;
use portcullis_console::text::Counted;
use portcullis_fsck::{Finding, Region, Severity, Sink};
use portcullis_log::block::LogKind;
use portcullis_log::checkpoint::origin;
use portcullis_log::note::NOTE_MAX;
use portcullis_text::Plain;

use super::names;
use super::open::{Place, Progress, Which, failure, vouched};
use crate::Run;
use crate::failure::{Failure, Verdict, say};
use crate::load::{is_there, unread};
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Checks both logs, or the one of --log: the chain of the commits, the Merkle root and \
signature of each, every record's sequence number and time, every grant against the \
policy that its boot names, and all of it against the checkpoints in DIR and those given.

A log that was cut back to an earlier commit is found only against a checkpoint \
signed later. The one in DIR (--keep) finds accidents; against somebody who can \
write DIR, keep one elsewhere, and a copy of DIR/ledger.vkey: --key replaces it. Of \
several keys of a log the oldest is named first: it signs no more once another has.

With --key, an empty log holds only in part: an empty one could have taken the place \
of the log, unless a checkpoint vouches for it.

While an appliance runs on DIR, what it told of is read, and nothing after that.

Examples:
  portcullis log verify
  portcullis log verify --disk disk.img --key ledger.vkey \\
      --policies policies/
  portcullis log verify --save-checkpoint /media/usb/grants.checkpoint \\
      --log grants
  portcullis log verify --checkpoint /media/usb/grants.checkpoint
  portcullis log verify --checkpoint cosigned --witness witness.vkey";

/// Check that no record was changed, dropped, reordered or cut off, and that the policy allowed each grant
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Which log
    #[arg(long, value_enum)]
    log: Option<Which>,
    /// A checkpoint that a log signed earlier, kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A file of witnesses' verifier keys: each must have cosigned every checkpoint
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    witness: Vec<PathBuf>,
    /// Write the checkpoint of the log that was verified; needs --log
    #[arg(long, value_name = "FILE", requires = "log")]
    save_checkpoint: Option<PathBuf>,
    /// Keep the checkpoint of each log that holds in the state directory, for the next time
    #[arg(long, conflicts_with = "disk")]
    keep: bool,
}

impl Run for Verify {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let mut state = self.place.open()?;
        // It is the log's own, so that no witness need have cosigned it.
        if let Some(path) = &self.save_checkpoint
            && is_there(path)?
        {
            self.goes_on(&mut state, path)?;
        }
        state.set_witnesses(&self.witness).map_err(failure)?;
        for checkpoint in &self.checkpoint {
            let added = state.add_checkpoint(checkpoint, self.log.map(LogKind::from));
            added.map_err(failure)?;
        }
        let kinds = match self.log {
            Some(which) => vec![which.into()],
            None => LOGS.to_vec(),
        };
        let (mut reports, mut unsaved) = (Vec::new(), None);
        for kind in kinds {
            let report = verify_one(&state, kind)?;
            if let Some(path) = &self.save_checkpoint {
                unsaved = (!save(&state, kind, &report, path)?).then_some(path);
            }
            if self.keep {
                keep(&state, kind, &report)?;
            }
            reports.push(report);
        }
        let verdicts = reports.iter().map(|report| report.verdict);
        let verdict: Verdict = verdicts.max().expect("a log was verified").into();
        if let Some(path) = unsaved {
            let path = Plain(path.display());
            if verdict != Verdict::DoesNotHold {
                return Err(Failure::bad_input(format_args!(
                    "the log has no record, and so no checkpoint: {path} was not written"
                )));
            }
            say(format_args!(
                "the log does not hold: {path} was not written"
            ));
        }
        output.print(&reports, |reports| human(reports))?;
        Ok(verdict)
    }
}

impl Verify {
    /// The log is held against a checkpoint that is to be written over, so that an older one never takes its
    /// place.
    fn goes_on(&self, state: &mut State, path: &Path) -> Result<(), Failure> {
        let added = state.add_checkpoint(path, self.log.map(LogKind::from));
        added.map_err(|error| {
            let failed = failure(error);
            say(format_args!(
                "--save-checkpoint writes over nothing but an earlier checkpoint of the log: move {} away, or \
                 name another file",
                Plain(path.display())
            ));
            failed
        })
    }
}

/// Verifies both logs of a state directory and keeps their checkpoints in it, so that a log that is
/// cut back later is found. The result says what each log holds, or that it does not hold.
pub(crate) fn keep_checkpoints(directory: &Path) -> Result<Vec<(String, bool)>, Failure> {
    let state = State::open(directory).map_err(failure)?;
    let mut logs = Vec::new();
    for kind in LOGS {
        let report = verify_one(&state, kind)?;
        keep(&state, kind, &report)?;
        let verdict = Verdict::from(report.verdict).word();
        let records = report.summary.records;
        let text = format!("{}: {records} records, {verdict}", kind.name());
        logs.push((text, report.holds));
    }
    Ok(logs)
}

/// Writes the checkpoint of a log into the state directory that its disk lies in. One of another disk is
/// evidence, and stays.
fn keep(state: &State, kind: LogKind, report: &Report) -> Result<(), Failure> {
    let name = Path::new(kind.name()).with_extension(CHECKPOINT);
    let path = state.path().with_file_name(name);
    let there = match files::read_text(&path, Said::Found, NOTE_MAX) {
        Ok(there) => there,
        Err(error) if error.is_missing() => return save(state, kind, report, &path).map(drop),
        Err(error) => return Err(unread(&path, error)),
    };
    let origin = origin(kind, state.log());
    if there.lines().next() == Some(&*origin) {
        return save(state, kind, report, &path).map(drop);
    }
    Err(Failure::could_not_run(format!(
        "{} is no checkpoint of {origin}, and what it is of may need it: put the disk of that back, or move \
         the file away",
        Plain(path.display()),
        origin = origin.as_str(),
    )))
}

/// Writes the checkpoint of a log, if it has one; unless it does not hold: then the last one is evidence.
fn save(state: &State, kind: LogKind, report: &Report, path: &Path) -> Result<bool, Failure> {
    let Some(note) = note(state, kind, report)? else {
        return Ok(false);
    };
    let written = files::replace(path, note.as_bytes(), true);
    written.map_err(|error| Failure::file("write", path, error))?;
    Ok(true)
}

/// The last checkpoint of a log; `None` where it does not hold, or has no record.
pub(super) fn note(
    state: &State,
    kind: LogKind,
    report: &Report,
) -> Result<Option<String>, Failure> {
    if Verdict::from(report.verdict) == Verdict::DoesNotHold {
        return Ok(None);
    }
    state.note(kind, &report.summary).map_err(failure)
}

pub(super) fn verify_one(state: &State, kind: LogKind) -> Result<Report, Failure> {
    verify_with(state, kind, &mut ())
}

/// The same; `also` takes the records too.
pub(super) fn verify_with(
    state: &State,
    kind: LogKind,
    also: &mut dyn Sink,
) -> Result<Report, Failure> {
    let mut progress = Progress::default();
    let report = state.verify_with(kind, also, |at| progress.at(at.done, at.total));
    progress.finish();
    report.map_err(failure)
}

fn human(reports: &[Report]) -> String {
    let logs = table(
        &[
            "LOG",
            ">RECORDS",
            ">BLOCKS",
            ">COMMITS",
            "HELD AGAINST",
            "ROOT",
            "VERDICT",
        ],
        reports.iter().map(|report| {
            let summary = &report.summary;
            let root = summary
                .root
                .as_deref()
                .map_or("-", |root| root.get(..16).unwrap_or(root));
            let verdict = Verdict::from(report.verdict).word();
            vec![
                report.log.into(),
                summary.records.to_string(),
                summary.blocks.to_string(),
                summary.commits.to_string(),
                Counted(report.checkpoints as u64, "checkpoint").to_string(),
                root.into(),
                verdict.into(),
            ]
        }),
    );
    let mut parts = vec![logs];
    let kinds = LOGS.into_iter();
    let vouched = kinds.flat_map(|kind| {
        let of_it = reports.iter().filter(move |it| it.log == kind.name());
        of_it.flat_map(move |report| vouched(kind, &report.summary))
    });
    parts.push(vouched.collect::<Vec<_>>().join("\n"));
    parts.extend(reports.iter().filter_map(boots));
    parts.extend(findings(reports));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn boots(report: &Report) -> Option<String> {
    (!report.boots.is_empty()).then(|| {
        table(
            &[
                "BOOT",
                ">FROM RECORD",
                ">RECORDS",
                ">DENIALS",
                "SEALED",
                "STARTED",
                "LAST RECORD",
            ],
            report.boots.iter().map(|boot| {
                let id = portcullis_audit::Hex(&boot.id.0).to_string();
                vec![
                    id,
                    boot.first_record.to_string(),
                    boot.records.to_string(),
                    boot.denials.to_string(),
                    if boot.sealed { "yes" } else { "no" }.into(),
                    names::time(boot.start),
                    names::time(boot.end),
                ]
            }),
        )
    })
}

/// The findings of several logs, each once: what is wrong with their disk is found with each.
pub(super) fn findings(reports: &[Report]) -> Option<String> {
    let mut found: Vec<Finding> = Vec::new();
    for finding in reports.iter().flat_map(|report| &report.findings) {
        if finding.place.region != Region::Disk || !found.contains(finding) {
            found.push(finding.clone());
        }
    }
    let more = reports.iter().map(|report| report.more_findings).sum();
    (!found.is_empty()).then(|| findings_table(&found, more))
}

/// Findings with their places, and for each kind of them what to do.
pub(crate) fn findings_table(findings: &[Finding], more: u64) -> String {
    let rows = findings.iter().map(|finding: &Finding| {
        let severity = match finding.severity {
            Severity::Violation => "VIOLATION",
            Severity::Unchecked => "unchecked",
            Severity::Note => "note",
        };
        let (place, what) = (finding.place.to_string(), finding.what.to_string());
        vec![severity.into(), finding.what.rule().into(), place, what]
    });
    let mut text = table(&["FINDING", "RULE", "WHERE", "WHAT"], rows);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    let mut said: Vec<(&str, &str)> = Vec::new();
    for Finding { what, .. } in findings {
        let line = (what.rule(), what.help());
        if !said.contains(&line) {
            said.push(line);
        }
    }
    let helps = said
        .into_iter()
        .map(|(rule, help)| vec![rule.into(), help.into()]);
    format!("{text}\n\n{}", table(&["RULE", "WHAT TO DO"], helps))
}

//! `portcullis log verify`: whether the logs are what was written, and what the policy allows.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::Finding;
use portcullis_audit::state::{CHECKPOINT, State};
use portcullis_audit::verify::{Report, checkpoint_note, verify};
use portcullis_audit::walk::Trust;
use portcullis_console::text::Counted;
use portcullis_log::block::{Footer, LogKind};

use super::names;
use super::open::{Place, Progress, Which, failure};
use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Checks both logs, or the one of --log: the chain of the commits, the Merkle root and
signature of each, every record's sequence number and time, every grant against the
policy that its boot names, and all of it against the checkpoints in DIR and those given.

A log that was cut back to an earlier commit is found only against a checkpoint
signed later. The one in DIR (--keep) finds accidents; against somebody who can
write DIR, keep one elsewhere.

Examples:
  portcullis log verify
  portcullis log verify --disk disk.img --key ledger.vkey --policies policies/
  portcullis log verify --save-checkpoint /media/usb/grants.checkpoint --log grants
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
    /// A file of witnesses' verifier keys: each must have cosigned every checkpoint that is named
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
        for witness in &self.witness {
            state.add_witnesses(witness).map_err(failure)?;
        }
        for checkpoint in &self.checkpoint {
            state.add_checkpoint(checkpoint).map_err(failure)?;
        }
        let kinds = match self.log {
            Some(which) => vec![which.into()],
            None => vec![LogKind::Grants, LogKind::Worm],
        };
        let mut reports = Vec::new();
        for kind in kinds {
            let (report, head) = verify_one(&state, kind)?;
            if let (Some(head), true) = (head, report.holds) {
                let kept = self.keep.then(|| kept_checkpoint(&state, kind));
                for path in self.save_checkpoint.iter().chain(&kept) {
                    save(&state, kind, &head, path)?;
                }
            }
            reports.push(report);
        }
        output.print(&reports, |reports| human(reports))?;
        let holds = reports.iter().all(|report| report.holds);
        Ok(Verdict::of(holds))
    }
}

/// Verifies both logs of a state directory and keeps their checkpoints in it, so that a log that is
/// cut back later is found. The result says what each log holds, or that it does not hold.
pub(crate) fn keep_checkpoints(directory: &Path) -> Result<Vec<(String, bool)>, Failure> {
    let state = State::open(directory).map_err(failure)?;
    let mut logs = Vec::new();
    for kind in [LogKind::Grants, LogKind::Worm] {
        let (report, head) = verify_one(&state, kind)?;
        if let (Some(head), true) = (head, report.holds) {
            save(&state, kind, &head, &kept_checkpoint(&state, kind))?;
        }
        let verdict = Verdict::of(report.holds).word();
        let text = format!("{}: {} records, {verdict}", kind.name(), report.records);
        logs.push((text, report.holds));
    }
    Ok(logs)
}

/// Where a state directory, which its disk lies in, keeps the checkpoint of a log.
fn kept_checkpoint(state: &State, kind: LogKind) -> PathBuf {
    let name = Path::new(kind.name()).with_extension(CHECKPOINT);
    state.path().with_file_name(name)
}

/// Writes the checkpoint of a log that holds. A cut leaves the old one or the new.
fn save(state: &State, kind: LogKind, head: &Footer, path: &Path) -> Result<(), Failure> {
    let key = state.key(kind).map_err(failure)?;
    let note = checkpoint_note(kind, state.log(), head, &key);
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, note)
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|error| Failure::file("write", path, error))
}

pub(super) fn verify_one(
    state: &State,
    kind: LogKind,
) -> Result<(Report, Option<Footer>), Failure> {
    let key = state.key(kind).map_err(failure)?;
    let checkpoints = state.checkpoints(kind).map_err(failure)?;
    let trust = Trust {
        kind,
        log: state.log(),
        key: Some(&key),
        checkpoints: &checkpoints,
    };
    let mut progress = Progress::new(state.length(kind));
    let mut blocks = state.blocks(kind);
    let verified = verify(&mut blocks, &trust, state.policies(), |block| {
        progress.at(block)
    });
    progress.finish();
    let unread = |error| Failure::file("read", state.path(), error);
    let (mut report, head) = verified.map_err(unread)?;
    report.short_disk(state.missing_blocks().map_err(unread)?);
    Ok((report, head))
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
            let root = report
                .root
                .as_deref()
                .map_or("-", |root| root.get(..16).unwrap_or(root));
            let verdict = Verdict::of(report.holds).word();
            vec![
                report.log.into(),
                report.records.to_string(),
                report.blocks.to_string(),
                report.commits.to_string(),
                Counted(report.checkpoints as u64, "checkpoint").to_string(),
                root.into(),
                verdict.into(),
            ]
        }),
    );
    let mut parts = vec![logs];
    parts.extend(reports.iter().filter_map(boots));
    parts.extend(reports.iter().filter_map(findings));
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

pub(super) fn findings(report: &Report) -> Option<String> {
    if report.findings.is_empty() {
        return None;
    }
    let mut text = table(
        &["FINDING", "LOG", "WHERE", "WHAT"],
        report.findings.iter().map(|finding: &Finding| {
            let severity = if finding.is_violation() {
                "VIOLATION"
            } else {
                "note"
            };
            vec![
                severity.into(),
                report.log.into(),
                finding.place.to_string(),
                finding.what.to_string(),
            ]
        }),
    );
    if report.more_findings > 0 {
        text.push_str(&format!("\nand {} more", report.more_findings));
    }
    Some(text)
}

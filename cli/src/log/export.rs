//! `portcullis log export`: the logs as C2SP tlog-tiles.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::state::State;
use portcullis_audit::tiles::{CHECKPOINT, Tiles};
use portcullis_log::block::LogKind;
use portcullis_text::Plain;
use serde::Serialize;

use super::open::{Place, changed, failure, read, vouched};
use super::verify::{findings, note, verify_one};
use crate::Run;
use crate::failure::{Failure, Verdict, say};
use crate::load::is_there;
use crate::output::{Output, table};

const EXAMPLE: &str = "\
DIR/grants and DIR/worm become static files that public transparency-log tools \
read (C2SP tlog-tiles), and that any web server serves. Only a log that holds is \
exported; where DIR has an earlier export, only one that continues it. What is \
there already is left alone.

Example:
  portcullis log export /srv/www/appliance --disk disk.img --key ledger.vkey \\
      --policies policies/";

/// Write the logs as C2SP tlog-tiles, with their checkpoints
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Export {
    /// Where to
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Exported {
    log: &'static str,
    directory: PathBuf,
    records: u64,
    files_written: u64,
    files_unchanged: u64,
}

impl Run for Export {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let mut state = self.place.open()?;
        let mut exported = Vec::new();
        let mut verdict = Verdict::Holds;
        for kind in [LogKind::Grants, LogKind::Worm] {
            match export(&mut state, kind, &self.directory.join(kind.name()))? {
                Some(log) => exported.push(log),
                None => verdict = Verdict::DoesNotHold,
            }
        }
        output.print(&exported, |exported| human(exported))?;
        Ok(verdict)
    }
}

/// Exports one log; `None`: it does not hold, or does not continue what was exported before.
fn export(state: &mut State, kind: LogKind, directory: &Path) -> Result<Option<Exported>, Failure> {
    let before = directory.join(CHECKPOINT);
    if is_there(&before)? {
        state.add_checkpoint(&before, Some(kind)).map_err(failure)?;
    }
    let report = verify_one(state, kind)?;
    for line in vouched(kind, &report.summary) {
        say(Plain(line));
    }
    if Verdict::from(report.verdict) == Verdict::DoesNotHold {
        say(format_args!(
            "the log {} is not exported, since it does not hold:\n{}",
            kind.name(),
            findings(&[report]).unwrap_or_default()
        ));
        return Ok(None);
    }
    let mut exported = Exported {
        log: kind.name(),
        directory: directory.to_owned(),
        records: 0,
        files_written: 0,
        files_unchanged: 0,
    };
    // An empty log has no checkpoint, and so no export.
    if report.summary.head.is_some() {
        // Tiles are written as they are read: so they are read once more, and go on from what holds.
        let verified = note(state, kind, &report)?.ok_or_else(|| changed(state))?;
        state.add_read(kind, verified);
        let mut tiles = Tiles::new(directory);
        let (summary, findings) = read(state, kind, &mut tiles)?;
        if findings.verdict() == portcullis_fsck::Verdict::DoesNotHold {
            return Err(changed(state));
        }
        let note = state.note(kind, &summary).map_err(failure)?;
        let note = note.ok_or_else(|| changed(state))?;
        let written = tiles.finish(&note);
        let written = written.map_err(|error| Failure::file("write below", directory, error))?;
        exported.records = written.records;
        exported.files_written = written.files;
        exported.files_unchanged = written.unchanged;
    }
    Ok(Some(exported))
}

fn human(exported: &[Exported]) -> String {
    let rows = exported.iter().map(|it| {
        vec![
            it.log.into(),
            it.records.to_string(),
            it.files_written.to_string(),
            it.files_unchanged.to_string(),
            it.directory.display().to_string(),
        ]
    });
    table(
        &["LOG", ">RECORDS", ">WRITTEN", ">UNCHANGED", "DIRECTORY"],
        rows,
    )
}

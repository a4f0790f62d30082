//! `portcullis fsck`: checks a whole disk, with the appliance off.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::state::{State, StateError};
use portcullis_console::text::{Counted, Grouped};
use portcullis_fsck::{
    Finding, Keys, LogSummary, Region, Report, Severity, Summary, What, check_with,
};
use portcullis_log::block::LogKind;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::log::{Progress, state_failure};
use crate::options::Audited;
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Reads header, marks, both logs and the vault, with code that shares nothing with
what wrote them but the layout. Says where something is wrong, what, and what to
do. Nothing is written. What a power cut leaves, and the appliance passes over, is
a note; a disk with notes alone holds.

The vault's key is a secret, so it is read only where --vault-key names it. Without
it, the vault's index and contents are not checked. Whether the policy allowed each
grant is for `portcullis log verify`.

Examples:
  portcullis fsck
  portcullis fsck --vault-key target/appliance/vault.key
  portcullis fsck --disk disk.img --key ledger.vkey --checkpoint grants.checkpoint";

/// Check everything on a disk: header, logs, vault
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Fsck {
    #[command(flatten)]
    audited: Audited,
    /// A checkpoint that a log signed earlier, kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The vault's key: 32 bytes
    #[arg(long, value_name = "FILE")]
    vault_key: Option<PathBuf>,
}

impl Run for Fsck {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let (image, keys) = self.open()?;
        let unread = |error| Failure::file("read", &image, error);
        let mut disk = File::open(&image).map_err(unread)?;
        let mut shown: Option<(Region, Progress)> = None;
        let report = check_with(&mut disk, &keys, |at| {
            if let Some((_, before)) = shown.take_if(|(region, _)| *region != at.region) {
                before.finish();
            }
            let (_, progress) = shown.get_or_insert_with(|| (at.region, Progress::new(at.total)));
            progress.at(at.done);
        });
        if let Some((_, progress)) = shown {
            progress.finish();
        }
        let other = report.findings.iter().find(|it| is_other(it));
        if let Some(other) = other.filter(|_| report.summary.id.is_none()) {
            let (image, what, help) = (image.display(), &other.what, other.what.help());
            return Err(Failure::bad_input(format!("{image}: {what}: {help}")));
        }
        output.print(&report, human)?;
        Ok(Verdict::of(report.holds()))
    }
}

impl Fsck {
    /// The disk image, and what it is held against.
    fn open(&self) -> Result<(PathBuf, Keys), Failure> {
        let mut keys = Keys::default();
        if let Some(path) = &self.vault_key {
            keys.vault = Some(vault_key(path)?.into());
        }
        let mut state = match State::open(self.audited.path()) {
            Ok(state) => state,
            // Without a header nobody knows the logs' names; what is wrong with it is to be said.
            Err(StateError::Disk { path, .. }) => return Ok((path, keys)),
            Err(error) => return Err(state_failure(error)),
        };
        for path in &self.audited.key {
            state.add_keys(path).map_err(state_failure)?;
        }
        for path in &self.checkpoint {
            state.add_checkpoint(path).map_err(state_failure)?;
        }
        keys.grants = state.key(LogKind::Grants).ok();
        keys.worm = state.key(LogKind::Worm).ok();
        for kind in [LogKind::Grants, LogKind::Worm] {
            if state.key(kind).is_ok() {
                let checkpoints = state.checkpoints(kind).map_err(state_failure)?;
                let of_it = checkpoints
                    .into_iter()
                    .map(|(size, root)| (kind, size, root));
                keys.checkpoints.extend(of_it);
            }
        }
        Ok((state.path().to_owned(), keys))
    }
}

fn vault_key(path: &Path) -> Result<[u8; 32], Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::file("read", path, error))?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| {
        let path = path.display();
        Failure::bad_input(format!("{path} has {length} bytes; a vault's key has 32"))
    })
}

/// Whether this is another thing than a disk that can be checked.
fn is_other(finding: &Finding) -> bool {
    use portcullis_fsck::HeaderFault::Version;
    matches!(finding.what, What::NotADisk | What::Header(Version(_)))
}

/// What there is, part by part.
fn parts(summary: &Summary) -> Vec<(Region, String)> {
    let blocks = summary.blocks;
    let Some(id) = &summary.id else {
        let what = format!("{}, no header", Counted(blocks, "block"));
        return vec![(Region::Disk, what)];
    };
    let log = |log: &LogSummary| {
        let (records, commits) = (
            Counted(log.records, "record"),
            Counted(log.commits, "commit"),
        );
        let (blocks, region) = (Grouped(log.blocks), Counted(log.region, "block"));
        format!("{records} in {commits}, {blocks} of {region}")
    };
    let (grants, worm) = (log(&summary.grants), log(&summary.worm));
    let vault = &summary.vault;
    let objects = if vault.objects > 0 {
        let (objects, bytes) = (Counted(vault.objects, "object"), Grouped(vault.bytes));
        let (used, blocks) = (Grouped(vault.used), Counted(vault.blocks, "block"));
        format!("{objects} of {bytes} B, {used} of {blocks}")
    } else {
        let (entries, blocks) = (Grouped(vault.entries), Counted(vault.blocks, "block"));
        format!("{entries} in the index, {blocks}")
    };
    vec![
        (
            Region::Disk,
            format!("{}, id {id}", Counted(blocks, "block")),
        ),
        (
            Region::Grants,
            format!("{grants}, {}", Counted(summary.boots, "boot")),
        ),
        (
            Region::Worm,
            format!("{worm}, {} of documents", Grouped(summary.documents)),
        ),
        (Region::Vault, objects),
    ]
}

fn human(report: &Report) -> String {
    let summary = &report.summary;
    let rows = parts(summary).into_iter().map(|(region, what)| {
        let verdict = verdict(report, region);
        vec![region.name().into(), what, verdict.into()]
    });
    let mut text = vec![table(&["PART", "WHAT THERE IS", "VERDICT"], rows)];
    text.extend(findings(report));
    let unchecked = summary.unchecked.iter().map(|it| {
        let (region, what, why) = (it.region.name(), it.what, it.why);
        format!("not checked: {region}: {what}: {why}")
    });
    text.push(unchecked.collect::<Vec<_>>().join("\n"));
    text.join("\n\n")
}

fn verdict(report: &Report, region: Region) -> &'static str {
    let of_it = report
        .findings
        .iter()
        .filter(|it| it.place.region == region);
    let mut unchecked = report.summary.unchecked.iter();
    match of_it.map(|finding| finding.severity).max() {
        Some(Severity::Violation) => Verdict::DoesNotHold.word(),
        _ if unchecked.any(|it| it.region == region) => "holds in part",
        _ => Verdict::Holds.word(),
    }
}

/// The findings, and for each kind of them what to do.
fn findings(report: &Report) -> Option<String> {
    report.findings.first()?;
    let rows = report.findings.iter().map(|finding: &Finding| {
        let severity = if finding.is_violation() {
            "VIOLATION"
        } else {
            "note"
        };
        let (place, what) = (finding.place.to_string(), finding.what.to_string());
        vec![severity.into(), finding.what.rule().into(), place, what]
    });
    let mut text = table(&["FINDING", "RULE", "WHERE", "WHAT"], rows);
    if report.more_findings > 0 {
        text.push_str(&format!("\nand {} more", report.more_findings));
    }
    let mut said: Vec<&What> = Vec::new();
    for Finding { what, .. } in &report.findings {
        let is_said = |it: &&What| (it.rule(), it.help()) == (what.rule(), what.help());
        if !said.iter().any(is_said) {
            said.push(what);
        }
    }
    let helps = said
        .iter()
        .map(|what| vec![what.rule().into(), what.help().into()]);
    Some(format!(
        "{text}\n\n{}",
        table(&["RULE", "WHAT TO DO"], helps)
    ))
}

//! `portcullis fsck`: checks a whole disk, with the appliance off.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::state::{LOGS, State, StateError};
use portcullis_console::text::{Counted, Grouped};
use portcullis_files::Refused;
use portcullis_fsck::{
    Finding, Keys, LogSummary, Region, Report, Severity, Summary, What, check_with,
};

use portcullis_text::Plain;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::log::{Progress, findings_table, state_failure};
use crate::options::Audited;
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Reads header, marks, both logs and the vault, with code that shares nothing with \
what wrote them but the layout. Says where something is wrong, what, and what to \
do. Nothing is written. What a power cut leaves, and the appliance passes over, is \
a note; a disk with notes alone holds.

The vault's key is a secret, so it is read only where --vault-key names it. Without \
it, the vault's index and contents are not checked. Whether the policy allowed each \
grant is for `portcullis log verify`.

An appliance must not run on the disk: what it is writing would look like damage.

Exit codes:
  0  the disk holds, as far as it was checked: see the lines of what was not checked
  1  it does not hold, or only in part: no key of a log is at hand
  2  the input cannot be understood
  3  a file cannot be read, or an appliance runs on the disk

Examples:
  portcullis fsck
  portcullis fsck --vault-key target/appliance/vault.key
  portcullis fsck --disk disk.img --key ledger.vkey \\
      --checkpoint grants.checkpoint";

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
        let (image, report) = self.check()?;
        let other = report.findings.iter().find(|it| is_other(it));
        if let Some(other) = other.filter(|_| report.summary.id.is_none()) {
            let (image, what, help) = (Plain(image.display()), &other.what, other.what.help());
            return Err(Failure::bad_input(format!("{image}: {what}: {help}")));
        }
        output.print(&report, human)?;
        Ok(report.verdict().into())
    }
}

/// Checks a disk, and shows how far it came.
fn checked(disk: &mut (impl Read + Seek), keys: &Keys) -> Report {
    let mut shown: Option<(Region, Progress)> = None;
    let report = check_with(disk, keys, |at| {
        if let Some((_, before)) = shown.take_if(|(region, _)| *region != at.region) {
            before.finish();
        }
        let (_, progress) = shown.get_or_insert_with(|| (at.region, Progress::default()));
        progress.at(at.done, at.total);
    });
    if let Some((_, progress)) = shown {
        progress.finish();
    }
    report
}

impl Fsck {
    /// Checks the disk, which nobody else writes meanwhile; the image's path goes with the report.
    fn check(&self) -> Result<(PathBuf, Report), Failure> {
        let vault = self.vault_key.as_deref().map(vault_key).transpose()?;
        let vault = vault.map(Into::into);
        let mut state = match State::open_with(self.audited.path(), &self.audited.key) {
            Ok(state) => state,
            // Without a header nobody knows the logs' names; what is wrong with it is to be said.
            Err(StateError::NotADisk { path, mut file }) => {
                let keys = Keys {
                    vault,
                    ..Keys::default()
                };
                return Ok((path, checked(&mut file, &keys)));
            }
            Err(error) => return Err(state_failure(error)),
        };
        if state.is_in_use() {
            return Err(Failure::could_not_run(format!(
                "{} is in use, and what is being written would look like damage: end the appliance that runs \
                 on it, then check; its logs can be verified meanwhile, with `portcullis log verify`",
                Plain(state.path().display())
            )));
        }
        for path in &self.checkpoint {
            state.add_checkpoint(path, None).map_err(state_failure)?;
        }
        let keys = Keys {
            vault,
            ..state.trust().map_err(state_failure)?
        };
        let report = checked(&mut state.disk(), &keys);
        Ok((state.path().to_owned(), report))
    }
}

/// Bytes of a vault's key.
const VAULT_KEY: usize = 32;

fn vault_key(path: &Path) -> Result<[u8; VAULT_KEY], Failure> {
    let bytes = portcullis_files::read_private(path, VAULT_KEY).map_err(|error| match error {
        Refused::Kind { .. } => Failure::bad_input(error),
        // What is no key is not to be closed.
        Refused::Open { ref path, .. } if length(path).is_some_and(|it| it != VAULT_KEY as u64) => {
            Failure::bad_input(format!(
                "{} has {} bytes; a vault's key has 32",
                Plain(path.display()),
                length(path).unwrap_or_default()
            ))
        }
        Refused::TooLong { .. } => Failure::bad_input(format!("{error}; a vault's key has 32")),
        _ => Failure::could_not_run(error),
    })?;
    let length = bytes.len();
    bytes.as_slice().try_into().map_err(|_| {
        let path = Plain(path.display());
        Failure::bad_input(format!("{path} has {length} bytes; a vault's key has 32"))
    })
}

fn length(path: &Path) -> Option<u64> {
    Some(path.symlink_metadata().ok()?.len())
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
    let logs = [&summary.grants, &summary.worm];
    let vouched = LOGS.into_iter().zip(logs);
    let vouched = vouched.flat_map(|(kind, log)| crate::log::vouched(kind, log));
    text.push(vouched.collect::<Vec<_>>().join("\n"));
    if !report.findings.is_empty() {
        text.push(findings_table(&report.findings, report.more_findings));
    }
    let unchecked = summary.unchecked.iter().map(|it| {
        let (region, what, why) = (it.region.name(), it.what, it.why);
        format!("not checked: {region}: {what}: {why}")
    });
    text.push(unchecked.collect::<Vec<_>>().join("\n"));
    text.retain(|part| !part.is_empty());
    text.join("\n\n")
}

fn verdict(report: &Report, region: Region) -> &'static str {
    let mut unchecked = report.summary.unchecked.iter();
    match report.gravest_of(region) {
        Some(Severity::Violation) => Verdict::DoesNotHold.word(),
        _ if unchecked.any(|it| it.region == region) => match region {
            Region::Vault => "not checked",
            _ => Verdict::HoldsInPart.word(),
        },
        Some(Severity::Unchecked) => Verdict::HoldsInPart.word(),
        _ => Verdict::Holds.word(),
    }
}

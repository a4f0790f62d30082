//! `portcullis log verify-proof`: whether a proof holds, with nothing at hand but the log's key.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::Hex;
use portcullis_audit::files::{self, Said};
use portcullis_audit::keys::Keyring;
use portcullis_audit::proof::{Proof, REQUEST_MAX, Refused};
use portcullis_fsck::record::read_known;
use portcullis_log::block::{ENTRY_MAX, LogKind};
use portcullis_log::checkpoint::Checkpoint;
use portcullis_log::note::{NOTE_MAX, Note, NoteError, Verifier};
use portcullis_text::Plain;
use serde::Serialize;

use super::names;
use super::open::failure;
use super::show::{Row, line, row};
use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{read_text, unread};
use crate::output::Output;

const EXAMPLE: &str = "\
A proof with a checkpoint that witnesses cosigned (`log prove --as-of`) holds for \
who trusts them: --witness names their keys, and each must have signed it.

Examples:
  portcullis log verify-proof 41.proof --key ledger.vkey
  portcullis log verify-proof 41.proof --key ledger.vkey \\
      --witness witness.key.vkey
  portcullis log verify-proof growth.proof --key ledger.vkey \\
      --old old.checkpoint";

/// Check a proof made by `log prove`, with the log's key and without the log
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct VerifyProof {
    /// The proof
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file of verifier keys (name+hash+key, one a line), which replaces DIR/ledger.vkey
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/appliance/ledger.vkey"
    )]
    key: Vec<PathBuf>,
    /// A file of witnesses' verifier keys: each must have cosigned every checkpoint
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// The record, where it is not the one that the proof carries
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// The earlier checkpoint of a consistency proof
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
}

#[derive(Serialize)]
struct Verified {
    holds: bool,
    log: String,
    /// The log's key that signed the checkpoint, and where that is from.
    key: Option<String>,
    records: u64,
    witnesses: Vec<Seen>,
    index: Option<u64>,
    old_records: Option<u64>,
    record_hex: Option<String>,
    /// What a record of a grant log says; names are in the policy, so that numbers stand with a #.
    record: Option<Row>,
    reason: Option<String>,
}

/// A cosignature that was asked for, and is there.
#[derive(Serialize)]
struct Seen {
    witness: String,
    /// When it signed, in seconds since 1970.
    time: u64,
}

impl Run for VerifyProof {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let text = read_text(&self.file, REQUEST_MAX)?;
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::bad_input(format!("{}: {error}", Plain(self.file.display())))
        };
        let keys = Keyring::resolve(&self.key, None).map_err(|error| failure(error.into()))?;
        let witnesses = Keyring::witnesses(&self.witness).map_err(|error| failure(error.into()))?;
        let proof = Proof::parse(&text).map_err(|error| wrong(&error))?;
        let note = Note::parse(proof.note().as_bytes()).map_err(|error| wrong(&error))?;
        let head = Checkpoint::parse(note.text()).map_err(|error| wrong(&error))?;
        let of_it = keys.of_log(head.origin);
        if of_it.is_empty() {
            let origin = head.origin;
            let text = format!("no key named {origin} is among those that were named with --key");
            return Err(Failure::could_not_run(text));
        }
        let signer = of_it
            .iter()
            .find(|key| note.signed_by(&key.verifier()).is_ok());
        let mut verified = Verified {
            holds: false,
            log: head.origin.to_owned(),
            key: signer.map(|key| format!("{key}, from {}", Plain(key.file.display()))),
            records: head.size,
            witnesses: Vec::new(),
            index: None,
            old_records: None,
            record_hex: None,
            record: None,
            reason: None,
        };
        let verifiers: Vec<_> = of_it.iter().map(|key| key.verifier()).collect();
        let old = match &self.old {
            Some(path) => Some(read_text(path, NOTE_MAX)?),
            None => None,
        };
        let checked = self.check(&proof, old.as_deref(), &verifiers, &mut verified)?;
        let checked = checked.map_err(|refused| refused.to_string());
        let all_seen = |()| {
            let cosigned = seen("the checkpoint", &note, &witnesses)?;
            if let Some(old) = &old {
                let old = Note::parse(old.as_bytes()).map_err(|error| error.to_string())?;
                seen("the earlier checkpoint", &old, &witnesses)?;
            }
            Ok(cosigned)
        };
        match checked.and_then(all_seen) {
            Ok(witnesses) => (verified.holds, verified.witnesses) = (true, witnesses),
            Err(reason) => verified.reason = Some(reason),
        }
        output.print(&verified, human)?;
        Ok(Verdict::of(verified.holds))
    }
}

/// Each of the witnesses cosigned the note, which is this.
fn seen(what: &str, note: &Note<'_>, witnesses: &Keyring) -> Result<Vec<Seen>, String> {
    let each = witnesses.iter().map(|witness| {
        let key = witness.verifier();
        match note.signed_by(&key) {
            Ok(time) => Ok(Seen {
                witness: witness.to_string(),
                time,
            }),
            Err(NoteError::Unknown) => Err(format!("{what} is not cosigned by {witness}")),
            Err(error) => Err(format!("{witness}: {error}")),
        }
    });
    each.collect()
}

impl VerifyProof {
    fn check(
        &self,
        proof: &Proof<'_>,
        old_note: Option<&str>,
        keys: &[Verifier<'_>],
        verified: &mut Verified,
    ) -> Result<Result<(), Refused>, Failure> {
        match proof {
            Proof::Inclusion { index, .. } => {
                verified.index = Some(*index);
                let given = self.record.as_deref().map(record).transpose()?;
                let record = proof.verify_inclusion(keys, given.as_deref());
                Ok(record.map(|record| {
                    verified.record_hex = Some(Hex(&record).to_string());
                    let of_grants = verified.log.rsplit('/').next() == Some(LogKind::Grants.name());
                    let decoded = read_known(&record).filter(|_| of_grants);
                    verified.record = decoded.map(|record| row(None, *index, &record));
                }))
            }
            Proof::Consistency { old, .. } => {
                verified.old_records = Some(*old);
                let old_note = old_note.ok_or_else(|| {
                    Failure::bad_input(
                        "a consistency proof needs the earlier checkpoint: --old FILE",
                    )
                })?;
                Ok(proof.verify_consistency(keys, old_note))
            }
        }
    }
}

/// A record.
fn record(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read(path, Said::Named, ENTRY_MAX).map_err(|error| unread(path, error))
}

fn human(verified: &Verified) -> String {
    let Verified { log, records, .. } = verified;
    let claim = match (verified.index, verified.old_records) {
        (Some(index), _) => format!("record {index} is in {log}, of {records} records"),
        (_, old) => {
            let old = old.unwrap_or_default();
            format!("{log} grew from {old} to {records} records and kept every one")
        }
    };
    if let Some(reason) = &verified.reason {
        return format!("not proved: {claim}: {reason}");
    }
    let key = verified.key.iter().map(|key| format!("signed by {key}"));
    let witnesses = verified.witnesses.iter().map(|Seen { witness, time }| {
        let time = names::time(time.saturating_mul(1_000_000_000));
        format!("cosigned by {witness} at {time}")
    });
    let numbers = "numbers with a # are those of the policy in force: `portcullis log show` knows their names";
    let record = verified.record.iter();
    let record = record.flat_map(|it| [line(it), numbers.to_owned()]);
    let lines = [claim]
        .into_iter()
        .chain(record)
        .chain(key)
        .chain(witnesses);
    lines.collect::<Vec<_>>().join("\n")
}

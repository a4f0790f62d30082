//! `portcullis log verify-proof`: whether a proof holds, with nothing at hand but the log's key.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_audit::Hex;
use portcullis_audit::proof::{Proof, Refused};
use portcullis_log::checkpoint::Checkpoint;
use portcullis_log::note::{Note, Verifier};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::output::Output;

const EXAMPLE: &str = "\
Examples:
  portcullis log verify-proof 41.proof --key ledger.vkey
  portcullis log verify-proof growth.proof --key ledger.vkey --old old.checkpoint";

/// Check a proof made by `log prove`, with the log's key and without the log
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct VerifyProof {
    /// The proof
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file of verifier keys (name+hash+key, one a line)
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/appliance/ledger.vkey"
    )]
    key: PathBuf,
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
    records: u64,
    index: Option<u64>,
    old_records: Option<u64>,
    record_hex: Option<String>,
    reason: Option<String>,
}

impl Run for VerifyProof {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let text = read(&self.file)?;
        let keys = read(&self.key)?;
        let wrong = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::bad_input(format!("{}: {error}", path.display()))
        };
        let proof = Proof::parse(&text).map_err(|error| wrong(&self.file, &error))?;
        let head = head(&proof).map_err(|error| wrong(&self.file, &error))?;
        let key = key_named(&keys, head.origin).ok_or_else(|| {
            Failure::could_not_run(format!(
                "{} has no key named {}",
                self.key.display(),
                head.origin
            ))
        })?;
        let mut verified = Verified {
            holds: false,
            log: head.origin.to_owned(),
            records: head.size,
            index: None,
            old_records: None,
            record_hex: None,
            reason: None,
        };
        match self.check(&proof, &key, &mut verified)? {
            Ok(()) => verified.holds = true,
            Err(refused) => verified.reason = Some(refused.to_string()),
        }
        output.print(&verified, human)?;
        Ok(Verdict::of(verified.holds))
    }
}

impl VerifyProof {
    fn check(
        &self,
        proof: &Proof<'_>,
        key: &Verifier<'_>,
        verified: &mut Verified,
    ) -> Result<Result<(), Refused>, Failure> {
        match proof {
            Proof::Inclusion { index, .. } => {
                verified.index = Some(*index);
                let given = self.record.as_deref().map(|path| {
                    std::fs::read(path).map_err(|error| Failure::file("read", path, error))
                });
                let given = given.transpose()?;
                let record = proof.verify_inclusion(key, given.as_deref());
                Ok(record.map(|record| verified.record_hex = Some(Hex(&record).to_string())))
            }
            Proof::Consistency { old, .. } => {
                verified.old_records = Some(*old);
                let path = self.old.as_deref().ok_or_else(|| {
                    Failure::bad_input(
                        "a consistency proof needs the earlier checkpoint: --old FILE",
                    )
                })?;
                Ok(proof.verify_consistency(key, &read(path)?))
            }
        }
    }
}

fn head<'t>(proof: &Proof<'t>) -> Result<Checkpoint<'t>, Refused> {
    let note = Note::parse(proof.note().as_bytes())?;
    Ok(Checkpoint::parse(note.text())?)
}

fn key_named<'k>(keys: &'k str, name: &str) -> Option<Verifier<'k>> {
    keys.lines()
        .filter_map(|line| Verifier::parse(line).ok())
        .find(|key| key.name() == name)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, error))
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
    match &verified.reason {
        None => claim,
        Some(reason) => format!("not proved: {claim}: {reason}"),
    }
}

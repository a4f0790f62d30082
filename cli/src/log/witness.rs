//! `portcullis log witness`: cosigns a checkpoint that continues the last one.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use portcullis_audit::proof::{Hashes, write_consistency};
use portcullis_audit::state::State;
use portcullis_audit::verify::checkpoint_note;
use portcullis_audit::witness::{Declined, Witness};
use portcullis_log::checkpoint::origin;
use portcullis_log::note::Verifier;
use serde::Serialize;

use super::open::read;
use super::open::{Place, Which, failure};
use super::verify::{findings, verify_one};
use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::options::OutputOption;
use crate::output::Output;
use crate::sign::read_key;

const EXAMPLE: &str = "\
A witness signs what it saw, once, and never two histories: it remembers the last
checkpoint of each log in --memory, and signs only what continues it. With
--request it needs no disk: the file is a proof of growth from there
(`portcullis log prove-growth`), the body of a C2SP tlog-witness request.

Make a key with `portcullis keygen witness.key --name NAME`. Who reads the log
checks with `log verify --checkpoint FILE --witness witness.key.vkey`.

Examples:
  portcullis log witness --name example.com/w1 --signing-key witness.key --disk disk.img --key ledger.vkey
  portcullis log witness --name example.com/w1 --signing-key witness.key --request growth.proof";

/// Cosign a log's checkpoint, if it continues the last one that was cosigned
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct WitnessLog {
    #[command(flatten)]
    place: Place,
    /// Which log
    #[arg(long, value_enum, default_value = "grants")]
    log: Which,
    /// The name that a witness signs under (`portcullis log witness`)
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The private key to sign with, as `portcullis keygen` writes it
    #[arg(long, value_name = "FILE", alias = "with")]
    signing_key: PathBuf,
    /// Where the witness remembers the last checkpoint of each log
    #[arg(long, value_name = "DIR", default_value = "witness")]
    memory: PathBuf,
    /// A proof of growth, in place of a disk; the log's key is still needed
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    #[command(flatten)]
    to: OutputOption,
}

#[derive(Serialize)]
struct Cosigned {
    log: String,
    checkpoint: String,
}

impl Run for WitnessLog {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let key = read_key(&self.signing_key)?;
        Verifier::witness(&self.name, key.verifying_key()).map_err(Failure::bad_input)?;
        let witness = Witness {
            name: &self.name,
            key: &key,
            memory: &self.memory,
        };
        let state = self.place.open()?;
        let kind = self.log.into();
        let name = origin(kind, state.log());
        let log = state.key(kind).map_err(failure)?;
        let log = Verifier::new(&name, log).expect("an origin is a sound name");
        let request = match &self.request {
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, error))?
            }
            None => request(&state, self.log, &witness)?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(Failure::could_not_run)?.as_secs();
        let checkpoint = match witness.cosign(&request, &log, now) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return declined(error),
        };
        if let Some(path) = &self.to.output {
            std::fs::write(path, &checkpoint)
                .map_err(|error| Failure::file("write", path, error))?;
        }
        let log = name.as_str().to_owned();
        output.print(&Cosigned { log, checkpoint }, |it| match self.to.output {
            Some(_) => String::new(),
            None => it.checkpoint.clone(),
        })?;
        Ok(Verdict::Holds)
    }
}

/// Proves from the disk that the log grew from the last checkpoint that was cosigned.
fn request(state: &State, which: Which, witness: &Witness<'_>) -> Result<String, Failure> {
    let kind = which.into();
    let (report, head) = verify_one(state, kind)?;
    if !report.holds {
        let text = format!(
            "the log {} is not cosigned, since it does not hold:\n{}",
            kind.name(),
            findings(&report).unwrap_or_default()
        );
        return Err(Failure::DoesNotHold(vec![miette::Report::msg(text)]));
    }
    let head = head.ok_or_else(|| Failure::bad_input("the log has no record"))?;
    let mut hashes = Hashes::new(None);
    read(state, kind, &mut hashes)?;
    let origin = origin(kind, state.log());
    let (last, _) = witness.last(&origin).map_err(Failure::could_not_run)?;
    let proof = match last {
        0 => Vec::new(),
        _ => hashes.consistency(last, hashes.size()).ok_or_else(|| {
            let size = hashes.size();
            let text = format!("the log has {size} records, and {last} were cosigned before");
            Failure::DoesNotHold(vec![miette::Report::msg(text)])
        })?,
    };
    let key = state.key(kind).map_err(failure)?;
    let note = checkpoint_note(kind, state.log(), &head, &key);
    Ok(write_consistency(last, &proof, &note))
}

/// What a witness does not sign: 1 where the log does not hold, 2 where the request is malformed.
fn declined(error: Declined) -> Result<Verdict, Failure> {
    Err(match error {
        Declined::Fork { .. } => Failure::DoesNotHold(vec![miette::Report::msg(error.to_string())]),
        Declined::Refused(_) | Declined::Start { .. } => Failure::bad_input(error),
        Declined::Memory { .. } | Declined::Damaged { .. } => Failure::could_not_run(error),
    })
}

//! `portcullis log witness`: cosigns a checkpoint that continues the last one.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use portcullis_audit::keys::Keyring;
use portcullis_audit::proof::{Hashes, REQUEST_MAX, Refused, write_consistency};
use portcullis_audit::state::{State, StateError};
use portcullis_audit::witness::{Declined, Witness};
use portcullis_log::note::{NOTE_MAX, Verifier};
use portcullis_text::Plain;
use serde::Serialize;

use super::open::{Place, Which, failure, vouched};
use super::verify::{findings, verify_with};
use crate::Run;
use crate::failure::{Failure, Verdict, say};
use crate::load::{beside, is_there, read_key, read_text};
use crate::options::OutputOption;
use crate::output::Output;

const EXAMPLE: &str = "\
A witness signs what it saw, once, and never two histories: it remembers the last \
checkpoint of each log in --memory, and signs only what continues it; what it signed \
last, it signs again. The first time that it signs a log, say --new-log. With \
--request it needs no disk: the file is a proof of growth from there \
(`portcullis log prove-growth`), the body of a C2SP tlog-witness request. It may be \
of any C2SP log: --key names a file with the log's key, whose name is its origin. It \
is asked for with a disk too, since whoever wrote that could write its ledger.vkey.

Make a key with `portcullis keygen witness.key --name NAME`. Who reads the log \
checks with `log verify --checkpoint FILE --witness witness.key.vkey`.

Examples:
  portcullis log witness --name example.com/w1 --signing-key witness.key \\
      --disk disk.img --key ledger.vkey --new-log
  portcullis log witness --name example.com/w1 --signing-key witness.key \\
      --request growth.proof --key ledger.vkey";

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
    /// The witness never signed this log: one that forgot could sign a second history
    #[arg(long)]
    new_log: bool,
    /// A proof of growth, in place of a disk; --key names the log's key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["disk", "log", "policies"])]
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
        if !self.place.names_keys() {
            return Err(Failure::bad_input(
                "whoever wrote a log could write its ledger.vkey: name a copy of it from elsewhere with --key",
            ));
        }
        let key = read_key(&self.signing_key)?;
        let verifier = Verifier::witness(&self.name, key.verifying_key());
        self.is_its_own(&verifier.map_err(Failure::bad_input)?)?;
        let witness = Witness {
            name: &self.name,
            key: &key,
            memory: &self.memory,
            is_new: self.new_log,
        };
        let (request, keys) = match &self.request {
            Some(path) => {
                let request = read_text(path, REQUEST_MAX)?;
                let keys = self.place.keys().map_err(|error| failure(error.into()))?;
                (request, keys)
            }
            None => self.request(&witness)?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(Failure::could_not_run)?.as_secs();
        let signed = witness.cosign(&request, &keys, now).map_err(declined)?;
        say(Plain(format_args!(
            "{}: signed by {}",
            signed.log, signed.signed_by
        )));
        let (log, checkpoint) = (signed.log, signed.note);
        self.to.write(&checkpoint)?;
        output.print(&Cosigned { log, checkpoint }, |it| match &self.to.output {
            Some(path) => format!("wrote {}, cosigned", Plain(path.display())),
            None => it.checkpoint.clone(),
        })?;
        Ok(Verdict::Holds)
    }
}

impl WitnessLog {
    /// Whether the name is that of the verifier key that `portcullis keygen --name` put beside the private
    /// one: who checks with that knows no other.
    fn is_its_own(&self, verifier: &Verifier<'_>) -> Result<(), Failure> {
        let beside = beside(&self.signing_key, ".vkey");
        if !is_there(&beside)? {
            return Ok(());
        }
        let text = read_text(&beside, NOTE_MAX)?;
        let made = text.lines().any(|line| line == verifier.to_string());
        if made {
            return Ok(());
        }
        let (name, beside) = (verifier.name(), Plain(beside.display()));
        Err(Failure::bad_input(format_args!(
            "{beside} is not the verifier key of {name}: name with --name what it begins with, or move it away"
        )))
    }

    /// Proves from the disk that the log grew from the last checkpoint that was cosigned.
    fn request(&self, witness: &Witness<'_>) -> Result<(String, Keyring), Failure> {
        let state: State = self.place.open()?;
        let kind = self.log.into();
        let mut hashes = Hashes::new(None);
        let report = verify_with(&state, kind, &mut hashes)?;
        if Verdict::from(report.verdict) == Verdict::DoesNotHold {
            let text = format!(
                "the log {} is not cosigned, since it does not hold:\n{}",
                kind.name(),
                findings(&[report]).unwrap_or_default()
            );
            return Err(Failure::does_not_hold(text));
        }
        for line in vouched(kind, &report.summary) {
            say(Plain(line));
        }
        if report.summary.head.is_none() {
            return Err(Failure::bad_input("the log has no record"));
        }
        let note = state.note(kind, &report.summary).map_err(failure)?;
        let note = note.expect("the last tree head of a log that holds was signed");
        let (last, _) = witness.last(&state.origin(kind)).map_err(declined)?;
        let proof = match last {
            0 => Vec::new(),
            _ => hashes.consistency(last, hashes.size()).ok_or_else(|| {
                let size = hashes.size();
                let text = format!("the log has {size} records, and {last} were cosigned before");
                Failure::does_not_hold(text)
            })?,
        };
        let request = write_consistency(last, &proof, &note);
        Ok((request, state.keyring().clone()))
    }
}

/// What a witness does not sign: 1 where the log does not hold, 2 where the request is malformed.
fn declined(error: Declined) -> Failure {
    match error {
        Declined::Fork { .. } | Declined::Refused(Refused::Superseded) => {
            Failure::does_not_hold(error)
        }
        Declined::Refused(_)
        | Declined::Start { .. }
        | Declined::Forgotten { .. }
        | Declined::Name(_)
        | Declined::TooLong => Failure::bad_input(error),
        Declined::NoKey { origin } => failure(StateError::NoKey {
            origin,
            named: true,
        }),
        Declined::Clock { .. }
        | Declined::NotOwn(_)
        | Declined::Memory { .. }
        | Declined::Damaged { .. } => Failure::could_not_run(error),
    }
}

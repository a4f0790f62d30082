//! `portcullis log prove` and `prove-growth`: proofs as files.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use portcullis_audit::proof::{Hashes, write_consistency, write_inclusion};
use portcullis_log::checkpoint::Checkpoint;
use portcullis_log::note::{NOTE_MAX, Note};
use portcullis_text::Plain;
use serde::Serialize;

use super::open::{Place, Which, failure, read, verdict};
use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::read_text;
use crate::options::OutputOption;
use crate::output::Output;

const EXAMPLE: &str = "\
The proof is a C2SP tlog-proof with the record in it; without --output it is printed.

Examples:
  portcullis log prove 41 --output 41.proof
  portcullis log prove 7 --log worm --disk disk.img --key ledger.vkey
  portcullis log prove 7 --as-of grants.cosigned --output 7.proof";

const GROWTH_EXAMPLE: &str = "\
The proof is the body of a C2SP tlog-witness request; without --output it is printed.

Example:
  portcullis log prove-growth old.checkpoint --output growth.proof";

/// Prove that a record is in a log
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Prove {
    /// Position of the record in the log, from 0
    #[arg(value_name = "INDEX")]
    index: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    what: What,
}

/// Prove that a log only grew since a checkpoint
#[derive(Args)]
#[command(after_help = GROWTH_EXAMPLE)]
pub(super) struct ProveGrowth {
    /// The earlier checkpoint
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    what: What,
}

#[derive(Args)]
struct What {
    /// Which log
    #[arg(long, value_enum, default_value = "grants")]
    log: Which,
    /// Prove it in the log as of this checkpoint, cosignatures and all, and not as of its end
    #[arg(long, value_name = "FILE")]
    as_of: Option<PathBuf>,
    #[command(flatten)]
    to: OutputOption,
}

#[derive(Serialize)]
struct Made {
    records: u64,
    proof: String,
}

impl Run for Prove {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let index = self.index;
        self.what.make(
            &self.place,
            Some(index),
            output,
            |hashes, (note, size)| match (hashes.inclusion(index, size), hashes.record()) {
                (Some(proof), Some(record)) => Ok(write_inclusion(index, record, &proof, note)),
                _ => {
                    let last = size.saturating_sub(1);
                    let text = format!("there is no record {index}: the log's last is {last}");
                    Err(Failure::bad_input(text))
                }
            },
        )
    }
}

impl Run for ProveGrowth {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let path = &self.checkpoint;
        let wrong =
            |error: &dyn Display| Failure::bad_input(format!("{}: {error}", Plain(path.display())));
        let text = read_text(path, NOTE_MAX)?;
        let old = Note::parse(text.as_bytes()).map_err(|error| wrong(&error))?;
        let old = Checkpoint::parse(old.text()).map_err(|error| wrong(&error))?;
        self.what
            .make(&self.place, None, output, |hashes, (note, size)| {
                let origin = note.lines().next().unwrap_or_default();
                if old.origin != origin {
                    let of = old.origin;
                    return Err(wrong(&format!(
                        "this is a checkpoint of {of}, and the log is {origin}: name the log with --log"
                    )));
                }
                let proof = hashes.consistency(old.size, size).ok_or_else(|| {
                    let old = old.size;
                    wrong(&format!(
                        "the checkpoint has {old} records, and the log has {size}"
                    ))
                })?;
                Ok(write_consistency(old.size, &proof, note))
            })
    }
}

impl What {
    /// Collects the tree's hashes, has the proof made, and puts it where it belongs.
    fn make(
        &self,
        place: &Place,
        wanted: Option<u64>,
        output: Output,
        make: impl FnOnce(&mut Hashes, (&str, u64)) -> Result<String, Failure>,
    ) -> Result<Verdict, Failure> {
        let kind = self.log.into();
        let mut state = place.open()?;
        if let Some(path) = &self.as_of {
            state.add_checkpoint(path, Some(kind)).map_err(failure)?;
        }
        state.keys(kind).map_err(failure)?;
        let mut hashes = Hashes::new(wanted);
        let read = read(&state, kind, &mut hashes)?;
        if read.0.head.is_none() {
            return Err(Failure::bad_input("the log has no record"));
        }
        let verdict = verdict(kind, &read);
        let last = state.note(kind, &read.0).map_err(failure)?;
        let last = last.as_deref().map(|note| (note, hashes.size()));
        let as_of = state.added(kind).map_err(failure)?.or(last);
        let Some(as_of) = as_of.filter(|_| verdict != Verdict::DoesNotHold) else {
            let text =
                "nothing is proved from a log that does not hold: see `portcullis log verify`";
            return Err(Failure::does_not_hold(text));
        };
        let records = as_of.1;
        let proof = make(&mut hashes, as_of)?;
        self.to.write(&proof)?;
        output.print(&Made { records, proof }, |made| match &self.to.output {
            Some(path) => format!("wrote {}, as of {records} records", Plain(path.display())),
            None => made.proof.clone(),
        })?;
        Ok(verdict)
    }
}

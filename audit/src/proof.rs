//! Proofs that stand alone: a record is in a log, a log grew and did not change.
//!
//! An *inclusion proof* is a C2SP tlog-proof (`c2sp.org/tlog-proof@v1`): index, hashes, signed
//! checkpoint. Its `extra` line carries the record itself, so that the file is all that there is to
//! hand over. A *consistency proof* is the body of a C2SP tlog-witness request: the old size,
//! hashes, signed checkpoint.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_fsck::{Findings, Records, Sink};
use portcullis_log::block::ENTRY_MAX;
use portcullis_log::checkpoint::{Checkpoint, CheckpointError, parse_hash};
use portcullis_log::merkle::generate::{NodeSource, prove_consistency, prove_inclusion};
use portcullis_log::merkle::proof::{PROOF_MAX, ProofError, verify_consistency, verify_inclusion};
use portcullis_log::merkle::{Hash, leaf_hash, node_hash};
use portcullis_log::note::{NOTE_MAX, Note, NoteError, Verifier};

/// Longest request or proof that is read, in bytes: its note, a record in base64, and 64 hashes.
pub const REQUEST_MAX: usize = NOTE_MAX + ENTRY_MAX * 4 / 3 + 64 * 45 + 256;
/// First line of an inclusion proof.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// All hashes of a log's tree, collected as its records go by: 64 bytes a record.
#[derive(Clone, Default, Debug)]
pub struct Hashes {
    /// Complete subtrees by level; level 0 are the leaves.
    levels: Vec<Vec<Hash>>,
    /// The record to prove, once it went by.
    wanted: Option<u64>,
    record: Option<Vec<u8>>,
}

/// A node of the tree that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing;

impl Hashes {
    /// Collects hashes, and keeps the record at position `wanted`.
    pub fn new(wanted: Option<u64>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Records that went by.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The record that was wanted, if it went by.
    pub fn record(&self) -> Option<&[u8]> {
        self.record.as_deref()
    }

    /// Proves that record `index` is among the first `size`; `None` where it is not.
    pub fn inclusion(&mut self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let proof = prove_inclusion(self, index, size).ok()??;
        Some(proof.hashes().to_vec())
    }

    /// Proves that the first `second` records begin with the first `first`.
    pub fn consistency(&mut self, first: u64, second: u64) -> Option<Vec<Hash>> {
        let proof = prove_consistency(self, first, second).ok()??;
        Some(proof.hashes().to_vec())
    }

    /// Takes the next records of the log.
    pub fn records(&mut self, records: Records<'_>) {
        for (index, record) in records {
            self.append(leaf_hash(record));
            if self.wanted == Some(index) {
                self.record = Some(record.to_vec());
            }
        }
    }

    fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            let [.., left, right] = &row[..] else { break };
            if row.len() % 2 == 1 {
                break;
            }
            hash = node_hash(left, right);
        }
    }
}

impl Sink for Hashes {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        self.records(records);
    }
}

impl NodeSource for Hashes {
    type Error = Missing;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Missing> {
        let row = self.levels.get(level as usize).ok_or(Missing)?;
        let index = usize::try_from(index).map_err(|_| Missing)?;
        row.get(index).copied().ok_or(Missing)
    }
}

/// A proof, read from a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof<'a> {
    /// A record is in a log.
    Inclusion {
        /// Its position.
        index: u64,
        /// Its bytes, from the `extra` line.
        record: Option<Vec<u8>>,
        /// The hashes.
        hashes: Vec<Hash>,
        /// The signed checkpoint.
        note: &'a str,
    },
    /// A log grew and did not change.
    Consistency {
        /// Records before.
        old: u64,
        /// The hashes.
        hashes: Vec<Hash>,
        /// The signed checkpoint of the log as it is now.
        note: &'a str,
    },
}

/// Why a proof does not hold or cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The first line is neither the header of an inclusion proof nor an old size.
    #[error("the first line must be {HEADER:?} or \"old SIZE\"")]
    Header,
    /// A line is not what belongs there.
    #[error("line {0} is malformed")]
    Line(usize),
    /// There are more hashes than a proof can have.
    #[error("there are more than {PROOF_MAX} hashes")]
    TooManyHashes,
    /// The note is malformed or not signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another log than the key.
    #[error("the checkpoint is of a log that no key is named after")]
    OtherLog,
    /// An older key than the one before signed it.
    #[error(
        "a key signed it that another of the log took the place of: the oldest key is named first, and signs no \
         more once another has"
    )]
    Superseded,
    /// The hashes do not lead to the root.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The proof does not carry its record, and none was given.
    #[error("the proof does not carry the record: name the file that holds it")]
    NoRecord,
    /// A consistency proof is for another size than the old checkpoint.
    #[error("the proof starts at {proof} records, and the old checkpoint has {checkpoint}")]
    OldSize {
        /// Records in the proof.
        proof: u64,
        /// Records in the checkpoint.
        checkpoint: u64,
    },
}

impl<'a> Proof<'a> {
    /// Reads a proof.
    pub fn parse(text: &'a str) -> Result<Self, Refused> {
        let mut lines = Lines {
            rest: text,
            number: 0,
        };
        let first = lines.next().ok_or(Refused::Header)?;
        if let Some(size) = first.strip_prefix("old ") {
            let old = parse_number(size).ok_or(Refused::Line(1))?;
            let hashes = lines.hashes()?;
            return Ok(Self::Consistency {
                old,
                hashes,
                note: lines.rest,
            });
        }
        if first != HEADER {
            return Err(Refused::Header);
        }
        let mut line = lines.expect()?;
        let mut record = None;
        if let Some(extra) = line.strip_prefix("extra ") {
            let bytes = STANDARD
                .decode(extra)
                .ok()
                .filter(|bytes| bytes.len() <= ENTRY_MAX);
            record = Some(bytes.ok_or(Refused::Line(lines.number))?);
            line = lines.expect()?;
        }
        let index = line.strip_prefix("index ").and_then(parse_number);
        let index = index.ok_or(Refused::Line(lines.number))?;
        let hashes = lines.hashes()?;
        Ok(Self::Inclusion {
            index,
            record,
            hashes,
            note: lines.rest,
        })
    }

    /// The signed checkpoint.
    pub const fn note(&self) -> &'a str {
        match self {
            Self::Inclusion { note, .. } | Self::Consistency { note, .. } => note,
        }
    }

    /// The checkpoint, its signature by a key of the log's checked.
    pub fn checkpoint(&self, keys: &[Verifier<'_>]) -> Result<Checkpoint<'a>, Refused> {
        checkpoint(self.note(), keys)
    }

    /// Checks an inclusion proof; gives back the record. `given` is the record where the proof does
    /// not carry it.
    pub fn verify_inclusion(
        &self,
        keys: &[Verifier<'_>],
        given: Option<&[u8]>,
    ) -> Result<Vec<u8>, Refused> {
        let Self::Inclusion {
            index,
            record,
            hashes,
            ..
        } = self
        else {
            return Err(Refused::Header);
        };
        let head = self.checkpoint(keys)?;
        let record = given.or(record.as_deref()).ok_or(Refused::NoRecord)?;
        verify_inclusion(&leaf_hash(record), *index, head.size, hashes, &head.root)?;
        Ok(record.to_vec())
    }

    /// Checks a consistency proof from the checkpoint in `old_note`, signed by a key of the same log: `keys` are
    /// oldest first, and what one has signed no older one goes on from.
    pub fn verify_consistency(&self, keys: &[Verifier<'_>], old_note: &str) -> Result<(), Refused> {
        let Self::Consistency { old, hashes, .. } = self else {
            return Err(Refused::Header);
        };
        let head = self.checkpoint(keys)?;
        let before = checkpoint(old_note, keys)?;
        goes_on(old_note, self.note(), keys)?;
        if before.size != *old {
            return Err(Refused::OldSize {
                proof: *old,
                checkpoint: before.size,
            });
        }
        Ok(verify_consistency(
            before.size,
            head.size,
            hashes,
            &before.root,
            &head.root,
        )?)
    }
}

/// Whether no older key signed a note than signed the one before; `keys` are oldest first.
pub(crate) fn goes_on(before: &str, note: &str, keys: &[Verifier<'_>]) -> Result<(), Refused> {
    let [before, note] = [before, note].map(|it| Note::parse(it.as_bytes()));
    let newest = |note: Note<'_>| keys.iter().rposition(|key| note.signed_by(key).is_ok());
    match newest(before?) > newest(note?) {
        true => Err(Refused::Superseded),
        false => Ok(()),
    }
}

fn checkpoint<'t>(note: &'t str, keys: &[Verifier<'_>]) -> Result<Checkpoint<'t>, Refused> {
    let note = Note::parse(note.as_bytes())?;
    let checkpoint = Checkpoint::parse(note.text())?;
    let of_it = keys.iter().filter(|key| key.name() == checkpoint.origin);
    let of_it: Vec<_> = of_it.filter(|key| !key.is_witness()).copied().collect();
    if of_it.is_empty() {
        return Err(Refused::OtherLog);
    }
    note.verify(&of_it)?;
    Ok(checkpoint)
}

/// Writes an inclusion proof.
pub fn write_inclusion(index: u64, record: &[u8], hashes: &[Hash], note: &str) -> String {
    let mut text = format!(
        "{HEADER}\nextra {}\nindex {index}\n",
        STANDARD.encode(record)
    );
    write_hashes(&mut text, hashes, note);
    text
}

/// Writes a consistency proof.
pub fn write_consistency(old: u64, hashes: &[Hash], note: &str) -> String {
    let mut text = format!("old {old}\n");
    write_hashes(&mut text, hashes, note);
    text
}

fn write_hashes(text: &mut String, hashes: &[Hash], note: &str) {
    for hash in hashes {
        writeln!(text, "{}", STANDARD.encode(hash)).expect("a String takes any text");
    }
    text.push('\n');
    text.push_str(note);
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        self.number += 1;
        Some(line)
    }

    fn expect(&mut self) -> Result<&'a str, Refused> {
        self.next().ok_or(Refused::Line(self.number + 1))
    }

    /// Hashes, one a line, up to the empty line before the note.
    fn hashes(&mut self) -> Result<Vec<Hash>, Refused> {
        let mut hashes = Vec::new();
        loop {
            let line = self.expect()?;
            if line.is_empty() {
                return Ok(hashes);
            }
            if hashes.len() == PROOF_MAX {
                return Err(Refused::TooManyHashes);
            }
            hashes.push(parse_hash(line).ok_or(Refused::Line(self.number))?);
        }
    }
}

fn parse_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if plain && !padded {
        text.parse().ok()
    } else {
        None
    }
}

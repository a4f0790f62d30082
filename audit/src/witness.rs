//! A witness: signs a log's checkpoint only if the log grew from the last one that it signed.
//!
//! Whoever trusts a witness need not keep checkpoints: a log that shows two people two histories finds
//! no witness to sign both. What it is asked is a consistency proof ([`Proof::Consistency`], the body of
//! a C2SP tlog-witness request), what it answers a cosignature (C2SP tlog-cosignature,
//! `cosignature/v1`). It remembers the last checkpoint of each log in a directory of its own, which it
//! locks from when it looks until it has written. Its times never go back either.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use portcullis_fsck::Hex;
use portcullis_log::checkpoint::Checkpoint;
use portcullis_log::merkle::proof::verify_consistency;
use portcullis_log::merkle::{Hash, empty_root, leaf_hash};
use portcullis_log::note::{
    COSIGNED_MAX, NOTE_MAX, Note, NoteError, Verifier, VerifierError, cosign,
};

use crate::files::{self, FileError, Said};
use crate::keys::Keyring;
use crate::proof::{Proof, Refused, goes_on};

/// Longest origin, in bytes, that names the file that its checkpoint is in; a longer one's hash does.
const NAMED_MAX: usize = 100;

/// A witness.
#[derive(Debug)]
pub struct Witness<'a> {
    /// The name that it signs under.
    pub name: &'a str,
    /// Its key.
    pub key: &'a SigningKey,
    /// Where it keeps the last checkpoint of each log.
    pub memory: &'a Path,
    /// Whether it may sign a log of which it remembers nothing.
    pub is_new: bool,
}

/// What a witness signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosigned {
    /// Of which log.
    pub log: String,
    /// The log's own key that signed it, and where that is from.
    pub signed_by: String,
    /// The checkpoint, cosigned.
    pub note: String,
}

/// Why a witness does not sign.
#[derive(Debug, thiserror::Error)]
pub enum Declined {
    /// The request cannot be read, or its signature or proof does not hold.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No key is named after the log.
    #[error("no key named {origin} was named: it is a log that is not witnessed here")]
    NoKey {
        /// The log.
        origin: String,
    },
    /// No note can carry the name that the witness signs under.
    #[error(transparent)]
    Name(#[from] VerifierError),
    /// The checkpoint is longer than what is signed here.
    #[error("the checkpoint has more than {COSIGNED_MAX} bytes")]
    TooLong,
    /// The clock says that it is earlier than at the last cosignature.
    #[error(
        "it is {now} by the clock, and {signed} was signed here before, in seconds since 1970: set the clock"
    )]
    Clock {
        /// What the clock says.
        now: u64,
        /// The latest time that was signed.
        signed: u64,
    },
    /// The proof does not start where the last checkpoint ended.
    #[error(
        "the proof starts at {asked} records, and the last checkpoint signed here has {signed}"
    )]
    Start {
        /// Records at which the proof starts.
        asked: u64,
        /// Records of the last checkpoint that was signed.
        signed: u64,
    },
    /// Nothing of the log was signed here, as far as the memory goes.
    #[error(
        "nothing of {origin} was signed here: name what this witness remembers with --memory; or, if it never \
         signed this log, begin with --new-log"
    )]
    Forgotten {
        /// The log.
        origin: String,
    },
    /// The log is not the one that was signed before.
    #[error(
        "the log does not continue what was signed here before, at {size} records: keep {}, it is evidence",
        memory.display()
    )]
    Fork {
        /// Records of the checkpoint that was signed.
        size: u64,
        /// The checkpoint that was signed.
        memory: PathBuf,
    },
    /// Somebody else could change what it remembers.
    #[error("what a witness remembers must be its own: {0}")]
    NotOwn(#[from] portcullis_files::Refused),
    /// What was signed before cannot be read or kept.
    #[error("cannot {doing} {}: {error}", path.display())]
    Memory {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: FileError,
    },
    /// What was kept is no checkpoint.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Witness<'_> {
    /// Records and root of the last checkpoint of the log named `origin` that was signed here.
    pub fn last(&self, origin: &str) -> Result<(u64, Hash), Declined> {
        let last = self.last_note(origin)?;
        Ok(last.map_or((0, empty_root()), |(size, root, _)| (size, root)))
    }

    /// The same, with its note; `None`: it may be a log of which nothing was signed.
    fn last_note(&self, origin: &str) -> Result<Option<(u64, Hash, String)>, Declined> {
        let path = self.remembered(origin);
        let text = match files::read_text(&path, Said::Found, NOTE_MAX) {
            Ok(text) => text,
            Err(error) if error.is_missing() && self.is_new => return Ok(None),
            Err(error) if error.is_missing() => {
                let origin = origin.to_owned();
                return Err(Declined::Forgotten { origin });
            }
            Err(error) => return Err(in_memory("read", path)(error)),
        };
        let (size, root) = match self.own(&path, &text)? {
            Some((it, _)) if it.origin == origin => (it.size, it.root),
            Some(_) => return Err(damaged(path, "it is of another log")),
            None => return Err(damaged(path, NoteError::Unknown)),
        };
        Ok(Some((size, root, text)))
    }

    /// Checks a request about a log that a key in `keys` is named after; remembers its checkpoint and gives
    /// back the note with the cosignature. `time` is in seconds since 1970. The checkpoint that was signed last
    /// is signed again, whatever the proof starts from: whoever asked may have lost the answer.
    pub fn cosign(&self, request: &str, keys: &Keyring, time: u64) -> Result<Cosigned, Declined> {
        let proof = Proof::parse(request)?;
        let Proof::Consistency { old, hashes, note } = &proof else {
            return Err(Refused::Header.into());
        };
        let note = Note::parse(note.as_bytes()).map_err(Refused::from)?;
        let origin = Checkpoint::parse(note.text())
            .map_err(Refused::from)?
            .origin;
        let of_it = keys.of_log(origin);
        if of_it.is_empty() {
            let origin = origin.to_owned();
            return Err(Declined::NoKey { origin });
        }
        let verifiers: Vec<_> = of_it.iter().map(|key| key.verifier()).collect();
        let head = proof.checkpoint(&verifiers)?;
        let _alone = self.alone()?;
        let last = self.last_note(origin)?;
        if let Some((.., before)) = &last {
            goes_on(before, proof.note(), &verifiers)?;
        }
        let again = last
            .as_ref()
            .is_some_and(|it| (it.0, it.1) == (head.size, head.root));
        if !again {
            let (signed, root) = last.map_or((0, empty_root()), |it| (it.0, it.1));
            self.check_growth(*old, hashes, (signed, root), &head)?;
        }
        let signed = self.latest()?;
        if time < signed {
            return Err(Declined::Clock { now: time, signed });
        }
        let cosigned = self.cosigned(&note, time)?;
        self.remember(origin, &cosigned)?;
        let key = of_it
            .iter()
            .find(|key| note.signed_by(&key.verifier()).is_ok());
        let key = key.expect("one of them signed it");
        Ok(Cosigned {
            log: origin.to_owned(),
            signed_by: format!("{key}, from {}", key.file.display()),
            note: cosigned,
        })
    }

    /// Whether a log grew from the last checkpoint that was signed here to this one.
    fn check_growth(
        &self,
        old: u64,
        hashes: &[Hash],
        (signed, root): (u64, Hash),
        head: &Checkpoint<'_>,
    ) -> Result<(), Declined> {
        if old != signed {
            return Err(Declined::Start { asked: old, signed });
        }
        // Every log continues the empty one, and RFC 6962 has no proof for that.
        let grown = match signed {
            0 => hashes.is_empty() && (head.size > 0 || head.root == root),
            _ => verify_consistency(signed, head.size, hashes, &root, &head.root).is_ok(),
        };
        if grown {
            return Ok(());
        }
        Err(Declined::Fork {
            size: signed,
            memory: self.remembered(head.origin),
        })
    }

    /// A note with this witness's signature in place of an earlier one.
    fn cosigned(&self, note: &Note<'_>, time: u64) -> Result<String, Declined> {
        let own = self.verifier()?.id();
        let mut cosigned = format!("{}\n", note.text());
        for line in note
            .signatures()
            .filter(|it| (it.name, it.id) != (self.name, own))
        {
            cosigned.push_str(&format!("\u{2014} {} {}\n", line.name, line.base64));
        }
        cosign(&mut cosigned, note.text(), self.name, self.key, time)
            .map_err(|_| Declined::TooLong)?;
        // Whoever reads it next, this witness first, must take it.
        Note::parse(cosigned.as_bytes()).map_err(Refused::from)?;
        Ok(cosigned)
    }

    /// The latest time that was signed here, of whatever log. What another witness left here is not ours;
    /// what cannot be read may be the latest.
    fn latest(&self) -> Result<u64, Declined> {
        let failed = |error: io::Error| in_memory("read", self.memory.to_owned())(error.into());
        let mut latest = 0;
        for entry in fs::read_dir(self.memory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|it| it != "checkpoint") {
                continue;
            }
            let text = files::read_text(&path, Said::Found, NOTE_MAX);
            let text = text.map_err(in_memory("read", path.clone()))?;
            latest = self
                .own(&path, &text)?
                .map_or(latest, |(_, time)| latest.max(time));
        }
        Ok(latest)
    }

    /// Waits until no other process uses the memory, and keeps others out until the result is dropped: two
    /// that look at the same time would sign two histories.
    fn alone(&self) -> Result<fs::File, Declined> {
        let failed = |error: io::Error| in_memory("lock", self.memory.to_owned())(error.into());
        let mut private = DirBuilder::new();
        let made = private.recursive(true).mode(0o700).create(self.memory);
        made.map_err(failed)?;
        portcullis_files::own(self.memory)?;
        let memory = fs::File::open(self.memory).map_err(failed)?;
        memory.lock().map_err(failed)?;
        Ok(memory)
    }

    fn verifier(&self) -> Result<Verifier<'_>, VerifierError> {
        Verifier::witness(self.name, self.key.verifying_key())
    }

    /// A checkpoint that carries this witness's own signature, and when it signed; `None` if it carries none.
    fn own<'t>(
        &self,
        path: &Path,
        text: &'t str,
    ) -> Result<Option<(Checkpoint<'t>, u64)>, Declined> {
        let key = self.verifier()?;
        let wrong = |error: NoteError| damaged(path.to_owned(), error);
        let note = Note::parse(text.as_bytes()).map_err(wrong)?;
        let time = match note.signed_by(&key) {
            Err(NoteError::Unknown) => return Ok(None),
            signed => signed.map_err(wrong)?,
        };
        let checkpoint = Checkpoint::parse(note.text());
        let checkpoint = checkpoint.map_err(|error| damaged(path.to_owned(), error))?;
        Ok(Some((checkpoint, time)))
    }

    /// Where the last checkpoint of a log is kept: an origin may hold any character, and be longer than
    /// any file's name.
    fn remembered(&self, origin: &str) -> PathBuf {
        let hash = leaf_hash(origin.as_bytes());
        let name = match origin.as_bytes() {
            short if short.len() <= NAMED_MAX => Hex(short),
            _ => Hex(&hash),
        };
        self.memory.join(format!("{name}.checkpoint"))
    }

    /// A cut leaves the old checkpoint or the new, and the new one before anybody sees it.
    fn remember(&self, origin: &str, note: &str) -> Result<(), Declined> {
        let path = self.remembered(origin);
        let written = files::replace(&path, note.as_bytes(), true);
        written.map_err(|error| in_memory("write", path)(error.into()))
    }
}

fn in_memory(doing: &'static str, path: PathBuf) -> impl FnOnce(FileError) -> Declined {
    move |error| Declined::Memory { doing, path, error }
}

fn damaged(path: PathBuf, why: impl ToString) -> Declined {
    let why = why.to_string();
    Declined::Damaged { path, why }
}

//! A witness: signs a log's checkpoint only if the log grew from the last one that it signed.
//!
//! Whoever trusts a witness need not keep checkpoints: a log that shows two people two histories finds
//! no witness to sign both. What it is asked is a consistency proof ([`Proof::Consistency`], the body of
//! a C2SP tlog-witness request), what it answers a cosignature (C2SP tlog-cosignature,
//! `cosignature/v1`). It remembers the last checkpoint of each log in a directory of its own, which it
//! locks from when it looks until it has written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use portcullis_log::checkpoint::{Checkpoint, CheckpointError};
use portcullis_log::merkle::proof::verify_consistency;
use portcullis_log::merkle::{Hash, empty_root};
use portcullis_log::note::{Note, NoteError, Verifier, cosign};

use crate::finding::Hex;
use crate::proof::{Proof, Refused};

/// A witness.
#[derive(Debug)]
pub struct Witness<'a> {
    /// The name that it signs under.
    pub name: &'a str,
    /// Its key.
    pub key: &'a SigningKey,
    /// Where it keeps the last checkpoint of each log.
    pub memory: &'a Path,
}

/// Why a witness does not sign.
#[derive(Debug, thiserror::Error)]
pub enum Declined {
    /// The request cannot be read, or its signature or proof does not hold.
    #[error(transparent)]
    Refused(#[from] Refused),
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
    /// What was signed before cannot be read or kept.
    #[error("cannot {doing} {}: {error}", path.display())]
    Memory {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
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
        let path = self.remembered(origin);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, empty_root())),
            Err(error) => {
                let doing = "read";
                return Err(Declined::Memory { doing, path, error });
            }
        };
        let found = self.own(&text).and_then(|it| {
            let ours = it.origin == origin;
            ours.then_some((it.size, it.root))
                .ok_or("it is of another log".to_owned())
        });
        found.map_err(|why| Declined::Damaged { path, why })
    }

    /// Checks a request about the log that `log` signs; remembers its checkpoint and gives back the
    /// note with the cosignature. `time` is in seconds since 1970.
    pub fn cosign(&self, request: &str, log: &Verifier<'_>, time: u64) -> Result<String, Declined> {
        let proof = Proof::parse(request)?;
        let Proof::Consistency { old, hashes, note } = &proof else {
            return Err(Refused::Header.into());
        };
        let head = proof.checkpoint(log)?;
        let _alone = self.alone()?;
        let (signed, root) = self.last(log.name())?;
        if *old != signed {
            return Err(Declined::Start {
                asked: *old,
                signed,
            });
        }
        // Every log continues the empty one, and RFC 6962 has no proof for that.
        let grown = match signed {
            0 => hashes.is_empty(),
            _ => verify_consistency(signed, head.size, hashes, &root, &head.root).is_ok(),
        };
        if !grown {
            let memory = self.remembered(log.name());
            return Err(Declined::Fork {
                size: signed,
                memory,
            });
        }
        let text = Note::parse(note.as_bytes()).map_err(Refused::from)?.text();
        let mut cosigned = (*note).to_owned();
        cosign(&mut cosigned, text, self.name, self.key, time).expect("a String takes any text");
        self.remember(log.name(), &cosigned)?;
        Ok(cosigned)
    }

    /// Waits until no other process uses the memory, and keeps others out until the result is dropped: two
    /// that look at the same time would sign two histories.
    fn alone(&self) -> Result<fs::File, Declined> {
        let locked = fs::create_dir_all(self.memory)
            .and_then(|()| fs::File::open(self.memory))
            .and_then(|memory| memory.lock().map(|()| memory));
        let (doing, path) = ("lock", self.memory.to_owned());
        locked.map_err(|error| Declined::Memory { doing, path, error })
    }

    /// A checkpoint that carries this witness's own signature.
    fn own<'t>(&self, text: &'t str) -> Result<Checkpoint<'t>, String> {
        let key = Verifier::witness(self.name, self.key.verifying_key());
        let key = key.map_err(|error| error.to_string())?;
        let note = Note::parse(text.as_bytes()).map_err(|error: NoteError| error.to_string())?;
        note.verify(&[key]).map_err(|error| error.to_string())?;
        Checkpoint::parse(note.text()).map_err(|error: CheckpointError| error.to_string())
    }

    /// Where the last checkpoint of a log is kept: an origin may hold any character.
    fn remembered(&self, origin: &str) -> PathBuf {
        self.memory
            .join(format!("{}.checkpoint", Hex(origin.as_bytes())))
    }

    /// A cut leaves the old checkpoint or the new, and the new one before anybody sees it.
    fn remember(&self, origin: &str, note: &str) -> Result<(), Declined> {
        let path = self.remembered(origin);
        let unfinished = path.with_extension("new");
        let written = fs::File::create(&unfinished)
            .and_then(|mut file| {
                io::Write::write_all(&mut file, note.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, &path))
            .and_then(|()| fs::File::open(self.memory)?.sync_all());
        let doing = "write";
        written.map_err(|error| Declined::Memory { doing, path, error })
    }
}

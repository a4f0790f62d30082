//! The keys that a log is trusted by: which were named, and else which lie beside it.
//!
//! Keys that are named replace those of the directory, which whoever wrote the log could write too. A
//! log may have several keys of its name: one after another signed it. Two of them must not have the
//! same key id, since a signature names its key by name and id.

use std::fmt;
use std::path::{Path, PathBuf};

use portcullis_log::note::{KeyId, NOTE_MAX, Verifier, VerifierError};

use crate::files::{self, FileError, Said};

/// A verifier key, and the file that it is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    text: String,
    /// Where it was read.
    pub file: PathBuf,
}

/// Verifier keys at hand.
#[derive(Clone, Default, Debug)]
pub struct Keyring(Vec<Key>);

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: FileError,
    },
    /// A line is not a verifier key.
    #[error("{path}, line {line}: {error}", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        error: VerifierError,
    },
    /// A signature could be of either of two keys.
    #[error(
        "{one} and {other} hold different keys {name}+{id}: a signature does not say which made it; name one file with --key",
        one = one.display(), other = other.display()
    )]
    Ambiguous {
        /// The keys' name.
        name: String,
        /// Their id, in hexadecimal.
        id: String,
        /// Where one was read.
        one: PathBuf,
        /// Where the other was read.
        other: PathBuf,
    },
}

impl Key {
    /// The key.
    pub fn verifier(&self) -> Verifier<'_> {
        Verifier::parse(&self.text).expect("it was parsed when it was read")
    }
}

/// Name and id: what a signature names a key by.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.verifier();
        write!(f, "{}+{}", key.name(), hexadecimal(key.id()))
    }
}

impl Keyring {
    /// The keys that were named; where none were, those that lie beside the log.
    pub fn resolve(named: &[PathBuf], beside: Option<&Path>) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for file in named {
            keys.add(file, Said::Named)?;
        }
        let beside = beside.filter(|_| named.is_empty());
        if let Some(file) = beside.filter(|it| it.symlink_metadata().is_ok()) {
            keys.add(file, Said::Found)?;
        }
        Ok(keys)
    }

    /// Reads the keys of a file, one a line, and adds them.
    pub fn add(&mut self, file: &Path, said: Said) -> Result<(), KeyError> {
        let text = files::read_text(file, said, NOTE_MAX).map_err(|error| KeyError::File {
            path: file.to_owned(),
            error,
        })?;
        self.parse(&text, file)
    }

    /// Adds the keys of a text, one a line, that was read from `file`.
    pub fn parse(&mut self, text: &str, file: &Path) -> Result<(), KeyError> {
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            Verifier::parse(text).map_err(|error| KeyError::Line {
                path: file.to_owned(),
                line,
                error,
            })?;
            self.insert(Key {
                text: text.to_owned(),
                file: file.to_owned(),
            })?;
        }
        Ok(())
    }

    fn insert(&mut self, key: Key) -> Result<(), KeyError> {
        let new = key.verifier();
        let called = (new.name(), new.id());
        let same = self.0.iter().find(|known| {
            let known = known.verifier();
            (known.name(), known.id()) == called
        });
        match same {
            None => self.0.push(key),
            Some(known) if known.verifier() == new => {}
            Some(known) => {
                return Err(KeyError::Ambiguous {
                    name: new.name().to_owned(),
                    id: hexadecimal(new.id()),
                    one: known.file.clone(),
                    other: key.file,
                });
            }
        }
        Ok(())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Those that the log of this name signs with.
    pub fn of_log(&self, name: &str) -> Vec<&Key> {
        let is_of_it = |key: &&Key| {
            let key = key.verifier();
            key.name() == name && !key.is_witness()
        };
        self.0.iter().filter(is_of_it).collect()
    }
}

fn hexadecimal(id: KeyId) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

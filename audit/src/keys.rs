//! The keys that a log is trusted by: which were named, and else which lie beside it.
//!
//! Keys that are named replace those of the directory, which whoever wrote the log could write too. A
//! log may have several keys of its name: one after another signed it. Two of them must not have the
//! same key id, since a signature names its key by name and id.
//! They are named oldest first: what one has signed, no older one goes on from.

use std::fmt;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use portcullis_log::note::{KeyId, NOTE_MAX, Verifier, VerifierError};

use crate::files::{self, FileError, Said};

/// Most keys of one name: each signature is tried against all of them.
pub const KEYS_MAX: usize = 16;

/// A verifier key, and the file that it is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    name: String,
    id: KeyId,
    key: VerifyingKey,
    is_witness: bool,
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
    /// A file that was named holds no key: what it should add is not asked for by itself.
    #[error("{path} holds no key: name a file that does, or none", path = path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// One name has more keys than are tried.
    #[error("{path} holds more than {KEYS_MAX} keys named {name}", path = path.display())]
    TooMany {
        /// Which file.
        path: PathBuf,
        /// The keys' name.
        name: String,
    },
    /// The key of a log was named as that of a witness.
    #[error("{path}: {key} is not the key of a witness", path = path.display())]
    NotAWitness {
        /// Which file.
        path: PathBuf,
        /// The key's name and id.
        key: String,
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
        let made = match self.is_witness {
            true => Verifier::witness(&self.name, self.key),
            false => Verifier::new(&self.name, self.key),
        };
        made.expect("its name is that of a verifier key")
    }
}

/// Name and id: what a signature names a key by.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.name, hexadecimal(self.id))
    }
}

impl Keyring {
    /// The keys that were named; where none were, those that lie beside the log.
    pub fn resolve(named: &[PathBuf], beside: Option<&Path>) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for file in named {
            if keys.add(file, Said::Named)? == 0 {
                let path = file.clone();
                return Err(KeyError::Empty { path });
            }
        }
        let Some(file) = beside.filter(|_| named.is_empty()) else {
            return Ok(keys);
        };
        match keys.add(file, Said::Found) {
            Err(KeyError::File { error, .. }) if error.is_missing() => Ok(keys),
            added => added.map(|_| keys),
        }
    }

    /// The keys of witnesses, from these files.
    pub fn witnesses(named: &[PathBuf]) -> Result<Self, KeyError> {
        let keys = Self::resolve(named, None)?;
        match keys.0.iter().find(|key| !key.is_witness) {
            None => Ok(keys),
            Some(key) => Err(KeyError::NotAWitness {
                path: key.file.clone(),
                key: key.to_string(),
            }),
        }
    }

    /// Reads the keys of a file, one a line, and adds them; how many lines there are.
    pub fn add(&mut self, file: &Path, said: Said) -> Result<usize, KeyError> {
        let text = files::read_text(file, said, NOTE_MAX).map_err(|error| KeyError::File {
            path: file.to_owned(),
            error,
        })?;
        self.parse(&text, file)
    }

    /// Adds the keys of a text, one a line, that was read from `file`; how many lines there are.
    pub fn parse(&mut self, text: &str, file: &Path) -> Result<usize, KeyError> {
        let mut keys = 0;
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            let key = Verifier::parse(text).map_err(|error| KeyError::Line {
                path: file.to_owned(),
                line,
                error,
            })?;
            self.insert(Key {
                name: key.name().to_owned(),
                id: key.id(),
                key: *key.key(),
                is_witness: key.is_witness(),
                file: file.to_owned(),
            })?;
            keys += 1;
        }
        Ok(keys)
    }

    fn insert(&mut self, new: Key) -> Result<(), KeyError> {
        let of_name = || self.0.iter().filter(|known| known.name == new.name);
        match of_name().find(|known| known.id == new.id) {
            None if of_name().count() == KEYS_MAX => Err(KeyError::TooMany {
                path: new.file,
                name: new.name,
            }),
            None => {
                self.0.push(new);
                Ok(())
            }
            Some(known) if (known.key, known.is_witness) == (new.key, new.is_witness) => Ok(()),
            Some(known) => Err(KeyError::Ambiguous {
                one: known.file.clone(),
                id: hexadecimal(new.id),
                name: new.name,
                other: new.file,
            }),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Those that the log of this name signs with.
    pub fn of_log(&self, name: &str) -> Vec<&Key> {
        let keys = self.0.iter();
        keys.filter(|key| key.name == name && !key.is_witness)
            .collect()
    }
}

fn hexadecimal(id: KeyId) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

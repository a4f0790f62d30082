//! The secrets of a state directory, and the public keys beside them. A secret is in memory only while it
//! is used.

use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_files::{Mode, read_private, replace};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::checkpoint::origin;
use portcullis_log::note::Verifier;
use portcullis_policy::keys::{self, KeyFileError};
use zeroize::Zeroizing;

use crate::error::{StateError, file_error};
use crate::history::is_there;

/// The keys that a disk is written with: the ledger's and the vault's.
pub(crate) const KEYS: [&str; 2] = ["ledger.key", "vault.key"];
/// The public keys of both logs.
pub(crate) const VERIFIERS: &str = "ledger.vkey";
/// The public key that policies are checked with.
pub(crate) const PUBLIC: &str = "policy.pub";
/// Bytes of a secret key.
pub(crate) const SECRET: usize = 32;

/// Random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StateError::NoEntropy(error.to_string()))?;
    Ok(bytes)
}

/// The key that policies are signed with, which is made where there is none.
pub(crate) fn policy_key(directory: &Path) -> Result<SigningKey, StateError> {
    let path = directory.join("policy.key");
    if !is_there(directory, "policy.key")? {
        let key = keys::generate().map_err(|error| StateError::NoEntropy(error.to_string()))?;
        write(&path, keys::write_private(&key).as_bytes(), Mode::Private)?;
    }
    let key = keys::read_private(&path).map_err(|error| match error {
        KeyFileError::File(refused) => StateError::Refused(refused),
        KeyFileError::Key { path, error } => StateError::Damaged {
            path,
            why: error.to_string(),
        },
    })?;
    let public = directory.join(PUBLIC);
    write(&public, key.verifying_key().as_bytes(), Mode::Public)?;
    Ok(key)
}

/// The key that signs checkpoints.
pub(crate) fn ledger_key(directory: &Path) -> Result<SigningKey, StateError> {
    Ok(SigningKey::from_bytes(&*secret(directory, KEYS[0])?))
}

/// The secret in a file.
pub(crate) fn secret(directory: &Path, name: &str) -> Result<Zeroizing<[u8; SECRET]>, StateError> {
    let path = directory.join(name);
    let read = read_private(&path, SECRET)?;
    let mut secret = Zeroizing::new([0; SECRET]);
    let length = read.len();
    if length != SECRET {
        let why = format!("{length} bytes are no key: it has {SECRET}");
        return Err(StateError::Damaged { path, why });
    }
    secret.copy_from_slice(&read);
    Ok(secret)
}

/// Makes a secret.
pub(crate) fn make_secret(path: &Path) -> Result<(), StateError> {
    let secret = Zeroizing::new(random::<SECRET>()?);
    write(path, &*secret, Mode::Private)
}

/// Writes the keys that verify the checkpoints of both logs: C2SP verifier keys, one a line.
pub(crate) fn verifier_keys(path: &Path, key: &SigningKey, log: LogId) -> Result<(), StateError> {
    let lines = [LogKind::Grants, LogKind::Worm].map(|kind| {
        let name = origin(kind, log);
        let verifier = Verifier::new(&name, key.verifying_key());
        verifier
            .map(|verifier| format!("{verifier}\n"))
            .expect("an origin is a sound key name")
    });
    write(path, lines.concat().as_bytes(), Mode::Public)
}

pub(crate) fn write(path: &Path, content: &[u8], mode: Mode) -> Result<(), StateError> {
    replace(path, content, mode).map_err(file_error(path, "write"))
}

//! Signing keys: made, written and read.
//!
//! The private key's file is text: a header line, then the seed of RFC 8032 in hexadecimal. The
//! public key's file is its 32 bytes, as the manager's region of trusted keys holds them. What holds a
//! private key in memory is wiped when it is dropped.

use std::fmt;
use std::path::{Path, PathBuf};

use ed25519_dalek::{SigningKey, VerifyingKey};
use portcullis_files::Refused;
use portcullis_policy_format::key_id;
use zeroize::Zeroizing;

/// First line of a private key's file.
pub const PRIVATE_HEADER: &str = "portcullis private key, ed25519 seed, hexadecimal";
/// Bytes of a private key's file: two lines.
pub const PRIVATE_LENGTH: usize = PRIVATE_HEADER.len() + 1 + 2 * KEY_BYTES + 1;
/// Bytes of a seed and of a public key (RFC 8032).
const KEY_BYTES: usize = 32;
/// Most bytes of a private key's file that are read: twice what one has.
const FILE_MAX: usize = 256;

/// What a policy's header calls its signer's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyId(pub [u8; 8]);

/// Why a key cannot be read or made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoEntropy(getrandom::Error),
    /// The first line of a private key's file is another.
    #[error("this is not a private key: its first line must be `{PRIVATE_HEADER}`")]
    Header,
    /// The second line is not 64 hexadecimal digits, or there is a third.
    #[error("the private key is damaged: after its first line must stand 64 hexadecimal digits")]
    Seed,
    /// A file of public keys is not a multiple of 32 bytes.
    #[error("{0} bytes are no public keys: each has 32 bytes")]
    PublicLength(usize),
    /// 32 bytes are no point of the curve, or one of small order.
    #[error("public key {0} of the file is no Ed25519 key")]
    NotAKey(usize),
}

/// Why a private key's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is not read.
    #[error(transparent)]
    File(#[from] Refused),
    /// It is not a private key's.
    #[error("{}: {error}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
}

/// A new key, from the system's random bytes.
pub fn generate() -> Result<SigningKey, KeyError> {
    let mut seed = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *seed).map_err(KeyError::NoEntropy)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// The text of a private key's file.
pub fn write_private(key: &SigningKey) -> Zeroizing<String> {
    // Room for all of it: a text that grows is copied, and the copy is not wiped.
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX));
    text.push_str(PRIVATE_HEADER);
    text.push('\n');
    for byte in key.as_bytes() {
        let digits = [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16));
        text.extend(digits.into_iter().flatten());
    }
    text.push('\n');
    text
}

/// Reads a private key from its file, which must be its user's own and closed to others.
pub fn read_private(path: &Path) -> Result<SigningKey, KeyFileError> {
    let text = portcullis_files::read_private(path, FILE_MAX)?;
    let text = std::str::from_utf8(&text).map_err(|_| KeyError::Header);
    text.and_then(parse_private).map_err(|error| {
        let path = path.to_owned();
        KeyFileError::Key { path, error }
    })
}

fn parse_private(text: &str) -> Result<SigningKey, KeyError> {
    let mut lines = text.lines();
    if lines.next() != Some(PRIVATE_HEADER) {
        return Err(KeyError::Header);
    }
    let seed = lines.next().and_then(bytes).ok_or(KeyError::Seed)?;
    match lines.next() {
        None => Ok(SigningKey::from_bytes(&seed)),
        Some(_) => Err(KeyError::Seed),
    }
}

/// A public key from its 64 hexadecimal digits.
pub fn public(digits: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(&*bytes(digits)?).ok()
}

/// Reads one or more public keys, 32 bytes each.
pub fn read_public(file: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    let (keys, []) = file.as_chunks::<KEY_BYTES>() else {
        return Err(KeyError::PublicLength(file.len()));
    };
    (1..)
        .zip(keys)
        .map(|(number, key)| {
            // No signature is accepted of a point of small order.
            let key = VerifyingKey::from_bytes(key)
                .ok()
                .filter(|key| !key.is_weak());
            key.ok_or(KeyError::NotAKey(number))
        })
        .collect()
}

/// Bytes in lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// A hexadecimal digit's value; unlike `from_str_radix`, no sign.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

impl KeyId {
    /// The id of a key.
    pub fn of(key: &VerifyingKey) -> Self {
        Self(key_id(key))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_survives_its_file() {
        let key = SigningKey::from_bytes(&[0xa5; 32]);
        let text = write_private(&key);
        assert_eq!(parse_private(&text).unwrap(), key);
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        portcullis_files::create(&path, text.as_bytes(), portcullis_files::Mode::Private).unwrap();
        assert_eq!(read_private(&path).unwrap(), key);
        std::fs::write(&path, &text[1..]).unwrap();
        let error = read_private(&path).unwrap_err().to_string();
        assert!(error.contains("not a private key"), "{error}");
    }

    #[test]
    fn a_damaged_private_key_is_refused() {
        let text = write_private(&SigningKey::from_bytes(&[7; 32]));
        for cut in 0..text.len() - 1 {
            assert!(parse_private(&text[..cut]).is_err(), "{cut} bytes");
        }
        for wrong in ["+", "g", " "] {
            let text = text.replacen("07", &format!("{wrong}7"), 1);
            assert_eq!(parse_private(&text), Err(KeyError::Seed));
        }
        assert_eq!(parse_private(&format!("{}00", *text)), Err(KeyError::Seed));
    }

    #[test]
    fn public_keys_are_concatenated() {
        let keys = [[1; 32], [2; 32]].map(|seed| SigningKey::from_bytes(&seed).verifying_key());
        let file = keys.map(|key| *key.as_bytes()).concat();
        assert_eq!(read_public(&file).unwrap(), keys);
        assert_eq!(read_public(&file[1..]), Err(KeyError::PublicLength(63)));
    }
}

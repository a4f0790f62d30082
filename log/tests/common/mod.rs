//! Reads public test vectors.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_log::merkle::Hash;
use serde_json::Value;

/// The vectors of this file.
pub(crate) fn vectors(name: &str) -> Value {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/public");
    let text = std::fs::read_to_string(root.join(name)).expect("the vectors are committed");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

/// A hash in base64; bytes of another length are kept apart, since some vectors hold such.
pub(crate) fn hash(value: &Value) -> Option<Hash> {
    let bytes = STANDARD.decode(value.as_str()?).expect("base64");
    bytes.try_into().ok()
}

/// The hashes of a proof; `None` where one of them is not a hash.
pub(crate) fn hashes(value: &Value) -> Option<Vec<Hash>> {
    value
        .as_array()
        .map_or(Some(Vec::new()), |all| all.iter().map(hash).collect())
}

/// A root in base64. A few vectors say "don't care 1" where the root does not matter, only whether
/// two are the same: such are filled with zeros.
pub(crate) fn root(value: &Value) -> Option<Hash> {
    let mut bytes = STANDARD.decode(value.as_str()?).expect("base64");
    if bytes.starts_with(b"don't care ") {
        bytes.resize(32, 0);
    }
    bytes.try_into().ok()
}

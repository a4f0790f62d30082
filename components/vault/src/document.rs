//! What the ledger keeps of a document: enough to tell, years later, what was taken in, and for the
//! vault to know what it has to have.

use serde::{Deserialize, Serialize};

use crate::{NAME_MAX, ObjectDigest};

/// Longest encoded entry, in bytes: digest 32, size at most 10, path 255 with its length 2, act 1.
pub const DOCUMENT_ENTRY_MAX: usize = 300;

const _: () = assert!(
    DOCUMENT_ENTRY_MAX <= portcullis_ledger::ENTRY_MAX,
    "the ledger takes any document's entry"
);

/// An entry of the write-once ledger, encoded with postcard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DocumentEntry<'a> {
    /// SHA-256 of the document.
    pub digest: ObjectDigest,
    /// Its size, in bytes.
    pub size: u64,
    /// The path that it came under.
    #[serde(borrow)]
    pub path: &'a str,
    /// What happened to it.
    pub act: Act,
}

/// What happened to a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Act {
    /// It was taken in, to be kept.
    Kept,
    /// It was taken in, or was there, and may leave the vault.
    Released,
    /// One of the entries that took it in does not hold any more; with the last of them it goes.
    Removed,
}

impl<'a> DocumentEntry<'a> {
    /// Encodes into `buffer`; `None` where the path is longer than a document's can be.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; DOCUMENT_ENTRY_MAX]) -> Option<&'b [u8]> {
        postcard::to_slice(self, buffer).ok().map(|bytes| &*bytes)
    }

    /// Decodes an entry; `None` where the bytes are not exactly one.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes::<Self>(bytes) {
            Ok((entry, [])) if entry.path.len() <= NAME_MAX => Some(entry),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_entry_fits_and_comes_back() {
        let path = "x".repeat(NAME_MAX);
        let entry = DocumentEntry {
            digest: [0xff; 32],
            size: u64::MAX,
            path: &path,
            act: Act::Removed,
        };
        let mut buffer = [0; DOCUMENT_ENTRY_MAX];
        let bytes = entry.encode(&mut buffer).unwrap();
        assert_eq!(bytes.len(), DOCUMENT_ENTRY_MAX);
        assert_eq!(DocumentEntry::decode(bytes), Some(entry));
        assert_eq!(DocumentEntry::decode(&bytes[..bytes.len() - 1]), None);
        let longer = "x".repeat(NAME_MAX + 1);
        let entry = DocumentEntry {
            path: &longer,
            ..entry
        };
        assert_eq!(entry.encode(&mut [0; DOCUMENT_ENTRY_MAX]), None);
        let entry = DocumentEntry { size: 0, ..entry };
        let bytes: Vec<u8> = entry.encode(&mut buffer).unwrap().into();
        assert_eq!(
            DocumentEntry::decode(&bytes),
            None,
            "a path that is too long"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(entry) = DocumentEntry::decode(&bytes) {
                let mut buffer = [0; DOCUMENT_ENTRY_MAX];
                let again = entry.encode(&mut buffer).unwrap();
                prop_assert_eq!(DocumentEntry::decode(again), Some(entry));
            }
        }
    }
}

//! What the ledger keeps of a document: enough to tell, years later, which document was taken in.

use serde::{Deserialize, Serialize};

/// Longest encoded entry, in bytes: digest 32, size at most 10, path 255 with its length 2, released 1.
pub const DOCUMENT_ENTRY_MAX: usize = 300;

/// An entry of the write-once ledger, encoded with postcard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DocumentEntry<'a> {
    /// SHA-256 of the document.
    pub digest: [u8; 32],
    /// Its size, in bytes.
    pub size: u64,
    /// The path that it came under.
    #[serde(borrow)]
    pub path: &'a str,
    /// Whether it was released.
    pub released: bool,
}

impl<'a> DocumentEntry<'a> {
    /// Encodes into `buffer`; `None` where the path is longer than a document's can be.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; DOCUMENT_ENTRY_MAX]) -> Option<&'b [u8]> {
        postcard::to_slice(self, buffer).ok().map(|bytes| &*bytes)
    }

    /// Decodes an entry; `None` where the bytes are not exactly one.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((entry, [])) => Some(entry),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::ENTRY_MAX;
    use portcullis_publish::PATH_MAX;
    use proptest::prelude::*;

    use super::*;

    const _: () = assert!(
        DOCUMENT_ENTRY_MAX <= ENTRY_MAX,
        "the ledger takes any document's entry"
    );

    #[test]
    fn the_largest_entry_fits_and_comes_back() {
        let path = "x".repeat(PATH_MAX);
        let entry = DocumentEntry {
            digest: [0xff; 32],
            size: u64::MAX,
            path: &path,
            released: true,
        };
        let mut buffer = [0; DOCUMENT_ENTRY_MAX];
        let bytes = entry.encode(&mut buffer).unwrap();
        assert_eq!(bytes.len(), DOCUMENT_ENTRY_MAX);
        assert_eq!(DocumentEntry::decode(bytes), Some(entry));
        assert_eq!(DocumentEntry::decode(&bytes[..bytes.len() - 1]), None);
        let longer = "x".repeat(PATH_MAX + 1);
        let entry = DocumentEntry {
            path: &longer,
            ..entry
        };
        assert_eq!(entry.encode(&mut [0; DOCUMENT_ENTRY_MAX]), None);
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

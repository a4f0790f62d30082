//! What the ledger keeps of a document: enough to tell, years later, what was taken in, and for the
//! vault to know what it has to have.

use portcullis_log::entry::{Decoded, Entry, HEAD, Kind};
use serde::{Deserialize, Serialize};

use crate::{NAME_MAX, ObjectDigest};

/// Longest open part of an entry, in bytes: digest 32, size at most 10, path 255 with its length 2, act 1,
/// index of an earlier entry at most 10.
const OPEN_MAX: usize = 310;
/// Longest encoded entry, in bytes.
pub const DOCUMENT_ENTRY_MAX: usize = HEAD + OPEN_MAX;

const _: () = assert!(
    DOCUMENT_ENTRY_MAX <= portcullis_ledger::ENTRY_MAX,
    "the ledger takes any document's entry"
);

/// An entry of the write-once ledger: the open part of an [`Entry`], with postcard. Of version 1, which has no
/// head, it is the whole entry. One that names content which an earlier
/// entry names may say behind all this which one that is: so the names of an object are found without
/// reading the whole ledger.
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
        self.encode_behind(None, buffer)
    }

    /// The same, with the index of the entry before that names the same content.
    pub fn encode_behind<'b>(
        &self,
        earlier: Option<u64>,
        buffer: &'b mut [u8; DOCUMENT_ENTRY_MAX],
    ) -> Option<&'b [u8]> {
        if self.path.len() > NAME_MAX {
            return None;
        }
        let mut open = [0; OPEN_MAX];
        let mut length = postcard::to_slice(self, &mut open).ok()?.len();
        if let Some(earlier) = earlier {
            length += postcard::to_slice(&earlier, &mut open[length..])
                .ok()?
                .len();
        }
        Entry::new(Kind::Document, &open[..length]).encode(buffer)
    }

    /// Decodes an entry of either version; `None` where the bytes are not exactly one.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        Self::decode_behind(bytes).map(|(entry, _)| entry)
    }

    /// The same, with the index of the entry before that names the same content, if it is said.
    pub fn decode_behind(bytes: &'a [u8]) -> Option<(Self, Option<u64>)> {
        let open = match Decoded::read(bytes) {
            Some(Decoded::Entry(entry)) => entry.open,
            Some(Decoded::Unknown { .. }) => return None,
            None => bytes,
        };
        let (entry, rest) = postcard::take_from_bytes::<Self>(open).ok()?;
        let earlier = match rest {
            [] => None,
            rest => match postcard::take_from_bytes(rest) {
                Ok((earlier, [])) => Some(earlier),
                _ => return None,
            },
        };
        (entry.path.len() <= NAME_MAX).then_some((entry, earlier))
    }
}

#[cfg(test)]
mod tests {
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
        let bytes = entry.encode_behind(Some(u64::MAX), &mut buffer).unwrap();
        assert_eq!(bytes.len(), DOCUMENT_ENTRY_MAX);
        assert_eq!(DocumentEntry::decode(bytes), Some(entry));
        let decoded = DocumentEntry::decode_behind(bytes);
        assert_eq!(decoded, Some((entry, Some(u64::MAX))));
        assert_eq!(DocumentEntry::decode(&bytes[..bytes.len() - 1]), None);
        let alone = entry.encode(&mut buffer).unwrap();
        assert_eq!(DocumentEntry::decode_behind(alone), Some((entry, None)));
        let longer = "x".repeat(NAME_MAX + 1);
        let entry = DocumentEntry {
            path: &longer,
            ..entry
        };
        assert_eq!(entry.encode(&mut [0; DOCUMENT_ENTRY_MAX]), None);
        let bytes = postcard::to_slice(&entry, &mut buffer).unwrap();
        assert_eq!(
            DocumentEntry::decode(bytes),
            None,
            "a path that is too long"
        );
    }

    /// What e947a1e wrote: the open part alone. And what nobody wrote yet.
    #[test]
    fn entries_of_version_1_are_read_and_later_ones_are_no_document_s() {
        let entry = DocumentEntry {
            digest: [7; 32],
            size: 5,
            path: "public/a",
            act: Act::Released,
        };
        let mut buffer = [0; DOCUMENT_ENTRY_MAX];
        let bytes = postcard::to_slice(&(entry, 300_u64), &mut buffer).unwrap();
        assert_eq!(
            DocumentEntry::decode_behind(bytes),
            Some((entry, Some(300)))
        );
        let length = entry.encode(&mut buffer).unwrap().len();
        assert_eq!(DocumentEntry::decode(&buffer[..length]), Some(entry));
        // Another kind, another version.
        for place in [9, 8] {
            let mut later = buffer;
            later[place] = 77;
            assert_eq!(DocumentEntry::decode(&later[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some((entry, earlier)) = DocumentEntry::decode_behind(&bytes) {
                let mut buffer = [0; DOCUMENT_ENTRY_MAX];
                let again = entry.encode_behind(earlier, &mut buffer).unwrap();
                prop_assert_eq!(DocumentEntry::decode_behind(again), Some((entry, earlier)));
            }
        }
    }
}

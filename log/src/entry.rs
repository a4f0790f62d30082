//! One entry of the write-once ledger, and its layout.
//!
//! The ledger takes any bytes that are not too many. What the appliance's components append is an [`Entry`]:
//! a fixed part of 88 bytes, then an open part, of which the kind says what it is, then a sealed one, which only
//! who has its key reads. An entry has one encoding.
//!
//! This is version 2. What was written before has no such head, and is read by who knows what it was: no
//! entry of a document begins with [`MAGIC`], since it began with a SHA-256.

use portcullis_kernel::{Behind, Principal};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::block::ENTRY_MAX;
use crate::merkle::Hash;

/// First bytes of an entry.
pub const MAGIC: [u8; 8] = *b"PCLSENTR";
/// Version of the layout.
pub const VERSION: u8 = 2;
/// Bytes before the open part.
pub const HEAD: usize = size_of::<Head>();

const _: () = assert!(HEAD == 88);

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A document: what became of it.
    Document = 1,
}

/// An entry of this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// What it is about.
    pub kind: Kind,
    /// Nanoseconds since 1970-01-01 UTC; `None`: whoever appended it did not say.
    pub time: Option<u64>,
    /// For whom it was appended; `None`: not said.
    pub principal: Option<Principal>,
    /// Commits to the sealed part, so that it can be shown later that it is what was sealed; zeros where
    /// there is none.
    pub commitment: Hash,
    /// What everybody may read.
    pub open: &'a [u8],
    /// What only who has the key reads.
    pub sealed: &'a [u8],
}

/// What the bytes of an entry say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded<'a> {
    /// An entry.
    Entry(Entry<'a>),
    /// One of a kind or a version that came later than this code: it is kept, and what it says is not known.
    Unknown {
        /// Its version.
        version: u8,
        /// Number of its kind.
        kind: u8,
    },
}

/// An entry's fixed part. Numbers are little-endian. What an entry does not have is zero.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: u8,
    kind: u8,
    /// 1: a principal is said.
    said: u8,
    /// Who stands behind the component, as in a record: 0 nobody, 1 a guest, 2 a key, 3 a token, 4 the host.
    behind: u8,
    component: U16,
    /// Bytes of the open part.
    open: U16,
    time: U64,
    /// Of a guest its number; a key; the SHA-256 of a token.
    principal: [u8; 32],
    commitment: Hash,
}

impl<'a> Entry<'a> {
    /// An entry that says nothing but this.
    pub const fn new(kind: Kind, open: &'a [u8]) -> Self {
        Self {
            kind,
            time: None,
            principal: None,
            commitment: [0; 32],
            open,
            sealed: &[],
        }
    }

    /// Writes it to the beginning of `buffer`; its bytes. `None` where it does not fit, or is longer than any.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let length = HEAD + self.open.len() + self.sealed.len();
        let bytes = buffer.get_mut(..length).filter(|_| length <= ENTRY_MAX)?;
        let (head, rest) = bytes.split_at_mut_checked(HEAD)?;
        let (open, sealed) = rest.split_at_mut_checked(self.open.len())?;
        head.copy_from_slice(self.head().as_bytes());
        open.copy_from_slice(self.open);
        sealed.copy_from_slice(self.sealed);
        Some(bytes)
    }

    fn head(&self) -> Head {
        let mut principal = [0; 32];
        let behind = match self.principal.and_then(|it| it.behind) {
            None => 0,
            Some(Behind::Guest(number)) => {
                let [low, high] = number.to_le_bytes();
                (principal[0], principal[1]) = (low, high);
                1
            }
            Some(Behind::Key(key)) => {
                principal = key;
                2
            }
            Some(Behind::Token(digest)) => {
                principal = digest;
                3
            }
            Some(Behind::Host) => 4,
        };
        Head {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind as u8,
            said: self.principal.is_some().into(),
            behind,
            component: self.principal.map_or(0, |it| it.component).into(),
            open: (self.open.len() as u16).into(),
            time: self.time.unwrap_or(0).into(),
            principal,
            commitment: self.commitment,
        }
    }
}

impl<'a> Decoded<'a> {
    /// Reads an entry of this version or a later one; `None` where the bytes are none, or not in its only
    /// encoding.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = Head::ref_from_prefix(bytes).ok()?;
        if head.magic != MAGIC || head.version < VERSION {
            return None;
        }
        let is_known = head.kind == Kind::Document as u8 && head.behind <= 4;
        if head.version != VERSION || !is_known {
            let (version, kind) = (head.version, head.kind);
            return Some(Self::Unknown { version, kind });
        }
        let (open, sealed) = rest.split_at_checked(head.open.get().into())?;
        let [low, high, ..] = head.principal;
        let behind = match head.behind {
            0 => None,
            1 => Some(Behind::Guest(u16::from_le_bytes([low, high]))),
            2 => Some(Behind::Key(head.principal)),
            3 => Some(Behind::Token(head.principal)),
            _ => Some(Behind::Host),
        };
        let component = head.component.get();
        let time = head.time.get();
        let entry = Entry {
            kind: Kind::Document,
            time: (time != 0).then_some(time),
            principal: (head.said != 0).then_some(Principal { component, behind }),
            commitment: head.commitment,
            open,
            sealed,
        };
        (entry.head() == *head).then_some(Self::Entry(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> [Entry<'static>; 4] {
        let plain = Entry::new(Kind::Document, b"open");
        let said = |behind| Entry {
            time: Some(5),
            principal: Some(Principal {
                component: 3,
                behind,
            }),
            commitment: [9; 32],
            sealed: b"sealed",
            ..plain
        };
        [
            plain,
            said(None),
            said(Some(Behind::Guest(0x1234))),
            said(Some(Behind::Key([7; 32]))),
        ]
    }

    #[test]
    fn an_entry_has_one_encoding() {
        for entry in entries() {
            let mut buffer = [0; 200];
            let bytes = entry.encode(&mut buffer).unwrap();
            assert_eq!(Decoded::read(bytes), Some(Decoded::Entry(entry)));
            let length = bytes.len();
            for byte in 0..length {
                let mut changed = buffer;
                changed[byte] ^= 1;
                let read = Decoded::read(&changed[..length]);
                if let Some(Decoded::Entry(read)) = read {
                    let mut again = [0; 200];
                    assert_ne!(read, entry);
                    assert_eq!(read.encode(&mut again), Some(&changed[..length]), "{byte}");
                }
            }
        }
        let long = Entry::new(Kind::Document, &[0; ENTRY_MAX]);
        assert_eq!(long.encode(&mut [0; 2 * ENTRY_MAX]), None);
    }

    #[test]
    fn what_came_later_is_told_from_what_is_no_entry() {
        let mut buffer = [0; 200];
        let length = entries()[0].encode(&mut buffer).map(<[u8]>::len).unwrap();
        for (place, version, kind) in [(8, 200, 1), (9, 2, 200), (11, 2, 1)] {
            let mut later = buffer;
            later[place] = 200;
            let unknown = Decoded::Unknown { version, kind };
            assert_eq!(Decoded::read(&later[..length]), Some(unknown));
        }
        for (place, value) in [(0, 0), (8, 1), (10, 2), (12, 1), (14, 99), (24, 1)] {
            let mut none = buffer;
            none[place] = value;
            assert_eq!(Decoded::read(&none[..length]), None, "{place}");
        }
        assert_eq!(Decoded::read(&buffer[..HEAD - 1]), None);
    }
}

//! The interface `objects`: put objects into the vault, get released ones out.
//!
//! Content goes in through the region `ingest_vault` and out through `vault_publish`, from their
//! start; digests are four little-endian words. A put is `create`, `write` until all bytes are
//! there, `commit`; then an entry goes to the ledger, and `record` has the vault follow it: record
//! the object, and release it where the entry says so. In the same way `delete` follows an entry that
//! removes. The vault reads the entry itself; nobody's word is taken for it.

use portcullis_kernel::{CallGrant, Message, Method, Refusal, Syscalls, label};
use portcullis_manager_api::{Buffer, ask, find_call};
use serde::{Deserialize, Serialize};

use crate::{Committed, Named, ObjectDigest, Stat};

/// Name of the component that serves the interface, in the reference policy.
pub const OBJECT: &str = "vault";
/// Name of the interface.
pub const INTERFACE: &str = "objects";

/// Begins an object: its size.
pub const CREATE: Method = method(0);
/// Takes the next bytes, from the start of `ingest_vault`: how many. Reply: how many so far.
pub const WRITE: Method = method(1);
/// Ends the object: its digest. Reply: whether it was there, is recorded, was released.
pub const COMMIT: Method = method(2);
/// Follows an entry of the ledger that took an object in, or released it: its index. Reply:
/// references.
pub const RECORD: Method = method(3);
/// What is known of an object: an [`Asked`]. Reply: size, released, recorded, index in the ledger,
/// references; whether it is known under the name, whether an entry names it, and the last one that does.
pub const STAT: Method = method(4);
/// Reads a released object into `vault_publish`: digest, offset, length. Reply: how many bytes.
pub const READ: Method = method(5);
/// The next released object: a cursor. Reply: an [`ObjectView`].
pub const RELEASED: Method = method(6);
/// Checks the chunks of an object, some at a time: digest, offset. Reply: the offset to go on at.
pub const CHECK: Method = method(7);
/// The next object of all: a cursor. Reply: an [`ObjectView`].
pub const LIST: Method = method(8);
/// Follows an entry of the ledger that removes an object: its index. Reply: references left.
pub const DELETE: Method = method(9);

/// Refusal: the vault is not open; the console says why.
pub const CLOSED: u64 = 1;
/// Refusal: the object is larger than [`crate::OBJECT_MAX`].
pub const TOO_LARGE: u64 = 2;
/// Refusal: what was put is not the object that was meant; the put is over.
pub const MISMATCH: u64 = 3;
/// Refusal: no run of free blocks is long enough.
pub const NO_SPACE: u64 = 4;
/// Refusal: the index is full.
pub const INDEX_FULL: u64 = 5;
/// Refusal: the caller is not putting an object.
pub const NO_UPLOAD: u64 = 6;
/// Refusal: more bytes than were announced; the put is over.
pub const TOO_LONG: u64 = 7;
/// Refusal: fewer bytes than were announced, so far.
pub const TOO_SHORT: u64 = 8;
/// Refusal: there is no such object.
pub const NOT_FOUND: u64 = 9;
/// Refusal: the object was not released, or is not recorded yet.
pub const NOT_RELEASED: u64 = 10;
/// Refusal: the bytes do not lie in the object.
pub const OUT_OF_RANGE: u64 = 11;
/// Refusal: the bytes do not lie in the shared buffer.
pub const BUFFER: u64 = 12;
/// Refusal: a chunk, the seals, or the index entry are damaged; the console says which.
pub const DAMAGED: u64 = 13;
/// Refusal: there is no further object.
pub const NO_MORE: u64 = 14;
/// Refusal: writing failed earlier, or the index cannot be read; nothing is taken until the vault is
/// started anew.
pub const STOPPED: u64 = 15;
/// Refusal: the disk failed; the console says how.
pub const DISK_FAILED: u64 = 16;
/// Refusal: the ledger cannot be asked.
pub const NO_LEDGER: u64 = 17;
/// Refusal: the ledger has no such entry, or it says another thing.
pub const NOT_IN_LEDGER: u64 = 18;

const fn method(number: u8) -> Method {
    match Method::new(number) {
        Some(method) => method,
        None => panic!("method numbers are below 32"),
    }
}

/// An object that is asked for, and a name that it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked<'a> {
    /// The object.
    pub digest: ObjectDigest,
    /// The name.
    #[serde(borrow)]
    pub path: Option<&'a str>,
}

/// An object in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectView<'a> {
    /// Cursor to ask with next.
    pub next: u64,
    /// The object.
    pub digest: ObjectDigest,
    /// Bytes that it has.
    pub size: u64,
    /// How many entries of the ledger it stands for.
    pub references: u32,
    /// The name that the ledger gives it: the one that it was released under, if it was.
    pub name: &'a str,
}

/// A digest as words of a message.
pub fn digest_words(digest: &ObjectDigest) -> [u64; 4] {
    let (words, _) = digest.as_chunks::<8>();
    core::array::from_fn(|index| u64::from_le_bytes(words[index]))
}

/// A digest from words of a message.
pub fn digest_from_words(words: &[u64; 4]) -> ObjectDigest {
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// A client's end of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client(pub CallGrant);

impl Client {
    /// Asks the manager, on the caller's static channel with this id, for the caller's grant.
    pub fn find(kernel: &mut impl Syscalls, channel: u8) -> Result<Self, Refusal> {
        find_call(kernel, channel, OBJECT, INTERFACE).map(Self)
    }

    /// Begins an object of `size` bytes.
    pub fn create(self, kernel: &mut impl Syscalls, size: u64) -> Result<(), Refusal> {
        self.call(kernel, CREATE, &[size]).map(drop)
    }

    /// Hands over the next `length` bytes, which lie at the start of `ingest_vault`; how many there
    /// are so far.
    pub fn write(self, kernel: &mut impl Syscalls, length: u64) -> Result<u64, Refusal> {
        match self.call(kernel, WRITE, &[length])?.words() {
            [written] => Ok(*written),
            _ => Err(Refusal::Garbled),
        }
    }

    /// Ends the object with this digest; when this returns, it is durable.
    pub fn commit(
        self,
        kernel: &mut impl Syscalls,
        digest: &ObjectDigest,
    ) -> Result<Committed, Refusal> {
        let reply = self.call(kernel, COMMIT, &digest_words(digest))?;
        committed_from_words(reply.words()).ok_or(Refusal::Garbled)
    }

    /// Has the vault follow entry `index` of the ledger, which took an object in or released it; its
    /// references.
    pub fn record(self, kernel: &mut impl Syscalls, index: u64) -> Result<u64, Refusal> {
        references(&self.call(kernel, RECORD, &[index])?)
    }

    /// Has the vault follow entry `index` of the ledger, which removes an object; references left.
    pub fn delete(self, kernel: &mut impl Syscalls, index: u64) -> Result<u64, Refusal> {
        references(&self.call(kernel, DELETE, &[index])?)
    }

    /// Checks every chunk of an object of `size` bytes.
    pub fn check(
        self,
        kernel: &mut impl Syscalls,
        digest: &ObjectDigest,
        size: u64,
    ) -> Result<(), Refusal> {
        let [a, b, c, d] = digest_words(digest);
        let mut offset = 0;
        loop {
            match self.call(kernel, CHECK, &[a, b, c, d, offset])?.words() {
                [next] if *next == size => return Ok(()),
                [next] if *next > offset => offset = *next,
                _ => return Err(Refusal::Garbled),
            }
        }
    }

    /// What the vault knows of an object.
    pub fn stat(self, kernel: &mut impl Syscalls, digest: &ObjectDigest) -> Result<Stat, Refusal> {
        self.ask_for(kernel, digest, None).map(|(stat, _)| stat)
    }

    /// The same, and what the ledger says of it under this name.
    pub fn named(
        self,
        kernel: &mut impl Syscalls,
        digest: &ObjectDigest,
        path: &str,
    ) -> Result<(Stat, Named), Refusal> {
        self.ask_for(kernel, digest, Some(path))
    }

    fn ask_for(
        self,
        kernel: &mut impl Syscalls,
        digest: &ObjectDigest,
        path: Option<&str>,
    ) -> Result<(Stat, Named), Refusal> {
        let digest = *digest;
        let mut message = Message::new(label::REQUEST);
        let encoded = message.encode(label::REQUEST, &Asked { digest, path });
        encoded.map_err(|_| Refusal::Garbled)?;
        self.0.call(kernel, STAT, &mut message)?;
        stat_from_words(message.words()).ok_or(Refusal::Garbled)
    }

    /// Reads up to `length` bytes of a released object from `offset` on, to the start of
    /// `vault_publish`; how many.
    pub fn read(
        self,
        kernel: &mut impl Syscalls,
        digest: &ObjectDigest,
        offset: u64,
        length: u64,
    ) -> Result<u64, Refusal> {
        let [a, b, c, d] = digest_words(digest);
        let request = [a, b, c, d, offset, length];
        match self.call(kernel, READ, &request)?.words() {
            [count] if *count <= length => Ok(*count),
            _ => Err(Refusal::Garbled),
        }
    }

    /// The next released object at or after `cursor`.
    pub fn released<'b>(
        self,
        kernel: &mut impl Syscalls,
        cursor: u64,
        buffer: &'b mut Buffer,
    ) -> Result<ObjectView<'b>, Refusal> {
        ask(kernel, self.0, RELEASED, &cursor, buffer)
    }

    /// The next object of all, at or after `cursor`.
    pub fn list<'b>(
        self,
        kernel: &mut impl Syscalls,
        cursor: u64,
        buffer: &'b mut Buffer,
    ) -> Result<ObjectView<'b>, Refusal> {
        ask(kernel, self.0, LIST, &cursor, buffer)
    }

    fn call(
        self,
        kernel: &mut impl Syscalls,
        method: Method,
        words: &[u64],
    ) -> Result<Message, Refusal> {
        let mut message = Message::request(method, words);
        self.0.call(kernel, method, &mut message)?;
        Ok(message)
    }
}

pub(crate) const fn committed_words(committed: &Committed) -> [u64; 3] {
    [
        committed.already as u64,
        committed.recorded as u64,
        committed.released as u64,
    ]
}

fn committed_from_words(words: &[u64]) -> Option<Committed> {
    let &[already, recorded, released] = words else {
        return None;
    };
    Some(Committed {
        already: flag(already)?,
        recorded: flag(recorded)?,
        released: flag(released)?,
    })
}

/// The words of a reply to [`STAT`].
pub fn stat_words(stat: &Stat, named: &Named) -> [u64; 8] {
    [
        stat.size,
        stat.released.into(),
        stat.recorded.is_some().into(),
        stat.recorded.unwrap_or_default(),
        stat.references.into(),
        named.known.into(),
        named.last.is_some().into(),
        named.last.unwrap_or_default(),
    ]
}

fn stat_from_words(words: &[u64]) -> Option<(Stat, Named)> {
    let &[
        size,
        released,
        recorded,
        index,
        references,
        known,
        is_named,
        last,
    ] = words
    else {
        return None;
    };
    let stat = Stat {
        size,
        released: flag(released)?,
        recorded: flag(recorded)?.then_some(index),
        references: u32::try_from(references).ok()?,
    };
    let named = Named {
        known: flag(known)?,
        last: flag(is_named)?.then_some(last),
    };
    Some((stat, named))
}

fn references(reply: &Message) -> Result<u64, Refusal> {
    match reply.words() {
        [references] => Ok(*references),
        _ => Err(Refusal::Garbled),
    }
}

const fn flag(word: u64) -> Option<bool> {
    match word {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_the_wire() {
        for [already, recorded, released] in [[false; 3], [true, false, true], [true; 3]] {
            let committed = Committed {
                already,
                recorded,
                released,
            };
            let words = committed_words(&committed);
            assert_eq!(committed_from_words(&words), Some(committed));
        }
        for recorded in [None, Some(0), Some(7)] {
            let stat = Stat {
                size: 5,
                released: true,
                recorded,
                references: 2,
            };
            for (known, last) in [(false, None), (true, Some(9))] {
                let named = Named { known, last };
                let words = stat_words(&stat, &named);
                assert_eq!(stat_from_words(&words), Some((stat, named)));
            }
        }
        assert_eq!(stat_from_words(&[5, 2, 0, 0, 1, 0, 0, 0]), None);
        assert_eq!(stat_from_words(&[5, 1, 0, 0, 1 << 32, 0, 0, 0]), None);
        assert_eq!(stat_from_words(&[5, 1, 0, 0, 1, 2, 0, 0]), None);
        assert_eq!(committed_from_words(&[0; 4]), None);
        let digest = core::array::from_fn(|index| index as u8);
        assert_eq!(digest_from_words(&digest_words(&digest)), digest);
    }
}

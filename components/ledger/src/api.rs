//! The interface `worm`: append, read, prove. There is no other method.
//!
//! Entries are appended in groups, which become durable at once: a message carries as many as it has
//! room for, and says whether more of the group follows. A proof is a signed tree head and the hashes that lead from the record to its root. A message
//! holds [`HASHES_A_PAGE`] of them, enough for a log of 67 million records; of a longer proof the
//! rest is asked for with a cursor.

use portcullis_kernel::{CallGrant, MAX_WORDS, Message, Method, Refusal, Syscalls};
use portcullis_log::{
    block::{Footer, RECORD_OVERHEAD, Records},
    merkle::Hash,
};
use portcullis_manager_api::{Buffer, ask, find_call};
use serde::{Deserialize, Serialize};

use crate::Proved;

/// Name of the component that serves the interface, in the reference policy.
pub const OBJECT: &str = "ledger";
/// Name of the interface.
pub const INTERFACE: &str = "worm";

/// Appends entries: an [`Append`]. Reply: the index of the first, and how many entries are durable; where
/// the group ends, once all of it is.
pub const APPEND: Method = method(0);
/// Reads an entry: its index. Reply: its bytes.
pub const READ: Method = method(1);
/// Proves that an entry is in the log: its index, the size (0: as it is now), the first hash wanted.
/// Reply: a [`Page`].
pub const PROVE: Method = method(2);

/// Refusal: the log is not open; the console says why.
pub const CLOSED: u64 = 1;
/// Refusal: an entry is longer than [`crate::ENTRY_MAX`], or empty; none of the message is taken.
pub const TOO_LONG: u64 = 2;
/// Refusal: the region is full; reads and proofs go on. What came before in the group stays.
pub const FULL: u64 = 3;
/// Refusal: writing failed earlier; nothing is appended until the ledger is started anew.
pub const STOPPED: u64 = 4;
/// Refusal: the log is damaged, or another key signed it; nothing is appended.
pub const DAMAGED: u64 = 5;
/// Refusal: there is no record with that index.
pub const NO_RECORD: u64 = 6;
/// Refusal: no tree head of that size was signed.
pub const NO_CHECKPOINT: u64 = 7;
/// Refusal: the record is damaged on the disk; it is not served.
pub const LOST: u64 = 8;
/// Refusal: the disk failed; the console says how.
pub const DISK_FAILED: u64 = 9;

/// Words of a page before the hashes: size, number of hashes in the proof, root, signature.
const HEAD_WORDS: usize = 2 + 4 + 8;
/// Hashes in one page.
pub const HASHES_A_PAGE: usize = (MAX_WORDS - HEAD_WORDS) / 4;

const fn method(number: u8) -> Method {
    match Method::new(number) {
        Some(method) => method,
        None => panic!("method numbers are below 32"),
    }
}

/// Bytes of entries in one message, their lengths included: what postcard and the flag leave.
const GROUP: usize = (MAX_WORDS - 1) * 8 - 1 - 2;
const _: () = assert!(RECORD_OVERHEAD + crate::ENTRY_MAX <= GROUP);

/// Entries to append.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Append<'a> {
    /// More entries of the group follow: these are added, and not made durable yet.
    pub more: bool,
    /// The entries, each behind its length, as [`Records`] reads them.
    pub entries: &'a [u8],
}

impl<'a> Append<'a> {
    /// The entries, up to the first that is not one.
    pub const fn each(&self) -> Records<'a> {
        Records::over(self.entries)
    }
}

/// A page of a proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The signed tree head, the same on each page.
    pub head: Footer,
    /// Hashes in the whole proof.
    pub total: usize,
    /// Hashes on this page.
    pub count: usize,
    hashes: [Hash; HASHES_A_PAGE],
}

impl Page {
    /// The page of a proof that begins with hash number `first`.
    pub fn of(proved: &Proved, first: usize) -> Self {
        let all = proved.proof.hashes();
        let rest = all.get(first..).unwrap_or_default();
        let count = rest.len().min(HASHES_A_PAGE);
        let mut hashes = [[0; 32]; HASHES_A_PAGE];
        hashes[..count].copy_from_slice(&rest[..count]);
        Self {
            head: proved.head,
            total: all.len(),
            count,
            hashes,
        }
    }

    /// The hashes on this page.
    pub fn hashes(&self) -> &[Hash] {
        self.hashes.get(..self.count).unwrap_or_default()
    }

    /// Makes `message` the reply that carries it.
    pub fn reply(&self, message: &mut Message) {
        let mut words = [0; MAX_WORDS];
        words[0] = self.head.tree_size.get();
        words[1] = self.total as u64;
        to_words(&self.head.root, &mut words[2..]);
        to_words(&self.head.signature, &mut words[6..]);
        to_words(self.hashes().as_flattened(), &mut words[HEAD_WORDS..]);
        message.reply(&words[..HEAD_WORDS + 4 * self.count]);
    }

    /// Reads a reply.
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let (head, rest) = words.split_at_checked(HEAD_WORDS)?;
        let count = rest.len() / 4;
        let mut page = Self {
            head: Footer {
                tree_size: head[0].into(),
                root: [0; 32],
                signature: [0; 64],
            },
            total: usize::try_from(head[1]).ok()?,
            count,
            hashes: [[0; 32]; HASHES_A_PAGE],
        };
        if !rest.len().is_multiple_of(4) || count > HASHES_A_PAGE {
            return None;
        }
        from_words(&head[2..6], &mut page.head.root);
        from_words(&head[6..], &mut page.head.signature);
        from_words(rest, page.hashes.as_flattened_mut());
        Some(page)
    }
}

fn to_words(bytes: &[u8], words: &mut [u64]) {
    let (chunks, _) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
}

fn from_words(words: &[u64], bytes: &mut [u8]) {
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}

/// A client's end of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client(pub CallGrant);

impl Client {
    /// Asks the manager, on the caller's static channel with this id, for the caller's grant.
    pub fn find(kernel: &mut impl Syscalls, channel: u8) -> Result<Self, Refusal> {
        find_call(kernel, channel, OBJECT, INTERFACE).map(Self)
    }

    /// Appends an entry of at most [`crate::ENTRY_MAX`] bytes; its index. When this returns, the entry is durable.
    pub fn append(self, kernel: &mut impl Syscalls, entry: &[u8]) -> Result<u64, Refusal> {
        let mut first = Err(Refusal::Garbled);
        self.append_all(kernel, [entry], |index| first = Ok(index))?;
        first
    }

    /// Appends entries as one group, and gives `appended` the index of each. When this returns, all
    /// of them are durable; where it fails, those of which the index was given may be in the log.
    pub fn append_all<'e>(
        self,
        kernel: &mut impl Syscalls,
        entries: impl IntoIterator<Item = &'e [u8]>,
        mut appended: impl FnMut(u64),
    ) -> Result<(), Refusal> {
        let mut group = Group::EMPTY;
        for entry in entries {
            if entry.len() > crate::ENTRY_MAX {
                return Err(Refusal::Object(TOO_LONG));
            }
            if !group.put(entry) {
                group.send(self.0, kernel, true, &mut appended)?;
                group.put(entry);
            }
        }
        group.send(self.0, kernel, false, &mut appended)
    }

    /// Reads an entry.
    pub fn read<'b>(
        self,
        kernel: &mut impl Syscalls,
        index: u64,
        buffer: &'b mut Buffer,
    ) -> Result<&'b [u8], Refusal> {
        ask(kernel, self.0, READ, &index, buffer)
    }

    /// A page of the proof that entry `index` is in the log of `size` entries (0: as it is now), from
    /// hash number `first` on.
    pub fn prove(
        self,
        kernel: &mut impl Syscalls,
        index: u64,
        size: u64,
        first: u64,
    ) -> Result<Page, Refusal> {
        let mut message = Message::request(PROVE, &[index, size, first]);
        let words = self.0.call(kernel, PROVE, &mut message)?;
        Page::from_words(words).ok_or(Refusal::Garbled)
    }
}

/// Entries that are gathered for one message.
struct Group {
    bytes: [u8; GROUP],
    used: usize,
    entries: u64,
}

impl Group {
    const EMPTY: Self = Self {
        bytes: [0; GROUP],
        used: 0,
        entries: 0,
    };

    /// Whether there was room for it.
    fn put(&mut self, entry: &[u8]) -> bool {
        let length = RECORD_OVERHEAD + entry.len();
        let place = self.bytes[self.used..].get_mut(..length);
        let Some((prefix, bytes)) = place.and_then(|it| it.split_first_chunk_mut()) else {
            return false;
        };
        *prefix = (entry.len() as u16).to_le_bytes();
        bytes.copy_from_slice(entry);
        self.used += length;
        self.entries += 1;
        true
    }

    fn send(
        &mut self,
        grant: CallGrant,
        kernel: &mut impl Syscalls,
        more: bool,
        appended: &mut impl FnMut(u64),
    ) -> Result<(), Refusal> {
        let entries = &self.bytes[..self.used];
        let mut message = Message::default();
        let encoded = message.encode(0, &Append { more, entries });
        encoded.map_err(|_| Refusal::Garbled)?;
        let &[first, _] = grant.call(kernel, APPEND, &mut message)? else {
            return Err(Refusal::Garbled);
        };
        (first..)
            .zip(0..self.entries)
            .for_each(|(index, _)| appended(index));
        (self.used, self.entries) = (0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_survive_the_wire() {
        for count in [0, 1, HASHES_A_PAGE] {
            let mut hashes = [[0; 32]; HASHES_A_PAGE];
            for (number, hash) in hashes[..count].iter_mut().enumerate() {
                *hash = [number as u8 + 1; 32];
            }
            let page = Page {
                head: Footer {
                    tree_size: 77.into(),
                    root: [5; 32],
                    signature: core::array::from_fn(|index| index as u8),
                },
                total: 30,
                count,
                hashes,
            };
            let mut message = Message::default();
            page.reply(&mut message);
            assert_eq!(Page::from_words(message.words()), Some(page));
        }
        assert_eq!(Page::from_words(&[0; HEAD_WORDS - 1]), None);
        assert_eq!(Page::from_words(&[0; HEAD_WORDS + 3]), None);
    }
}

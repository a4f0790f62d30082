//! An index entry: what the vault knows of one object, in one sector.
//!
//! In the clear are a magic number and the seal; everything else is in the body, which has the same
//! size for all. The slot is authenticated, so an entry that was written elsewhere does not open.
//!
//! Every entry also says what the whole index was like when it was written ([`Tip`]): the entry with
//! the highest number vouches for all others.

use heapless::String;
use zerocopy::{FromZeros, IntoBytes};

use crate::{
    NAME_MAX, OBJECT_MAX, ObjectDigest,
    seal::Keys,
    wire::{Body, ENTRY_MAGIC, IndexEntry, RECORDED, RELEASED, REMOVED, SECTOR, Seal},
};

/// What the vault knows of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Its number, which its parts are sealed with.
    pub(crate) object: u64,
    pub(crate) digest: ObjectDigest,
    pub(crate) size: u64,
    /// First block, from the start of the data.
    pub(crate) first: u64,
    /// Seal of the only chunk, or of the seals of all chunks.
    pub(crate) root: Seal,
    /// Index of the first entry of the ledger that names it.
    pub(crate) recorded: Option<u64>,
    /// Entries of the ledger below this index were followed, as far as they name it.
    pub(crate) followed: u64,
    /// How many entries of the ledger it stands for: those that name it, less those that remove it.
    pub(crate) references: u32,
    /// When it could be published first, in the order of numbers: 0 where it cannot.
    pub(crate) available: u64,
    pub(crate) released: bool,
    /// It was removed: the slot is free, and only says what was there.
    pub(crate) removed: bool,
    /// The name that the ledger gives it; empty before it is recorded.
    pub(crate) name: String<NAME_MAX>,
}

/// What the whole index is like once an entry is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tip {
    /// Number of the write: rises.
    pub(crate) number: u64,
    /// The elements of all *other* entries, added without carry: the incremental multiset hash
    /// MSet-XOR-Hash (Clarke and others, ASIACRYPT 2003) with a secret key.
    pub(crate) others: u128,
    /// Every document that the ledger names below this index is there, or was removed.
    pub(crate) through: u64,
    /// How often the index was found to be another than it was left.
    pub(crate) changes: u32,
}

/// What a sector of the index holds.
#[expect(
    clippy::large_enum_variant,
    reason = "there is no allocator, and one at a time on the stack"
)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sector {
    /// Zeros: never written.
    Free,
    /// An entry.
    Entry {
        entry: Entry,
        tip: Tip,
        /// What it adds to the digest of the index.
        element: u128,
    },
    /// Something that does not authenticate.
    Void,
}

impl Entry {
    /// The sector that keeps the entry in a slot, and its element.
    pub(crate) fn seal(&self, keys: &Keys, slot: u16, tip: &Tip) -> ([u8; SECTOR], u128) {
        let mut body = self.body(tip);
        let seal = keys.seal_entry(slot, body.as_mut_bytes());
        let raw = IndexEntry {
            magic: ENTRY_MAGIC,
            seal,
            body: zerocopy::transmute!(body),
        };
        (zerocopy::transmute!(raw), keys.element(slot, &seal))
    }

    fn body(&self, tip: &Tip) -> Body {
        let mut body = Body::new_zeroed();
        body.number = tip.number.into();
        body.others = tip.others.into();
        body.through = tip.through.into();
        body.changes = tip.changes.into();
        body.object = self.object.into();
        body.digest = self.digest;
        body.size = self.size.into();
        body.first = self.first.into();
        body.root = self.root;
        body.recorded = self.recorded.unwrap_or_default().into();
        body.followed = self.followed.into();
        body.references = self.references.into();
        body.available = self.available.into();
        body.flags = if self.released { RELEASED } else { 0 }
            | if self.recorded.is_some() { RECORDED } else { 0 }
            | if self.removed { REMOVED } else { 0 };
        body.name_length = self.name.len() as u8;
        body.name[..self.name.len()].copy_from_slice(self.name.as_bytes());
        body
    }

    /// The vault sealed the body, so a value out of its range is a fault of the vault's own; it is
    /// taken for damage all the same.
    fn from_body(body: &Body) -> Option<Self> {
        let name = body.name.get(..usize::from(body.name_length))?;
        let entry = Self {
            object: body.object.get(),
            digest: body.digest,
            size: body.size.get(),
            first: body.first.get(),
            root: body.root,
            recorded: (body.flags & RECORDED != 0).then_some(body.recorded.get()),
            followed: body.followed.get(),
            references: body.references.get(),
            available: body.available.get(),
            released: body.flags & RELEASED != 0,
            removed: body.flags & REMOVED != 0,
            name: String::try_from(str::from_utf8(name).ok()?).ok()?,
        };
        (entry.size <= OBJECT_MAX).then_some(entry)
    }
}

impl Sector {
    /// Reads the sector of a slot.
    pub(crate) fn open(sector: &[u8; SECTOR], keys: &Keys, slot: u16) -> Self {
        if sector.iter().all(|byte| *byte == 0) {
            return Self::Free;
        }
        let mut raw: IndexEntry = zerocopy::transmute!(*sector);
        let opened = keys.open_entry(slot, &raw.seal, &mut raw.body);
        if raw.magic != ENTRY_MAGIC || opened.is_err() {
            return Self::Void;
        }
        let body: &Body = zerocopy::transmute_ref!(&raw.body);
        let tip = Tip {
            number: body.number.get(),
            others: body.others.get(),
            through: body.through.get(),
            changes: body.changes.get(),
        };
        match Entry::from_body(body) {
            Some(entry) => Self::Entry {
                entry,
                tip,
                element: keys.element(slot, &raw.seal),
            },
            None => Self::Void,
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromBytes;

    use super::*;

    const TIP: Tip = Tip {
        number: 99,
        others: u128::MAX - 5,
        through: 7,
        changes: 2,
    };

    fn largest() -> Entry {
        Entry {
            object: u64::MAX,
            digest: [8; 32],
            size: OBJECT_MAX,
            first: u64::from(u32::MAX),
            root: Seal::read_from_bytes(&[3; size_of::<Seal>()]).unwrap(),
            recorded: Some(u64::MAX),
            followed: 6,
            references: 1,
            available: 5,
            released: true,
            removed: true,
            name: String::try_from(str::from_utf8(&[b'n'; NAME_MAX]).unwrap()).unwrap(),
        }
    }

    #[test]
    fn entries_survive_in_their_slot_only() {
        let keys = Keys::new(&[1; 32], &[2; 16]);
        let smallest = Entry {
            released: false,
            removed: false,
            recorded: None,
            name: String::new(),
            ..largest()
        };
        for entry in [largest(), smallest] {
            let (sector, element) = entry.seal(&keys, 4, &TIP);
            let whole = Sector::Entry {
                entry,
                tip: TIP,
                element,
            };
            assert_eq!(Sector::open(&sector, &keys, 4), whole);
            assert_eq!(Sector::open(&sector, &keys, 5), Sector::Void);
        }
        assert_eq!(Sector::open(&[0; SECTOR], &keys, 4), Sector::Free);
    }

    #[test]
    fn every_damaged_byte_is_found_and_no_name_is_in_the_clear() {
        let keys = Keys::new(&[1; 32], &[2; 16]);
        let (sector, _) = largest().seal(&keys, 4, &TIP);
        assert!(!sector.windows(4).any(|bytes| bytes == b"nnnn"));
        for byte in 0..SECTOR {
            let mut bad = sector;
            bad[byte] ^= 1;
            assert_eq!(Sector::open(&bad, &keys, 4), Sector::Void, "byte {byte}");
        }
    }
}

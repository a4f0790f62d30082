//! An index entry: what the vault knows of one object, in one sector.
//!
//! 24 bytes in the clear (magic, salt, number), the sealed body, the tag. The sector's place in the
//! index is authenticated, so an entry that was written elsewhere does not open. Names are in the
//! body, which has the same size for all, and so is everything else that says what an object is.

use heapless::String;
use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::little_endian::{U32, U64},
};

use crate::{
    NAME_MAX, OBJECT_MAX, ObjectDigest, Salt,
    layout::{SECTOR, TAG},
    seal::{Keys, Position},
};

const MAGIC: [u8; 4] = *b"PVOB";
const CLEAR: usize = 4 + 12 + 8;
const BODY: usize = SECTOR - CLEAR - TAG;

const RELEASED: u8 = 1;
const RECORDED: u8 = 2;

/// What the vault knows of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Its number, which its chunks are sealed with.
    pub(crate) object: u64,
    /// The salt that its chunks are sealed with.
    pub(crate) salt: Salt,
    pub(crate) digest: ObjectDigest,
    pub(crate) size: u64,
    /// First block, from the start of the data.
    pub(crate) first: u64,
    pub(crate) released: bool,
    /// Index in the ledger, once it is recorded there.
    pub(crate) recorded: Option<u64>,
    /// When it could be published first, in the order of numbers: 0 where it cannot.
    pub(crate) available: u64,
    /// How many puts it stands for. One: nothing is deleted yet.
    pub(crate) references: u32,
    pub(crate) name: String<NAME_MAX>,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    magic: [u8; 4],
    salt: Salt,
    number: U64,
    body: [u8; BODY],
    tag: [u8; TAG],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawBody {
    object: U64,
    salt: Salt,
    size: U64,
    first: U64,
    digest: ObjectDigest,
    recorded: U64,
    available: U64,
    references: U32,
    flags: u8,
    name_length: u8,
    name: [u8; NAME_MAX],
    reserved: [u8; BODY - 345],
}

/// What a sector of the index holds.
#[expect(
    clippy::large_enum_variant,
    reason = "there is no allocator, and one at a time on the stack"
)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sector {
    /// Zeros: free.
    Free,
    /// An entry, and the number it was written with.
    Entry(Entry, u64),
    /// Something that does not authenticate.
    Void,
}

impl Entry {
    /// Writes the entry for its slot, with a salt and a number that were never used together.
    pub(crate) fn seal(&self, keys: &Keys, slot: u32, salt: Salt, number: u64) -> [u8; SECTOR] {
        let mut body = RawBody::new_zeroed();
        body.object = self.object.into();
        body.salt = self.salt;
        body.size = self.size.into();
        body.first = self.first.into();
        body.digest = self.digest;
        body.recorded = self.recorded.unwrap_or_default().into();
        body.available = self.available.into();
        body.references = self.references.into();
        body.flags = if self.released { RELEASED } else { 0 }
            | if self.recorded.is_some() { RECORDED } else { 0 };
        body.name_length = self.name.len() as u8;
        body.name[..self.name.len()].copy_from_slice(self.name.as_bytes());
        let at = Position {
            salt,
            number,
            chunk: 0,
        };
        let tag = keys.seal_entry(at, slot, body.as_mut_bytes());
        let raw = RawEntry {
            magic: MAGIC,
            salt,
            number: number.into(),
            body: body.as_bytes().try_into().expect("a body has BODY bytes"),
            tag,
        };
        raw.as_bytes().try_into().expect("an entry fills a sector")
    }

    /// Reads the sector of a slot.
    pub(crate) fn open(sector: &[u8; SECTOR], keys: &Keys, slot: u32) -> Sector {
        if sector.iter().all(|byte| *byte == 0) {
            return Sector::Free;
        }
        let mut raw = RawEntry::read_from_bytes(sector).expect("a sector has the size of an entry");
        let number = raw.number.get();
        let at = Position {
            salt: raw.salt,
            number,
            chunk: 0,
        };
        let opened = keys.open_entry(at, slot, &mut raw.body, &raw.tag);
        if raw.magic != MAGIC || opened.is_err() {
            return Sector::Void;
        }
        let body = RawBody::ref_from_bytes(&raw.body).expect("a body has BODY bytes");
        Self::from_body(body).map_or(Sector::Void, |entry| Sector::Entry(entry, number))
    }

    /// The vault sealed the body, so a value out of its range is a fault of the vault's own; it is
    /// taken for damage all the same.
    fn from_body(body: &RawBody) -> Option<Self> {
        let name = body.name.get(..usize::from(body.name_length))?;
        let entry = Self {
            object: body.object.get(),
            salt: body.salt,
            digest: body.digest,
            size: body.size.get(),
            first: body.first.get(),
            released: body.flags & RELEASED != 0,
            recorded: (body.flags & RECORDED != 0).then_some(body.recorded.get()),
            available: body.available.get(),
            references: body.references.get(),
            name: String::try_from(str::from_utf8(name).ok()?).ok()?,
        };
        (entry.size <= OBJECT_MAX).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest() -> Entry {
        Entry {
            object: u64::MAX,
            salt: [9; 12],
            digest: [8; 32],
            size: OBJECT_MAX,
            first: u64::from(u32::MAX),
            released: true,
            recorded: Some(u64::MAX),
            available: 5,
            references: 1,
            name: String::try_from(str::from_utf8(&[b'n'; NAME_MAX]).unwrap()).unwrap(),
        }
    }

    #[test]
    fn entries_survive_in_their_slot_only() {
        let keys = Keys::new(&[1; 32], &[2; 16]);
        let smallest = Entry {
            released: false,
            recorded: None,
            name: String::new(),
            ..largest()
        };
        for entry in [largest(), smallest] {
            let sector = entry.seal(&keys, 4, [7; 12], 99);
            assert_eq!(Entry::open(&sector, &keys, 4), Sector::Entry(entry, 99));
            assert_eq!(Entry::open(&sector, &keys, 5), Sector::Void);
        }
        assert_eq!(Entry::open(&[0; SECTOR], &keys, 4), Sector::Free);
    }

    #[test]
    fn every_damaged_byte_is_found_and_no_name_is_in_the_clear() {
        let keys = Keys::new(&[1; 32], &[2; 16]);
        let sector = largest().seal(&keys, 4, [7; 12], 99);
        assert!(!sector.windows(4).any(|bytes| bytes == b"nnnn"));
        for byte in 0..SECTOR {
            let mut bad = sector;
            bad[byte] ^= 1;
            assert_eq!(Entry::open(&bad, &keys, 4), Sector::Void, "byte {byte}");
        }
    }
}

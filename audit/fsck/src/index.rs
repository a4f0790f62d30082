//! The vault's superblocks and index: what it says of its objects.

use std::collections::HashMap;
use std::io::{Read, Seek};

use portcullis_blk::{BLOCK, Block};
use portcullis_vault::wire::{
    AUTHENTICATED, Body, ENTRIES, ENTRY_MAGIC, IndexEntry, RECORDED, RELEASED, REMOVED, SECTOR,
    SUPERBLOCKS, Seal, Superblock, VAULT_MAGIC, VAULT_VERSION,
};
use portcullis_vault::{CHUNK, CHUNK_BLOCKS, MAX_OBJECTS, OBJECT_MAX};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::disk::{AT_ONCE, Image, Span, is_zero};
use crate::fault::SuperblockFault;
use crate::finding::{At, Findings, Place, Region};
use crate::keys::VaultKeys;
use crate::what::What;

/// Most blocks of an index.
const INDEX_BLOCKS_MAX: u64 = (MAX_OBJECTS / ENTRIES) as u64;

/// How the vault's region is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Division {
    pub(crate) index_blocks: u64,
    pub(crate) data_blocks: u64,
}

impl Division {
    /// First block of the data.
    pub(crate) const fn data(&self) -> u64 {
        SUPERBLOCKS + self.index_blocks
    }
}

/// An object, as its index entry says.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) slot: u16,
    pub(crate) number: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) size: u64,
    pub(crate) first: u64,
    pub(crate) root: Seal,
    pub(crate) recorded: Option<u64>,
    pub(crate) followed: u64,
    pub(crate) references: u32,
    pub(crate) released: bool,
    pub(crate) name: String,
}

/// What the index says.
#[derive(Default)]
pub(crate) struct Index {
    /// Objects that are there, by slot.
    pub(crate) objects: Vec<Object>,
    /// Slots in use.
    pub(crate) entries: u64,
    /// Of these, entries that only say what was removed.
    pub(crate) removed: u64,
    /// The newest entry's: up to which entry of the ledger everything is accounted for.
    pub(crate) through: u64,
    /// Its number, slot, hash of all others; and how often the index was found changed.
    newest: Option<(u64, u16, u128, u32)>,
    /// Slots by the number of the write that left them.
    numbers: HashMap<u64, u16>,
    /// The elements of all entries, added.
    elements: HashMap<u16, u128>,
}

impl Object {
    pub(crate) const fn place(&self) -> Place {
        let at = At::Object {
            slot: Some(self.slot),
            digest: self.digest,
        };
        Place::new(Region::Vault, at)
    }

    pub(crate) const fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK as u64)
    }

    /// Blocks of its content.
    pub(crate) const fn content_blocks(&self) -> u64 {
        self.size.div_ceil(BLOCK as u64)
    }

    /// Blocks that hold the seals of its chunks.
    pub(crate) const fn seal_blocks(&self) -> u64 {
        match self.chunks() {
            0 | 1 => 0,
            chunks => (chunks * size_of::<Seal>() as u64).div_ceil(BLOCK as u64),
        }
    }

    pub(crate) const fn blocks(&self) -> u64 {
        self.content_blocks() + self.seal_blocks()
    }
}

/// Reads both superblocks; `None` where the region cannot be understood, or no vault is there yet.
pub(crate) fn superblocks<D: Read + Seek>(
    image: &mut Image<'_, D>,
    span: Span,
    keys: Option<&VaultKeys>,
    findings: &mut Findings,
) -> Option<Division> {
    if image.there(span).length < SUPERBLOCKS {
        return None;
    }
    let mut copy = |image: &mut _, number| superblock(image, span, number, keys, findings);
    let (first, second) = (copy(image, 0), copy(image, 1));
    let damaged = What::Superblock(SuperblockFault::Damaged);
    let place = |copy| Place::block(Region::Vault, copy);
    match (first, second) {
        (Some(Ok(first)), Some(Ok(second))) if first != second => {
            findings.violation(Place::VAULT, What::SuperblocksDiffer);
        }
        (Some(Ok(made)), None) if !is_used(image, span, made.index_blocks, findings) => {
            findings.note(place(1), What::OneSuperblock);
        }
        (Some(Ok(_)), None) => findings.violation(place(1), damaged),
        (None, Some(Ok(_))) => findings.violation(place(0), damaged),
        (None, None) if is_used(image, span, INDEX_BLOCKS_MAX, findings) => {
            findings.violation(Place::VAULT, What::NoSuperblock);
        }
        _ => {}
    }
    let sound = |copy: Option<Result<Division, _>>| copy.and_then(Result::ok);
    sound(first).or(sound(second))
}

/// Reads a copy of the superblock; `None` where nothing was written.
fn superblock<D: Read + Seek>(
    image: &mut Image<'_, D>,
    span: Span,
    number: u64,
    keys: Option<&VaultKeys>,
    findings: &mut Findings,
) -> Option<Result<Division, SuperblockFault>> {
    let mut block: Block = [0; BLOCK];
    image.read((Region::Vault, span.start), number, &mut block, findings);
    if is_zero(&block) {
        return None;
    }
    let superblock = judge(&block, span.length, keys);
    let place = Place::block(Region::Vault, number);
    match superblock {
        Ok(_) if !is_zero(&block[SECTOR..]) => findings.violation(place, What::NotZero),
        Ok(_) => {}
        Err(fault) => findings.violation(place, What::Superblock(fault)),
    }
    Some(superblock)
}

/// Whether there is anything in an index of so many blocks.
fn is_used<D: Read + Seek>(
    image: &mut Image<'_, D>,
    span: Span,
    blocks: u64,
    findings: &mut Findings,
) -> bool {
    let end = image.there(span).length.min(SUPERBLOCKS + blocks);
    (SUPERBLOCKS..end).any(|number| {
        let mut block: Block = [0; BLOCK];
        image.read((Region::Vault, span.start), number, &mut block, findings);
        !is_zero(&block)
    })
}

fn judge(
    block: &Block,
    blocks: u64,
    keys: Option<&VaultKeys>,
) -> Result<Division, SuperblockFault> {
    let (raw, _) = Superblock::read_from_prefix(block).expect("a block is larger");
    let hashed = &raw.as_bytes()[..SECTOR - 32];
    if raw.magic != VAULT_MAGIC || raw.sha256[..] != Sha256::digest(hashed)[..] {
        return Err(SuperblockFault::Damaged);
    }
    if raw.version.get() != VAULT_VERSION {
        return Err(SuperblockFault::Version(raw.version.get()));
    }
    let authenticated = &raw.as_bytes()[..AUTHENTICATED];
    if keys.is_some_and(|keys| keys.superblock(authenticated) != raw.mac) {
        return Err(SuperblockFault::Key);
    }
    if !is_zero(&raw.reserved) {
        return Err(SuperblockFault::Reserved);
    }
    let (index_blocks, data_blocks) = (raw.index_blocks.get(), raw.data_blocks.get());
    let fits = (1..=INDEX_BLOCKS_MAX).contains(&index_blocks)
        && data_blocks <= u32::MAX.into()
        && SUPERBLOCKS + index_blocks + data_blocks <= blocks;
    if raw.chunk_blocks.get() != CHUNK_BLOCKS as u32 || !fits {
        return Err(SuperblockFault::Division);
    }
    Ok(Division {
        index_blocks,
        data_blocks,
    })
}

/// Reads the index. Without keys only what lies in the clear.
pub(crate) fn read<D: Read + Seek>(
    image: &mut Image<'_, D>,
    span: Span,
    division: &Division,
    keys: Option<&VaultKeys>,
    findings: &mut Findings,
) -> Index {
    let mut index = Index::default();
    let there = image.there(span).length.saturating_sub(SUPERBLOCKS);
    let blocks = there.min(division.index_blocks);
    let mut buffer = vec![0; BLOCK * AT_ONCE.min(blocks as usize)];
    let mut slot = 0;
    for first in (0..blocks).step_by(AT_ONCE) {
        let count = (blocks - first).min(AT_ONCE as u64) as usize;
        let data = &mut buffer[..count * BLOCK];
        let from = (Region::Vault, span.start);
        image.read(from, SUPERBLOCKS + first, data, findings);
        for sector in data.as_chunks::<SECTOR>().0 {
            if !is_zero(sector) {
                index.entry(slot, sector, keys, findings);
            }
            slot = slot.wrapping_add(1);
        }
    }
    index.hold_against_newest(findings);
    index.hold_against_places(division, findings);
    index
}

impl Index {
    fn entry(
        &mut self,
        slot: u16,
        sector: &[u8; SECTOR],
        keys: Option<&VaultKeys>,
        findings: &mut Findings,
    ) {
        self.entries += 1;
        let place = Place::slot(slot);
        let mut raw: IndexEntry = zerocopy::transmute!(*sector);
        if raw.magic != ENTRY_MAGIC {
            return findings.violation(place, What::Entry);
        }
        let Some(keys) = keys else { return };
        if !keys.open_entry(slot, &raw.seal, &mut raw.body) {
            return findings.violation(place, What::Entry);
        }
        if keys.entry_nonce(slot, &Sha256::digest(raw.body).into()) != raw.seal.nonce {
            findings.violation(place, What::Nonce);
        }
        let body: &Body = zerocopy::transmute_ref!(&raw.body);
        self.elements.insert(slot, keys.element(slot, &raw.seal));
        let number = body.number.get();
        if let Some(other) = self.numbers.insert(number, slot) {
            findings.violation(place, What::SameNumber { other });
        }
        if self.newest.is_none_or(|(newest, ..)| newest < number) {
            self.newest = Some((number, slot, body.others.get(), body.changes.get()));
            self.through = body.through.get();
        }
        if let Some(field) = wrong_field(body) {
            findings.violation(place, What::EntryField(field));
        }
        if body.flags & REMOVED != 0 {
            self.removed += 1;
        } else if body.size.get() <= OBJECT_MAX {
            self.objects.push(object(slot, body));
        }
    }

    /// The newest entry vouches for all others.
    fn hold_against_newest(&self, findings: &mut Findings) {
        let Some((_, slot, others, changes)) = self.newest else {
            return;
        };
        let elements = self.elements.iter().filter(|(it, _)| **it != slot);
        let found = elements.fold(0, |all, (_, element)| all ^ element);
        if found != others {
            findings.violation(Place::VAULT, What::IndexChanged);
        }
        if changes > 0 {
            let what = What::ChangedBefore { times: changes };
            findings.note(Place::VAULT, what);
        }
    }

    /// Each object is one, and each block is of one object, or of none.
    fn hold_against_places(&self, division: &Division, findings: &mut Findings) {
        let (mut digests, mut numbers) = (HashMap::new(), HashMap::new());
        for object in &self.objects {
            if let Some(other) = digests.insert(object.digest, object.slot) {
                findings.violation(object.place(), What::SameObject { other });
            }
            if let Some(other) = numbers.insert(object.number, object.slot) {
                findings.violation(object.place(), What::SameNumber { other });
            }
        }
        let of_blocks = self.objects.iter().filter(|object| object.blocks() > 0);
        let mut placed: Vec<_> = of_blocks.collect();
        placed.sort_by_key(|object| object.first);
        let (mut free_from, mut before) = (0, None);
        for object in placed {
            let end = object.first.saturating_add(object.blocks());
            if end > division.data_blocks {
                findings.violation(object.place(), What::Outside);
            }
            if let Some(other) = before.filter(|_| object.first < free_from) {
                findings.violation(object.place(), What::Shared { other });
            }
            if end >= free_from {
                (free_from, before) = (end, Some(object.slot));
            }
        }
    }
}

/// A field that has no value that the vault writes.
fn wrong_field(body: &Body) -> Option<&'static str> {
    let flags = body.flags;
    let (recorded, released, removed) = (
        flags & RECORDED != 0,
        flags & RELEASED != 0,
        flags & REMOVED != 0,
    );
    let length = usize::from(body.name_length);
    let number = body.number.get();
    let name = body.name.get(..length).map(str::from_utf8);
    let sound = [
        (flags & !(RECORDED | RELEASED | REMOVED) == 0, "flags"),
        (is_zero(&body.reserved), "reserved field"),
        (matches!(name, Some(Ok(_))), "name"),
        (body.name.get(length..).is_some_and(is_zero), "name"),
        (body.size.get() <= OBJECT_MAX, "size"),
        (body.object.get() < number, "object number"),
        (body.available.get() < number, "place in the stream"),
        (
            released == (body.available.get() > 0),
            "place in the stream",
        ),
        (!released || recorded, "release"),
        (recorded || body.recorded.get() == 0, "first entry"),
        (recorded || body.references.get() == 0, "references"),
        (
            !recorded || body.recorded.get() < body.followed.get(),
            "first entry",
        ),
        (!removed || body.references.get() == 0, "references"),
        (
            removed || !recorded || body.references.get() > 0,
            "references",
        ),
        (body.size.get() > 0 || body.root == Seal::NONE, "seal"),
    ];
    let wrong = sound.iter().find(|(holds, _)| !holds);
    wrong.map(|(_, field)| *field)
}

fn object(slot: u16, body: &Body) -> Object {
    let name = body.name.get(..usize::from(body.name_length));
    Object {
        slot,
        number: body.object.get(),
        digest: body.digest,
        size: body.size.get(),
        first: body.first.get(),
        root: body.root,
        recorded: (body.flags & RECORDED != 0).then_some(body.recorded.get()),
        followed: body.followed.get(),
        references: body.references.get(),
        released: body.flags & RELEASED != 0,
        name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
    }
}

//! The vault's state, without system calls: opening, numbers, index entries.
//!
//! **Numbers** rise with every write of an index entry and every object. The entry with the highest
//! number says what all others are ([`Tip`]), so an index from which an entry is gone, or in which
//! one is older than it should be, is told from one that the vault left behind.

use portcullis_blk::{BLOCK, Block, Disk, DiskError, DiskId};

use crate::{
    NAME_MAX, ObjectDigest, StoreError,
    entry::{Entry, Sector, Tip},
    follow::Names,
    layout::{CHUNK, CHUNK_BLOCKS, CHUNKS_MAX, Layout},
    put::Upload,
    seal::Keys,
    superblock,
    table::{Object, Table},
    wire::{ENTRIES, SECTOR, SUPERBLOCKS, Seal},
};

/// The vault's working memory, for the platform to place: 1.5 MiB.
#[derive(Debug)]
pub struct Memory {
    pub(crate) table: Table,
    /// Of the object that is being put.
    pub(crate) upload: Buffer,
    /// Of what was read last, in the clear.
    pub(crate) reading: Buffer,
    pub(crate) block: Block,
    /// Of the object that was asked for last.
    pub(crate) names: Names,
}

/// A chunk, and the seals of all chunks of its object.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) chunk: [u8; CHUNK],
    pub(crate) seals: [Seal; CHUNKS_MAX],
}

impl Memory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            table: Table::new(),
            upload: Buffer::NEW,
            reading: Buffer::NEW,
            block: [0; _],
            names: Names::new(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    const NEW: Self = Self {
        chunk: [0; _],
        seals: [Seal::NONE; _],
    };
}

/// What a commit did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// It was there already, and sound.
    pub already: bool,
    /// It is recorded in the ledger.
    pub recorded: bool,
    /// It was released.
    pub released: bool,
}

/// What the vault says of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Size in bytes.
    pub size: u64,
    /// Whether it was released.
    pub released: bool,
    /// Index of the first entry of the ledger that names it, where it is recorded.
    pub recorded: Option<u64>,
    /// How many entries of the ledger it stands for.
    pub references: u32,
}

/// What is in memory of the object that was read last, by the object's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cached {
    /// The object whose seals are there.
    pub(crate) seals: Option<u64>,
    /// The chunk of it that is there, in the clear: readers ask for pieces that cut across chunks.
    pub(crate) chunk: Option<u32>,
}

impl Cached {
    pub(crate) const NOTHING: Self = Self {
        seals: None,
        chunk: None,
    };
}

/// An object in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Ask from here on for the next.
    pub next: u64,
    /// The object.
    pub digest: ObjectDigest,
    /// What the vault knows of it.
    pub stat: Stat,
    /// The name that the ledger gives it: the one that it was released under, if it was.
    pub name: heapless::String<NAME_MAX>,
}

/// What opening found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The region was empty and is a vault now.
    pub formatted: bool,
    /// Objects.
    pub objects: usize,
    /// Index entries that do not authenticate, or whose object or blocks are another's.
    pub void: usize,
    /// Blocks of the index that the device does not read. What they hold is not served, and nothing is
    /// taken in: it might be written over what they tell of.
    pub unread: usize,
    /// Blocks for content.
    pub blocks: u64,
    /// Of these, in use.
    pub used: u64,
    /// A superblock was damaged, and is written anew from the other.
    pub superblock_damaged: bool,
    /// The index is not as the vault left it: an entry is gone, or older than it should be.
    pub changed: bool,
    /// How often that was found, this time included.
    pub changes: u32,
}

/// The vault.
pub struct Store<'m> {
    pub(crate) keys: Option<Keys>,
    pub(crate) layout: Layout,
    pub(crate) memory: &'m mut Memory,
    pub(crate) upload: Option<Upload>,
    pub(crate) cached: Cached,
    /// Every document that the ledger names below this index is there, or was removed.
    pub(crate) through: u64,
    changes: u32,
    next_number: u64,
    stopped: bool,
}

impl core::fmt::Debug for Store<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut debug = f.debug_struct("Store");
        debug.field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl<'m> Store<'m> {
    /// A vault that is not open.
    pub const fn new(memory: &'m mut Memory) -> Self {
        Self {
            keys: None,
            layout: Layout::NONE,
            memory,
            upload: None,
            cached: Cached::NOTHING,
            through: 0,
            changes: 0,
            next_number: 1,
            stopped: false,
        }
    }

    /// Opens the vault on `disk`, or makes one there where the superblocks' places are zero.
    pub fn open(
        &mut self,
        disk: &mut impl Disk,
        key: &[u8; 32],
        id: &DiskId,
    ) -> Result<Opened, StoreError> {
        let keys = Keys::new(key, id);
        let found = superblock::load(disk, &keys, &mut self.memory.block)?;
        let blocks = disk.blocks();
        let made = || Layout::new(blocks).ok_or(StoreError::TooSmall { blocks });
        self.layout = found.layout.map_or_else(made, Ok)?;
        let (changed, newest, unread) = self.read_index(disk, &keys)?;
        self.stopped |= unread > 0;
        if found.layout.is_none() || found.damaged {
            let stored = superblock::store(disk, self.layout, &keys);
            self.settle(stored)?;
        }
        if let Some(slot) = newest {
            self.stopped |= self.write_again(disk, slot).is_err();
        }
        self.keys = Some(keys);
        Ok(Opened {
            formatted: found.layout.is_none(),
            objects: self.memory.table.objects(),
            void: self.memory.table.void() - unread * ENTRIES,
            unread,
            blocks: self.layout.data_blocks,
            used: self.memory.table.used(),
            superblock_damaged: found.damaged,
            changed,
            changes: self.changes,
        })
    }

    pub(crate) fn keys(&self) -> Result<&Keys, StoreError> {
        self.keys.as_ref().ok_or(StoreError::Closed)
    }

    pub(crate) const fn check_writable(&self) -> Result<(), StoreError> {
        if self.keys.is_none() {
            Err(StoreError::Closed)
        } else if self.stopped {
            Err(StoreError::Stopped)
        } else {
            Ok(())
        }
    }

    /// Writes the block with the newest entry again. Its flush may have failed, and what is read back
    /// may come from a cache; everything older was flushed, or the vault had not gone on.
    fn write_again(&mut self, disk: &mut impl Disk, newest: u16) -> Result<(), DiskError> {
        let (place, block) = (entry_block(newest), &mut self.memory.block);
        disk.read(place, block)?;
        disk.write(place, block)?;
        disk.flush()
    }

    /// Reads the index into the table; whether it is not as the vault left it, the slot that was written
    /// last, and how many blocks cannot be read: what these hold is not known to be changed.
    fn read_index(
        &mut self,
        disk: &mut impl Disk,
        keys: &Keys,
    ) -> Result<(bool, Option<u16>, usize), StoreError> {
        let Memory { table, reading, .. } = &mut *self.memory;
        table.reset(self.layout.slots());
        self.cached = Cached::NOTHING;
        let mut newest: Option<(Tip, u16)> = None;
        let mut highest = 0;
        let (mut slot, mut unread) = (0, 0);
        for first in (0..self.layout.index_blocks).step_by(CHUNK_BLOCKS) {
            let count = (self.layout.index_blocks - first).min(CHUNK_BLOCKS as u64);
            let blocks = &mut reading.chunk[..count as usize * BLOCK];
            unread += read_blocks(disk, SUPERBLOCKS + first, blocks)?;
            let (sectors, _) = blocks.as_chunks::<SECTOR>();
            for sector in sectors {
                match Sector::open(sector, keys, slot) {
                    Sector::Free => {}
                    Sector::Void => table.set_void(slot),
                    Sector::Entry {
                        entry,
                        tip,
                        element,
                    } => {
                        table.set_element(slot, element);
                        highest = highest.max(tip.number).max(entry.object);
                        if newest.is_none_or(|(newest, _)| newest.number < tip.number) {
                            newest = Some((tip, slot));
                        }
                        place(table, slot, &entry, self.layout.data_blocks);
                    }
                }
                slot += 1;
            }
        }
        let written_last = newest.map(|(_, slot)| slot);
        let (tip, slot) = newest.unwrap_or_default();
        let unchanged = tip.others == table.others(slot);
        let changed = !unchanged && unread == 0;
        self.next_number = highest + 1;
        self.changes = tip.changes.saturating_add(changed.into());
        // Of another index than the one that was left, nobody knows what it has.
        self.through = if unchanged { tip.through } else { 0 };
        Ok((changed, written_last, unread))
    }

    /// A number that was not used before.
    pub(crate) const fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// After a write of which nobody knows what it left, nothing is written any more.
    pub(crate) fn settle(&mut self, result: Result<(), DiskError>) -> Result<(), StoreError> {
        self.stopped |= result.is_err();
        Ok(result?)
    }

    /// Reads an object's index entry from the disk: the one that was written last.
    pub(crate) fn entry(&mut self, disk: &mut impl Disk, slot: u16) -> Result<Entry, StoreError> {
        let Memory { table, block, .. } = &mut *self.memory;
        let digest = table.object(slot).ok_or(StoreError::NotFound)?.digest;
        disk.read(entry_block(slot), block)?;
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        match Sector::open(sector(block, slot), keys, slot) {
            Sector::Entry { entry, element, .. } if element == table.element(slot) => Ok(entry),
            _ => Err(StoreError::DamagedEntry { digest }),
        }
    }

    /// Writes an index entry to its slot, leaves the others of its block as they are, and flushes.
    pub(crate) fn write_entry(
        &mut self,
        disk: &mut impl Disk,
        slot: u16,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let tip = Tip {
            number: self.number(),
            others: self.memory.table.others(slot),
            through: self.through,
            changes: self.changes,
        };
        disk.read(entry_block(slot), &mut self.memory.block)?;
        let (sealed, element) = entry.seal(self.keys()?, slot, &tip);
        *sector(&mut self.memory.block, slot) = sealed;
        let written = disk.write(entry_block(slot), &self.memory.block);
        self.settle(written.and_then(|()| disk.flush()))?;
        let table = &mut self.memory.table;
        table.set_element(slot, element);
        if entry.removed {
            table.set_removed(slot);
        } else {
            table.replace(slot, Object::from(entry));
        }
        Ok(())
    }
}

/// Reads blocks of the index. Those that the device cannot read are filled with what is no entry; how
/// many there are.
fn read_blocks(disk: &mut impl Disk, first: u64, blocks: &mut [u8]) -> Result<usize, DiskError> {
    if disk.read(first, blocks).is_ok() {
        return Ok(0);
    }
    let mut unread = 0;
    for (number, block) in (first..).zip(blocks.chunks_mut(BLOCK)) {
        match disk.read(number, block) {
            Err(DiskError::Read { .. }) => {
                block.fill(0xff);
                unread += 1;
            }
            result => result?,
        }
    }
    Ok(unread)
}

/// Puts an entry that was read into the table, where it can stand beside those that are there.
fn place(table: &mut Table, slot: u16, entry: &Entry, data_blocks: u64) {
    let object = Object::from(entry);
    let end = entry.first.saturating_add(object.blocks());
    if entry.removed {
        table.set_removed(slot);
    } else if end > data_blocks || !table.insert(slot, object) {
        table.set_void(slot);
    }
}

/// The block that holds a slot's entry.
const fn entry_block(slot: u16) -> u64 {
    SUPERBLOCKS + slot as u64 / ENTRIES as u64
}

/// A slot's sector in its block.
fn sector(block: &mut Block, slot: u16) -> &mut [u8; SECTOR] {
    let (sectors, _) = block.as_chunks_mut::<SECTOR>();
    &mut sectors[usize::from(slot) % ENTRIES]
}

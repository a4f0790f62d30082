//! The vault's state, without system calls: opening, numbers, index entries.
//!
//! **Numbers** are used once and rise. An object has one, which its chunks are sealed with; every
//! write of an index entry takes one, which the entry is sealed with; and an object that can be
//! published takes one, which orders it. Each start sets [`NUMBERS`](crate::layout::NUMBERS) of them
//! aside in a superblock, durably, before it uses the first, so what a cut lost is never used again.

use portcullis_blk::{BLOCK, Block, Disk, DiskId};

use crate::{
    CHUNK_BLOCKS, ObjectDigest, Salt, StoreError,
    entry::{Entry, Sector},
    get::Cached,
    layout::{ENTRIES, Layout, NUMBERS, Place, SECTOR, SUPERBLOCKS, Superblock},
    put::Upload,
    seal::Keys,
    table::{Object, Table},
};

/// The vault's working memory, for the platform to place: 1.5 MiB.
#[derive(Debug)]
pub struct Memory {
    pub(crate) table: Table,
    /// The chunk of the object that is being put.
    pub(crate) upload: [u8; CHUNK_BLOCKS * BLOCK],
    /// The chunk that was read last, in the clear.
    pub(crate) reading: [u8; CHUNK_BLOCKS * BLOCK],
    pub(crate) block: Block,
}

impl Memory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            table: Table::new(),
            upload: [0; _],
            reading: [0; _],
            block: [0; _],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// What a commit did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The object.
    pub digest: ObjectDigest,
    /// It was there already.
    pub already: bool,
    /// It is recorded in the ledger.
    pub recorded: bool,
}

/// What the vault says of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Size in bytes.
    pub size: u64,
    /// Whether it was released.
    pub released: bool,
    /// Its index in the ledger, where it is recorded.
    pub recorded: Option<u64>,
}

/// A released object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Released {
    /// Ask from here on for the next.
    pub next: u64,
    /// The object.
    pub digest: ObjectDigest,
    /// Size in bytes.
    pub size: u64,
    /// The name that it was released under.
    pub name: heapless::String<{ crate::NAME_MAX }>,
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
    /// Blocks for content.
    pub blocks: u64,
    /// Of these, in use.
    pub used: u64,
    /// A superblock was damaged; the other was used.
    pub superblock_damaged: bool,
}

/// The vault.
pub struct Store<'m> {
    pub(crate) keys: Option<Keys>,
    pub(crate) layout: Layout,
    pub(crate) memory: &'m mut Memory,
    pub(crate) upload: Option<Upload>,
    pub(crate) cached: Option<Cached>,
    salt: Salt,
    superblock: Superblock,
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
    /// A vault that is not open. `salt`: see [`Salt`].
    pub const fn new(salt: Salt, memory: &'m mut Memory) -> Self {
        let layout = Layout {
            index_blocks: 0,
            data_blocks: 0,
        };
        Self {
            keys: None,
            layout,
            memory,
            upload: None,
            cached: None,
            salt,
            superblock: Superblock {
                sequence: 0,
                layout,
            },
            next_number: 0,
            stopped: false,
        }
    }

    /// Opens the vault on `disk`, or makes one there where the superblocks' places are zero. Reads
    /// the index, sets numbers aside, and flushes.
    pub fn open(
        &mut self,
        disk: &mut impl Disk,
        key: &[u8; 32],
        id: &DiskId,
    ) -> Result<Opened, StoreError> {
        let keys = Keys::new(key, id);
        let (found, superblock_damaged) = self.superblock(disk, &keys)?;
        self.layout = match found {
            Some(superblock) => superblock.layout,
            None => Layout::new(disk.blocks()).ok_or(StoreError::TooSmall {
                blocks: disk.blocks(),
            })?,
        };
        let highest = self.read_index(disk, &keys)?;
        let sequence = match found {
            None => 1,
            // The damaged one may have been the later: skip what it set aside.
            Some(last) if superblock_damaged => last.sequence + 3,
            Some(last) => last.sequence + 1,
        };
        let mut sequence = sequence.max(highest / NUMBERS + 1);
        if found.is_some_and(|last| sequence % SUPERBLOCKS == last.block()) {
            sequence += 1;
        }
        self.keys = Some(keys);
        self.set_aside(disk, sequence)?;
        Ok(Opened {
            formatted: found.is_none(),
            objects: self.memory.table.objects(),
            void: self.memory.table.void(),
            blocks: self.layout.data_blocks,
            used: self.memory.table.used(),
            superblock_damaged,
        })
    }

    /// Whether the vault takes objects.
    pub const fn is_writable(&self) -> bool {
        self.keys.is_some() && !self.stopped
    }

    pub(crate) fn keys(&self) -> Result<&Keys, StoreError> {
        self.keys.as_ref().ok_or(StoreError::Closed)
    }

    pub(crate) const fn salt(&self) -> Salt {
        self.salt
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

    /// The latest superblock, `None` on an empty region; and whether one was damaged.
    fn superblock(
        &mut self,
        disk: &mut impl Disk,
        keys: &Keys,
    ) -> Result<(Option<Superblock>, bool), StoreError> {
        let mut places = [Place::Void; SUPERBLOCKS as usize];
        for (at, place) in (0..).zip(&mut places) {
            // What cannot be read is as good as damaged.
            *place = match disk.read(at, &mut self.memory.block) {
                Ok(()) => Superblock::decode(&self.memory.block, at, disk.blocks(), keys),
                Err(_) => Place::Damaged,
            };
        }
        let damaged = places.contains(&Place::Damaged);
        let sound = places.iter().filter_map(|place| match place {
            Place::Sound(superblock) => Some(*superblock),
            _ => None,
        });
        match sound.max_by_key(|superblock| superblock.sequence) {
            Some(latest) => Ok((Some(latest), damaged)),
            None if places.contains(&Place::OtherKey) => Err(StoreError::OtherKey),
            None if damaged => Err(StoreError::Superblocks),
            None => Ok((None, false)),
        }
    }

    /// Reads the index into the table; the highest number found.
    fn read_index(&mut self, disk: &mut impl Disk, keys: &Keys) -> Result<u64, StoreError> {
        let Memory { table, block, .. } = &mut *self.memory;
        table.reset(self.layout.slots());
        let mut highest = 0;
        for number in 0..self.layout.index_blocks {
            disk.read(SUPERBLOCKS + number, block)?;
            let (sectors, _) = block.as_chunks::<SECTOR>();
            for (slot, sector) in (number as u16 * ENTRIES as u16..).zip(sectors) {
                let Sector::Entry(entry, written) = Entry::open(sector, keys, slot.into()) else {
                    if sector.iter().any(|byte| *byte != 0) {
                        table.set_void(slot);
                    }
                    continue;
                };
                highest = highest.max(written).max(entry.object).max(entry.available);
                let object = Object::from(&entry);
                let end = entry.first.saturating_add(object.blocks());
                if end > self.layout.data_blocks || !table.insert(slot, object) {
                    table.set_void(slot);
                }
            }
        }
        Ok(highest)
    }

    /// Sets the numbers of superblock `sequence` aside.
    fn set_aside(&mut self, disk: &mut impl Disk, sequence: u64) -> Result<(), StoreError> {
        let superblock = Superblock {
            sequence,
            layout: self.layout,
        };
        let block = superblock.encode(self.keys()?);
        let written = disk.write(superblock.block(), &block);
        self.settle(written.and_then(|()| disk.flush()))?;
        self.superblock = superblock;
        self.next_number = superblock.first_number();
        Ok(())
    }

    /// A number that was never used.
    pub(crate) fn number(&mut self, disk: &mut impl Disk) -> Result<u64, StoreError> {
        if self.next_number == self.superblock.first_number() + NUMBERS {
            self.set_aside(disk, self.superblock.sequence + 1)?;
        }
        let number = self.next_number;
        self.next_number += 1;
        Ok(number)
    }

    /// After a write of which nobody knows what it left, nothing is written any more.
    pub(crate) fn settle(
        &mut self,
        result: Result<(), portcullis_blk::DiskError>,
    ) -> Result<(), StoreError> {
        self.stopped |= result.is_err();
        Ok(result?)
    }

    /// Reads an object's index entry from the disk.
    pub(crate) fn entry(&mut self, disk: &mut impl Disk, slot: u16) -> Result<Entry, StoreError> {
        let object = self.memory.table.object(slot).ok_or(StoreError::NotFound)?;
        let digest = object.digest;
        disk.read(entry_block(slot), &mut self.memory.block)?;
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        match Entry::open(sector(&mut self.memory.block, slot), keys, slot.into()) {
            Sector::Entry(entry, _) if entry.digest == digest => Ok(entry),
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
        let number = self.number(disk)?;
        disk.read(entry_block(slot), &mut self.memory.block)?;
        let sealed = entry.seal(self.keys()?, slot.into(), self.salt, number);
        *sector(&mut self.memory.block, slot) = sealed;
        let written = disk.write(entry_block(slot), &self.memory.block);
        self.settle(written.and_then(|()| disk.flush()))
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

//! Getting objects out: stat, read, check, lists.

use portcullis_blk::{Disk, DiskError};
use portcullis_kernel::RegionMut;
use zerocopy::IntoBytes;

use crate::{
    CHUNK, Listed, ObjectDigest, Stat, Store, StoreError,
    entry::Entry,
    layout::{CHUNK_BLOCKS, chunk_length, chunks, content_blocks, padded, seals_length},
    seal::Part,
    store::{Buffer, Cached},
    table::Object,
    wire::SEALS,
};

/// Chunks that one request checks at most: 4 MiB, so that others wait for milliseconds.
const CHECKED_AT_ONCE: u64 = 64;

impl Store<'_> {
    /// What the vault knows of an object.
    pub fn stat(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
    ) -> Result<Stat, StoreError> {
        let slot = self.find(digest)?;
        Ok(self.entry(disk, slot)?.stat())
    }

    /// Copies bytes of an object that can be published to the start of `out`: `length` of them, or
    /// as many as the object or the region has. Gives back how many.
    pub fn read(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
        offset: u64,
        length: u64,
        out: &mut impl RegionMut,
    ) -> Result<u64, StoreError> {
        let slot = self.find(digest)?;
        let object = *self.memory.table.object(slot).ok_or(StoreError::NotFound)?;
        if object.available == 0 {
            return Err(StoreError::NotReleased);
        }
        let rest = object.rest(offset)?;
        let length = length.min(rest).min(out.size() as u64);
        let mut done = 0;
        while done < length {
            let position = offset + done;
            let chunk = (position / CHUNK as u64) as u32;
            let start = (position % CHUNK as u64) as usize;
            let content = self.load(disk, slot, &object, chunk)?;
            let part = (content - start).min((length - done) as usize);
            let bytes = &self.memory.reading.chunk[start..][..part];
            out.write(done as usize, bytes)
                .map_err(|_| StoreError::Buffer {
                    length,
                    size: out.size(),
                })?;
            done += part as u64;
        }
        Ok(length)
    }

    /// Checks an object from the chunk that holds byte `offset` on, some chunks at a time; none of it
    /// is given out. Where to go on: at the object's size, nothing is left.
    pub fn check(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
        offset: u64,
    ) -> Result<u64, StoreError> {
        let slot = self.find(digest)?;
        let object = *self.memory.table.object(slot).ok_or(StoreError::NotFound)?;
        object.rest(offset)?;
        // The object may be empty, and its entry not be there any more.
        self.entry(disk, slot)?;
        // The disk is asked, not what is in memory of it.
        self.cached = Cached::NOTHING;
        let size = u64::from(object.size);
        let first = offset / CHUNK as u64;
        let end = (first + CHECKED_AT_ONCE).min(chunks(size).into());
        for chunk in first..end {
            self.load(disk, slot, &object, chunk as u32)?;
        }
        Ok((end * CHUNK as u64).min(size))
    }

    /// The first object at or after `cursor` that can be published: it was released, and it is
    /// recorded in the ledger. Start at 0; go on at [`Listed::next`].
    pub fn released(
        &mut self,
        disk: &mut impl Disk,
        cursor: u64,
    ) -> Result<Listed, (StoreError, u64)> {
        let table = &self.memory.table;
        let slot = table.available(cursor);
        let object = slot.and_then(|slot| table.object(slot));
        let next = object.map_or(cursor, |object| object.available + 1);
        self.listed(disk, slot, next)
    }

    /// The first object at or after `cursor`, of all. Start at 0; go on at [`Listed::next`].
    pub fn list(&mut self, disk: &mut impl Disk, cursor: u64) -> Result<Listed, (StoreError, u64)> {
        let slot = self.memory.table.next_object(cursor);
        let next = slot.map_or(cursor, |slot| u64::from(slot) + 1);
        self.listed(disk, slot, next)
    }

    fn listed(
        &mut self,
        disk: &mut impl Disk,
        slot: Option<u16>,
        next: u64,
    ) -> Result<Listed, (StoreError, u64)> {
        self.keys().map_err(|error| (error, next))?;
        let slot = slot.ok_or((StoreError::NoMore, next))?;
        let entry = self.entry(disk, slot).map_err(|error| (error, next))?;
        Ok(Listed {
            next,
            digest: entry.digest,
            stat: entry.stat(),
            name: entry.name,
        })
    }

    pub(crate) fn find(&self, digest: &ObjectDigest) -> Result<u16, StoreError> {
        self.keys()?;
        self.memory.table.find(digest).ok_or(StoreError::NotFound)
    }

    /// Whether every byte of an object can be given out, from the disk.
    pub(crate) fn is_sound(&mut self, disk: &mut impl Disk, slot: u16) -> Result<bool, StoreError> {
        self.cached = Cached::NOTHING;
        let object = *self.memory.table.object(slot).ok_or(StoreError::NotFound)?;
        let checked = self.entry(disk, slot).map(drop).and_then(|()| {
            (0..chunks(object.size.into()))
                .try_for_each(|chunk| self.load(disk, slot, &object, chunk).map(drop))
        });
        match checked {
            Ok(()) => Ok(true),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings a chunk's content into memory; its length.
    fn load(
        &mut self,
        disk: &mut impl Disk,
        slot: u16,
        object: &Object,
        chunk: u32,
    ) -> Result<usize, StoreError> {
        let length = chunk_length(object.size.into(), chunk);
        if self.cached.seals != Some(object.number) {
            self.load_seals(disk, slot, object)?;
        }
        if self.cached.chunk == Some(chunk) {
            return Ok(length);
        }
        self.cached.chunk = None;
        let Buffer {
            chunk: bytes,
            seals,
        } = &mut self.memory.reading;
        let blocks = &mut bytes[..padded(length)];
        let place = u64::from(object.first) + u64::from(chunk) * CHUNK_BLOCKS as u64;
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        let read = read(disk, self.layout.data() + place, blocks)?;
        let part = object.part(chunk);
        if !read
            || keys
                .open_part(part, &seals[chunk as usize], blocks)
                .is_err()
        {
            let digest = object.digest;
            return Err(StoreError::Damaged { digest, chunk });
        }
        self.cached.chunk = Some(chunk);
        Ok(length)
    }

    /// Brings the seals of an object's chunks into memory.
    fn load_seals(
        &mut self,
        disk: &mut impl Disk,
        slot: u16,
        object: &Object,
    ) -> Result<(), StoreError> {
        self.cached = Cached::NOTHING;
        let root = self.entry(disk, slot)?.root;
        let size = u64::from(object.size);
        let seals = &mut self.memory.reading.seals;
        if chunks(size) <= 1 {
            seals[0] = root;
        } else {
            let bytes = &mut seals.as_mut_bytes()[..seals_length(size)];
            let place = u64::from(object.first) + content_blocks(size);
            let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
            let read = read(disk, self.layout.data() + place, bytes)?;
            let part = object.part(SEALS);
            if !read || keys.open_part(part, &root, bytes).is_err() {
                let digest = object.digest;
                return Err(StoreError::DamagedSeals { digest });
            }
        }
        self.cached.seals = Some(object.number);
        Ok(())
    }
}

/// Reads blocks of an object; `false` where the device cannot, and others may be read all the same.
fn read(disk: &mut impl Disk, first: u64, blocks: &mut [u8]) -> Result<bool, DiskError> {
    match disk.read(first, blocks) {
        Ok(()) => Ok(true),
        Err(DiskError::Read { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Object {
    const fn part(&self, chunk: u32) -> Part {
        Part {
            object: self.number,
            size: self.size as u64,
            chunk,
        }
    }

    /// Bytes from `offset` on.
    fn rest(&self, offset: u64) -> Result<u64, StoreError> {
        let size = u64::from(self.size);
        let rest = size.checked_sub(offset);
        rest.ok_or(StoreError::OutOfRange { offset, size })
    }
}

impl Entry {
    pub(crate) const fn stat(&self) -> Stat {
        Stat {
            size: self.size,
            released: self.released,
            recorded: self.recorded,
            references: self.references,
        }
    }
}

//! Getting objects out: stat, read, released.

use portcullis_blk::{BLOCK, Disk};
use portcullis_kernel::RegionMut;

use crate::{
    CHUNK, ObjectDigest, Released, Stat, Store, StoreError,
    layout::{CHUNK_BLOCKS, TAG, chunk_blocks, chunk_length},
    seal::Position,
    table::Object,
};

/// The chunk that is in memory, in the clear: readers ask for pieces that cut across chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cached {
    object: u64,
    chunk: u32,
}

impl Store<'_> {
    /// What the vault knows of an object.
    pub fn stat(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
    ) -> Result<Stat, StoreError> {
        self.keys()?;
        let slot = self.memory.table.find(digest).ok_or(StoreError::NotFound)?;
        let entry = self.entry(disk, slot)?;
        Ok(Stat {
            size: entry.size,
            released: entry.released,
            recorded: entry.recorded,
        })
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
        self.keys()?;
        let slot = self.memory.table.find(digest).ok_or(StoreError::NotFound)?;
        let object = *self.memory.table.object(slot).ok_or(StoreError::NotFound)?;
        if object.available == 0 {
            return Err(StoreError::NotReleased);
        }
        let size = u64::from(object.size);
        let rest = size.checked_sub(offset);
        let rest = rest.ok_or(StoreError::OutOfRange { offset, size })?;
        let length = length.min(rest).min(out.size() as u64);
        let mut done = 0;
        while done < length {
            let position = offset + done;
            let chunk = (position / CHUNK as u64) as u32;
            let start = (position % CHUNK as u64) as usize;
            let content = self.load(disk, &object, chunk)?;
            let part = (content - start).min((length - done) as usize);
            let bytes = &self.memory.reading[start..][..part];
            out.write(done as usize, bytes)
                .map_err(|_| StoreError::Buffer {
                    length,
                    size: out.size(),
                })?;
            done += part as u64;
        }
        Ok(length)
    }

    /// The first object at or after `cursor` that can be published: it was released, and it is
    /// recorded in the ledger. Start at 0; go on at [`Released::next`].
    pub fn released(
        &mut self,
        disk: &mut impl Disk,
        cursor: u64,
    ) -> Result<Released, (StoreError, u64)> {
        self.keys().map_err(|error| (error, cursor))?;
        let table = &self.memory.table;
        let slot = table.available(cursor);
        let slot = slot.ok_or((StoreError::NoMore, cursor))?;
        let available = table.object(slot).map_or(cursor, |object| object.available);
        let next = available + 1;
        let entry = self.entry(disk, slot).map_err(|error| (error, next))?;
        Ok(Released {
            next,
            digest: entry.digest,
            size: entry.size,
            name: entry.name,
        })
    }

    /// Brings a chunk's content into memory; its length.
    fn load(
        &mut self,
        disk: &mut impl Disk,
        object: &Object,
        chunk: u32,
    ) -> Result<usize, StoreError> {
        let size = u64::from(object.size);
        let length = chunk_length(size, chunk);
        let wanted = Cached {
            object: object.number,
            chunk,
        };
        if self.cached == Some(wanted) {
            return Ok(length);
        }
        self.cached = None;
        let blocks = &mut self.memory.reading[..chunk_blocks(length) * BLOCK];
        let place = u64::from(object.first) + u64::from(chunk) * CHUNK_BLOCKS as u64;
        disk.read(self.layout.data() + place, blocks)?;
        let (content, rest) = blocks.split_at_mut(length);
        let (tag, _) = rest.split_first_chunk::<TAG>().expect("a chunk has a tag");
        let at = Position {
            salt: object.salt,
            number: object.number,
            chunk,
        };
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        let opened = keys.open_chunk(at, size, content, tag);
        opened.map_err(|_| StoreError::Damaged {
            digest: object.digest,
            chunk,
        })?;
        self.cached = Some(wanted);
        Ok(length)
    }
}

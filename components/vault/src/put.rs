//! Putting objects in: create, write, commit.

use core::mem;

use heapless::String;
use portcullis_blk::{Disk, DiskError};
use portcullis_kernel::Region;
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use crate::{
    CHUNK, Committed, OBJECT_MAX, ObjectDigest, Store, StoreError,
    entry::Entry,
    layout::{CHUNK_BLOCKS, chunks, content_blocks, object_blocks, padded, seals_length},
    seal::Part,
    wire::{SEALS, Seal},
};

/// Bytes that are copied and hashed at once: they stay in a core's first-level cache in between.
const PIECE: usize = 16 << 10;

/// An object that is being put. There is one at a time, since there is one buffer that its content
/// comes through.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Who puts it: the badge.
    owner: u64,
    object: u64,
    first: u64,
    size: u64,
    written: u64,
    /// Bytes of the chunk that is being filled.
    filled: usize,
    chunk: u32,
    hash: Sha256,
}

impl Store<'_> {
    /// Begins an object of `size` bytes. One that was begun before is forgotten: whoever began it has
    /// died, or thought better of it.
    pub fn create(&mut self, owner: u64, size: u64) -> Result<(), StoreError> {
        self.check_writable()?;
        self.upload = None;
        if size > OBJECT_MAX {
            return Err(StoreError::TooLarge { size });
        }
        self.free_slot()?;
        let table = &self.memory.table;
        let (blocks, all) = (object_blocks(size), self.layout.data_blocks);
        let first = table.free_run(blocks, all).ok_or(StoreError::NoSpace {
            blocks,
            free: all - table.used(),
        })?;
        self.upload = Some(Upload {
            owner,
            object: self.number(),
            first,
            size,
            written: 0,
            filled: 0,
            chunk: 0,
            hash: Sha256::new(),
        });
        Ok(())
    }

    /// Takes the next `length` bytes, which lie at the start of `source`. Gives back how many there
    /// are so far. After an error the object is forgotten.
    pub fn write(
        &mut self,
        disk: &mut impl Disk,
        owner: u64,
        length: u64,
        source: &impl Region,
    ) -> Result<u64, StoreError> {
        let mut upload = self.take_upload(owner)?;
        let buffer = StoreError::Buffer {
            length,
            size: source.size(),
        };
        let length = usize::try_from(length).map_err(|_| buffer)?;
        if length > source.size() {
            return Err(buffer);
        }
        if length as u64 > upload.size - upload.written {
            return Err(StoreError::TooLong { size: upload.size });
        }
        let mut offset = 0;
        while offset < length {
            let part = (length - offset).min(CHUNK - upload.filled).min(PIECE);
            let place = &mut self.memory.upload.chunk[upload.filled..][..part];
            source.read(offset, place).map_err(|_| buffer)?;
            upload.hash.update(place);
            upload.filled += part;
            upload.written += part as u64;
            offset += part;
            if upload.filled == CHUNK {
                self.write_chunk(disk, &mut upload)?;
            }
        }
        let written = upload.written;
        self.upload = Some(upload);
        Ok(written)
    }

    /// Ends the object, if it is the one that was meant: answers when it is durable. What the vault
    /// has already is not kept twice; where that is damaged, this one takes its place.
    pub fn commit(
        &mut self,
        disk: &mut impl Disk,
        owner: u64,
        expected: &ObjectDigest,
    ) -> Result<Committed, StoreError> {
        let mut upload = self.take_upload(owner)?;
        let Upload { size, written, .. } = upload;
        if written < size {
            self.upload = Some(upload);
            return Err(StoreError::TooShort { size, written });
        }
        let found: ObjectDigest = upload.hash.clone().finalize().into();
        if found != *expected {
            return Err(StoreError::Mismatch { found });
        }
        let slot = self.memory.table.find(expected);
        if let Some(slot) = slot
            && self.is_sound(disk, slot)?
        {
            return Ok(self.committed(slot, true));
        }
        let root = self.finish(disk, &mut upload)?;
        let slot = self.enter(disk, slot, &upload, *expected, root)?;
        Ok(self.committed(slot, false))
    }

    fn take_upload(&mut self, owner: u64) -> Result<Upload, StoreError> {
        self.check_writable()?;
        let upload = self.upload.take_if(|upload| upload.owner == owner);
        upload.ok_or(StoreError::NoUpload)
    }

    fn free_slot(&self) -> Result<u16, StoreError> {
        let slots = self.memory.table.size();
        let slot = self.memory.table.free_slot();
        slot.ok_or(StoreError::IndexFull { slots })
    }

    /// Seals the chunk that was filled and writes it. Its nonce comes from the digest of all content
    /// up to its end, which is at hand: nothing is hashed twice.
    fn write_chunk(&mut self, disk: &mut impl Disk, upload: &mut Upload) -> Result<(), StoreError> {
        let length = mem::take(&mut upload.filled);
        let digest = upload.hash.clone().finalize().into();
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        let buffer = &mut self.memory.upload;
        let blocks = &mut buffer.chunk[..padded(length)];
        // The padding is sealed too: it would tell the length.
        blocks[length..].fill(0);
        buffer.seals[upload.chunk as usize] =
            keys.seal_part(upload.part(upload.chunk), &digest, blocks);
        let place = upload.first + u64::from(upload.chunk) * CHUNK_BLOCKS as u64;
        disk.write(self.layout.data() + place, blocks)?;
        upload.chunk += 1;
        Ok(())
    }

    /// Writes what is left of the object, durably; the seal of it all.
    fn finish(&mut self, disk: &mut impl Disk, upload: &mut Upload) -> Result<Seal, StoreError> {
        if upload.filled > 0 {
            self.write_chunk(disk, upload)?;
        }
        let root = self.write_seals(disk, upload)?;
        // The data first: an entry never names what is not there.
        match disk.flush() {
            // Content that was not written is lost, and nothing else.
            Err(error @ DiskError::Write { .. }) => return Err(error.into()),
            flushed => self.settle(flushed)?,
        }
        Ok(root)
    }

    fn write_seals(&mut self, disk: &mut impl Disk, upload: &Upload) -> Result<Seal, StoreError> {
        let seals = &mut self.memory.upload.seals;
        let count = chunks(upload.size) as usize;
        if count <= 1 {
            return Ok(seals[..count].first().copied().unwrap_or(Seal::NONE));
        }
        seals[count..].fill(Seal::NONE);
        let bytes = &mut seals.as_mut_bytes()[..seals_length(upload.size)];
        let digest = Sha256::digest(&*bytes).into();
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        let root = keys.seal_part(upload.part(SEALS), &digest, bytes);
        let place = upload.first + content_blocks(upload.size);
        disk.write(self.layout.data() + place, bytes)?;
        Ok(root)
    }

    /// Writes the index entry, with the new place: the object's own where it is known, or what is left
    /// of it; else a new one. The slot that it is in.
    fn enter(
        &mut self,
        disk: &mut impl Disk,
        known: Option<u16>,
        upload: &Upload,
        digest: ObjectDigest,
        root: Seal,
    ) -> Result<u16, StoreError> {
        let slot = known.map_or_else(|| self.free_slot(), Ok)?;
        let mut entry = match known.map(|slot| self.entry(disk, slot)) {
            Some(Ok(entry)) => entry,
            None => Entry::new(digest, upload.size),
            Some(Err(StoreError::DamagedEntry { .. })) => {
                // What the ledger says of it is to be followed from the beginning.
                self.through = 0;
                Entry::new(digest, upload.size)
            }
            Some(Err(error)) => return Err(error),
        };
        if entry.available > 0 {
            // Whoever could not read it before is to see it again.
            entry.available = self.number();
        }
        let entry = Entry {
            object: upload.object,
            first: upload.first,
            root,
            ..entry
        };
        self.write_entry(disk, slot, &entry)?;
        Ok(slot)
    }

    fn committed(&self, slot: u16, already: bool) -> Committed {
        let object = self.memory.table.object(slot);
        Committed {
            already,
            recorded: object.is_some_and(|object| object.recorded),
            released: object.is_some_and(|object| object.released),
        }
    }
}

impl Upload {
    const fn part(&self, chunk: u32) -> Part {
        Part {
            object: self.object,
            size: self.size,
            chunk,
        }
    }
}

impl Entry {
    /// An object that the ledger does not name yet.
    const fn new(digest: ObjectDigest, size: u64) -> Self {
        Self {
            object: 0,
            digest,
            size,
            first: 0,
            root: Seal::NONE,
            recorded: None,
            followed: 0,
            references: 0,
            available: 0,
            released: false,
            removed: false,
            name: String::new(),
        }
    }
}

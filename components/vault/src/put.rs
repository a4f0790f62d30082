//! Putting objects in: create, write, commit, record.

use core::mem;

use heapless::String;
use portcullis_blk::{BLOCK, Disk};
use portcullis_kernel::Region;
use sha2::{Digest, Sha256};

use crate::{
    CHUNK, Committed, NAME_MAX, OBJECT_MAX, ObjectDigest, Salt, Store, StoreError,
    entry::Entry,
    layout::{CHUNK_BLOCKS, TAG, chunk_blocks, chunk_length, object_blocks},
    seal::Position,
    table::Object,
};

/// An object that is being put. There is one at a time, since there is one buffer that its content
/// comes through.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Who puts it: the badge.
    owner: u64,
    released: bool,
    name: String<NAME_MAX>,
    object: u64,
    salt: Salt,
    first: u64,
    size: u64,
    written: u64,
    /// Bytes of the chunk that is being filled.
    filled: usize,
    chunk: u32,
    hash: Sha256,
}

impl Store<'_> {
    /// Begins an object. One that was begun before is forgotten: whoever began it has died, or
    /// thought better of it.
    pub fn create(
        &mut self,
        disk: &mut impl Disk,
        owner: u64,
        size: u64,
        released: bool,
        name: &str,
    ) -> Result<(), StoreError> {
        self.check_writable()?;
        self.upload = None;
        if size > OBJECT_MAX {
            return Err(StoreError::TooLarge { size });
        }
        let name = match String::try_from(name) {
            Ok(name) if !name.is_empty() && !name.contains('\0') => name,
            _ => return Err(StoreError::Name),
        };
        let table = &self.memory.table;
        let slots = table.size();
        table.free_slot().ok_or(StoreError::IndexFull { slots })?;
        let blocks = object_blocks(size);
        let first = table
            .free_run(blocks, self.layout.data_blocks)
            .ok_or(StoreError::NoSpace { blocks })?;
        self.upload = Some(Upload {
            owner,
            released,
            name,
            object: self.number(disk)?,
            salt: self.salt(),
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
            let part = (length - offset).min(CHUNK - upload.filled);
            let place = &mut self.memory.upload[upload.filled..][..part];
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

    /// Ends the object: answers when it is durable. What the vault has already is not kept twice;
    /// if it was not released and now is, it is released under the new name.
    pub fn commit(&mut self, disk: &mut impl Disk, owner: u64) -> Result<Committed, StoreError> {
        let mut upload = self.take_upload(owner)?;
        let Upload { size, written, .. } = upload;
        if written < size {
            self.upload = Some(upload);
            return Err(StoreError::TooShort { size, written });
        }
        let digest: ObjectDigest = mem::take(&mut upload.hash).finalize().into();
        if let Some(slot) = self.memory.table.find(&digest) {
            return self.put_again(disk, slot, &upload);
        }
        if upload.filled > 0 {
            self.write_chunk(disk, &mut upload)?;
        }
        // The data first: an entry never names what is not there.
        let flushed = disk.flush();
        self.settle(flushed)?;
        self.add(disk, &upload, digest)?;
        Ok(Committed {
            digest,
            already: false,
            recorded: false,
        })
    }

    /// Marks an object as recorded in the ledger. Once it is, its index there never changes.
    pub fn record(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
        index: u64,
    ) -> Result<(), StoreError> {
        self.check_writable()?;
        let slot = self.memory.table.find(digest).ok_or(StoreError::NotFound)?;
        let mut entry = self.entry(disk, slot)?;
        if entry.recorded.is_some() {
            return Ok(());
        }
        entry.recorded = Some(index);
        self.change(disk, slot, entry)
    }

    fn take_upload(&mut self, owner: u64) -> Result<Upload, StoreError> {
        self.check_writable()?;
        let upload = self.upload.take_if(|upload| upload.owner == owner);
        upload.ok_or(StoreError::NoUpload)
    }

    /// Seals the chunk that was filled and writes it.
    fn write_chunk(&mut self, disk: &mut impl Disk, upload: &mut Upload) -> Result<(), StoreError> {
        let length = mem::take(&mut upload.filled);
        debug_assert_eq!(length, chunk_length(upload.size, upload.chunk));
        let at = Position {
            salt: upload.salt,
            number: upload.object,
            chunk: upload.chunk,
        };
        let keys = self.keys.as_ref().ok_or(StoreError::Closed)?;
        let blocks = &mut self.memory.upload[..chunk_blocks(length) * BLOCK];
        let tag = keys.seal_chunk(at, upload.size, &mut blocks[..length]);
        blocks[length..][..TAG].copy_from_slice(&tag);
        blocks[length + TAG..].fill(0);
        let place = upload.first + u64::from(upload.chunk) * CHUNK_BLOCKS as u64;
        disk.write(self.layout.data() + place, blocks)?;
        upload.chunk += 1;
        Ok(())
    }

    fn add(
        &mut self,
        disk: &mut impl Disk,
        upload: &Upload,
        digest: ObjectDigest,
    ) -> Result<(), StoreError> {
        let slots = self.memory.table.size();
        let slot = self.memory.table.free_slot();
        let slot = slot.ok_or(StoreError::IndexFull { slots })?;
        let entry = Entry {
            object: upload.object,
            salt: upload.salt,
            digest,
            size: upload.size,
            first: upload.first,
            released: upload.released,
            recorded: None,
            available: 0,
            references: 1,
            name: upload.name.clone(),
        };
        self.write_entry(disk, slot, &entry)?;
        self.memory.table.insert(slot, Object::from(&entry));
        Ok(())
    }

    fn put_again(
        &mut self,
        disk: &mut impl Disk,
        slot: u16,
        upload: &Upload,
    ) -> Result<Committed, StoreError> {
        let object = *self.memory.table.object(slot).ok_or(StoreError::NotFound)?;
        if upload.released && !object.released {
            let mut entry = self.entry(disk, slot)?;
            entry.released = true;
            // The name it is released under, not the one it was kept under.
            entry.name.clone_from(&upload.name);
            self.change(disk, slot, entry)?;
        }
        Ok(Committed {
            digest: object.digest,
            already: true,
            recorded: object.recorded,
        })
    }

    /// Writes a changed entry. An object that is released and recorded becomes available.
    fn change(
        &mut self,
        disk: &mut impl Disk,
        slot: u16,
        mut entry: Entry,
    ) -> Result<(), StoreError> {
        if entry.released && entry.recorded.is_some() && entry.available == 0 {
            entry.available = self.number(disk)?;
        }
        self.write_entry(disk, slot, &entry)?;
        let recorded = entry.recorded.is_some();
        let table = &mut self.memory.table;
        table.update(slot, entry.available, entry.released, recorded);
        Ok(())
    }
}

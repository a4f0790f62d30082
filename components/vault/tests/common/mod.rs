//! What the tests of the store share: a vault on a faulty disk, a ledger to follow, contents.

#![allow(dead_code, reason = "not every test needs all of it")]

use portcullis_blk::{DiskError, testing::FaultyDisk};
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{
    Act, Committed, DOCUMENT_ENTRY_MAX, DocumentEntry, Memory, ObjectDigest, Opened, Store,
    StoreError, Walk,
};
use sha2::{Digest, Sha256};

pub(crate) const KEY: [u8; 32] = [0x5a; 32];
pub(crate) const ID: [u8; 16] = *b"a disk for tests";
pub(crate) const OWNER: u64 = 1 << 63 | 1 << 16;

/// Runs a test with a vault's memory, which is larger than a test thread's stack.
pub(crate) fn with_memory(test: impl FnOnce(&mut Memory) + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    let body = || test(&mut Box::new(Memory::new()));
    let done = thread.spawn(body).unwrap().join();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

/// A store that was opened on `disk`.
pub(crate) fn open<'m>(
    disk: &mut FaultyDisk,
    memory: &'m mut Memory,
) -> (Store<'m>, Result<Opened, StoreError>) {
    let mut store = Store::new(memory);
    let opened = store.open(disk, &KEY, &ID);
    (store, opened)
}

/// A ledger that loses nothing.
#[derive(Clone, Default, Debug)]
pub(crate) struct Ledger(pub(crate) Vec<Vec<u8>>);

impl Ledger {
    /// Appends a document's entry; its index.
    pub(crate) fn append(&mut self, digest: &ObjectDigest, path: &str, act: Act) -> u64 {
        let entry = DocumentEntry {
            digest: *digest,
            size: 0,
            path,
            act,
        };
        let mut buffer = [0; DOCUMENT_ENTRY_MAX];
        self.0.push(entry.encode(&mut buffer).unwrap().to_vec());
        self.0.len() as u64 - 1
    }

    pub(crate) fn entry(&self, index: u64) -> DocumentEntry<'_> {
        DocumentEntry::decode(&self.0[index as usize]).unwrap()
    }

    /// Appends an entry, and has the vault follow it.
    pub(crate) fn record(
        &mut self,
        store: &mut Store<'_>,
        disk: &mut FaultyDisk,
        digest: &ObjectDigest,
        path: &str,
        act: Act,
    ) -> Result<u64, StoreError> {
        let index = self.append(digest, path, act);
        self.follow(store, disk, index)?;
        Ok(index)
    }

    /// Appends a removal, and has the vault follow it; references left.
    pub(crate) fn delete(
        &mut self,
        store: &mut Store<'_>,
        disk: &mut FaultyDisk,
        digest: &ObjectDigest,
    ) -> Result<u32, StoreError> {
        let index = self.append(digest, "", Act::Removed);
        self.follow(store, disk, index)
    }

    /// Has the vault follow an entry; references left.
    pub(crate) fn follow(
        &self,
        store: &mut Store<'_>,
        disk: &mut FaultyDisk,
        index: u64,
    ) -> Result<u32, StoreError> {
        let mut following = store.follow(disk, &self.entry(index).digest, index)?;
        while let Some(next) = following.next() {
            following.entry(Some(&self.entry(next)));
        }
        store.keep(disk, following)
    }

    /// What the vault does after opening.
    pub(crate) fn catch_up(
        &self,
        store: &mut Store<'_>,
        disk: &mut FaultyDisk,
    ) -> Result<Walk, StoreError> {
        let mut walk = store.walk();
        while let Some(entry) = self.0.get(walk.next() as usize) {
            walk.look(store, disk, entry)?;
        }
        walk.end(store);
        Ok(walk)
    }
}

pub(crate) fn digest(content: &[u8]) -> ObjectDigest {
    Sha256::digest(content).into()
}

/// Puts an object in pieces of `piece` bytes.
pub(crate) fn put(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    content: &[u8],
    piece: usize,
) -> Result<Committed, StoreError> {
    store.create(OWNER, content.len() as u64)?;
    for part in content.chunks(piece) {
        store.write(disk, OWNER, part.len() as u64, &SharedRegion::with(part))?;
    }
    store.commit(disk, OWNER, &digest(content))
}

/// A released, recorded object.
pub(crate) fn publish(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    ledger: &mut Ledger,
    bytes: &[u8],
    name: &str,
) -> ObjectDigest {
    put(store, disk, bytes, 100_000).unwrap();
    let digest = digest(bytes);
    ledger
        .record(store, disk, &digest, name, Act::Released)
        .unwrap();
    digest
}

/// Reads a whole released object in pieces of `piece` bytes.
pub(crate) fn get(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    digest: &ObjectDigest,
    piece: u64,
) -> Result<Vec<u8>, StoreError> {
    let mut content = Vec::new();
    let mut out = SharedRegion::new(piece as usize);
    loop {
        let count = store.read(disk, digest, content.len() as u64, piece, &mut out)?;
        if count == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&out.bytes()[..count as usize]);
    }
}

/// Checks a whole object.
pub(crate) fn check(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    digest: &ObjectDigest,
) -> Result<(), StoreError> {
    let size = store.stat(disk, digest)?.size;
    let mut offset = 0;
    loop {
        offset = store.check(disk, digest, offset)?;
        if offset == size {
            return Ok(());
        }
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Whether an error is the disk's, or the vault's for want of one.
pub(crate) fn is_disk_error(error: &StoreError) -> bool {
    use DiskError::{Flush, Read, Write};
    matches!(
        error,
        StoreError::Stopped | StoreError::Disk(Flush | Read { .. } | Write { .. })
    )
}

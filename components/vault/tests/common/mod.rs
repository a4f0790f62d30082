//! What the tests of the store share: regions, a vault on a faulty disk, memory for one.

#![allow(dead_code, reason = "not every test needs all of it")]

use portcullis_blk::{DiskError, testing::FaultyDisk};
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{Committed, Memory, ObjectDigest, Opened, Store, StoreError};

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
    let mut store = Store::new([0; 12], memory);
    let opened = store.open(disk, &KEY, &ID);
    (store, opened)
}

/// Puts an object in pieces of `piece` bytes.
pub(crate) fn put(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    content: &[u8],
    name: &str,
    released: bool,
    piece: usize,
) -> Result<Committed, StoreError> {
    store.create(disk, OWNER, content.len() as u64, released, name)?;
    for part in content.chunks(piece) {
        store.write(disk, OWNER, part.len() as u64, &SharedRegion::with(part))?;
    }
    store.commit(disk, OWNER)
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

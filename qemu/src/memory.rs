//! A board's RAM: shared with QEMU while it runs, and what it held at one moment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::Errno;

use crate::Board;

/// Bytes of RAM that a board is given.
pub(crate) const RAM_SIZE: u64 = 2 << 30;

/// The memory that QEMU takes for the board's RAM. It is no file of any directory, and goes with the
/// last process that has it open.
#[derive(Debug)]
pub(crate) struct Ram {
    board: Board,
    file: File,
}

/// What a board's RAM held at one moment, by physical address.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What was ever written, and may be more. The rest is zero.
    extents: BTreeMap<u64, Vec<u8>>,
}

impl Ram {
    pub(crate) fn new(board: Board) -> io::Result<Self> {
        let file = File::from(memfd_create("portcullis-ram", MemfdFlags::CLOEXEC)?);
        file.set_len(RAM_SIZE)?;
        Ok(Self { board, file })
    }

    /// QEMU's arguments that make it the board's RAM. QEMU opens it by way of this process, which
    /// must live until then.
    pub(crate) fn arguments(&self) -> [String; 4] {
        let (process, file) = (std::process::id(), self.file.as_raw_fd());
        let path = format!("/proc/{process}/fd/{file}");
        let object = format!("memory-backend-file,id=ram,share=on,size={RAM_SIZE},mem-path={path}");
        ["-object", &object, "-machine", "memory-backend=ram"].map(str::to_owned)
    }

    /// Eight bytes at a physical address, little-endian.
    pub(crate) fn word(&self, address: u64) -> io::Result<u64> {
        let mut word = [0; 8];
        let offset = address.wrapping_sub(self.board.ram());
        self.file.read_exact_at(&mut word, offset)?;
        Ok(u64::from_le_bytes(word))
    }

    /// A copy of what it holds.
    pub(crate) fn copy(&self) -> io::Result<Memory> {
        let mut extents = BTreeMap::new();
        let mut at = 0;
        loop {
            at = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(at) => at,
                // Nothing but a hole is left.
                Err(Errno::NXIO) => return Ok(Memory { extents }),
                Err(error) => return Err(error.into()),
            };
            let end = seek(&self.file, SeekFrom::Hole(at))?;
            let mut bytes = vec![0; (end - at) as usize];
            self.file.read_exact_at(&mut bytes, at)?;
            extents.insert(self.board.ram() + at, bytes);
            at = end;
        }
    }
}

impl Memory {
    /// Eight bytes, little-endian.
    pub fn word(&self, address: u64) -> u64 {
        let bytes = self.extents.range(..=address).next_back();
        let word = bytes.and_then(|(start, bytes)| {
            let bytes = bytes.get((address - start) as usize..)?;
            bytes.first_chunk().copied()
        });
        u64::from_le_bytes(word.unwrap_or_default())
    }

    /// Changes eight bytes of what was written; `false`: these were not.
    pub fn set_word(&mut self, address: u64, word: u64) -> bool {
        let bytes = self.extents.range_mut(..=address).next_back();
        let place = bytes.and_then(|(start, bytes)| {
            let bytes = bytes.get_mut((address - start) as usize..)?;
            bytes.first_chunk_mut()
        });
        place.map(|place| *place = word.to_le_bytes()).is_some()
    }

    /// What was written, and may be more: whole pages, each with its address.
    pub fn written(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.extents
            .iter()
            .map(|(address, bytes)| (*address, bytes.as_slice()))
    }
}

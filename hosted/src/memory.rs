//! Memory regions on the kernel's side: memory files, and read-only views of them.
//!
//! A region that nobody outside the machine fills is a memory file, sealed so that it never
//! shrinks: an access to a mapped page of it cannot fail. Whoever may only read gets a descriptor
//! that was opened read-only: a mapping of it can never be made writable.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use crate::component::Access;

/// A memory region.
#[derive(Debug)]
pub struct Memory {
    /// Opened for reading and writing; `None` where nobody writes.
    writable: Option<OwnedFd>,
    readable: OwnedFd,
    size: usize,
}

impl Memory {
    /// A region of `size` bytes of zeros.
    pub fn zeroed(name: &str, size: usize) -> io::Result<Self> {
        Self::filled(name, &[], size, true)
    }

    /// A region of `size` bytes that starts with `content`, and that nobody may change unless
    /// `writable`.
    pub fn filled(name: &str, content: &[u8], size: usize, writable: bool) -> io::Result<Self> {
        if content.len() > size {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} bytes do not fit region {name:?} of {size} bytes",
                    content.len()
                ),
            ));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create(name, flags)?);
        file.set_len(size as u64)?;
        file.write_all(content)?;
        let mut seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        if !writable {
            seals |= SealFlags::WRITE;
        }
        rustix::fs::fcntl_add_seals(&file, seals)?;
        let readable = reopen_read_only(&file)?;
        Ok(Self {
            writable: writable.then(|| file.into()),
            readable,
            size,
        })
    }

    /// A region that is the content of `file`, opened for reading only. The caller sees to it that
    /// nobody shortens the file: a page that is no longer there kills who reads it.
    pub fn file(file: File) -> io::Result<Self> {
        let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Ok(Self {
            writable: None,
            readable: file.into(),
            size,
        })
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The descriptor to map for this access.
    pub fn descriptor(&self, access: Access) -> io::Result<BorrowedFd<'_>> {
        match access {
            Access::Read => Ok(self.readable.as_fd()),
            Access::ReadWrite => self.writable.as_ref().map(AsFd::as_fd).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the region is read-only for all",
                )
            }),
        }
    }

    /// Copies `buffer.len()` bytes from `offset` on out of the region.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        File::from(self.readable.try_clone()?).read_exact_at(buffer, offset)
    }
}

/// A descriptor of the same memory that cannot write it. Its own open file description, so the
/// access mode is its own too.
fn reopen_read_only(file: &File) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{Mapped, MappedMut};
    use portcullis_kernel::{Region, RegionMut};

    #[test]
    fn a_writer_and_a_reader_see_the_same_memory() {
        let memory = Memory::zeroed("test", 8192).unwrap();
        let file = |access| {
            memory
                .descriptor(access)
                .unwrap()
                .try_clone_to_owned()
                .unwrap()
        };
        let mut writer = MappedMut::read_write(&file(Access::ReadWrite), 8192).unwrap();
        let reader = Mapped::read_only(&file(Access::Read), 8192).unwrap();
        for (offset, length) in [(0, 1), (3, 29), (8, 16), (4095, 4097), (8190, 2)] {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + offset) as u8).collect();
            writer.write(offset, &bytes).unwrap();
            let mut read = vec![0; length];
            reader.read(offset, &mut read).unwrap();
            assert_eq!(read, bytes, "{length} bytes at {offset}");
        }
        writer.store(16, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(reader.load(16), Ok(0x0102_0304_0506_0708));
        let mut first = [0];
        reader.read(16, &mut first).unwrap();
        assert_eq!(first, [8], "words are little-endian");
    }

    #[test]
    fn accesses_past_the_end_are_refused() {
        let memory = Memory::zeroed("test", 4096).unwrap();
        let file = memory
            .descriptor(Access::ReadWrite)
            .unwrap()
            .try_clone_to_owned()
            .unwrap();
        let mut region = MappedMut::read_write(&file, 4096).unwrap();
        assert!(region.read(4095, &mut [0; 2]).is_err());
        assert!(region.write(usize::MAX, &[0]).is_err());
        assert!(region.load(4089).is_err());
        assert!(region.load(4).is_err(), "not aligned");
        assert!(region.store(4096, 0).is_err());
        assert!(region.read(4096, &mut []).is_ok());
    }

    #[test]
    fn a_read_only_descriptor_cannot_be_mapped_writable() {
        let memory = Memory::zeroed("test", 4096).unwrap();
        let file = memory
            .descriptor(Access::Read)
            .unwrap()
            .try_clone_to_owned()
            .unwrap();
        let refused = MappedMut::read_write(&file, 4096).unwrap_err();
        assert_eq!(refused, rustix::io::Errno::ACCESS);
    }

    #[test]
    fn a_region_cannot_change_size_and_a_read_only_one_nothing() {
        let memory = Memory::zeroed("test", 4096).unwrap();
        let file = File::from(
            memory
                .descriptor(Access::ReadWrite)
                .unwrap()
                .try_clone_to_owned()
                .unwrap(),
        );
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(8192).is_err());
        let constant = Memory::filled("test", b"policy", 4096, false).unwrap();
        assert!(constant.descriptor(Access::ReadWrite).is_err());
        let bytes = |memory: &Memory| {
            let file = memory.descriptor(Access::Read)?.try_clone_to_owned()?;
            io::Result::Ok(Mapped::read_only(&file, 4096)?.constant())
        };
        assert_eq!(&bytes(&constant).unwrap().unwrap()[..6], b"policy");
        assert_eq!(bytes(&memory).unwrap(), None, "it can be written");
        assert!(Memory::filled("test", &[0; 5000], 4096, false).is_err());
    }
}

//! The disk of a hosted appliance: a file, of which the driver holds the only open descriptor.

use std::io;
use std::os::fd::OwnedFd;

use portcullis_blk::wire::SECTOR;
use portcullis_blk::{BLOCK, Disk, DiskError};
use rustix::io::Errno;

/// A disk over a file. Reads and writes whole blocks by position; a flush is `fdatasync`.
#[derive(Debug)]
pub struct FileDisk {
    file: OwnedFd,
    blocks: u64,
}

impl FileDisk {
    /// A disk of this many blocks over an open file.
    pub fn new(file: OwnedFd, blocks: u64) -> Self {
        Self { file, blocks }
    }

    /// How many blocks a file has.
    pub fn blocks_of(file: &std::fs::File) -> io::Result<u64> {
        Ok(file.metadata()?.len() / BLOCK as u64)
    }

    /// Checks that the blocks lie on the disk; the result is their offset in the file.
    fn place(&self, first: u64, length: usize) -> Result<u64, DiskError> {
        if !length.is_multiple_of(BLOCK) {
            return Err(DiskError::Unaligned { length });
        }
        let count = (length / BLOCK) as u64;
        match first.checked_add(count) {
            Some(end) if end <= self.blocks => Ok(first * BLOCK as u64),
            _ => Err(DiskError::OutOfRange {
                first,
                count,
                blocks: self.blocks,
            }),
        }
    }
}

impl Disk for FileDisk {
    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        let mut offset = self.place(first, data.len())?;
        let mut rest = data;
        while !rest.is_empty() {
            match rustix::io::pread(&self.file, &mut *rest, offset) {
                // The file is as long as the disk; where it is not, somebody cut it.
                Ok(0) => return Err(DiskError::Read { first }),
                Ok(read) => {
                    rest = &mut rest[read..];
                    offset += read as u64;
                }
                Err(Errno::INTR) => {}
                Err(_) => return Err(DiskError::Read { first }),
            }
        }
        Ok(())
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.write_behind(first, 0, data)
    }

    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        let kept = kept * SECTOR;
        let mut offset = self.place(first, data.len())? + kept as u64;
        let mut rest = &data[kept..];
        while !rest.is_empty() {
            match rustix::io::pwrite(&self.file, rest, offset) {
                Ok(0) => return Err(DiskError::Write { first }),
                Ok(written) => {
                    rest = &rest[written..];
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) => return Err(DiskError::NoSpace { first }),
                Err(_) => return Err(DiskError::Write { first }),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        // Not repeated where it fails: the kernel reports a lost write once.
        rustix::fs::fdatasync(&self.file).map_err(|_| DiskError::Flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * BLOCK as u64).unwrap();
        assert_eq!(FileDisk::blocks_of(&file).unwrap(), 4);
        let mut disk = FileDisk::new(file.into(), 4);
        let data = [0xa5; 2 * BLOCK];
        disk.write(1, &data).unwrap();
        disk.flush().unwrap();
        let mut read = [0; 3 * BLOCK];
        disk.read(1, &mut read).unwrap();
        assert_eq!(read[..2 * BLOCK], data);
        assert_eq!(read[2 * BLOCK..], [0; BLOCK]);
    }

    #[test]
    fn what_is_not_on_the_disk_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * BLOCK as u64).unwrap();
        let mut disk = FileDisk::new(file.into(), 4);
        let out_of_range = |result: Result<(), DiskError>| {
            assert!(
                matches!(result, Err(DiskError::OutOfRange { .. })),
                "{result:?}"
            );
        };
        out_of_range(disk.read(4, &mut [0; BLOCK]));
        out_of_range(disk.write(3, &[0; 2 * BLOCK]));
        out_of_range(disk.read(u64::MAX, &mut [0; BLOCK]));
        assert_eq!(
            disk.write(0, &[0; 100]),
            Err(DiskError::Unaligned { length: 100 })
        );
    }

    #[test]
    fn a_full_file_system_is_said_to_be_full() {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut disk = FileDisk::new(full.unwrap().into(), 2);
        let refused = disk.write(1, &[1; BLOCK]).unwrap_err();
        assert_eq!(refused, DiskError::NoSpace { first: 1 });
        assert!(refused.to_string().contains("no space is left"));
    }

    #[test]
    fn a_file_that_was_cut_is_a_read_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(BLOCK as u64).unwrap();
        let mut disk = FileDisk::new(file.into(), 2);
        assert_eq!(
            disk.read(1, &mut [0; BLOCK]),
            Err(DiskError::Read { first: 1 })
        );
    }
}

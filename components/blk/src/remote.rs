//! The client's end of a region: a [`Disk`] whose blocks lie with the driver.
//!
//! Writes of neighbouring blocks are gathered in the shared buffer and go to the driver in one
//! request: before a read, with a flush, when the buffer is full, and when another block is written
//! than the next. Whoever writes therefore learns of a failed write at the latest from its
//! flush, which is when it matters: nothing is durable before.

use portcullis_kernel::{RegionMut, Syscalls};

use crate::{
    BLOCK, Disk, DiskError,
    api::{Area, Client, Info, RUN_MAX, Run, disk_error},
    disk::check,
};

/// A region of the disk, as a client holds it.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    area: Area,
    blocks: u64,
    gathered: Run,
}

/// A [`Remote`] with what it needs to make a request: a disk.
#[derive(Debug)]
pub struct Attached<'a, K, R> {
    kernel: &'a mut K,
    buffer: &'a mut R,
    remote: &'a mut Remote,
}

impl Remote {
    /// The region `area` of the disk that `info` describes.
    pub const fn new(client: Client, area: Area, info: &Info) -> Self {
        Self {
            client,
            area,
            blocks: info.length(area),
            gathered: Run {
                first: 0,
                count: 0,
                at: 0,
            },
        }
    }

    /// The region as a disk; `buffer` is what this client shares with the driver.
    pub const fn attach<'a, K, R>(
        &'a mut self,
        kernel: &'a mut K,
        buffer: &'a mut R,
    ) -> Attached<'a, K, R> {
        Attached {
            kernel,
            buffer,
            remote: self,
        }
    }
}

impl<K: Syscalls, R: RegionMut> Attached<'_, K, R> {
    fn room(&self) -> u64 {
        RUN_MAX.min((self.buffer.size() / BLOCK) as u64)
    }

    /// Sends what was gathered.
    fn send(&mut self) -> Result<(), DiskError> {
        let run = self.remote.gathered;
        self.remote.gathered.count = 0;
        if run.count == 0 {
            return Ok(());
        }
        let Remote {
            client,
            area,
            blocks,
            ..
        } = *self.remote;
        let sent = client.write(self.kernel, area, run);
        sent.map_err(|refusal| disk_error(refusal, run, blocks))
    }

    /// Puts blocks into the buffer, after those that are there if they follow them.
    fn gather(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        let count = (data.len() / BLOCK) as u64;
        let gathered = self.remote.gathered;
        let follows = gathered.first + gathered.count == first;
        if !follows || gathered.count + count > self.room() {
            self.send()?;
        }
        let gathered = &mut self.remote.gathered;
        if gathered.count == 0 {
            gathered.first = first;
        }
        self.buffer
            .write(gathered.count as usize * BLOCK, data)
            .map_err(|_| DiskError::Unreachable)?;
        gathered.count += count;
        Ok(())
    }

    fn part(&self) -> Result<usize, DiskError> {
        match self.room() {
            0 => Err(DiskError::Unreachable),
            room => Ok(room as usize * BLOCK),
        }
    }
}

impl<K: Syscalls, R: RegionMut> Disk for Attached<'_, K, R> {
    fn blocks(&self) -> u64 {
        self.remote.blocks
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        let Remote {
            client,
            area,
            blocks,
            ..
        } = *self.remote;
        check(first, data.len(), blocks)?;
        self.send()?;
        let mut first = first;
        for part in data.chunks_mut(self.part()?) {
            let count = (part.len() / BLOCK) as u64;
            let run = Run {
                first,
                count,
                at: 0,
            };
            let read = client.read(self.kernel, area, run);
            read.map_err(|refusal| disk_error(refusal, run, blocks))?;
            let copied = self.buffer.read(0, part);
            copied.map_err(|_| DiskError::Unreachable)?;
            first += count;
        }
        Ok(())
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        check(first, data.len(), self.remote.blocks)?;
        let mut first = first;
        for part in data.chunks(self.part()?) {
            self.gather(first, part)?;
            first += (part.len() / BLOCK) as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let run = self.remote.gathered;
        self.remote.gathered.count = 0;
        let Remote {
            client,
            area,
            blocks,
            ..
        } = *self.remote;
        let flushed = if run.count == 0 {
            client.flush(self.kernel)
        } else {
            client.write_and_flush(self.kernel, area, run)
        };
        flushed.map_err(|refusal| match disk_error(refusal, run, blocks) {
            // The marks are written as part of the flush.
            DiskError::Write { .. } if run.count == 0 => DiskError::Flush,
            error => error,
        })
    }
}

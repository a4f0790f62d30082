//! The client's end of a region: a [`Disk`] whose blocks lie with the driver.
//!
//! Writes of neighbouring blocks are gathered in the shared buffer and go to the driver in one
//! request: before a read, with a flush, when the buffer is full, and when another block is written
//! than the next. The buffer knows whose blocks it holds, since one client may use it for several
//! regions in turn. Whoever writes learns of a failed write at the latest from its flush, which is when
//! it matters: nothing is durable before. Nobody else does: not who reads, or uses the buffer for
//! another region, in between.

use portcullis_kernel::{RegionMut, Syscalls};

use crate::{
    BLOCK, Disk, DiskError,
    api::{Area, Client, Info, RUN_MAX, Run, disk_error},
    disk::check,
};

/// The buffer that a client shares with the driver, and the blocks in it that are to be written.
#[derive(Debug)]
pub struct SharedBuffer<R> {
    region: R,
    area: Area,
    gathered: Run,
    /// Of each region, why some of its blocks were not written, until it is told.
    failed: [Option<DiskError>; Area::ALL.len()],
}

impl<R> SharedBuffer<R> {
    /// A buffer that holds nothing.
    pub const fn new(region: R) -> Self {
        Self {
            region,
            area: Area::Vault,
            gathered: Run {
                first: 0,
                count: 0,
                at: 0,
            },
            failed: [None; _],
        }
    }

    /// Takes the blocks that are to be written, if they are of this region.
    fn take(&mut self, area: Area) -> Option<Run> {
        let run = self.gathered;
        let is_there = run.count > 0 && self.area == area;
        is_there.then(|| {
            self.gathered.count = 0;
            run
        })
    }
}

/// A region of the disk, as a client holds it.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    area: Area,
    blocks: u64,
}

/// A [`Remote`] with what it needs to make a request: a disk.
#[derive(Debug)]
pub struct Attached<'a, K, R> {
    kernel: &'a mut K,
    buffer: &'a mut SharedBuffer<R>,
    remote: &'a Remote,
}

impl Remote {
    /// The region `area` of the disk that `info` describes.
    pub const fn new(client: Client, area: Area, info: &Info) -> Self {
        Self {
            client,
            area,
            blocks: info.length(area),
        }
    }

    /// The region as a disk; `buffer` is what this client shares with the driver.
    pub const fn attach<'a, K, R>(
        &'a self,
        kernel: &'a mut K,
        buffer: &'a mut SharedBuffer<R>,
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
        RUN_MAX.min((self.buffer.region.size() / BLOCK) as u64)
    }

    /// Sends what was gathered, whosever it is: the buffer is needed. That it failed is theirs to learn.
    fn send(&mut self) {
        let area = self.buffer.area;
        let Some(run) = self.buffer.take(area) else {
            return;
        };
        let Remote { client, blocks, .. } = *self.remote;
        if let Err(refusal) = client.write(self.kernel, area, run) {
            self.buffer.failed[area as usize] = Some(disk_error(refusal, run, blocks));
        }
    }

    /// What became of the blocks of this region that were sent for others.
    fn sent(&mut self) -> Result<(), DiskError> {
        let failed = self.buffer.failed[self.remote.area as usize].take();
        failed.map_or(Ok(()), Err)
    }

    /// Puts blocks into the buffer, after those that are there if they follow them.
    fn gather(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        let count = (data.len() / BLOCK) as u64;
        let (area, gathered) = (self.remote.area, self.buffer.gathered);
        let follows = self.buffer.area == area && gathered.first + gathered.count == first;
        if !follows || gathered.count + count > self.room() {
            self.send();
            self.sent()?;
        }
        let SharedBuffer {
            region,
            area: whose,
            gathered,
            ..
        } = &mut *self.buffer;
        if gathered.count == 0 {
            (*whose, gathered.first) = (area, first);
        }
        region
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
        } = *self.remote;
        check(first, data.len(), blocks)?;
        self.send();
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
            let copied = self.buffer.region.read(0, part);
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
        let Remote {
            client,
            area,
            blocks,
        } = *self.remote;
        let run = self.buffer.take(area);
        self.sent()?;
        let flushed = match run {
            None => client.flush(self.kernel),
            Some(run) => client.write_and_flush(self.kernel, area, run),
        };
        let Err(refusal) = flushed else {
            return Ok(());
        };
        Err(
            match (disk_error(refusal, run.unwrap_or_default(), blocks), run) {
                // The marks are written as part of the flush.
                (DiskError::Write { .. }, None) => DiskError::Flush,
                (error, _) => error,
            },
        )
    }
}

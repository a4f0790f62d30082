//! A virtio-blk disk, as the block driver's [`Disk`].

use portcullis_blk::{BLOCK, Disk, DiskError};
use virtio_drivers::device::blk::{SECTOR_SIZE, VirtIOBlk};
use virtio_drivers::transport::mmio::MmioTransport;

use super::{Platform, transport};

/// Sectors, which virtio counts in, of one of our blocks.
const SECTORS: u64 = (BLOCK / SECTOR_SIZE) as u64;

/// A virtio-blk disk; without a device it has no blocks.
pub struct VirtioDisk {
    device: Option<VirtIOBlk<Platform, MmioTransport<'static>>>,
}

impl VirtioDisk {
    /// The disk whose registers lie at `registers`, with `virtio_dma` as the memory that it uses.
    ///
    /// # Safety
    ///
    /// That of [`transport`].
    pub unsafe fn new(registers: usize, length: usize, dma: (usize, u64, usize)) -> Self {
        // SAFETY: the caller's promise.
        let transport = unsafe { transport(registers, length, dma) };
        let device = transport.and_then(|it| VirtIOBlk::new(it).ok());
        Self { device }
    }
}

impl Disk for VirtioDisk {
    fn blocks(&self) -> u64 {
        self.device
            .as_ref()
            .map_or(0, |device| device.capacity() / SECTORS)
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        let device = self.device.as_mut().ok_or(DiskError::Read { first })?;
        device
            .read_blocks((first * SECTORS) as usize, data)
            .map_err(|_| DiskError::Read { first })
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.write_behind(first, 0, data)
    }

    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        let device = self.device.as_mut().ok_or(DiskError::Write { first })?;
        let sector = (first * SECTORS) as usize + kept;
        let data = data.get(kept * SECTOR_SIZE..).unwrap_or_default();
        device
            .write_blocks(sector, data)
            .map_err(|_| DiskError::Write { first })
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let device = self.device.as_mut().ok_or(DiskError::Flush)?;
        device.flush().map_err(|_| DiskError::Flush)
    }
}

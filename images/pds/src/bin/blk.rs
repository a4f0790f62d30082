//! The block driver as a protection domain.

#![no_std]
#![no_main]

use portcullis_blk::{Blk, Memory};
use portcullis_runtime::{
    Domain, MANAGER, Sel4, VIRTIO_LENGTH, VIRTIO_OFFSET, VirtioDisk, map, regions,
};
use sel4_microkit::{protection_domain, var};
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[protection_domain]
fn init() -> Domain<Blk<'static, VirtioDisk, Sel4>> {
    let page: usize = *var!(virtio_mmio: usize = 0);
    let (dma, dma_size) = map!(virtio_dma);
    let dma_paddr: u64 = *var!(virtio_dma_paddr: u64 = 0);
    let registers = page + VIRTIO_OFFSET;
    // SAFETY: `system.xml` maps the page with the device's registers at `virtio_mmio`, uncached, and
    // the region that the device uses at `virtio_dma`, for this domain alone.
    let disk = unsafe { VirtioDisk::new(registers, VIRTIO_LENGTH, (dma, dma_paddr, dma_size)) };
    let regions = regions!(portcullis_blk::Regions {
        vault_disk,
        ledger_disk
    });
    Domain::new(Blk::new(MANAGER, disk, regions, MEMORY.take()))
}

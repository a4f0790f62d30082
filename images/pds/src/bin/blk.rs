//! The block driver as a protection domain.

#![no_std]
#![no_main]

use portcullis_blk::{Blk, Memory as BlkMemory};
use portcullis_runtime::{Domain, Memory, VirtioDisk, region};
use sel4_microkit::{protection_domain, var};
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<BlkMemory> = ConstStaticCell::new(BlkMemory::new());

/// Bytes of one virtio-mmio device's registers.
const REGISTERS: usize = 0x200;

#[protection_domain]
fn init() -> Domain<Blk<'static, VirtioDisk, Memory, Memory>> {
    let page: usize = *var!(virtio_mmio: usize = 0);
    let dma: usize = *var!(virtio_dma: usize = 0);
    let dma_size: usize = *var!(virtio_dma_size: usize = 0);
    let dma_paddr: u64 = *var!(virtio_dma_paddr: u64 = 0);
    let registers = page + portcullis_runtime::VIRTIO_OFFSET;
    // SAFETY: `system.xml` maps the page with the device's registers at `virtio_mmio`, uncached, and
    // the region that the device uses at `virtio_dma`, for this domain alone.
    let disk = unsafe { VirtioDisk::new(registers, REGISTERS, (dma, dma_paddr, dma_size)) };
    let vault = region!(vault_disk, vault_disk_size);
    Domain::new(Blk::new(
        0,
        disk,
        vault,
        region!(ledger_disk, ledger_disk_size),
        MEMORY.take(),
    ))
}

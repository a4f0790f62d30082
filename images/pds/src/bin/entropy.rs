//! The source of randomness as a protection domain.

#![no_std]
#![no_main]

use portcullis_entropy::Entropy;
use portcullis_runtime::{Domain, Sel4, VIRTIO_LENGTH, VIRTIO_OFFSET, VirtioRng, map, regions};
use sel4_microkit::{protection_domain, var};

#[protection_domain]
fn init() -> Domain<Entropy<VirtioRng, Sel4>> {
    let page: usize = *var!(rng_mmio: usize = 0);
    let (dma, dma_size) = map!(rng_dma);
    let dma_paddr: u64 = *var!(rng_dma_paddr: u64 = 0);
    let registers = page + VIRTIO_OFFSET;
    // SAFETY: `system.xml` maps the page with the device's registers at `rng_mmio`, uncached, and the
    // region that the device uses at `rng_dma`, for this domain alone.
    let source = unsafe { VirtioRng::new(registers, VIRTIO_LENGTH, (dma, dma_paddr, dma_size)) };
    let regions = regions!(portcullis_entropy::Regions { boot_seed });
    Domain::new(Entropy::new(source, regions))
}

//! Devices over virtio-mmio: a disk, a random number generator.
//!
//! A device reads and writes only one memory region of its driver's, which nobody else maps: queues
//! lie at its start, and each request's buffers are copied into the rest of it and out again. So
//! the driver's other memory never has to be physically contiguous, and the device, were it to go
//! wrong within an IOMMU, would see nothing else.

mod disk;
mod rng;

pub use disk::VirtioDisk;
pub use rng::VirtioRng;

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// The DMA region of this protection domain. A protection domain has one thread, so relaxed
/// accesses are enough; atomics because statics have to be shareable.
struct Region {
    vaddr: AtomicUsize,
    paddr: AtomicU64,
    size: AtomicUsize,
    /// Bytes at the start that are given out for good: queues.
    queues: AtomicUsize,
    /// Bytes after those that requests in flight use.
    in_use: AtomicUsize,
    /// Buffers in flight.
    shared: AtomicUsize,
}

static REGION: Region = Region {
    vaddr: AtomicUsize::new(0),
    paddr: AtomicU64::new(0),
    size: AtomicUsize::new(0),
    queues: AtomicUsize::new(0),
    in_use: AtomicUsize::new(0),
    shared: AtomicUsize::new(0),
};

impl Region {
    /// Offset of `length` bytes more, aligned for any descriptor.
    fn take(&self, length: usize) -> Option<usize> {
        let start = self.queues.load(Ordering::Relaxed) + self.in_use.load(Ordering::Relaxed);
        let end = start.checked_add(length.next_multiple_of(16))?;
        (end <= self.size.load(Ordering::Relaxed)).then_some(start)
    }

    fn address(&self, offset: usize) -> (PhysAddr, NonNull<u8>) {
        let vaddr = (self.vaddr.load(Ordering::Relaxed) + offset) as *mut u8;
        let paddr = self.paddr.load(Ordering::Relaxed) + offset as u64;
        (paddr, NonNull::new(vaddr).unwrap_or(NonNull::dangling()))
    }
}

/// What the virtio driver needs of the platform.
#[derive(Debug)]
struct Platform;

// SAFETY: `dma_alloc` gives out each page of the region once, zeroed by the kernel when it was made
// and never used before; `share` gives a copy inside the region, which the device alone uses until
// `unshare`.
unsafe impl Hal for Platform {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let length = pages * PAGE_SIZE;
        match REGION.take(length) {
            // Queues are made before any request is.
            Some(offset) if REGION.shared.load(Ordering::Relaxed) == 0 => {
                REGION.queues.fetch_add(length, Ordering::Relaxed);
                REGION.address(offset)
            }
            // Address zero says that there is none.
            _ => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // The queue lives as long as the driver, and the driver as long as its protection domain.
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("only PCI transports map registers by physical address")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let length = buffer.len();
        let offset = REGION
            .take(length)
            .expect("the region holds a queue and the largest request");
        REGION
            .in_use
            .fetch_add(length.next_multiple_of(16), Ordering::Relaxed);
        REGION.shared.fetch_add(1, Ordering::Relaxed);
        let (paddr, copy) = REGION.address(offset);
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: `buffer` is valid for reads (the trait's contract); the copy lies inside the
            // region (`take`) and overlaps nothing in flight.
            unsafe { copy.copy_from_nonoverlapping(buffer.cast(), length) };
        }
        paddr
    }

    unsafe fn unshare(paddr: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        let offset = paddr.wrapping_sub(REGION.paddr.load(Ordering::Relaxed)) as usize;
        if direction != BufferDirection::DriverToDevice {
            let (_, copy) = REGION.address(offset);
            // SAFETY: as in `share`, the other way round; the device is done with the copy.
            unsafe { buffer.cast().copy_from_nonoverlapping(copy, buffer.len()) };
        }
        // One request is in flight at a time; its buffers are given back together.
        if REGION.shared.fetch_sub(1, Ordering::Relaxed) == 1 {
            REGION.in_use.store(0, Ordering::Relaxed);
        }
    }
}

/// The way to the device whose registers lie at `registers`, with the region that it uses; `None`: there
/// is no virtio device.
///
/// # Safety
///
/// `registers` lies in a `<map>` of the device's registers, uncached, with at least `length` bytes left;
/// `vaddr`, `paddr` and `size` are those of a `<map>` of a region that nobody else maps. Called once.
unsafe fn transport(
    registers: usize,
    length: usize,
    (vaddr, paddr, size): (usize, u64, usize),
) -> Option<MmioTransport<'static>> {
    REGION.vaddr.store(vaddr, Ordering::Relaxed);
    REGION.paddr.store(paddr, Ordering::Relaxed);
    REGION.size.store(size, Ordering::Relaxed);
    let header = NonNull::new(registers as *mut VirtIOHeader)?;
    // SAFETY: the caller's promise.
    unsafe { MmioTransport::new(header, length) }.ok()
}

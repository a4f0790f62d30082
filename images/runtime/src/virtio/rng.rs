//! A virtio random number generator, as a noise [`Source`].
//!
//! The crate's own driver waits for the device for ever. The manager waits for this one, so that it looks
//! for a bounded time, and resets a device that did not answer: it is not asked again.

use core::hint::spin_loop;

use portcullis_entropy::{Silent, Source};
use virtio_drivers::device::common::Feature;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport as _};

use super::{Platform, transport};
use crate::nanoseconds;

/// The device's only queue.
const QUEUE: u16 = 0;
/// Descriptors of the queue: one request is in flight at a time.
const DESCRIPTORS: usize = 2;
/// Longest wait for all bytes of a read, in nanoseconds. QEMU answers within 500 us on an idle host, and on
/// a loaded one when its other thread gets to run.
const PATIENCE: u64 = 1_000_000_000;

/// A virtio random number generator; without a device it gives nothing.
pub struct VirtioRng {
    device: Option<Device>,
}

struct Device {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Platform, DESCRIPTORS>,
}

impl VirtioRng {
    /// The generator whose registers lie at `registers`, with `rng_dma` as the memory that it uses.
    ///
    /// # Safety
    ///
    /// That of [`transport`].
    pub unsafe fn new(registers: usize, length: usize, dma: (usize, u64, usize)) -> Self {
        // SAFETY: the caller's promise.
        let transport = unsafe { transport(registers, length, dma) };
        let device = transport.and_then(Device::start);
        Self { device }
    }
}

impl Device {
    fn start(mut transport: MmioTransport<'static>) -> Option<Self> {
        if transport.device_type() != DeviceType::EntropySource {
            return None;
        }
        transport.begin_init(Feature::VERSION_1);
        let mut queue = VirtQueue::new(&mut transport, QUEUE, false, false).ok()?;
        // Nobody takes an interrupt: the answer is looked for.
        queue.set_dev_notify(false);
        transport.finish_init();
        Some(Self { transport, queue })
    }

    /// Reads some bytes, until `deadline` at most; gives how many. After an error the device is not used any
    /// more.
    fn read(&mut self, samples: &mut [u8], deadline: u64) -> Result<usize, Silent> {
        // SAFETY: the device is given the address of a copy in the region (`Platform::share`), never that of
        // `samples`, which is touched again by `pop_used` below or not at all.
        let token = unsafe { self.queue.add(&[], &mut [&mut *samples]) }.map_err(|_| Silent)?;
        if self.queue.should_notify() {
            self.transport.notify(QUEUE);
        }
        while !self.queue.can_pop() {
            if nanoseconds() > deadline {
                return Err(Silent);
            }
            spin_loop();
        }
        // SAFETY: the buffer that was added under this token.
        let read = unsafe { self.queue.pop_used(token, &[], &mut [&mut *samples]) };
        match read {
            Ok(length @ 1..) => Ok(samples.len().min(length as usize)),
            _ => Err(Silent),
        }
    }
}

impl Source for VirtioRng {
    fn read(&mut self, mut samples: &mut [u8]) -> Result<(), Silent> {
        let deadline = nanoseconds().saturating_add(PATIENCE);
        while !samples.is_empty() {
            let device = self.device.as_mut().ok_or(Silent)?;
            let Ok(read) = device.read(samples, deadline) else {
                // The device is reset as this is dropped, and writes nothing any more.
                self.device = None;
                return Err(Silent);
            };
            samples = &mut samples[read..];
        }
        Ok(())
    }
}

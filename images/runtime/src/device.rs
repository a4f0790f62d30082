//! A driver's device: its registers and its interrupt.

use portcullis_kernel::{Registers, cspace};
use portcullis_uart::Interrupt;

/// Memory-mapped registers of `T`: `u8` for an NS16550, `u32` for the other devices.
#[derive(Debug)]
pub struct Mmio<T> {
    base: *mut T,
}

impl<T> Mmio<T> {
    /// The registers at `base`.
    ///
    /// # Safety
    ///
    /// `base` is the `setvar_vaddr` of a `<map>` of a device's registers, uncached, of at least a
    /// page; nothing else in this protection domain accesses it.
    pub const unsafe fn new(base: *mut T) -> Self {
        Self { base }
    }

    fn at(&self, offset: usize) -> *mut T {
        assert!(
            offset < 4096,
            "registers lie within the first page of a device"
        );
        self.base.wrapping_byte_add(offset)
    }
}

impl Registers for Mmio<u32> {
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: a register of the device (`new`, `at`); its drivers use aligned offsets only.
        unsafe { self.at(offset).read_volatile() }
    }

    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: as for `read`.
        unsafe { self.at(offset).write_volatile(value) }
    }
}

impl Registers for Mmio<u8> {
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: a register of the device (`new`, `at`).
        unsafe { self.at(offset).read_volatile() }.into()
    }

    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: as for `read`.
        unsafe { self.at(offset).write_volatile(value as u8) }
    }
}

/// The interrupt of a channel.
#[derive(Debug)]
pub struct Irq(pub u8);

impl Interrupt for Irq {
    fn acknowledge(&mut self) {
        let handler = sel4::cap::IrqHandler::from_bits(cspace::irq_handler(self.0).bits());
        // The only error is a slot that is empty: `system.xml` gives the driver its interrupt, and
        // the check of the image finds it there.
        let _ = handler.irq_handler_ack();
    }
}

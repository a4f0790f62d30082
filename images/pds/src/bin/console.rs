//! The console as a protection domain.

#![no_std]
#![no_main]

use portcullis_console::{Channels, Console};
use portcullis_runtime::{Domain, Irq, MANAGER, Mmio, bytes};
use portcullis_uart::Uart;
use sel4_microkit::{protection_domain, var};

/// Channel of the serial device's interrupt, in `system.xml`.
const IRQ: u8 = 1;

#[cfg(target_arch = "aarch64")]
type Device = portcullis_uart::Pl011<Mmio<u32>>;
#[cfg(target_arch = "riscv64")]
type Device = portcullis_uart::Ns16550<Mmio<u8>>;

#[protection_domain]
fn init() -> Domain<Console<'static, Uart<Device, Irq>>> {
    let base: usize = *var!(uart: usize = 0);
    // SAFETY: `system.xml` maps the device's registers there, uncached, for this domain alone.
    let registers = unsafe { Mmio::new(base as *mut _) };
    let channels = Channels {
        manager: MANAGER,
        irq: IRQ,
    };
    let uart = Uart::new(Device::new(registers), Irq(IRQ));
    Domain::new(Console::new(channels, bytes!(policy), uart))
}

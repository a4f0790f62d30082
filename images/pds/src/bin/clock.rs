//! The clock as a protection domain.

#![no_std]
#![no_main]

use portcullis_clock::Clock;
use portcullis_runtime::{Alarm, Alarmed, BoardCounter, Domain, MANAGER, Mmio, Sel4, regions};
use sel4_microkit::{protection_domain, var};

#[cfg(target_arch = "aarch64")]
type Rtc = portcullis_clock::Pl031<Mmio<u32>>;
#[cfg(target_arch = "riscv64")]
type Rtc = portcullis_clock::Goldfish<Mmio<u32>>;

static ALARM: Alarm = Alarm::new();

#[protection_domain]
fn init() -> Domain<Clock<Rtc, BoardCounter, &'static Alarm, Sel4>, Alarmed> {
    let base: usize = *var!(rtc: usize = 0);
    // SAFETY: `system.xml` maps the device's registers there, uncached, for this domain alone.
    let registers = unsafe { Mmio::new(base as *mut _) };
    let regions = regions!(portcullis_clock::Regions {
        utc_offset,
        lease_deadline
    });
    let clock = Clock::new(Rtc::new(registers), BoardCounter, &ALARM, MANAGER, regions);
    Domain::with(Alarmed::new(&ALARM), clock)
}

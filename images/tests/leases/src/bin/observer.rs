//! The observer of leases, which stops what timer it can while it spins.

#![no_std]
#![no_main]

use portcullis_probe::Observer;
use portcullis_runtime::{BoardCounter, Domain, ReadOnly, ReadWrite, region};
use sel4_microkit::protection_domain;

/// Switches the physical timer off, which `qemu_virt_aarch64` exports to every protection domain.
#[cfg(target_arch = "aarch64")]
fn attack() {
    // SAFETY: seL4's boards export the timer (`KernelArmExportPTMRUser`); nothing of this program uses it.
    unsafe {
        core::arch::asm!("msr cntp_ctl_el0, xzr", options(nomem, nostack));
    }
}

/// No timer of this board can be reached without a capability.
#[cfg(target_arch = "riscv64")]
fn attack() {}

type Observing = Observer<BoardCounter, ReadOnly, ReadWrite, fn()>;

#[protection_domain]
fn init() -> Domain<Observing> {
    let (page, seen) = (region!(lease_deadline), region!(lateness));
    Domain::new(Observer::new(BoardCounter, page, seen, attack as fn()))
}

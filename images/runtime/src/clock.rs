//! The counter that every protection domain can read.

use portcullis_clock::Counter;

/// Nanoseconds since the board started.
pub fn nanoseconds() -> u64 {
    let (ticks, frequency) = counter();
    // Nanoseconds a tick with 32 bits behind the point: every record is dated, and a division of 128
    // bits would take longer than the rest of it.
    let scale = (1_000_000_000 << 32) / frequency.max(1);
    ((u128::from(ticks) * u128::from(scale)) >> 32) as u64
}

/// That counter, as the clock component takes it.
#[derive(Clone, Copy, Debug)]
pub struct BoardCounter;

impl Counter for BoardCounter {
    fn monotonic(&mut self) -> u64 {
        nanoseconds()
    }
}

/// The counter and its frequency in hertz.
#[cfg(target_arch = "aarch64")]
fn counter() -> (u64, u64) {
    let (ticks, frequency): (u64, u64);
    // SAFETY: both registers are readable at EL0: seL4's boards export the physical counter
    // (`KernelArmExportPCNTUser`), and the architecture its frequency with it. Nothing is written.
    unsafe {
        core::arch::asm!("mrs {}, cntpct_el0", out(reg) ticks, options(nomem, nostack));
        core::arch::asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack));
    }
    (ticks, frequency)
}

/// The counter and its frequency in hertz, which on QEMU's board is 10 MHz (its device tree).
#[cfg(target_arch = "riscv64")]
fn counter() -> (u64, u64) {
    let ticks: u64;
    // SAFETY: `rdtime` is readable in user mode on seL4; nothing is written.
    unsafe { core::arch::asm!("rdtime {}", out(reg) ticks, options(nomem, nostack)) };
    (ticks, 10_000_000)
}

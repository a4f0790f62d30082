//! The instruction counter of QEMU with `-icount shift=0,sleep=off`.
//!
//! It counts instructions of the whole machine, kernel and all protection domains. On riscv64 it is
//! `instret`, and exact. On aarch64 the benchmark kernel exports the performance monitor, exact too;
//! the others export the physical counter alone, which ticks once in 16 instructions (62.5 MHz at
//! one instruction a nanosecond).

/// Instructions that one step of the counter stands for.
pub const UNIT: u64 = if cfg!(target_arch = "aarch64") && !PMU {
    16
} else {
    1
};

#[cfg(target_arch = "aarch64")]
const PMU: bool = sel4::sel4_cfg_bool!(EXPORT_PMU_USER);
#[cfg(target_arch = "riscv64")]
const PMU: bool = false;

/// Makes the counter count; once in each protection domain, before it is read.
pub fn start() {
    #[cfg(target_arch = "aarch64")]
    if PMU {
        // Event counter 0 counts INST_RETIRED (event 0x08) at every exception level (bit 27: EL2,
        // where the kernel runs); then it is enabled, and the whole monitor (Arm ARM, D8.4).
        // SAFETY: the benchmark kernel exports the monitor to user mode (KernelArmExportPMUUser) and
        // uses event counter 0 for nothing; nothing but counting changes.
        unsafe {
            core::arch::asm!(
                "msr pmevtyper0_el0, {event}",
                "msr pmcntenset_el0, {first}",
                "msr pmcr_el0, {first}",
                "isb",
                event = in(reg) 1u64 << 27 | 0x08,
                first = in(reg) 1u64,
                options(nomem, nostack)
            );
        }
    }
}

/// Instructions so far, in steps of [`UNIT`].
#[inline(always)]
pub fn instructions() -> u64 {
    let count: u64;
    // SAFETY: each is readable in user mode, and reading changes nothing: seL4 exports the physical
    // counter (KernelArmExportPCNTUser) and, in the benchmark configuration, the performance monitor;
    // on RISC-V it enables `instret`. Not `nomem`: what is measured shall not move across.
    unsafe {
        #[cfg(target_arch = "aarch64")]
        if PMU {
            core::arch::asm!("isb", "mrs {}, pmevcntr0_el0", out(reg) count, options(nostack));
        } else {
            core::arch::asm!("mrs {}, cntpct_el0", out(reg) count, options(nostack));
        }
        #[cfg(target_arch = "riscv64")]
        core::arch::asm!("rdinstret {}", out(reg) count, options(nostack));
    }
    count
}

//! What there is on AArch64.

use core::arch::asm;

use super::{Number, Privileged, Registers};
use crate::{Fault, fault};

/// A system call. `landing` is told where to go on should the call not come back.
///
/// # Safety
///
/// `landing` is a word that may be written. What the call does is the kernel's to allow.
pub unsafe fn system_call(number: Number, registers: &mut Registers, landing: *mut u64) {
    let Registers {
        cptr,
        info,
        words: [first, second, third, fourth],
        ..
    } = registers;
    // SAFETY: writes `landing` (the caller's promise), and otherwise only the registers that it says.
    unsafe {
        asm!(
            "adr {at}, 2f",
            "str {at}, [{landing}]",
            "svc #0",
            "2:",
            at = out(reg) _,
            landing = in(reg) landing,
            inout("x0") *cptr,
            inout("x1") *info,
            inout("x2") *first,
            inout("x3") *second,
            inout("x4") *third,
            inout("x5") *fourth,
            inout("x6") registers.reply => _,
            in("x7") number.0,
            inout("x8") registers.first => _,
        );
    }
}

/// Reads a word; 0 where that is not allowed.
///
/// # Safety
///
/// As for [`system_call`]; a read that is allowed has no effect.
pub unsafe fn load(address: u64, landing: *mut u64) -> u64 {
    let mut word = 0;
    // SAFETY: reads one word, or faults and goes on behind it.
    unsafe {
        asm!(
            "adr {at}, 2f",
            "str {at}, [{landing}]",
            "ldr {word}, [{address}]",
            "2:",
            at = out(reg) _,
            landing = in(reg) landing,
            address = in(reg) address,
            word = inout(reg) word,
        );
    }
    word
}

/// Writes a word.
///
/// # Safety
///
/// As for [`system_call`]; a write that is allowed breaks nothing that this program relies on.
pub unsafe fn store(address: u64, word: u64, landing: *mut u64) {
    // SAFETY: writes one word (the caller's promise), or faults and goes on behind it.
    unsafe {
        asm!(
            "adr {at}, 2f",
            "str {at}, [{landing}]",
            "str {word}, [{address}]",
            "2:",
            at = out(reg) _,
            landing = in(reg) landing,
            address = in(reg) address,
            word = in(reg) word,
        );
    }
}

/// Writes what it read, with a pair of exclusive accesses.
///
/// # Safety
///
/// As for [`store`].
pub unsafe fn store_otherwise(address: u64, landing: *mut u64) {
    // SAFETY: as for `store`.
    unsafe {
        asm!(
            "adr {at}, 2f",
            "str {at}, [{landing}]",
            "ldxr {at}, [{address}]",
            "stxr {failed:w}, {at}, [{address}]",
            "2:",
            at = out(reg) _,
            failed = out(reg) _,
            landing = in(reg) landing,
            address = in(reg) address,
        );
    }
}

/// Goes on at `address`.
///
/// # Safety
///
/// As for [`system_call`]; if there is code at `address` that may be executed, it returns at once.
pub unsafe fn jump(address: u64, landing: *mut u64) {
    // SAFETY: the code at `address` returns (the caller's promise), or there is a fault.
    unsafe {
        asm!(
            "adr x9, 2f",
            "str x9, [{landing}]",
            "blr {address}",
            "2:",
            out("x9") _,
            landing = in(reg) landing,
            address = in(reg) address,
            clobber_abi("C"),
        );
    }
}

/// The code of a function that returns at once.
pub const RETURN: u32 = 0xd65f_03c0;

/// Defines a function that executes one instruction.
macro_rules! instruction {
    ($name:ident, $code:literal) => {
        fn $name(landing: *mut u64) {
            // SAFETY: `landing` is the attacker's own word. The instruction faults, or changes a
            // register that is not this program's own to lose.
            unsafe {
                asm!(
                    "adr {at}, 2f",
                    "str {at}, [{landing}]",
                    $code,
                    "2:",
                    at = out(reg) _,
                    landing = in(reg) landing,
                    out("x9") _,
                );
            }
        }
    };
}

instruction!(read_page_table, "mrs x9, ttbr0_el1");
instruction!(write_page_table, "msr ttbr0_el1, x9");
instruction!(write_vectors, "msr vbar_el1, x9");
instruction!(read_hypervisor, "mrs x9, hcr_el2");
instruction!(write_system_control, "msr sctlr_el1, x9");
instruction!(unmask_interrupts, "msr daifclr, #15");
instruction!(hypervisor_call, "hvc #0");
instruction!(secure_call, "smc #0");
instruction!(return_from_exception, "eret");
instruction!(flush_tlb, "tlbi vmalle1");
instruction!(invalidate_cache, "dc isw, x9");
instruction!(clear_block, "dc zva, x9");
instruction!(translate, "at s1e1r, x9");
instruction!(read_cycles, "mrs x9, pmccntr_el0");
instruction!(write_counter_offset, "msr cntvoff_el2, x9");
instruction!(stop_kernel_clock, "msr cnthp_ctl_el2, x9");
instruction!(own_the_clock, "msr cntkctl_el1, x9");
instruction!(undefined, "udf #7");
instruction!(breakpoint, "brk #1");
instruction!(halt, "hlt #1");

/// Exception classes of a syndrome (Arm ARM, `ESR_ELx.EC`): what is no instruction at EL0, what is
/// trapped there, and a breakpoint.
const UNKNOWN: (u64, u64) = (fault::USER_EXCEPTION, 0x00);
const TRAPPED: (u64, u64) = (fault::TRAP, 0x18);
const BREAKPOINT: (u64, u64) = (fault::TRAP, 0x3c);

/// Instructions that are not a program's to execute, with the fault's label and [`cause`].
pub const PRIVILEGED: &[Privileged] = &[
    (read_page_table, UNKNOWN),
    (write_page_table, UNKNOWN),
    (write_vectors, UNKNOWN),
    (read_hypervisor, UNKNOWN),
    (write_system_control, UNKNOWN),
    (unmask_interrupts, TRAPPED),
    (hypervisor_call, UNKNOWN),
    (secure_call, UNKNOWN),
    (return_from_exception, UNKNOWN),
    (flush_tlb, UNKNOWN),
    (invalidate_cache, UNKNOWN),
    (clear_block, TRAPPED),
    (translate, UNKNOWN),
    (read_cycles, TRAPPED),
    (write_counter_offset, UNKNOWN),
    (stop_kernel_clock, UNKNOWN),
    (own_the_clock, UNKNOWN),
    (undefined, UNKNOWN),
    (breakpoint, BREAKPOINT),
    (halt, UNKNOWN),
];

/// The exception class in a fault message. seL4 with hypervisor support tells of a trap as it would
/// of a guest's (`VCPUFault`), in a message of one word.
pub fn cause(fault: &Fault) -> u64 {
    let place = match fault.label {
        fault::TRAP => 0,
        _ => fault.length as usize - 2,
    };
    fault.words[place] >> 26
}

/// The timer that the board exports (`KernelArmExportPTMRUser`), set to fire at once. It is not the
/// kernel's, and its interrupt is nobody's.
pub fn set_exported_timer(landing: *mut u64) {
    // SAFETY: `landing` is the attacker's own word; nothing here uses the timer.
    unsafe {
        asm!(
            "adr {at}, 2f",
            "str {at}, [{landing}]",
            "msr cntp_cval_el0, xzr",
            "mov {at}, #1",
            "msr cntp_ctl_el0, {at}",
            "isb",
            "2:",
            at = out(reg) _,
            landing = in(reg) landing,
        );
    }
}

/// What comes of that: nothing.
pub const TIMER: Option<(u64, u64)> = None;

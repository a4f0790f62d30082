//! What there is on 64-bit RISC-V.

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
            "lla {at}, 2f",
            "sd {at}, 0({landing})",
            "ecall",
            "2:",
            at = out(reg) _,
            landing = in(reg) landing,
            inout("a0") *cptr,
            inout("a1") *info,
            inout("a2") *first,
            inout("a3") *second,
            inout("a4") *third,
            inout("a5") *fourth,
            inout("a6") registers.reply => _,
            in("a7") number.0,
            inout("t0") registers.first => _,
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
            "lla {at}, 2f",
            "sd {at}, 0({landing})",
            "ld {word}, 0({address})",
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
            "lla {at}, 2f",
            "sd {at}, 0({landing})",
            "sd {word}, 0({address})",
            "2:",
            at = out(reg) _,
            landing = in(reg) landing,
            address = in(reg) address,
            word = in(reg) word,
        );
    }
}

/// Writes with an atomic operation.
///
/// # Safety
///
/// As for [`store`].
pub unsafe fn store_otherwise(address: u64, landing: *mut u64) {
    // SAFETY: as for `store`.
    unsafe {
        asm!(
            "lla {at}, 2f",
            "sd {at}, 0({landing})",
            "amoswap.d zero, {at}, ({address})",
            "2:",
            at = out(reg) _,
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
            "lla t0, 2f",
            "sd t0, 0({landing})",
            "jalr {address}",
            "2:",
            out("t0") _,
            landing = in(reg) landing,
            address = in(reg) address,
            clobber_abi("C"),
        );
    }
}

/// The code of a function that returns at once.
pub const RETURN: u32 = 0x0000_8067;

/// Defines a function that executes one instruction.
macro_rules! instruction {
    ($name:ident, $code:literal) => {
        fn $name(landing: *mut u64) {
            // SAFETY: `landing` is the attacker's own word. The instruction faults, or changes a
            // register that is not this program's own to lose.
            unsafe {
                asm!(
                    "lla {at}, 2f",
                    "sd {at}, 0({landing})",
                    $code,
                    "2:",
                    at = out(reg) _,
                    landing = in(reg) landing,
                    out("t0") _,
                );
            }
        }
    };
}

instruction!(read_page_table, "csrr t0, satp");
instruction!(write_page_table, "csrw satp, t0");
instruction!(write_vectors, "csrw stvec, t0");
instruction!(read_status, "csrr t0, sstatus");
instruction!(unmask_interrupts, "csrsi sstatus, 2");
instruction!(write_interrupts, "csrw sie, t0");
instruction!(read_scratch, "csrr t0, sscratch");
instruction!(read_machine, "csrr t0, mstatus");
instruction!(read_hart, "csrr t0, mhartid");
instruction!(write_machine_vectors, "csrw mtvec, t0");
instruction!(return_from_exception, "sret");
instruction!(return_from_machine, "mret");
instruction!(flush_tlb, "sfence.vma");
instruction!(wait_for_interrupt, "wfi");
instruction!(undefined, ".4byte 0");
instruction!(
    breakpoint,
    ".option push\n.option norvc\nebreak\n.option pop"
);

/// Exceptions (`scause`): an instruction that is not allowed, or none; and a breakpoint.
const ILLEGAL: (u64, u64) = (fault::USER_EXCEPTION, 2);
const BREAKPOINT: (u64, u64) = (fault::USER_EXCEPTION, 3);

/// Instructions that are not a program's to execute, with the fault's label and [`cause`].
pub const PRIVILEGED: &[Privileged] = &[
    (read_page_table, ILLEGAL),
    (write_page_table, ILLEGAL),
    (write_vectors, ILLEGAL),
    (read_status, ILLEGAL),
    (unmask_interrupts, ILLEGAL),
    (write_interrupts, ILLEGAL),
    (read_scratch, ILLEGAL),
    (read_machine, ILLEGAL),
    (read_hart, ILLEGAL),
    (write_machine_vectors, ILLEGAL),
    (return_from_exception, ILLEGAL),
    (return_from_machine, ILLEGAL),
    (flush_tlb, ILLEGAL),
    (wait_for_interrupt, ILLEGAL),
    (undefined, ILLEGAL),
    (breakpoint, BREAKPOINT),
];

/// The exception in a fault message: the word before the last.
pub fn cause(fault: &Fault) -> u64 {
    fault.words[fault.length as usize - 2]
}

instruction!(set_timer, "csrw 0x14d, t0");

/// The supervisor's timer (`stimecmp`), set to fire at once.
pub fn set_exported_timer(landing: *mut u64) {
    set_timer(landing);
}

/// What comes of that.
pub const TIMER: Option<(u64, u64)> = Some(ILLEGAL);

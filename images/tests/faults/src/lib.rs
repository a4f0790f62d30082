//! Faults on purpose. Each instruction that faults has a symbol, so that a test knows its address.

#![no_std]

use core::arch::global_asm;

use portcullis_kernel::cspace;

/// The ways to fault, by their methods of interface `faults`.
pub const KINDS: [&str; 6] = [
    "write",
    "execute",
    "undefined",
    "syscall",
    "receive",
    "stack",
];

/// The place of writing to address 0 in [`KINDS`].
pub const WRITE: u8 = 0;

/// seL4's Recv (`SysRecv`, with `CONFIG_KERNEL_MCS`).
const RECV: u64 = 7_u64.wrapping_neg();
/// A system call that seL4 does not have: its own are negative.
const UNKNOWN: u64 = 1_000;
/// A slot that is empty in every component.
const EMPTY: u64 = cspace::TCB.bits() + 2;

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl fault_write, fault_undefined, fault_syscall, fault_stack, fault_data",
    "fault_write: str xzr, [x0]",
    "fault_undefined: udf #0",
    "fault_syscall: svc #0",
    "grow_stack: sub sp, sp, #16",
    "fault_stack: str xzr, [sp]",
    "b grow_stack",
    ".pushsection .data",
    ".balign 4",
    "fault_data: .word 0",
    ".popsection",
);

#[cfg(target_arch = "riscv64")]
global_asm!(
    ".globl fault_write, fault_undefined, fault_syscall, fault_stack, fault_data",
    "fault_write: sd zero, 0(a0)",
    "fault_undefined: unimp",
    "fault_syscall: ecall",
    "grow_stack: addi sp, sp, -16",
    "fault_stack: sd zero, 0(sp)",
    "j grow_stack",
    ".pushsection .data",
    ".balign 4",
    "fault_data: .word 0",
    ".popsection",
);

unsafe extern "C" {
    fn fault_write(address: u64) -> !;
    fn fault_undefined() -> !;
    // The eight registers are those of seL4's calling convention: the capability first, the reply
    // object in the seventh, the number of the system call in the eighth.
    fn fault_syscall(to: u64, _: u64, _: u64, _: u64, _: u64, _: u64, reply: u64, number: u64)
    -> !;
    fn grow_stack() -> !;
    static fault_data: u32;
}

/// Faults in this way, a place in [`KINDS`].
pub fn fault(kind: u8) -> ! {
    let reply = cspace::REPLY.bits();
    let system_call = |to, number| {
        // SAFETY: as below.
        unsafe { fault_syscall(to, 0, 0, 0, 0, 0, reply, number) }
    };
    // SAFETY: none of these returns: the kernel stops the thread in the first instruction that the
    // symbol names, or, on the stack, when it leaves the pages that `system.xml` gives. Nothing is
    // read or written before that but the thread's own stack, which it does not use again.
    unsafe {
        match kind {
            WRITE => fault_write(0),
            1 => {
                let data = &raw const fault_data;
                core::mem::transmute::<*const u32, unsafe extern "C" fn() -> !>(data)()
            }
            2 => fault_undefined(),
            3 => system_call(0, UNKNOWN),
            4 => system_call(EMPTY, RECV),
            _ => grow_stack(),
        }
    }
}

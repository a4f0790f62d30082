//! System calls that carry a message's first words in registers.
//!
//! The registers are those of libsel4 (`arm_sys_send_recv`, `riscv_sys_send_recv`). rust-sel4 has no
//! ReplyRecv of this kind. Through the IPC buffer, a call of four words and its reply take 922
//! instructions on aarch64 and 1,181 on riscv64; through registers 867 and 1,081 (`scripts/bench seL4`).

use core::arch::asm;
use core::ffi::c_int;

/// Words in registers.
pub(crate) const REGISTERS: usize = sel4::NUM_FAST_MESSAGE_REGISTERS;

/// What a receive gave beside the words.
pub(crate) struct Received {
    /// The word that seL4 calls message info.
    pub(crate) info: u64,
    pub(crate) badge: u64,
}

/// Makes system call `number` (of `sel4::sys::syscall_id`) on capability `to` with `words`; what is
/// received stands there afterwards. `reply` is the reply object, where the call takes one.
#[inline(always)]
pub(crate) fn system_call(
    number: c_int,
    to: u64,
    info: u64,
    words: &mut [u64; REGISTERS],
    reply: u64,
) -> Received {
    let [w0, w1, w2, w3] = words;
    let received_info;
    let badge;
    // SAFETY: the registers are those of seL4's system call interface, which changes no others. The
    // kernel may write this thread's IPC buffer, which `Sel4` borrows at no such moment; the assembly
    // counts as writing all memory.
    unsafe {
        #[cfg(target_arch = "aarch64")]
        asm!(
            "svc 0",
            in("x7") number as i64,
            inout("x0") to => badge,
            inout("x1") info => received_info,
            inout("x2") *w0,
            inout("x3") *w1,
            inout("x4") *w2,
            inout("x5") *w3,
            in("x6") reply,
        );
        #[cfg(target_arch = "riscv64")]
        asm!(
            "ecall",
            in("a7") number as i64,
            inout("a0") to => badge,
            inout("a1") info => received_info,
            inout("a2") *w0,
            inout("a3") *w1,
            inout("a4") *w2,
            inout("a5") *w3,
            in("a6") reply,
        );
    }
    Received {
        info: received_info,
        badge,
    }
}

//! The threads' program, and their registers in the message of an unknown system call.
//!
//! The program makes one system call and then one that does not exist. The kernel reports that one
//! as a fault, with the registers as the first has left them; the reply to the fault sets them for
//! the next. So a thread needs no capability to be told what to do, whatever becomes of its CSpace.

use core::arch::global_asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use portcullis_model::testing::differential::{Call, Trap};
use sel4::sys::syscall_id;

#[cfg(target_arch = "aarch64")]
global_asm! {
    "differential_trap: adrp x8, {destination}",
    "ldr x8, [x8, :lo12:{destination}]",
    "svc #0",
    "differential_rest: mov x7, #1",
    "svc #0",
    "b differential_rest",
    "differential_tell: svc #0",
    "b differential_tell",
    destination = sym DESTINATION,
}

#[cfg(target_arch = "riscv64")]
global_asm! {
    "differential_trap: la t0, {destination}",
    "ld t0, 0(t0)",
    "mv a7, ra",
    "ecall",
    "differential_rest: li a7, 1",
    "ecall",
    "j differential_rest",
    "differential_tell: ecall",
    "j differential_tell",
    destination = sym DESTINATION,
}

/// What the thread that is told to make a system call has in the register of the capability that
/// `NBSendRecv` sends through: no message of a fault carries that register.
static DESTINATION: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static differential_trap: u8;
    static differential_rest: u8;
    static differential_tell: u8;
}

/// The address of an instruction.
macro_rules! address {
    ($label:ident) => {
        ptr::addr_of!($label).addr() as u64
    };
}

// Places in the message of an unknown system call (`seL4_UnknownSyscall_Msg`).
#[cfg(target_arch = "aarch64")]
mod place {
    pub const ARGUMENTS: usize = 0;
    pub const REPLY: usize = 6;
    pub const NUMBER: usize = 7;
    pub const INSTRUCTION: usize = 8;
    pub const STACK: usize = 9;
    pub const COUNT: usize = 10;
}

#[cfg(target_arch = "riscv64")]
mod place {
    pub const INSTRUCTION: usize = 0;
    pub const STACK: usize = 1;
    /// `ra`, from where the program moves it.
    pub const NUMBER: usize = 2;
    pub const ARGUMENTS: usize = 3;
    pub const REPLY: usize = 9;
    pub const COUNT: usize = 10;
}

/// Message registers that are registers.
pub const FAST: usize = sel4::NUM_FAST_MESSAGE_REGISTERS;

/// Words of the message that sets a thread's registers.
pub const MESSAGE: usize = place::COUNT;

/// What a thread's registers hold after its system call.
pub struct Result {
    /// What [`set`] was told.
    pub tag: u64,
    /// The badge.
    pub badge: u64,
    /// The message info.
    pub info: u64,
    /// The first message registers.
    pub words: [u64; FAST],
}

/// Reads a fault's message.
pub fn result(message: &[u64]) -> Result {
    let [badge, info, words @ ..]: [u64; 2 + FAST] =
        core::array::from_fn(|register| message[place::ARGUMENTS + register]);
    Result {
        tag: message[place::STACK],
        badge,
        info,
        words,
    }
}

/// The message that has a thread make a system call. `tag` stays in its stack pointer, which its
/// program has no other use for.
pub fn set(trap: &Trap, tag: u64) -> [u64; MESSAGE] {
    DESTINATION.store(trap.destination, Ordering::Relaxed);
    let mut message = [0; MESSAGE];
    message[place::INSTRUCTION] = address!(differential_trap);
    message[place::STACK] = tag;
    message[place::NUMBER] = number(trap.call);
    message[place::REPLY] = trap.reply;
    let arguments = [trap.capability, trap.info].into_iter();
    let arguments = arguments.chain(trap.words.iter().copied());
    for (place, argument) in message[place::ARGUMENTS..][..2 + FAST]
        .iter_mut()
        .zip(arguments)
    {
        *place = argument;
    }
    message
}

/// A thread that comes to rest, with this tag.
pub fn at_rest(tag: u64) -> sel4::UserContext {
    let mut context = sel4::UserContext::default();
    *context.pc_mut() = address!(differential_rest);
    *context.sp_mut() = tag;
    context
}

/// A thread that sends an empty message to `to` whenever it can.
pub fn telling(to: sel4::cap::Endpoint) -> sel4::UserContext {
    let mut context = sel4::UserContext::default();
    *context.pc_mut() = address!(differential_tell);
    *context.c_param_mut(0) = to.bits();
    *context.c_param_mut(7) = syscall_id::Send as u64;
    context
}

fn number(call: Call) -> u64 {
    let number = match call {
        Call::Call => syscall_id::Call,
        Call::ReplyRecv => syscall_id::ReplyRecv,
        Call::Send => syscall_id::Send,
        Call::NbSend => syscall_id::NBSend,
        Call::NbSendRecv => syscall_id::NBSendRecv,
        Call::NbSendWait => syscall_id::NBSendWait,
        Call::Recv => syscall_id::Recv,
        Call::NbRecv => syscall_id::NBRecv,
        Call::Wait => syscall_id::Wait,
        Call::NbWait => syscall_id::NBWait,
        Call::Yield => syscall_id::Yield,
    };
    number as u64
}

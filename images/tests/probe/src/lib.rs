//! What an attacker tries that only seL4 can answer: raw system calls, faults, and waiting for ever.
//!
//! [`Supervised`] makes one raw attempt after another; whatever the kernel does to its thread, the
//! warden writes down and the attacker reads: see [`told`]. [`raw`] is the bare system call, with
//! every register as an attacker would set it.

#![no_std]

mod captive;
pub mod fence;
mod program;
pub mod raw;
mod supervised;
pub mod told;

pub use captive::{Captive, FIRST_ANSWER};
pub use program::Program;
pub use raw::{Info, Number, Registers};
pub use supervised::{Came, Fault, Supervised, fault};

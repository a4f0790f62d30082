//! Ties a portable component to seL4 and Microkit.
//!
//! [`Sel4`] makes the system calls that `portcullis_kernel` names, [`Memory`] is a mapped memory
//! region, and [`Domain`] runs a component in place of Microkit's own event loop, which reads every
//! badge as a channel number and so cannot tell a grant from a channel.
//!
//! All `unsafe` of the seL4 side is here.

#![no_std]

mod domain;
mod memory;
mod syscalls;

pub use domain::Domain;
pub use memory::Memory;
pub use syscalls::Sel4;

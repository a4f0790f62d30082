//! What a component sees of seL4: capabilities, badges, messages, system calls.
//!
//! Every part of Portcullis that runs on the appliance is written against this crate and nothing
//! below it, so the same code runs on the model kernel (hosted) and on seL4 (`images/`). It holds
//! names, layouts and traits; it makes no system call itself, and owns no state.
//!
//! Terms are those of the seL4 reference manual 16.0.0 and the Microkit manual 2.3.0.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod badge;
mod component;
mod cptr;
mod error;
mod fault;
mod grant;
mod message;
mod principal;
mod region;
mod registers;
mod reply;
mod rights;
mod signal;
mod syscall;

pub use badge::{Badge, Generation, GrantBadge, Method, MethodSet, Source, TooLarge};
pub use component::{Answer, Caller, Component, dispatch, serve};
pub use cptr::{CPtr, cspace};
pub use error::KernelError;
pub use fault::Fault;
pub use grant::{CallGrant, Grant, NotifyGrant, SendGrant};
pub use message::{MAX_WORDS, Message, Refusal, label};
pub use principal::{Behind, Principal};
pub use region::{Mapping, OutOfRange, Region, RegionMut};
pub use registers::Registers;
pub use reply::{Current, Kept, Replies, ReplyObject};
pub use rights::{Mode, Rights};
pub use signal::{Signal, Signals};
pub use syscall::{CNodeSlot, CNodes, Invocation, Syscall, Syscalls};

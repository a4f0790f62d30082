//! An executable specification of the seL4 objects that Portcullis uses.
//!
//! [`Kernel`] is a pure, deterministic state machine: CNodes with guards, the derivation tree,
//! endpoints, notifications, MCS reply objects, scheduling contexts and threads, with every system call
//! of [`portcullis_kernel::Syscall`] and the error of every refused case. It is written from the
//! sources of seL4 16.0.0 with `CONFIG_KERNEL_MCS` on 64 bits (`src/object/cnode.c`,
//! `src/kernel/cspace.c`, `src/object/endpoint.c`, `notification.c`, `reply.c`, `schedcontext.c`, `tcb.c`,
//! `objecttype.c`, `src/api/syscall.c`) and keeps the order of their checks, so that a run of the model
//! and a run of the kernel can be compared result by result. The hosted kernel process, the property
//! tests and that comparison all run this code.
//!
//! What it does not do (`docs/kernel-model.md` has the whole list):
//!
//! - It does not schedule. A thread's priority orders queues as the kernel's does, and nothing else;
//!   who runs next is the driver's business. A thread without a scheduling context must not run:
//!   [`Kernel::is_schedulable`].
//! - It has no time: a scheduling context never runs out.
//! - A capability fault goes to the thread's fault handler; a thread that has none stops, and the driver
//!   is told why. There are no other faults.
//! - Long deletions are not preempted; their result is the kernel's.
//! - Untyped memory, virtual memory, registers and interrupts are absent. An invocation that needs them,
//!   or time, is refused where the kernel refuses it and is else [`Completion::Unmodelled`].
//!
//! A thread that has to make its system call again (its endpoint was deleted, its badge
//! cancelled, or it was resumed) is reported as [`Completion::Restarted`] and does so when the
//! driver next runs it: [`Kernel::restart`].

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod capability;
mod check;
mod cnode;
mod context;
mod delete;
mod derivation;
mod endpoint;
mod error;
pub mod invocation;
mod kernel;
mod lookup;
mod notification;
mod queue;
mod reply;
mod setup;
mod syscall;
mod tcb;
pub mod testing;
mod thread;
mod transfer;

pub use capability::{Capability, Container, ObjectId, ThreadId};
pub use check::Violation;
pub use error::{CapabilityFault, LookupFault};
pub use kernel::{Completion, Done, Kernel};
pub use thread::ThreadState;

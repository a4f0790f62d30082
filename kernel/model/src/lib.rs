//! An executable specification of the seL4 objects that Portcullis uses.
//!
//! [`Kernel`] is a pure, deterministic state machine: CNodes with guards, the derivation tree,
//! endpoints, notifications, MCS reply objects and threads, with every system call of
//! [`portcullis_kernel::Syscall`] and the error of every refused case. It is written from the
//! sources of seL4 16.0.0 with `CONFIG_KERNEL_MCS` on 64 bits (`src/object/cnode.c`,
//! `src/kernel/cspace.c`, `src/object/endpoint.c`, `notification.c`, `reply.c`, `objecttype.c`,
//! `src/api/syscall.c`) and keeps the order of their checks, so that a run of the model and a run
//! of the kernel can be compared result by result. The hosted kernel process, the property tests
//! and that comparison all run this code.
//!
//! What it does not do:
//!
//! - It does not schedule. A thread's priority, which is fixed, orders queues as the kernel's does,
//!   and nothing else; who runs next is the driver's business.
//! - It gives no time away. Every thread is taken to own a scheduling context, so nothing is donated
//!   and the MCS call stack, which only says where a donated context goes back to, is not there. A
//!   passive server is therefore out of scope: it acts here as an active one.
//! - At most one capability goes along with a message, by [`Kernel::syscall_with`].
//! - There is no fault handler: a thread that faults stops, and the driver is told why.
//! - Long deletions are not preempted; their result is the kernel's.
//! - Untyped memory, virtual memory and interrupts are absent, and of the TCB invocations only
//!   those that need neither registers nor extra capabilities work.
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
pub mod testing;
mod thread;
mod transfer;

pub use capability::{Capability, Container, ObjectId, ThreadId};
pub use check::Violation;
pub use error::{CapabilityFault, LookupFault};
pub use kernel::{Completion, Done, Kernel};
pub use thread::ThreadState;

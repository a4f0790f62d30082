//! Running components and the manager against the model, in one thread.
//!
//! [`Machine`] holds a [`Kernel`](crate::Kernel) and components; [`Direct`] is the system calls of
//! one of its threads. A system call that would block runs the components that are ready, highest
//! priority first, until it completes; where none can complete it, it panics and says so.
//! [`SharedRegion`] is a memory region that several of them map. [`World`] and [`run_operations`]
//! are for trying random operations on the kernel itself.

mod direct;
mod machine;
mod random;
mod region;

pub use direct::Direct;
pub use machine::{Machine, ProtectionDomain};
pub use random::{OPERATION_BYTES, Operation, World, run_operations};
pub use region::SharedRegion;

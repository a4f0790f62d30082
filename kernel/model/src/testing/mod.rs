//! Running components and the manager against the model, in one thread of one process.
//!
//! [`Machine`] holds a [`Kernel`](crate::Kernel) and components; [`Direct`] is the system calls of
//! one of its threads. A system call that would block runs the components that are ready, highest
//! priority first, until it completes; where none can complete it, it panics and says so.
//! [`SharedRegion`] is a memory region that several of them map.

mod direct;
mod machine;
mod region;

pub use direct::Direct;
pub use machine::{Machine, ProtectionDomain};
pub use region::SharedRegion;

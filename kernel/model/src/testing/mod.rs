//! Running components and the manager against the model, in one thread.
//!
//! [`Machine`] holds a [`Kernel`](crate::Kernel) and components; [`Direct`] is the system calls of
//! one of its threads. A system call that would block runs the components that are ready, highest
//! priority first, until it completes; where none can complete it, it panics and says so.
//! [`SharedRegion`] is a memory region that several of them map. [`World`] and [`Operation`] are for
//! trying random operations on the kernel itself, and [`differential`] for trying them on the real
//! kernel too.

pub mod differential;
mod direct;
pub mod layout;
mod machine;
mod operation;
mod region;
mod world;

pub use direct::Direct;
pub use machine::{Machine, ProtectionDomain};
pub use operation::{OPERATION_BYTES, Operation, run_operations};
pub use region::{ReadOnlyRegion, SharedRegion};
pub use world::World;

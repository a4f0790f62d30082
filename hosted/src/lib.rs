//! Runs the appliance on Linux: the model kernel in one process, each component in its own.
//!
//! It is not a mock: the same manager and components, the same policy, the same log as on seL4.
//!
//! - [`component`]: a component's side. Its process takes what it was given, closes the sandbox, and
//!   from then on can do one thing: make a system call of the model over its only socket ([`wire`]).
//! - [`machine`]: the kernel's side. The model, a process for each component, and who runs next.
//! - [`construct`]: the kernel's objects, from the capability distribution of the image.
//! - [`appliance`], [`pd`]: the reference appliance, its components and its devices.
//!
//! A program that runs components calls [`component_main`] first thing in its `main`: each of them
//! is another process of the same executable.
//!
//! Trusted: this kernel's process, the model, and of a component's process what runs before its
//! sandbox closes. Unsafe code is in four named places: mappings (`component/mapped.rs`), the
//! socket's descriptor (`component/mod.rs`), and two system calls that no crate wraps
//! (`component/sandbox/walls.rs`, `isolation.rs`).

pub mod appliance;
pub mod component;
pub mod construct;
mod host;
pub mod isolation;
pub mod machine;
pub mod memory;
pub mod pd;
pub mod wire;

pub use component::{Environment, Program, component_main};
pub use host::Clocks;

//! Runs the appliance on Linux: the model kernel in one process, each component in its own.

pub mod component;
pub mod construct;
pub mod machine;
pub mod memory;
pub mod pack;
pub mod wire;

pub use component::{Environment, Program, component_main};

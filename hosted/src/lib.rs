//! Runs the appliance on Linux: the model kernel in one process, each component in its own.

pub mod appliance;
pub mod component;
pub mod construct;
pub mod disk;
pub mod isolation;
pub mod machine;
pub mod memory;
pub mod pack;
pub mod pd;
pub mod wire;

pub use component::{Environment, Program, component_main};

//! Publishes released objects: from the vault, over a one-way stream, to the edge.
//!
//! When it starts, and whenever it is told that something was released, it puts every object that
//! the vault has released since on the [`stream`], a piece at a time. It reads what the vault
//! releases and nothing else, and learns nothing from the edge, not even how far that has read.
//! What was published is remembered until the next start: each boot publishes everything once.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod path;
mod publish;
mod refusal;
pub mod stream;

pub use path::{DocumentPath, PATH_MAX, PathError};
pub use publish::{Publish, Regions};
pub use refusal::VaultRefusal;

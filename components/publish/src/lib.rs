//! Publishes released objects: from the vault, over a one-way stream, to the edge.
//!
//! It reads what the vault releases and nothing else, and learns nothing from the edge: not even
//! how far that has read.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod path;
pub mod stream;
#[cfg(test)]
mod testing;

pub use path::{DocumentPath, PATH_MAX, PathError};

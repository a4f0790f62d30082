//! Reads, verifies and replays logs on a host.

#![forbid(unsafe_code)]

mod finding;
pub mod policies;
pub mod replay;
pub mod state;
mod tree;
pub mod verify;
pub mod walk;

pub use finding::{Finding, Hex, Place, Severity, What};

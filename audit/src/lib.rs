//! Reads, verifies and replays logs on a host.

#![forbid(unsafe_code)]

mod finding;
pub mod policies;
pub mod proof;
pub mod replay;
pub mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;
pub mod verify;
pub mod walk;

pub use finding::{Finding, Hex, Place, Severity, What};

//! The edge: takes published objects off the one-way stream and lists those that are whole.
//!
//! It checks that each object has the size and the SHA-256 that the stream announced, says what it
//! lists and what was lost, and keeps a bounded list of what it serves. It holds no grant that
//! reaches the vault and trusts nothing that the stream holds: whoever writes there can make it
//! list less, or say that something is damaged, and nothing else.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod edge;
mod intake;
mod list;

pub use edge::{Edge, Regions};
pub use list::{LISTED_MAX, Listed};

//! The ledger: two append-only logs, the grant log and the write-once ledger.
//!
//! Takes records of the grant log from the manager's ring, and entries of the write-once ledger from
//! whom the policy lets append. Both logs are the same code over the same format
//! ([`portcullis_log::block`]): sectors that are written once, a Merkle tree, and at each commit a
//! tree head signed with the ledger's key. There is no method that changes or removes a record, here
//! or in the driver below.
//!
//! Durable when: entries are durable when the `append` that ends their group was answered; a record
//! of the ring when the ring's acknowledgement has passed it. Both come after the flush of the commit
//! that holds them. A group, and a drain of the ring, is one commit, however many records it has.
//!
//! When a write or a flush fails, nothing is acknowledged any more until the ledger is started anew,
//! since nobody knows what the disk holds; what was durable before is still read and proved. When a
//! region is full, the same goes for its log alone. Either way the ring is closed, and the manager
//! issues no grant any more.
//!
//! Memory is constant in the number of records. Recovery at the start runs the path that any reader
//! takes: every block, every hash, every commit's root, the last signature. It drops only what was
//! never acknowledged, and writes the last commit again where its flush may have failed: what is read
//! back is no proof that it is on the disk.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod component;
mod error;
mod index;
mod log;
mod read;
mod recover;

pub use component::{Ledger, Memory, Regions};
pub use error::LogError;
pub use index::Index;
pub use log::{Log, LogMemory};
pub use read::Proved;
pub use recover::{Recovered, Scratch};

/// Longest entry of the write-once ledger, in bytes: what one message carries, with room for fields
/// that may come. A digest and what describes it, not a document.
pub const ENTRY_MAX: usize = 896;

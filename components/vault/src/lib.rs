//! The vault: content-addressed objects, encrypted at rest.
//!
//! Keeps objects of up to 64 MiB in the vault's region of the disk, each named by the SHA-256 of its
//! content, and gives out what was released *and* recorded in the ledger, to whom the policy lets
//! read. Its key never leaves it; on the disk there is nothing of an object in the clear but how
//! many blocks it takes.
//!
//! Durable when: an object is durable when its `commit` was answered, its mark of being recorded
//! when `record` was. Data is flushed before the index entry that names it is written, so an entry
//! never names data that is not there; a cut before that leaves free space and nothing else.
//!
//! Never served: a chunk that does not authenticate. It is reported with its object.
//!
//! [`Store`] holds the rules and makes no system call; [`Vault`] serves it; [`api`] is the interface.
//!
//! What it cannot find: that the whole disk was put back to an earlier state. With a random
//! [`Salt`] at each start, such a disk does at least never make it use a nonce twice.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod component;
mod entry;
mod error;
mod get;
mod layout;
mod put;
mod seal;
mod store;
mod table;

pub use component::Vault;
pub use error::StoreError;
pub use layout::{CHUNK, CHUNK_BLOCKS, OBJECT_MAX};
pub use seal::Salt;
pub use store::{Committed, Memory, Opened, Released, Stat, Store};
pub use table::MAX_OBJECTS;

/// SHA-256 of an object: its name.
pub type ObjectDigest = [u8; 32];

/// Longest name of an object, in bytes: `NAME_MAX` of the file systems that names come from.
pub const NAME_MAX: usize = 255;

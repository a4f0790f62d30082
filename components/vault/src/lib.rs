//! The vault: content-addressed objects, encrypted at rest.
//!
//! Keeps objects of up to 64 MiB in the vault's region of the disk, each named by the SHA-256 of its
//! content, and gives out what the ledger says was released, to whom the policy lets read. Its key
//! never leaves it; on the disk there is nothing of an object in the clear but how many blocks it
//! takes.
//!
//! Durable when: an object is durable when its `commit` was answered, what the ledger says of it
//! when `record` or `delete` was. Data is flushed before the index entry that names it is written, so
//! an entry never names data that is not there; a cut before that leaves free space and nothing else.
//! At a start the entry that was written last is written again: that it is read back is no proof that it
//! is on the disk, where its flush failed.
//!
//! Never served: a chunk that is not the very one that was put there. It is reported with its object;
//! to put the object again mends it.
//!
//! Found at the next start: an index entry that is gone, or older than it should be, and with the help
//! of the ledger which objects are missing. Not found: that vault *and* ledger were put back to an
//! earlier state together; against that, a checkpoint of the ledger has to be kept elsewhere.
//!
//! [`Store`] holds the rules and makes no system call; [`Vault`] serves it; [`api`] is the interface.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod component;
mod document;
mod entry;
mod error;
mod follow;
mod get;
mod layout;
mod opening;
mod put;
mod seal;
mod store;
mod superblock;
mod table;
pub mod wire;

pub use component::{Regions, Vault};
pub use document::{Act, DOCUMENT_ENTRY_MAX, DocumentEntry};
pub use error::StoreError;
pub use follow::{Following, Missing, Named, Naming, Walk};
pub use layout::{CHUNK, CHUNK_BLOCKS, OBJECT_MAX};
pub use store::{Committed, Listed, Memory, Opened, Stat, Store};
pub use table::MAX_OBJECTS;

/// SHA-256 of an object: its name.
pub type ObjectDigest = [u8; 32];

/// Longest name of an object, in bytes: `NAME_MAX` of the file systems that names come from.
pub const NAME_MAX: usize = 255;

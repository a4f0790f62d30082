//! Takes documents in: puts them in the vault, and their digests in the ledger.
//!
//! Documents come as a [`bundle`] in the region `inbox`, which is only read. Each is copied through
//! the region `ingest_vault` into the vault and its [`DocumentEntry`] appended to the ledger; what
//! lies under `public/` is released. What is there already is said to be unchanged, so that the
//! same bundle can be taken in again after a start, or what was cut off go on. A document that is
//! damaged, too large or refused takes no other with it.
//!
//! It can read nothing back from the vault and change nothing in the ledger: it holds no method
//! for either.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bundle;
mod entry;
mod failure;
mod ingest;
mod intake;

pub use entry::{DOCUMENT_ENTRY_MAX, DocumentEntry};
pub use ingest::Ingest;

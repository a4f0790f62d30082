//! Takes documents in: puts them in the vault, and their digests in the ledger.
//!
//! Documents come as a [`bundle`] in the region `inbox`, which is only read. Each is copied through
//! the region `ingest_vault` into the vault and its [entry](portcullis_vault::DocumentEntry) appended
//! to the ledger; what lies under `public/` is released. What is there already, and whole, is said to
//! be unchanged, so that the same bundle can be taken in again after a start, what was cut off go on,
//! and what is damaged in the vault be mended. A document that is damaged in the bundle, too large or
//! refused takes no other with it.
//!
//! It can read nothing back from the vault and change nothing in the ledger: it holds no method
//! for either.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bundle;
mod failure;
mod ingest;
mod intake;

pub use ingest::{Ingest, Regions};

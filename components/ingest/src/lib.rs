//! Takes documents in: puts them in the vault, and their digests in the ledger.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bundle;
#[cfg(test)]
mod testing;

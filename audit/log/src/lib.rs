//! Grant-log records, the ring they cross, RFC 6962 hashing, signed checkpoints.
//!
//! The wire types of the grant log, shared by everything that writes or reads it: the manager
//! (records into the [`ring`]), the ledger (Merkle tree and checkpoints), and the audit tools. It
//! stores nothing; what is durable when is the ledger's to say.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod record;
pub mod ring;

pub use record::{BootId, Cause, GrantFields, Operation, Outcome, RECORD_MAX, Record};

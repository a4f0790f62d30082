//! Reads, verifies and replays logs on a host.
//!
//! An audit shares with the appliance the layout of blocks, records and policies, and nothing of the
//! code that writes them. [`state`] opens a disk image or a state directory; [`walk`] reads a log's
//! blocks and holds them against their chain, their Merkle roots and signatures; [`replay`] rebuilds
//! the grants in force and holds them against the policy; [`verify`] does both; [`proof`] makes and
//! checks proofs that stand alone. Nothing here writes to what it audits.

#![forbid(unsafe_code)]

mod finding;
pub mod policies;
pub mod proof;
pub mod replay;
pub mod state;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tiles;
mod tree;
pub mod verify;
pub mod walk;
pub mod witness;

pub use finding::{Finding, Hex, Place, Severity, What};

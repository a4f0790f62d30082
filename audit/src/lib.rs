//! Reads, verifies and replays logs on a host.
//!
//! An audit shares with the appliance the layout of blocks, records and policies, and nothing of the
//! code that writes them. [`state`] opens a disk image or a state directory, and decides with [`keys`]
//! whom to trust; [`portcullis_fsck`], the only reader of a log, holds it against its chain, its Merkle
//! roots and signatures; [`replay`] rebuilds the grants in force and holds them against the policy;
//! [`verify`] does both; [`proof`] makes and checks proofs that stand alone. Nothing here writes to what
//! it audits.

#![forbid(unsafe_code)]

pub mod capscan;
pub mod files;
pub mod keys;
pub mod policies;
pub mod proof;
pub mod replay;
pub mod state;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tiles;
pub mod verify;
pub mod witness;

pub use portcullis_fsck::Hex;

//! Grant-log records, the ring they cross, RFC 6962 hashing, signed checkpoints.
//!
//! The wire types of the log, shared by everything that writes or reads it: the manager (records
//! into the [`ring`]), the ledger (blocks, Merkle tree and checkpoints), and the audit tools. It
//! stores nothing; what is durable when is the ledger's to say.
//!
//! | module         | what                                                      | who            |
//! |----------------|-----------------------------------------------------------|----------------|
//! | [`record`]     | one record of the grant log                               | all            |
//! | [`entry`]      | one entry of the write-once ledger                        | vault, ingest, audit |
//! | [`ring`]       | records on their way from manager to ledger               | manager, ledger|
//! | [`block`]      | the layout of a log on the disk                           | ledger, audit  |
//! | [`builder`]    | packs records into blocks                                 | ledger         |
//! | [`scanner`]    | recovers a log from its blocks                            | ledger         |
//! | [`merkle`]     | hashes, the growing tree, proofs                          | ledger, audit  |
//! | [`checkpoint`] | the text that a commit signs                              | ledger, audit  |
//! | [`note`]       | signed notes, verifier keys                               | ledger, audit  |

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod block;
pub mod builder;
pub mod checkpoint;
pub mod entry;
pub mod merkle;
pub mod note;
pub mod record;
pub mod ring;
pub mod scanner;

pub use record::{
    BootId, Cause, Decoded, GrantFields, Operation, Outcome, RECORD_MAX, Record, Stamp, Time,
};

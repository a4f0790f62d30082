//! For tests: a disk that fails on command, and stand-ins for manager and console.

mod disk;
mod peers;

pub use disk::{FaultyDisk, Plan, SECTOR};
pub use peers::{Finder, Transcript};

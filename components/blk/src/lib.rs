//! The disk driver: one device, three regions, each served by the grant's method.
//!
//! Owns the disk and nothing else. The vault's region may be rewritten; the regions `grants` and
//! `worm` are append-only, and this is where that is enforced: no method, and no grant, reaches a
//! block below an append region's mark for writing, but to fill the sectors of the last one that are
//! zero. What the blocks mean is their owners' business;
//! the driver never looks into one.
//!
//! Durable when: a block is durable when a `flush` that was asked for after it was written has been
//! answered. After a failed append or flush the driver refuses every write and every flush until it is
//! started anew: no later flush says anything about what the failed one lost, and nothing is kept
//! while the grant log misses a record.
//!
//! [`Disk`] is what a platform implements (hosted: a file; seL4: virtio-blk). [`Driver`] holds the
//! rules and makes no system call. [`Blk`] serves it. [`Remote`] is the client's end: a [`Disk`]
//! again, so that what keeps its data here is tested on a disk in memory.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod api;
mod component;
mod disk;
mod driver;
mod layout;
mod marks;
mod remote;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod wire;

pub use component::{Blk, Memory, Regions};
pub use disk::{BLOCK, Block, Disk, DiskError};
pub use driver::{Driver, OpenError, Opened, Refused, UNDER_WAY_MAX};
pub use layout::{DiskId, Header, HeaderError, MIN_BLOCKS, TooSmall, initialise};
pub use marks::{Extent, Mark, Marks};
pub use remote::{Remote, SharedBuffer};

//! The capability manager: policy in, grants out, everything logged.
//!
//! [`Manager`] is the component that reads the signed policy at boot, mints the grants that the
//! policy allows into the components' grants CNodes, takes them back, and writes a record of each
//! step to the grant log. Components ask it on their static channel where a grant lies; holders of
//! the granted interface `inspect` may look at everything and change nothing.
//!
//! It decides nothing that the policy does not say, makes no log durable (the ledger does), and
//! stands in no call's way: once a grant is issued, calls go from subject to object. It speaks in
//! numbers of the policy: names and words are for whoever shows what it says.
//!
//! Its state is in parts, and each function's parameters say which of them it reads and which it
//! changes: `Loaded`, the policy and what follows from it, fixed while it is in force; `Grants`, the
//! table, which changes by the transitions of a grant alone; `Members`, what became of each component;
//! `Journal`, records and reports on their way out; and the kernel. [`Manager`] itself only passes
//! requests on.
//!
//! Invariants, at every moment between two of its system calls:
//!
//! - *Ceiling*: a component's grants CNode holds nothing but capabilities of grants that the policy
//!   allows it, each in its own slot, with the mode's rights and a badge of the grant's methods.
//! - *Logged before done*: a grant's record is durable, acknowledged by the ledger, before its
//!   capability exists. While the ring cannot take the record, or the ledger does not acknowledge it,
//!   the grant is not in force. The boot grants that the log itself depends on, of the manager, the
//!   ledger and whom these call or send to, cannot wait for it: their records are in the ring.
//! - *Revoked before reported*: a revocation's record is written after the capability is gone. When
//!   the ring is full the grant's entry in the table waits for its record: nothing is forgotten,
//!   records keep their order, and no grant is issued before all of them are in the ring.
//! - An index and generation are never used twice. Where a kernel call fails such that a badge might
//!   still be queued, or the grant root cannot be freed, the index is retired.
//!
//! A grant's number is its position in the policy, and its slot is the policy's; its index is that of
//! the entry of the table which it takes when it is issued, and so of its badge and of its root in the
//! authority CNode.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod callers;
mod find;
mod grants;
mod identity;
mod inspect;
mod issue;
mod journal;
mod keys;
mod lease;
mod loaded;
mod manager;
mod members;
mod request;
mod revoke;
mod slots;

pub use find::{DENIAL_RECORDS, DENIAL_ROOM};
pub use grants::{MAX_TABLE, Table};
pub use identity::Identity;
pub use issue::ISSUE_ROOM;
pub use journal::Platform;
pub use keys::trusted_keys;
pub use loaded::Config;
pub use manager::Manager;
pub use portcullis_manager_api::{BootIdOrigin, KeysError, MAX_KEYS, Refused, Report, Unissued};
pub use portcullis_policy_format::{MANAGER_TABLE, Policy, VerifyingKey};
pub use revoke::RevokeError;

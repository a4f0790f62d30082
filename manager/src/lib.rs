//! The capability manager: policy in, grants out, everything logged.
//!
//! [`Manager`] is the component that reads the signed policy at boot, mints the grants that the
//! policy allows into the components' grants CNodes, takes them back, and writes a record of each
//! step to the grant log. Components ask it on their static channel where a grant lies; holders of
//! the granted interface `inspect` may look at everything and change nothing.
//!
//! It decides nothing that the policy does not say, makes no log durable (the ledger does), and
//! stands in no call's way: once a grant is issued, calls go from subject to object.
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
//! A grant's index is its number in the policy: each allowed grant has a slot, and so an entry, of its
//! own, and nothing is ever searched for on the way to a mint.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod boot;
mod deny;
mod entry;
mod find;
mod inspect;
mod issue;
mod journal;
mod keys;
mod manager;
mod member;
mod platform;
mod queue;
mod revoke;
mod slots;
mod table;

pub use boot::Refused;
pub use deny::{DENIAL_RECORDS, DENIAL_ROOM};
pub use issue::{ISSUE_ROOM, Unissued};
pub use keys::{KeysError, MAX_KEYS, trusted_keys};
pub use manager::{Config, Manager};
pub use platform::Platform;
pub use portcullis_policy_format::{MANAGER_TABLE, VerifyingKey};
pub use revoke::RevokeError;
pub use table::{GRANTS, MAX_TABLE, Table};

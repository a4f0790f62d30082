//! What the counting protection domains share: the counter, and how the client asks the manager.
//!
//! Nothing here runs in an appliance: this is the image of `scripts/bench seL4` (`system.xml`).

#![no_std]

mod counter;
mod raw;

pub use counter::{UNIT, instructions, start};
pub use raw::Raw;

use portcullis_kernel::Method;

/// Grants at boot.
pub const GRANTS: usize = 62;
/// Grants that are issued on request.
pub const REQUESTED: usize = 31;

/// What the client has the manager measure, on its static channel. The request's word is the
/// number of a grant issued on request, the reply's is how many instructions it took.
///
/// The manager's own methods, `FIND` and `DURABLE`, are 0 and 1.
pub const MEASURE: Method = method(2);

const fn method(number: u8) -> Method {
    match Method::new(number) {
        Some(method) => method,
        None => panic!("method numbers are below 32"),
    }
}

/// What is measured in the manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Measured {
    /// Nothing: what reading the counter costs.
    Nothing,
    /// At boot: from the manager's first instruction to the policy's being verified and loaded.
    Load,
    /// At boot: from there until the records of 62 grants are in the ring.
    Boot,
    /// At boot: the turn in which these are durable, from its begin to the seal.
    Seal,
    /// `Manager::issue`, which puts a grant's record into the ring.
    Issue,
    /// `Manager::announce` after it.
    Announce,
    /// The turn in which that record is durable, and the grant comes into force.
    Make,
    /// `Manager::revoke`.
    Revoke,
    /// The two invocations that issuing consists of: Mint and Copy.
    RawIssue,
    /// The invocations that revoking consists of: Revoke, CancelBadgedSends, Delete.
    RawRevoke,
    /// Of these, Revoke and Delete.
    RawRevokeDelete,
}

impl Measured {
    /// The name of its series.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "manager-nothing",
            Self::Load => "load",
            Self::Boot => "boot",
            Self::Seal => "seal",
            Self::Issue => "issue",
            Self::Announce => "announce",
            Self::Make => "make",
            Self::Revoke => "revoke",
            Self::RawIssue => "raw-issue",
            Self::RawRevoke => "raw-revoke",
            Self::RawRevokeDelete => "raw-revoke-delete",
        }
    }

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Nothing,
        Self::Load,
        Self::Boot,
        Self::Seal,
        Self::Issue,
        Self::Announce,
        Self::Make,
        Self::Revoke,
        Self::RawIssue,
        Self::RawRevoke,
        Self::RawRevokeDelete,
    ];
}

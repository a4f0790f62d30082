//! Why a policy was not taken.

use core::fmt;

use portcullis_policy_format::PolicyError;
use serde::{Deserialize, Serialize};

/// Most keys that are trusted at once: a signer's, its successor's while they change, and as much
/// again for a second signer and spares. Few, since each can replace the whole policy.
pub const MAX_KEYS: usize = 8;

/// Bytes of a public key (RFC 8032).
pub const KEY_BYTES: usize = 32;

/// Why a policy was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refused {
    /// The keys that may sign one cannot be read.
    Keys(KeysError),
    /// It is not sound, not signed by a trusted key, or not above the one in force.
    Policy(PolicyError),
    /// It allows more grants than the manager's table has room for.
    TableTooSmall {
        /// Grants that the policy allows.
        allowed: u32,
        /// Grants that the table has room for.
        room: u32,
    },
}

/// Why a region of keys cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeysError {
    /// There are more than [`MAX_KEYS`].
    TooMany,
    /// The key with this number, from 1, is no point of the curve.
    NotAKey(usize),
    /// What follows the last whole key is not zeros.
    Length(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(error) => write!(f, "the keys that may sign the policy: {error}"),
            Self::Policy(error) => error.fmt(f),
            Self::TableTooSmall { allowed, room } => write!(
                f,
                "the policy allows {allowed} grants, and the manager was built for {room}: build it \
                 with a larger table"
            ),
        }
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(
                f,
                "there are more trusted keys than {MAX_KEYS}: remove some"
            ),
            Self::NotAKey(number) => write!(
                f,
                "trusted key {number} is no Ed25519 public key: `portcullis keygen` makes one"
            ),
            Self::Length(bytes) => write!(
                f,
                "{bytes} bytes are no public keys: each has {KEY_BYTES} bytes, and zeros follow"
            ),
        }
    }
}

impl core::error::Error for Refused {}

impl core::error::Error for KeysError {}

//! What tells one boot apart from all others.

use portcullis_log::BootId;
use portcullis_manager_api::BootIdOrigin;

/// Offset of the hash in a compiled policy's header (`docs/formats.md`).
const HASH: usize = 20;

/// The id of a boot, and what it is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The id.
    pub id: BootId,
    /// What it is made of.
    pub origin: BootIdOrigin,
}

impl Identity {
    /// The id that is these random bytes.
    pub const fn random(bytes: [u8; 16]) -> Self {
        Self {
            id: BootId(bytes),
            origin: BootIdOrigin::Random,
        }
    }

    /// The id that is these random bytes. Without them it is the counter and the policy's hash: two
    /// boots of one policy that came here at the same count have one id.
    pub fn new(seed: Result<[u8; 16], BootIdOrigin>, counter: u64, policy: &[u8]) -> Self {
        match seed {
            Ok(seed) => Self::random(seed),
            Err(origin) => Self {
                id: counted(counter, policy),
                origin,
            },
        }
    }
}

fn counted(counter: u64, policy: &[u8]) -> BootId {
    let mut id = [0; 16];
    let (count, hash) = id.split_at_mut(8);
    count.copy_from_slice(&counter.to_le_bytes());
    for (place, byte) in hash.iter_mut().zip(policy.iter().skip(HASH)) {
        *place = *byte;
    }
    BootId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_are_the_id() {
        let identity = Identity::new(Ok([7; 16]), 1, &[]);
        assert_eq!(
            (identity.id, identity.origin),
            (BootId([7; 16]), BootIdOrigin::Random)
        );
    }

    #[test]
    fn without_them_counter_and_policy_are() {
        let mut policy = [0; 64];
        policy[HASH..HASH + 32].fill(9);
        let of =
            |counter, policy: &[u8]| Identity::new(Err(BootIdOrigin::NoSource), counter, policy);
        assert_eq!(
            of(0x0102, &policy).id.0,
            [2, 1, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]
        );
        assert_eq!(of(5, &policy).origin, BootIdOrigin::NoSource);
        assert_ne!(of(5, &policy).id, of(6, &policy).id);
        assert_eq!(of(5, &[]).id.0[8..], [0; 8]);
    }
}

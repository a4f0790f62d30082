//! The keys that may sign a policy, as the memory region `policy_keys` holds them.

use heapless::Vec;
use portcullis_manager_api::{KEY_BYTES, KeysError, MAX_KEYS};
use portcullis_policy_format::VerifyingKey;

/// Reads public keys, 32 bytes each, up to the end or to the first that is all zeros: a region is
/// whole pages, filled up with zeros. No key at all is no error; no policy is then taken.
pub fn trusted_keys(region: &[u8]) -> Result<Vec<VerifyingKey, MAX_KEYS>, KeysError> {
    let (all, rest) = region.as_chunks::<KEY_BYTES>();
    let used = all
        .iter()
        .rposition(|key| *key != [0; KEY_BYTES])
        .map_or(0, |last| last + 1);
    if rest.iter().any(|byte| *byte != 0) {
        return Err(KeysError::Length(region.len()));
    }
    let mut keys = Vec::new();
    for (number, bytes) in (1..).zip(all.iter().take(used)) {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeysError::NotAKey(number))?;
        // All zeros is a point of the curve, but of small order: anybody can sign for it.
        if key.is_weak() {
            return Err(KeysError::NotAKey(number));
        }
        keys.push(key).map_err(|_| KeysError::TooMany)?;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// Public keys of RFC 8032, section 7.1, tests 1 and 2.
    const KEYS: [[u8; 32]; 2] = [
        [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ],
        [
            0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b,
            0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1,
            0x2a, 0xf4, 0x66, 0x0c,
        ],
    ];

    fn read(region: &[u8]) -> Result<Vec<[u8; 32]>, KeysError> {
        trusted_keys(region).map(|keys| keys.iter().map(|key| *key.as_bytes()).collect())
    }

    #[test]
    fn keys_end_where_zeros_begin() {
        let mut region = vec![0; 4096];
        assert_eq!(read(&region), Ok(vec![]));
        region[..64].copy_from_slice(&KEYS.concat());
        assert_eq!(read(&region), Ok(KEYS.to_vec()));
        assert_eq!(read(&KEYS.concat()), Ok(KEYS.to_vec()));
    }

    #[test]
    fn a_gap_is_no_key() {
        let region = [KEYS[0], [0; 32], KEYS[1]].concat();
        assert_eq!(read(&region), Err(KeysError::NotAKey(2)));
    }

    #[test]
    fn what_is_not_on_the_curve_is_no_key() {
        let mut off = [0; 32];
        off[0] = 2;
        assert_eq!(read(&[KEYS[0], off].concat()), Err(KeysError::NotAKey(2)));
    }

    #[test]
    fn half_a_key_is_refused() {
        assert_eq!(read(&KEYS.concat()[..63]), Err(KeysError::Length(63)));
    }

    #[test]
    fn too_many_keys_are_refused() {
        assert_eq!(
            read(&[KEYS[0]; MAX_KEYS + 1].concat()),
            Err(KeysError::TooMany)
        );
    }
}

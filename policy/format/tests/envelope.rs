//! What is refused before anything of the body is read: see `body.rs` for the rest.

mod common;

use common::{draft, key};
use ed25519_dalek::SigningKey;
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{FORMAT, HEADER_SIZE, Header, Part, Policy, PolicyError, key_id};
use zerocopy::FromBytes;

fn verify(bytes: &[u8]) -> Result<(), PolicyError> {
    Policy::verify(bytes, &[key().verifying_key()], 4).map(drop)
}

#[test]
fn a_sound_policy_is_taken() {
    let bytes = draft().sign(&key());
    let policy = Policy::verify(&bytes, &[key().verifying_key()], 4).unwrap();
    assert_eq!((policy.name(), policy.version()), ("three", 5));
    assert_eq!(policy.counts(), draft().counts());
    let inspected = Policy::inspect(&bytes).unwrap();
    assert_eq!(inspected.sha256(), policy.sha256());
}

#[test]
fn a_policy_that_is_truncated_at_any_length_is_refused() {
    let bytes = draft().sign(&key());
    for found in 0..bytes.len() {
        let expected = if found < HEADER_SIZE {
            HEADER_SIZE
        } else {
            bytes.len()
        };
        let refusal = PolicyError::Truncated { expected, found };
        assert_eq!(verify(&bytes[..found]), Err(refusal));
        assert_eq!(Policy::inspect(&bytes[..found]).map(drop), Err(refusal));
    }
}

#[test]
fn a_policy_with_any_bit_flipped_is_refused() {
    let bytes = draft().sign(&key());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let refusal =
                verify(&flipped).expect_err("every byte is signed, hashed or the signature");
            let expected = match at {
                0..8 => matches!(refusal, PolicyError::NotAPolicy),
                8..10 => matches!(refusal, PolicyError::Format(format) if format != FORMAT),
                10..12 => matches!(refusal, PolicyError::Body(Part::Reserved)),
                12..16 => matches!(refusal, PolicyError::Signature),
                16..20 => matches!(
                    refusal,
                    PolicyError::Truncated { .. } | PolicyError::Trailing(_)
                ),
                20..52 => matches!(refusal, PolicyError::Hash),
                52..60 => {
                    matches!(refusal, PolicyError::UnknownKey(id) if id[..] == flipped[52..60])
                }
                60..124 => matches!(refusal, PolicyError::Signature),
                _ => matches!(refusal, PolicyError::Hash),
            };
            assert!(expected, "bit {bit} of byte {at}: {refusal:?}");
        }
    }
}

#[test]
fn a_memory_region_may_be_filled_up_with_zeros_only() {
    let mut bytes = draft().sign(&key());
    let length = bytes.len();
    bytes.resize(4096, 0);
    assert_eq!(verify(&bytes), Ok(()));
    for at in length..4096 {
        bytes[at] = 1;
        assert_eq!(verify(&bytes), Err(PolicyError::Trailing(4096 - length)));
        bytes[at] = 0;
    }
}

#[test]
fn a_key_that_is_not_trusted_is_refused() {
    let other = SigningKey::from_bytes(&[8; 32]);
    let refusal = PolicyError::UnknownKey(key_id(&other.verifying_key()));
    assert_eq!(verify(&draft().sign(&other)), Err(refusal));
    let bytes = draft().sign(&key());
    let none = Policy::verify(&bytes, &[], 0).map(drop);
    assert_eq!(
        none,
        Err(PolicyError::UnknownKey(key_id(&key().verifying_key())))
    );
}

#[test]
fn any_trusted_key_may_sign() {
    let keys = [7, 8, 9].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let trusted = keys.each_ref().map(SigningKey::verifying_key);
    for signer in &keys {
        assert!(Policy::verify(&draft().sign(signer), &trusted, 0).is_ok());
    }
}

#[test]
fn a_signature_by_another_key_under_a_trusted_keys_id_is_refused() {
    let mut forged = draft().sign(&SigningKey::from_bytes(&[8; 32]));
    let (header, _) = Header::mut_from_prefix(&mut forged).unwrap();
    header.key_id = key_id(&key().verifying_key());
    assert_eq!(verify(&forged), Err(PolicyError::Signature));
}

#[test]
fn a_version_that_is_not_above_the_one_in_force_is_refused() {
    let bytes = draft().sign(&key());
    let keys = [key().verifying_key()];
    assert!(Policy::verify(&bytes, &keys, 4).is_ok());
    for in_force in [5, 6, u32::MAX] {
        let refusal = PolicyError::Version {
            in_force,
            offered: 5,
        };
        assert_eq!(
            Policy::verify(&bytes, &keys, in_force).map(drop),
            Err(refusal)
        );
    }
    let first = Draft {
        version: 0,
        ..draft()
    }
    .sign(&key());
    let refusal = PolicyError::Version {
        in_force: 0,
        offered: 0,
    };
    assert_eq!(Policy::verify(&first, &keys, 0).map(drop), Err(refusal));
}

#[test]
fn refusals_say_what_to_do() {
    let say = |error: PolicyError| error.to_string();
    assert_eq!(
        say(PolicyError::Truncated {
            expected: 124,
            found: 3
        }),
        "the policy is truncated: 124 bytes expected, 3 found"
    );
    assert_eq!(
        say(PolicyError::Version {
            in_force: 3,
            offered: 2
        }),
        "the policy's version is 2, which is not above 3, the version in force: raise `version` and \
         sign it again"
    );
    assert_eq!(
        say(PolicyError::UnknownKey([0, 1, 2, 3, 4, 5, 6, 0xff])),
        "the policy is signed with a key that is not trusted, id 00010203040506ff"
    );
    assert_eq!(
        say(PolicyError::TooMany {
            part: Part::Component,
            found: 63,
            limit: 62
        }),
        "the policy has 63 components; there can be 62"
    );
}

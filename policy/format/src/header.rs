//! The fixed header of a compiled policy.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Part, PolicyError};

/// First bytes of a compiled policy.
pub const MAGIC: [u8; 8] = *b"PCLSPLCY";
/// Version of the format that is written; any change of header or body raises it.
pub const FORMAT: u16 = 2;
/// The oldest version that is still read: its body ends with the grants.
pub const OLDEST_FORMAT: u16 = 1;
/// Size of the header in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();

/// The header of a compiled policy; the body follows. Numbers are little-endian.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`OLDEST_FORMAT`] to [`FORMAT`].
    pub format: U16,
    /// Zero.
    pub reserved: U16,
    /// The policy's version: a policy is taken only if it is above the one in force.
    pub policy_version: U32,
    /// Length of the body in bytes.
    pub body_length: U32,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// First eight bytes of the SHA-256 of the signer's public key.
    pub key_id: [u8; 8],
    /// Ed25519 signature (RFC 8032) over everything in the header before it.
    pub signature: [u8; 64],
}

/// What a header calls a key, to find it among the trusted ones; two keys may have one id, so the
/// signature decides: the first eight bytes of the SHA-256 of its 32 public bytes.
pub fn key_id(key: &VerifyingKey) -> [u8; 8] {
    let digest = Sha256::digest(key.as_bytes());
    core::array::from_fn(|i| digest[i])
}

impl Header {
    /// Bytes of the header that the signature covers.
    pub const SIGNED: usize = HEADER_SIZE - 64;

    /// An unsigned header for `body`.
    pub fn unsigned(version: u32, body: &[u8]) -> Self {
        Self {
            magic: MAGIC,
            format: U16::new(FORMAT),
            reserved: U16::ZERO,
            policy_version: U32::new(version),
            body_length: U32::new(body.len() as u32),
            body_sha256: Sha256::digest(body).into(),
            key_id: [0; 8],
            signature: [0; 64],
        }
    }

    /// The policy's version.
    pub fn version(&self) -> u32 {
        self.policy_version.get()
    }

    /// The bytes that the signature covers.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.as_bytes()[..Self::SIGNED]
    }

    /// Splits a compiled policy into header and body.
    pub(crate) fn read(bytes: &[u8]) -> Result<(&Self, &[u8]), PolicyError> {
        let found = bytes.len();
        if !bytes.starts_with(&MAGIC[..found.min(MAGIC.len())]) {
            return Err(PolicyError::NotAPolicy);
        }
        let (header, body) = Self::ref_from_prefix(bytes).map_err(|_| PolicyError::Truncated {
            expected: HEADER_SIZE,
            found,
        })?;
        if !(OLDEST_FORMAT..=FORMAT).contains(&header.format.get()) {
            return Err(PolicyError::Format(header.format.get()));
        }
        if header.reserved != U16::ZERO {
            return Err(PolicyError::Body(Part::Reserved));
        }
        let length = header.body_length.get() as usize;
        if body.len() < length {
            let expected = HEADER_SIZE.saturating_add(length);
            return Err(PolicyError::Truncated { expected, found });
        }
        let (body, rest) = body.split_at(length);
        // A memory region is whole pages: the prefilled policy is followed by zeros.
        if rest.iter().any(|byte| *byte != 0) {
            return Err(PolicyError::Trailing(rest.len()));
        }
        Ok((header, body))
    }

    pub(crate) fn check_hash(&self, body: &[u8]) -> Result<(), PolicyError> {
        if <[u8; 32]>::from(Sha256::digest(body)) == self.body_sha256 {
            Ok(())
        } else {
            Err(PolicyError::Hash)
        }
    }

    pub(crate) fn verify(&self, body: &[u8], keys: &[VerifyingKey]) -> Result<(), PolicyError> {
        self.check_hash(body)?;
        let signature = Signature::from_bytes(&self.signature);
        let mut refusal = PolicyError::UnknownKey(self.key_id);
        for key in keys.iter().filter(|key| key_id(key) == self.key_id) {
            match key.verify_strict(self.signed_bytes(), &signature) {
                Ok(()) => return Ok(()),
                Err(_) => refusal = PolicyError::Signature,
            }
        }
        Err(refusal)
    }
}

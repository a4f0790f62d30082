//! Keys, and what is sealed with them.
//!
//! Every use has a key of its own, derived from the vault's key and the disk's id with HKDF-SHA256,
//! so two uses, or two disks, never share one.
//!
//! **Nonces are synthetic**, as in SIV (RFC 5297): a keyed hash of the content's digest and of all
//! that is authenticated with it. No pair of key and nonce ever meets two contents: not on a board
//! without randomness, not after a cut, and not on a disk that was put back to an earlier state. What
//! can come twice there is the sealing of the same bytes at the same place, which says no more than
//! that they are the same.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, KeyInit},
};
use hkdf::Hkdf;
use portcullis_blk::DiskId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    ObjectDigest,
    wire::{
        HASH, INDEX_ELEMENT, INDEX_KEY, INDEX_NONCE, NONCE, OBJECT_NONCE, OBJECTS_KEY, SUPERBLOCK,
        Seal,
    },
};

/// Which part of which object is sealed: authenticated with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Number of the object.
    pub(crate) object: u64,
    /// Size of the object in bytes.
    pub(crate) size: u64,
    /// The chunk, or [`SEALS`](crate::wire::SEALS).
    pub(crate) chunk: u32,
}

/// The vault's keys.
pub(crate) struct Keys {
    objects: XChaCha20Poly1305,
    index: XChaCha20Poly1305,
    secret: Hkdf<Sha256>,
}

/// It does not authenticate: changed, damaged, moved, or sealed with another key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotAuthentic;

impl Part {
    fn data(&self) -> [u8; 20] {
        let mut data = [0; 20];
        data[..8].copy_from_slice(&self.object.to_le_bytes());
        data[8..16].copy_from_slice(&self.size.to_le_bytes());
        data[16..].copy_from_slice(&self.chunk.to_le_bytes());
        data
    }
}

impl Keys {
    pub(crate) fn new(key: &[u8; 32], disk: &DiskId) -> Self {
        let secret = Hkdf::<Sha256>::new(Some(disk), key);
        let derive = |info: &[u8]| {
            let key = Zeroizing::new(expand::<32>(&secret, &[info]));
            XChaCha20Poly1305::new((&*key).into())
        };
        Self {
            objects: derive(OBJECTS_KEY),
            index: derive(INDEX_KEY),
            secret,
        }
    }

    /// Encrypts a part of an object in place. `digest` determines its content.
    pub(crate) fn seal_part(&self, part: Part, digest: &ObjectDigest, content: &mut [u8]) -> Seal {
        let data = part.data();
        let nonce = self.hash(OBJECT_NONCE, &data, digest);
        seal(&self.objects, nonce, &data, content)
    }

    /// Decrypts a part of an object in place; it is unchanged where it does not authenticate.
    pub(crate) fn open_part(
        &self,
        part: Part,
        sealed: &Seal,
        content: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        open(&self.objects, sealed, &part.data(), content)
    }

    /// Encrypts the body of an index entry in place, for its slot of the index.
    pub(crate) fn seal_entry(&self, slot: u16, body: &mut [u8]) -> Seal {
        let data = slot.to_le_bytes();
        let nonce = self.hash(INDEX_NONCE, &data, &Sha256::digest(&*body));
        seal(&self.index, nonce, &data, body)
    }

    /// Decrypts the body of an index entry in place.
    pub(crate) fn open_entry(
        &self,
        slot: u16,
        sealed: &Seal,
        body: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        open(&self.index, sealed, &slot.to_le_bytes(), body)
    }

    /// What a sealed entry adds to the digest of the index ([`crate::entry::Tip`]). The nonce
    /// determines slot and body.
    pub(crate) fn element(&self, slot: u16, sealed: &Seal) -> u128 {
        u128::from_le_bytes(self.hash(INDEX_ELEMENT, &slot.to_le_bytes(), &sealed.nonce))
    }

    /// Authenticates a superblock.
    pub(crate) fn superblock_mac(&self, content: &[u8]) -> [u8; 32] {
        self.hash(SUPERBLOCK, &[], content)
    }

    /// A keyed hash. For each use the data have one length, so no two uses share an input.
    fn hash<const N: usize>(&self, of: &[u8], data: &[u8], content: &[u8]) -> [u8; N] {
        expand(&self.secret, &[HASH, of, b": ", data, content])
    }
}

fn expand<const N: usize>(secret: &Hkdf<Sha256>, info: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    secret
        .expand_multi_info(info, &mut bytes)
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    bytes
}

fn seal(cipher: &XChaCha20Poly1305, nonce: [u8; NONCE], data: &[u8], content: &mut [u8]) -> Seal {
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), data, content.into())
        .expect("no content is near 256 GiB, the cipher's limit")
        .into();
    Seal { nonce, tag }
}

fn open(
    cipher: &XChaCha20Poly1305,
    sealed: &Seal,
    data: &[u8],
    content: &mut [u8],
) -> Result<(), NotAuthentic> {
    let (nonce, tag) = (XNonce::from(sealed.nonce), &sealed.tag.into());
    cipher
        .decrypt_inout_detached(&nonce, data, content.into(), tag)
        .map_err(|_| NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part = Part {
        object: 77,
        size: 11,
        chunk: 2,
    };

    fn digest(content: &[u8]) -> ObjectDigest {
        Sha256::digest(content).into()
    }

    #[test]
    fn a_part_opens_only_as_what_it_was_sealed() {
        let keys = Keys::new(&[5; 32], &[6; 16]);
        let mut content = *b"a few words";
        let sealed = keys.seal_part(PART, &digest(&content), &mut content);
        assert_ne!(&content, b"a few words");
        let others = [
            Part { object: 78, ..PART },
            Part { size: 12, ..PART },
            Part { chunk: 3, ..PART },
        ];
        for part in others {
            let opened = keys.open_part(part, &sealed, &mut content.clone());
            assert_eq!(opened, Err(NotAuthentic), "{part:?}");
        }
        for other in [Keys::new(&[5; 32], &[7; 16]), Keys::new(&[4; 32], &[6; 16])] {
            let opened = other.open_part(PART, &sealed, &mut content.clone());
            assert_eq!(opened, Err(NotAuthentic));
        }
        assert_eq!(keys.open_part(PART, &sealed, &mut content), Ok(()));
        assert_eq!(&content, b"a few words");
    }

    #[test]
    fn a_nonce_depends_on_content_place_and_key() {
        let keys = Keys::new(&[5; 32], &[6; 16]);
        let nonce = |keys: &Keys, part, content: &mut [u8]| {
            keys.seal_part(part, &digest(content), content).nonce
        };
        let first = nonce(&keys, PART, &mut [1; 9]);
        assert_eq!(nonce(&keys, PART, &mut [1; 9]), first, "nothing is random");
        let others = [
            nonce(&keys, PART, &mut [2; 9]),
            nonce(&keys, Part { object: 78, ..PART }, &mut [1; 9]),
            nonce(&keys, Part { size: 12, ..PART }, &mut [1; 9]),
            nonce(&keys, Part { chunk: 3, ..PART }, &mut [1; 9]),
            nonce(&Keys::new(&[5; 32], &[7; 16]), PART, &mut [1; 9]),
            keys.seal_entry(77, &mut [1; 9]).nonce,
        ];
        for (number, other) in others.into_iter().enumerate() {
            assert_ne!(other, first, "{number}");
        }
    }

    #[test]
    fn an_element_depends_on_slot_and_body() {
        let keys = Keys::new(&[5; 32], &[6; 16]);
        let element = |slot, body: u8| keys.element(slot, &keys.seal_entry(slot, &mut [body; 9]));
        assert_eq!(element(1, 1), element(1, 1));
        assert_ne!(element(1, 1), element(2, 1));
        assert_ne!(element(1, 1), element(1, 2));
    }
}

//! Keys, and what is sealed with them.
//!
//! Every use has a key of its own, derived from the vault's key and the disk's id with HKDF-SHA256,
//! so nonces of two uses, or of two disks, never meet. Within a use a nonce is a salt, a number, and a
//! chunk: numbers are never used twice (see [`crate::store`]), so no pair of key and nonce ever
//! meets two contents.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, KeyInit},
};
use hkdf::Hkdf;
use portcullis_blk::DiskId;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::layout::TAG;

/// Chosen at each start, at random where the platform can, else zeros. Numbers alone keep nonces
/// apart as long as the disk keeps what it was told; the salt does even if somebody puts the whole
/// disk back to an earlier state.
pub type Salt = [u8; 12];

/// Where a sealed thing stands: what makes its nonce, and is authenticated with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub(crate) salt: Salt,
    pub(crate) number: u64,
    pub(crate) chunk: u32,
}

/// The vault's keys.
pub(crate) struct Keys {
    chunks: XChaCha20Poly1305,
    index: XChaCha20Poly1305,
    superblock: XChaCha20Poly1305,
}

/// It does not authenticate: changed, damaged, moved, or sealed with another key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotAuthentic;

impl Position {
    fn nonce(&self) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..12].copy_from_slice(&self.salt);
        nonce[12..20].copy_from_slice(&self.number.to_le_bytes());
        nonce[20..].copy_from_slice(&self.chunk.to_le_bytes());
        nonce.into()
    }
}

impl Keys {
    pub(crate) fn new(key: &[u8; 32], disk: &DiskId) -> Self {
        let extracted = Hkdf::<Sha256>::new(Some(disk), key);
        let derive = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            extracted
                .expand(info, &mut *key)
                .expect("HKDF-SHA256 gives up to 8,160 bytes");
            XChaCha20Poly1305::new((&*key).into())
        };
        Self {
            chunks: derive(b"portcullis vault v1: chunks"),
            index: derive(b"portcullis vault v1: index"),
            superblock: derive(b"portcullis vault v1: superblock"),
        }
    }

    /// Encrypts a chunk's content in place.
    pub(crate) fn seal_chunk(&self, at: Position, size: u64, content: &mut [u8]) -> [u8; TAG] {
        seal(&self.chunks, at, &chunk_data(at, size), content)
    }

    /// Decrypts a chunk's content in place; it is unchanged where it does not authenticate.
    pub(crate) fn open_chunk(
        &self,
        at: Position,
        size: u64,
        content: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), NotAuthentic> {
        open(&self.chunks, at, &chunk_data(at, size), content, tag)
    }

    /// Encrypts an index entry in place, for its slot of the index.
    pub(crate) fn seal_entry(&self, at: Position, slot: u32, body: &mut [u8]) -> [u8; TAG] {
        seal(&self.index, at, &slot.to_le_bytes(), body)
    }

    /// Decrypts an index entry in place.
    pub(crate) fn open_entry(
        &self,
        at: Position,
        slot: u32,
        body: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), NotAuthentic> {
        open(&self.index, at, &slot.to_le_bytes(), body, tag)
    }

    /// Authenticates a superblock.
    pub(crate) fn superblock_tag(&self, sequence: u64, content: &[u8]) -> [u8; TAG] {
        let at = Position {
            salt: [0; 12],
            number: sequence,
            chunk: 0,
        };
        seal(&self.superblock, at, content, &mut [])
    }
}

fn chunk_data(at: Position, size: u64) -> [u8; 20] {
    let mut data = [0; 20];
    data[..8].copy_from_slice(&at.number.to_le_bytes());
    data[8..12].copy_from_slice(&at.chunk.to_le_bytes());
    data[12..].copy_from_slice(&size.to_le_bytes());
    data
}

fn seal(cipher: &XChaCha20Poly1305, at: Position, data: &[u8], content: &mut [u8]) -> [u8; TAG] {
    cipher
        .encrypt_inout_detached(&at.nonce(), data, content.into())
        .expect("no content is near 256 GiB, the cipher's limit")
        .into()
}

fn open(
    cipher: &XChaCha20Poly1305,
    at: Position,
    data: &[u8],
    content: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), NotAuthentic> {
    cipher
        .decrypt_inout_detached(&at.nonce(), data, content.into(), tag.into())
        .map_err(|_| NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position {
        salt: [1; 12],
        number: 77,
        chunk: 2,
    };

    #[test]
    fn a_chunk_opens_only_where_it_was_sealed() {
        let keys = Keys::new(&[5; 32], &[6; 16]);
        let mut content = *b"a few words";
        let tag = keys.seal_chunk(AT, 11, &mut content);
        assert_ne!(&content, b"a few words");
        let elsewhere = [
            (
                Position {
                    salt: [2; 12],
                    ..AT
                },
                11,
            ),
            (Position { number: 78, ..AT }, 11),
            (Position { chunk: 3, ..AT }, 11),
            (AT, 12),
        ];
        for (at, size) in elsewhere {
            let opened = keys.open_chunk(at, size, &mut content.clone(), &tag);
            assert_eq!(opened, Err(NotAuthentic), "{at:?} {size}");
        }
        for other in [Keys::new(&[5; 32], &[7; 16]), Keys::new(&[4; 32], &[6; 16])] {
            let opened = other.open_chunk(AT, 11, &mut content.clone(), &tag);
            assert_eq!(opened, Err(NotAuthentic));
        }
        assert_eq!(keys.open_chunk(AT, 11, &mut content, &tag), Ok(()));
        assert_eq!(&content, b"a few words");
    }

    #[test]
    fn a_key_serves_one_use() {
        let keys = Keys::new(&[5; 32], &[6; 16]);
        let (mut chunk, mut entry) = ([0; 64], [0; 64]);
        keys.seal_chunk(AT, 64, &mut chunk);
        keys.seal_entry(AT, 0, &mut entry);
        assert_ne!(chunk, entry);
    }
}

//! Somebody who has the vault's key, and writes what the vault would not.

#![allow(dead_code, reason = "not every test needs all of it")]

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use portcullis_blk::BLOCK;
use portcullis_blk::api::Area;
use portcullis_vault::wire::{
    AUTHENTICATED, Body, ENTRY_MAGIC, IndexEntry, NONCE, SECTOR, Seal, Superblock,
};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::common::{ID, VAULT_KEY, at, fsck, lines};

/// First block of the data: behind two superblocks and three blocks of index.
pub(crate) const DATA: u64 = 2 + 3;

/// Part of an object: its number, its size, the chunk.
pub(crate) type Part = (u64, u64, u32);

pub(crate) struct Forger {
    pub(crate) disk: Vec<u8>,
    secret: Hkdf<Sha256>,
}

impl Forger {
    pub(crate) fn new(disk: Vec<u8>) -> Self {
        let secret = Hkdf::<Sha256>::new(Some(&ID), &VAULT_KEY);
        Self { disk, secret }
    }

    pub(crate) fn found(&self) -> Vec<String> {
        lines(&fsck(&self.disk))
    }

    fn derive<const N: usize>(&self, info: &[&[u8]]) -> [u8; N] {
        let mut bytes = [0; N];
        self.secret.expand(&info.concat(), &mut bytes).unwrap();
        bytes
    }

    fn cipher(&self, what: &str) -> XChaCha20Poly1305 {
        let info = format!("portcullis vault v2: {what}");
        let key: [u8; 32] = self.derive(&[info.as_bytes()]);
        XChaCha20Poly1305::new(&key.into())
    }

    pub(crate) fn hash<const N: usize>(&self, of: &str, data: &[u8], content: &[u8]) -> [u8; N] {
        let what = format!("portcullis vault v2 {of}: ");
        self.derive(&[what.as_bytes(), data, content])
    }

    fn sector(&mut self, slot: u16) -> &mut [u8] {
        let from = at(Area::Vault, 2) + usize::from(slot) * SECTOR;
        &mut self.disk[from..][..SECTOR]
    }

    pub(crate) fn body(&mut self, slot: u16) -> Body {
        let cipher = self.cipher("index");
        let mut entry = IndexEntry::read_from_bytes(self.sector(slot)).unwrap();
        let (nonce, tag) = (XNonce::from(entry.seal.nonce), entry.seal.tag.into());
        let data = slot.to_le_bytes();
        let body = &mut entry.body[..];
        let opened = cipher.decrypt_inout_detached(&nonce, &data, body.into(), &tag);
        opened.unwrap();
        Body::read_from_bytes(&entry.body).unwrap()
    }

    /// The nonce that the vault gives a body.
    pub(crate) fn nonce(&self, slot: u16, body: &Body) -> [u8; NONCE] {
        let digest = Sha256::digest(body.as_bytes());
        self.hash("index nonce", &slot.to_le_bytes(), &digest)
    }

    pub(crate) fn put(&mut self, slot: u16, body: &Body, nonce: [u8; NONCE]) {
        let mut bytes = *body;
        let data = slot.to_le_bytes();
        let content = bytes.as_mut_bytes();
        let sealed = self.cipher("index").encrypt_inout_detached(
            &XNonce::from(nonce),
            &data,
            content.into(),
        );
        let entry = IndexEntry {
            magic: ENTRY_MAGIC,
            seal: Seal {
                nonce,
                tag: sealed.unwrap().into(),
            },
            body: zerocopy::transmute!(bytes),
        };
        self.sector(slot).copy_from_slice(entry.as_bytes());
    }

    /// Changes an entry, and has the newest vouch for it.
    pub(crate) fn edit(&mut self, slot: u16, change: impl FnOnce(&mut Body)) {
        let mut body = self.body(slot);
        change(&mut body);
        self.put(slot, &body, self.nonce(slot, &body));
        self.vouch();
    }

    /// The slots in use.
    fn slots(&mut self) -> Vec<u16> {
        let is_used = |slot: &u16| self.sector(*slot).iter().any(|byte| *byte != 0);
        (0..24).filter(is_used).collect()
    }

    /// The slot that was written last.
    pub(crate) fn newest(&mut self) -> u16 {
        let slots = self.slots();
        let newest = slots
            .into_iter()
            .max_by_key(|slot| self.body(*slot).number.get());
        newest.unwrap()
    }

    /// Has the newest entry say what the others are.
    fn vouch(&mut self) {
        let newest = self.newest();
        let mut others = 0;
        for slot in self.slots().into_iter().filter(|slot| *slot != newest) {
            let entry = IndexEntry::read_from_bytes(self.sector(slot)).unwrap();
            let element = self.hash("index element", &slot.to_le_bytes(), &entry.seal.nonce);
            others ^= u128::from_le_bytes(element);
        }
        let mut body = self.body(newest);
        body.others.set(others);
        self.put(newest, &body, self.nonce(newest, &body));
    }

    /// Changes a copy of the superblock, and authenticates it anew.
    pub(crate) fn superblock(&mut self, copy: u64, change: impl FnOnce(&mut Superblock)) {
        let from = at(Area::Vault, copy);
        let mut block = Superblock::read_from_bytes(&self.disk[from..][..SECTOR]).unwrap();
        change(&mut block);
        block.mac = self.hash("superblock", &[], &block.as_bytes()[..AUTHENTICATED]);
        block.sha256 = Sha256::digest(&block.as_bytes()[..SECTOR - 32]).into();
        self.disk[from..][..SECTOR].copy_from_slice(block.as_bytes());
    }

    /// Opens a part of an object in place, changes it, and seals it again: with the nonce that `nonce`
    /// makes of what it has now. The new seal.
    pub(crate) fn reseal(
        &mut self,
        part: Part,
        (first, blocks): (u64, usize),
        seal: &Seal,
        change: impl FnOnce(&mut [u8]),
        nonce: impl FnOnce(&Self, &[u8]) -> [u8; NONCE],
    ) -> Seal {
        let (cipher, data) = (self.cipher("objects"), associated(part));
        let place = at(Area::Vault, DATA + first);
        let mut bytes = self.disk[place..][..blocks * BLOCK].to_vec();
        let (old, tag) = (XNonce::from(seal.nonce), seal.tag.into());
        let opened = cipher.decrypt_inout_detached(&old, &data, (&mut bytes[..]).into(), &tag);
        opened.unwrap();
        change(&mut bytes);
        let nonce = nonce(self, &bytes);
        let tag =
            cipher.encrypt_inout_detached(&XNonce::from(nonce), &data, (&mut bytes[..]).into());
        self.disk[place..][..bytes.len()].copy_from_slice(&bytes);
        Seal {
            nonce,
            tag: tag.unwrap().into(),
        }
    }
}

/// What is authenticated with a part.
pub(crate) fn associated((object, size, chunk): Part) -> Vec<u8> {
    let (object, size) = (object.to_le_bytes(), size.to_le_bytes());
    [&object[..], &size, &chunk.to_le_bytes()].concat()
}

//! What the checks are made with: keys, checkpoints, and what is opened with the vault's key.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::VerifyingKey;
use hkdf::Hkdf;
use portcullis_log::block::LogKind;
use portcullis_vault::wire::{
    HASH, INDEX_ELEMENT, INDEX_KEY, INDEX_NONCE, NONCE, OBJECT_NONCE, OBJECTS_KEY, SUPERBLOCK, Seal,
};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What is at hand to hold a disk against. Without a key, what it opens or verifies is not checked, and
/// [`Summary::unchecked`](crate::Summary::unchecked) says so.
#[derive(Clone, Default)]
pub struct Keys {
    /// Verify the grant log's checkpoints: more than one, oldest first, if one took another's place.
    pub grants: Vec<LogKey>,
    /// Verify the ledger's checkpoints.
    pub worm: Vec<LogKey>,
    /// Opens the vault.
    pub vault: Option<Zeroizing<[u8; 32]>>,
    /// What the logs signed earlier.
    pub checkpoints: Vec<Checkpoint>,
    /// The keys did not come with the disk. Then somebody must vouch for a log that is empty too: whoever
    /// gave the disk could put an empty one in its place.
    pub named: bool,
    /// Each log should have a checkpoint: it lies in a state directory, which keeps them.
    pub kept: bool,
}

/// A key that a log signs its checkpoints with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogKey {
    /// The key.
    pub key: VerifyingKey,
    /// What reports call it.
    pub name: String,
    /// Where it is from.
    pub file: String,
}

/// A checkpoint from elsewhere. Its signature is the caller's to check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Of which log.
    pub kind: LogKind,
    /// What reports call it.
    pub file: String,
    /// Records and the root over them; or why it vouches for nothing.
    pub head: Result<(u64, [u8; 32]), String>,
    /// The witnesses whose cosignatures the caller checked.
    pub cosigned_by: Vec<String>,
}

impl From<VerifyingKey> for LogKey {
    fn from(key: VerifyingKey) -> Self {
        let (name, file) = (String::new(), String::new());
        Self { key, name, file }
    }
}

impl From<(LogKind, u64, [u8; 32])> for Checkpoint {
    fn from((kind, size, root): (LogKind, u64, [u8; 32])) -> Self {
        Self {
            kind,
            file: "a checkpoint".to_owned(),
            head: Ok((size, root)),
            cosigned_by: Vec::new(),
        }
    }
}

impl Keys {
    /// Everything that an appliance has: the key that both logs are signed with, and the vault's.
    pub fn new(ledger: VerifyingKey, vault: [u8; 32]) -> Self {
        Self {
            grants: vec![ledger.into()],
            worm: vec![ledger.into()],
            vault: Some(Zeroizing::new(vault)),
            checkpoints: Vec::new(),
            named: false,
            kept: false,
        }
    }

    /// Those that a log signs with.
    pub fn of(&self, kind: LogKind) -> &[LogKey] {
        match kind {
            LogKind::Grants => &self.grants,
            LogKind::Worm => &self.worm,
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// What the vault's key opens on one disk.
pub(crate) struct VaultKeys {
    secret: Hkdf<Sha256>,
    objects: XChaCha20Poly1305,
    index: XChaCha20Poly1305,
}

/// What is sealed: authenticated with it.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) object: u64,
    pub(crate) size: u64,
    pub(crate) chunk: u32,
}

impl Part {
    fn data(self) -> Vec<u8> {
        let (object, size) = (self.object.to_le_bytes(), self.size.to_le_bytes());
        [&object[..], &size, &self.chunk.to_le_bytes()].concat()
    }
}

impl VaultKeys {
    pub(crate) fn new(key: &[u8; 32], disk: &[u8; 16]) -> Self {
        let secret = Hkdf::<Sha256>::new(Some(disk), key);
        let cipher = |info| {
            let key: Zeroizing<[u8; 32]> = Zeroizing::new(expand(&secret, &[info]));
            XChaCha20Poly1305::new((&*key).into())
        };
        Self {
            objects: cipher(OBJECTS_KEY),
            index: cipher(INDEX_KEY),
            secret,
        }
    }

    /// Decrypts a chunk, or the seals of all, in place; whether it is what was sealed.
    pub(crate) fn open_part(&self, part: Part, seal: &Seal, content: &mut [u8]) -> bool {
        open(&self.objects, &part.data(), seal, content)
    }

    /// Decrypts the body of an index entry in place; whether it is what was sealed.
    pub(crate) fn open_entry(&self, slot: u16, seal: &Seal, body: &mut [u8]) -> bool {
        open(&self.index, &slot.to_le_bytes(), seal, body)
    }

    /// The nonce of a part whose content `digest` stands for.
    pub(crate) fn part_nonce(&self, part: Part, digest: &[u8; 32]) -> [u8; NONCE] {
        self.hash(OBJECT_NONCE, &part.data(), digest)
    }

    /// The nonce of an index entry whose body has this digest.
    pub(crate) fn entry_nonce(&self, slot: u16, digest: &[u8; 32]) -> [u8; NONCE] {
        self.hash(INDEX_NONCE, &slot.to_le_bytes(), digest)
    }

    /// What an index entry adds to the hash of all entries.
    pub(crate) fn element(&self, slot: u16, seal: &Seal) -> u128 {
        let element = self.hash(INDEX_ELEMENT, &slot.to_le_bytes(), &seal.nonce);
        u128::from_le_bytes(element)
    }

    /// The MAC of a superblock.
    pub(crate) fn superblock(&self, content: &[u8]) -> [u8; 32] {
        self.hash(SUPERBLOCK, &[], content)
    }

    fn hash<const N: usize>(&self, of: &[u8], data: &[u8], content: &[u8]) -> [u8; N] {
        expand(&self.secret, &[HASH, of, b": ", data, content])
    }
}

fn expand<const N: usize>(secret: &Hkdf<Sha256>, info: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let expanded = secret.expand(&info.concat(), &mut bytes);
    expanded.expect("HKDF-SHA256 gives up to 8,160 bytes");
    bytes
}

fn open(cipher: &XChaCha20Poly1305, data: &[u8], seal: &Seal, content: &mut [u8]) -> bool {
    let nonce = XNonce::from(seal.nonce);
    cipher
        .decrypt_inout_detached(&nonce, data, content.into(), &seal.tag.into())
        .is_ok()
}

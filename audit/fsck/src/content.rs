//! The content of the vault: every chunk of every object, and what its name says of it.

use std::io::{Read, Seek};

use portcullis_blk::BLOCK;
use portcullis_vault::wire::{SEALS, Seal};
use portcullis_vault::{CHUNK, CHUNK_BLOCKS};
use sha2::{Digest, Sha256};
use zerocopy::FromBytes;

use crate::disk::{Image, Span, is_zero};
use crate::finding::{At, Findings, Place, Region};
use crate::index::{Division, Object};
use crate::keys::{Part, VaultKeys};
use crate::what::What;

/// Reads objects.
pub(crate) struct Contents<'a, 'd, D> {
    image: &'a mut Image<'d, D>,
    /// What of the vault's region is there.
    span: Span,
    division: Division,
    keys: &'a VaultKeys,
    findings: &'a mut Findings,
    chunk: Vec<u8>,
    /// Chunks that were read.
    pub(crate) chunks: u64,
}

impl<'a, 'd, D: Read + Seek> Contents<'a, 'd, D> {
    pub(crate) fn new(
        image: &'a mut Image<'d, D>,
        span: Span,
        division: &Division,
        keys: &'a VaultKeys,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            span: image.there(span),
            image,
            division: *division,
            keys,
            findings,
            chunk: Vec::new(),
            chunks: 0,
        }
    }

    /// Checks an object, chunk by chunk.
    pub(crate) fn object(&mut self, object: &Object) {
        let end = object.first.saturating_add(object.blocks());
        let behind = self.division.data().saturating_add(end);
        if end > self.division.data_blocks || behind > self.span.length {
            // Said already: it lies outside, or the disk ends before.
            return;
        }
        let Some(seals) = self.seals(object) else {
            return self.findings.violation(object.place(), What::Seals);
        };
        let (mut hash, mut sound) = (Sha256::new(), true);
        for (chunk, seal) in (0..object.chunks() as u32).zip(&seals) {
            sound &= self.chunk(object, chunk, seal, sound, &mut hash);
        }
        let found: [u8; 32] = hash.finalize().into();
        if sound && found != object.digest {
            let what = What::Digest { found };
            self.findings.violation(object.place(), what);
        }
    }

    /// The seals of an object's chunks; `None` where they are not what was written.
    fn seals(&mut self, object: &Object) -> Option<Vec<Seal>> {
        if object.chunks() <= 1 {
            return Some(vec![object.root; object.chunks() as usize]);
        }
        let mut bytes = vec![0; object.seal_blocks() as usize * BLOCK];
        let place = self.division.data() + object.first + object.content_blocks();
        self.read(place, &mut bytes);
        let part = object.part(SEALS);
        if !self.keys.open_part(part, &object.root, &mut bytes) {
            return None;
        }
        let digest = Sha256::digest(&bytes).into();
        if self.keys.part_nonce(part, &digest) != object.root.nonce {
            self.findings.violation(object.place(), What::Nonce);
        }
        let (seals, rest) = bytes.split_at(object.chunks() as usize * size_of::<Seal>());
        if !is_zero(rest) {
            self.findings.violation(object.place(), What::Padding);
        }
        let seals = seals.chunks_exact(size_of::<Seal>());
        let seals = seals.map(|seal| Seal::read_from_bytes(seal).expect("it has a seal's size"));
        Some(seals.collect())
    }

    /// Checks a chunk; whether it is sound. The hash is that of all before it, where `hashed`.
    fn chunk(
        &mut self,
        object: &Object,
        number: u32,
        seal: &Seal,
        hashed: bool,
        hash: &mut Sha256,
    ) -> bool {
        let offset = u64::from(number) * CHUNK as u64;
        let length = (object.size - offset).min(CHUNK as u64) as usize;
        let block = self.division.data() + object.first + u64::from(number) * CHUNK_BLOCKS as u64;
        let at = At::Chunk {
            digest: object.digest,
            chunk: number,
            block,
        };
        let place = Place::new(Region::Vault, at);
        let mut bytes = std::mem::take(&mut self.chunk);
        bytes.resize(length.next_multiple_of(BLOCK), 0);
        self.read(block, &mut bytes);
        self.chunks += 1;
        let part = object.part(number);
        let sound = self.keys.open_part(part, seal, &mut bytes);
        if sound {
            let (content, padding) = bytes.split_at(length);
            hash.update(content);
            let nonce = self.keys.part_nonce(part, &hash.clone().finalize().into());
            if hashed && nonce != seal.nonce {
                self.findings.violation(place, What::Nonce);
            }
            if !is_zero(padding) {
                self.findings.violation(place, What::Padding);
            }
        } else {
            self.findings.violation(place, What::Chunk);
        }
        self.chunk = bytes;
        sound
    }

    fn read(&mut self, first: u64, data: &mut [u8]) {
        let from = (Region::Vault, self.span.start);
        self.image.read(from, first, data, self.findings);
    }
}

impl Object {
    const fn part(&self, chunk: u32) -> Part {
        Part {
            object: self.number,
            size: self.size,
            chunk,
        }
    }
}

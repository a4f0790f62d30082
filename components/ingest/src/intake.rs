//! One document's way into the vault and the ledger.
//!
//! Order: the bytes go to the vault and are hashed on the way; only if they are what was packed is
//! the object committed; only if the vault found the same digest is the entry appended; then the
//! vault is told, and may give the object out if it was released. Whatever is cut off in between is
//! taken up at the next run: at worst the ledger has the same entry twice, and never an entry for
//! what the vault does not have.

use core::fmt;

use portcullis_console::Terminal;
use portcullis_kernel::{OutOfRange, Refusal, Region, RegionMut, Syscalls};
use portcullis_ledger::api as ledger;
use portcullis_publish::DocumentPath;
use portcullis_vault::api::{self as vault, Create};
use portcullis_vault::{Committed, OBJECT_MAX, Stat};
use sha2::{Digest, Sha256};

use crate::entry::{DOCUMENT_ENTRY_MAX, DocumentEntry};
use crate::failure::Failure;

/// Bytes that are copied at once: a page, so that the copy lies in the processor's first cache.
const PIECE: usize = 4096;
/// Documents from this size on, in bytes, show their progress: smaller ones are done at once.
const PROGRESS_FROM: u64 = 1 << 20;

/// The buffer that documents go through.
#[derive(Debug)]
pub(crate) struct Intake<B> {
    buffer: B,
    piece: [u8; PIECE],
}

/// A document whose entry is in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document<'a> {
    pub(crate) path: &'a DocumentPath,
    pub(crate) size: u64,
    /// Where it lies in the inbox.
    pub(crate) offset: u64,
    /// Its SHA-256, as it was packed.
    pub(crate) sha256: [u8; 32],
}

/// What became of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// It is in the vault, and in the ledger at this index.
    Stored { index: u64 },
    /// It was there and is released now; that is in the ledger at this index.
    Released { index: u64 },
    /// It was there, as it is.
    Unchanged,
}

/// What a document passes on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) vault: vault::Client,
    pub(crate) ledger: ledger::Client,
    pub(crate) terminal: Terminal,
}

impl<B: RegionMut> Intake<B> {
    pub(crate) const fn new(buffer: B) -> Self {
        Self {
            buffer,
            piece: [0; PIECE],
        }
    }

    /// Takes a document in.
    pub(crate) fn take(
        &mut self,
        kernel: &mut impl Syscalls,
        way: Way,
        inbox: &impl Region,
        document: &Document<'_>,
    ) -> Result<Taken, Failure> {
        if document.size > OBJECT_MAX {
            return Err(Failure::TooLarge(document.size));
        }
        let released = document.path.is_public();
        match stat(kernel, way, document)? {
            Some(Stat {
                recorded: Some(_),
                released: already,
                ..
            }) if already || !released => {
                self.verify(inbox, document)?;
                Ok(Taken::Unchanged)
            }
            Some(Stat {
                recorded: Some(_), ..
            }) => {
                self.upload(kernel, way, inbox, document)?;
                // The vault may give it out from the commit on: the ledger has to know before.
                let index = append(kernel, way, document)?;
                commit(kernel, way, document)?;
                Ok(Taken::Released { index })
            }
            _ => {
                self.upload(kernel, way, inbox, document)?;
                if commit(kernel, way, document)?.recorded {
                    return Ok(Taken::Unchanged);
                }
                let index = append(kernel, way, document)?;
                way.vault
                    .record(kernel, &document.sha256, index)
                    .map_err(Failure::Vault)?;
                Ok(Taken::Stored { index })
            }
        }
    }

    /// Checks that the document's bytes are those that were packed.
    fn verify(&mut self, inbox: &impl Region, document: &Document<'_>) -> Result<(), Failure> {
        let mut hash = Sha256::new();
        let mut done = 0;
        while done < document.size {
            let piece = self.piece(inbox, document, done, PIECE as u64)?;
            hash.update(piece);
            done += piece.len() as u64;
        }
        document.check(hash)
    }

    /// Hands the document's bytes to the vault, and checks that they are those that were packed. An
    /// object that is not committed is forgotten when the next begins.
    fn upload(
        &mut self,
        kernel: &mut impl Syscalls,
        way: Way,
        inbox: &impl Region,
        document: &Document<'_>,
    ) -> Result<(), Failure> {
        let create = Create {
            size: document.size,
            released: document.path.is_public(),
            name: document.path.as_str(),
        };
        way.vault.create(kernel, &create).map_err(Failure::Vault)?;
        let mut hash = Sha256::new();
        let mut done = 0;
        while done < document.size {
            let length = self.fill(inbox, document, done, &mut hash)?;
            let expected = done + length;
            match way.vault.write(kernel, length) {
                Ok(written) if written == expected => done = expected,
                Ok(_) => return Err(Failure::Vault(Refusal::Garbled)),
                Err(refusal) => return Err(Failure::Vault(refusal)),
            }
            if document.size >= PROGRESS_FROM {
                let (path, size) = (document.path.as_str(), document.size);
                way.terminal.progress(kernel, path, done, size);
            }
        }
        document.check(hash)
    }

    /// Copies the document's bytes from `done` on into the buffer, as many as it holds; how many.
    fn fill(
        &mut self,
        inbox: &impl Region,
        document: &Document<'_>,
        done: u64,
        hash: &mut Sha256,
    ) -> Result<u64, Failure> {
        let size = self.buffer.size();
        let length = (document.size - done).min(size as u64);
        if length == 0 {
            let (offset, length) = (0, 1);
            let error = OutOfRange {
                offset,
                length,
                size,
            };
            return Err(Failure::Region(error));
        }
        let mut at = 0;
        while at < length {
            let piece = self.piece(inbox, document, done + at, length - at)?;
            let count = piece.len();
            hash.update(piece);
            self.buffer
                .write(at as usize, &self.piece[..count])
                .map_err(Failure::Region)?;
            at += count as u64;
        }
        Ok(length)
    }

    /// Copies the document's next bytes out of the inbox, at most `limit` and one piece.
    fn piece(
        &mut self,
        inbox: &impl Region,
        document: &Document<'_>,
        done: u64,
        limit: u64,
    ) -> Result<&[u8], Failure> {
        let length = (document.size - done).min(limit).min(PIECE as u64);
        let piece = &mut self.piece[..length as usize];
        // Where it lies was checked with its entry: behind the end of no region.
        let offset = (document.offset + done) as usize;
        inbox.read(offset, piece).map_err(Failure::Region)?;
        Ok(piece)
    }
}

impl Document<'_> {
    /// Checks the hash of all its bytes.
    fn check(&self, hash: Sha256) -> Result<(), Failure> {
        let found: [u8; 32] = hash.finalize().into();
        let packed = self.sha256;
        if found == packed {
            Ok(())
        } else {
            Err(Failure::Damaged { packed, found })
        }
    }
}

/// What the vault knows of the document.
fn stat(
    kernel: &mut impl Syscalls,
    way: Way,
    document: &Document<'_>,
) -> Result<Option<Stat>, Failure> {
    match way.vault.stat(kernel, &document.sha256) {
        Ok(stat) => Ok(Some(stat)),
        Err(Refusal::Object(vault::NOT_FOUND)) => Ok(None),
        Err(refusal) => Err(Failure::Vault(refusal)),
    }
}

/// Commits the object, and checks that the vault has what was handed to it.
fn commit(
    kernel: &mut impl Syscalls,
    way: Way,
    document: &Document<'_>,
) -> Result<Committed, Failure> {
    let committed = way.vault.commit(kernel).map_err(Failure::Vault)?;
    let (handed, found) = (document.sha256, committed.digest);
    if found == handed {
        Ok(committed)
    } else {
        Err(Failure::Mismatch { handed, found })
    }
}

/// Appends the document's entry to the ledger; its index there.
fn append(kernel: &mut impl Syscalls, way: Way, document: &Document<'_>) -> Result<u64, Failure> {
    let entry = DocumentEntry {
        digest: document.sha256,
        size: document.size,
        path: document.path.as_str(),
        released: document.path.is_public(),
    };
    let mut buffer = [0; DOCUMENT_ENTRY_MAX];
    let bytes = entry
        .encode(&mut buffer)
        .expect("the buffer holds the entry of the longest path; tested");
    way.ledger.append(kernel, bytes).map_err(Failure::Ledger)
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored { index } => write!(f, "ledger entry {index}"),
            Self::Released { index } => write!(f, "released, ledger entry {index}"),
            Self::Unchanged => f.write_str("unchanged"),
        }
    }
}

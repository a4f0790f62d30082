//! One document's way into the vault and the ledger.
//!
//! Order: the bytes go to the vault, which commits the object only if it is the one that was packed;
//! then its entry is appended to the ledger; then the vault follows that entry, and may give the object
//! out if it was released. Whatever is cut off in between is taken up at the next start: at worst the
//! ledger has the same entry twice, and never an entry for what the vault does not have. Content that is
//! known already has an entry for each name that it comes under.

use core::fmt;

use portcullis_console::Terminal;
use portcullis_kernel::{OutOfRange, Refusal, Region, RegionMut, Syscalls};
use portcullis_ledger::api as ledger;
use portcullis_publish::DocumentPath;
use portcullis_vault::api as vault;
use portcullis_vault::{Act, Committed, DOCUMENT_ENTRY_MAX, DocumentEntry, Named, OBJECT_MAX};
use sha2::{Digest, Sha256};

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
    /// Its content was there under another name; this one is in the ledger at this index.
    Named { index: u64 },
    /// It was there, damaged, and is whole now.
    Mended,
    /// It was there, as it is.
    Unchanged,
}

/// What the vault and the ledger have of a document.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Known {
    /// All its bytes are in the vault.
    whole: bool,
    recorded: bool,
    released: bool,
    named: Named,
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
        let mut known = known(kernel, way, document)?;
        let mended = known.recorded && !known.whole;
        if known.whole {
            self.verify(inbox, document)?;
        } else {
            let committed = self.put(kernel, way, inbox, document)?;
            (known.recorded, known.released) = (committed.recorded, committed.released);
        }
        let releases = document.path.is_public() && !known.released;
        let earlier = known.named.last.filter(|_| known.recorded);
        if known.recorded && known.named.known && !releases {
            return Ok(if mended {
                Taken::Mended
            } else {
                Taken::Unchanged
            });
        }
        let index = append(kernel, way, document, earlier)?;
        let recorded = way.vault.record(kernel, index);
        recorded.map_err(Failure::Vault)?;
        Ok(match (known.recorded, releases) {
            (false, _) => Taken::Stored { index },
            (true, true) => Taken::Released { index },
            (true, false) => Taken::Named { index },
        })
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
        let (packed, found) = (document.sha256, hash.finalize().into());
        if found == packed {
            Ok(())
        } else {
            Err(Failure::Damaged { packed, found })
        }
    }

    /// Puts the document into the vault, which hashes it on the way. An object that is not committed
    /// is forgotten when the next begins.
    fn put(
        &mut self,
        kernel: &mut impl Syscalls,
        way: Way,
        inbox: &impl Region,
        document: &Document<'_>,
    ) -> Result<Committed, Failure> {
        let created = way.vault.create(kernel, document.size);
        created.map_err(Failure::Vault)?;
        let mut done = 0;
        while done < document.size {
            let expected = done + self.fill(inbox, document, done)?;
            match way.vault.write(kernel, expected - done) {
                Ok(written) if written == expected => done = expected,
                Ok(_) => return Err(Failure::Vault(Refusal::Garbled)),
                Err(refusal) => return Err(Failure::Vault(refusal)),
            }
            if document.size >= PROGRESS_FROM {
                let (path, size) = (document.path.as_str(), document.size);
                way.terminal.progress(kernel, path, done, size);
            }
        }
        match way.vault.commit(kernel, &document.sha256) {
            Ok(committed) => Ok(committed),
            // Either they are not the bytes that were packed, or not those that were handed over.
            Err(Refusal::Object(vault::MISMATCH)) => {
                self.verify(inbox, document)?;
                Err(Failure::Vault(Refusal::Object(vault::MISMATCH)))
            }
            Err(refusal) => Err(Failure::Vault(refusal)),
        }
    }

    /// Copies the document's bytes from `done` on into the buffer, as many as it holds; how many.
    fn fill(
        &mut self,
        inbox: &impl Region,
        document: &Document<'_>,
        done: u64,
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
            let count = self.piece(inbox, document, done + at, length - at)?.len();
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

/// What the vault knows of the document. It is asked to check every byte: what is damaged there is to
/// be put again, and where even its entry is, it is as good as unknown.
fn known(kernel: &mut impl Syscalls, way: Way, document: &Document<'_>) -> Result<Known, Failure> {
    use vault::{DAMAGED, NOT_FOUND};
    let known = way
        .vault
        .named(kernel, &document.sha256, document.path.as_str());
    let (stat, named) = match known {
        Ok(known) => known,
        Err(Refusal::Object(NOT_FOUND | DAMAGED)) => return Ok(Known::default()),
        Err(refusal) => return Err(Failure::Vault(refusal)),
    };
    let whole = match way.vault.check(kernel, &document.sha256, stat.size) {
        Ok(()) => true,
        Err(Refusal::Object(DAMAGED)) => false,
        Err(refusal) => return Err(Failure::Vault(refusal)),
    };
    Ok(Known {
        whole,
        recorded: stat.recorded.is_some(),
        released: stat.released,
        named,
    })
}

/// Appends the document's entry to the ledger, behind an earlier one of the same content; its index there.
fn append(
    kernel: &mut impl Syscalls,
    way: Way,
    document: &Document<'_>,
    earlier: Option<u64>,
) -> Result<u64, Failure> {
    let entry = DocumentEntry {
        digest: document.sha256,
        size: document.size,
        path: document.path.as_str(),
        act: if document.path.is_public() {
            Act::Released
        } else {
            Act::Kept
        },
    };
    let mut buffer = [0; DOCUMENT_ENTRY_MAX];
    let bytes = entry
        .encode_behind(earlier, &mut buffer)
        .expect("the buffer holds the entry of the longest path; tested");
    way.ledger.append(kernel, bytes).map_err(Failure::Ledger)
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored { index } => write!(f, "ledger entry {index}"),
            Self::Released { index } => write!(f, "released, ledger entry {index}"),
            Self::Named { index } => write!(f, "known content, ledger entry {index}"),
            Self::Mended => f.write_str("was damaged in the vault, and is whole again"),
            Self::Unchanged => f.write_str("unchanged"),
        }
    }
}

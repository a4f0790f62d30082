//! Why a document is not taken in.

use core::fmt;

use portcullis_console::text::{Grouped, ShortDigest};
use portcullis_kernel::{OutOfRange, Refusal};
use portcullis_ledger::api as ledger;
use portcullis_publish::VaultRefusal;
use portcullis_vault::OBJECT_MAX;

use crate::bundle::{EntryError, Missing};

/// Why a document is not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Its entry in the bundle cannot be used.
    Entry(EntryError),
    /// The packer could not pack it.
    Missing(Missing),
    /// It has this many bytes.
    TooLarge(u64),
    /// Its bytes in the bundle are not those that were packed.
    Damaged {
        /// The digest in its entry.
        packed: [u8; 32],
        /// The digest of what the bundle holds.
        found: [u8; 32],
    },
    /// The vault refused it.
    Vault(Refusal),
    /// The ledger refused its entry.
    Ledger(Refusal),
    /// A region ends too early.
    Region(OutOfRange),
}

impl Failure {
    /// Whether no other document can be taken in either: a grant is gone.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Vault(Refusal::Kernel(_)) | Self::Ledger(Refusal::Kernel(_))
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(error) => error.fmt(f),
            Self::Missing(Missing::TooLarge) => fmt_limit(f),
            Self::Missing(missing) => missing.fmt(f),
            Self::TooLarge(_) => fmt_limit(f),
            Self::Damaged { packed, found } => write!(
                f,
                "damaged in the bundle: its sha256 is {}, packed was {}",
                ShortDigest(found),
                ShortDigest(packed)
            ),
            Self::Vault(refusal) => VaultRefusal(*refusal).fmt(f),
            Self::Ledger(refusal) => fmt_ledger(f, *refusal),
            Self::Region(error) => error.fmt(f),
        }
    }
}

fn fmt_limit(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mib, bytes) = (OBJECT_MAX >> 20, Grouped(OBJECT_MAX));
    write!(f, "too large: the limit is {mib} MiB ({bytes} B)")
}

fn fmt_ledger(f: &mut fmt::Formatter<'_>, refusal: Refusal) -> fmt::Result {
    let text = match refusal {
        Refusal::Object(ledger::CLOSED) => "the ledger is not open; its own line says why",
        Refusal::Object(ledger::TOO_LONG) => {
            "its entry is too long for the ledger; shorten its name"
        }
        Refusal::Object(ledger::FULL) => "in the vault, but the ledger is full; it is not released",
        Refusal::Object(ledger::STOPPED) => "the ledger stopped after a write failed",
        Refusal::Object(ledger::DAMAGED) => "the ledger is damaged, and takes nothing more",
        Refusal::Object(ledger::DISK_FAILED) => "the ledger's disk failed; its own line says how",
        refusal => return write!(f, "the ledger: {refusal}"),
    };
    f.write_str(text)
}

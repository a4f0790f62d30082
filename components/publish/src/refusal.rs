//! Why the vault refused, in words for the console.

use core::fmt;

use portcullis_kernel::Refusal;
use portcullis_vault::OBJECT_MAX;
use portcullis_vault::api as vault;

/// A refusal by the vault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VaultRefusal(pub Refusal);

impl fmt::Display for VaultRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal::Object(code) = self.0 else {
            return self.0.fmt(f);
        };
        let text = match code {
            vault::CLOSED => "the vault is not open; its own line says why",
            vault::TOO_LARGE => {
                let limit = OBJECT_MAX >> 20;
                return write!(f, "too large: the vault takes up to {limit} MiB");
            }
            vault::MISMATCH => "the vault got other bytes than those that were meant",
            vault::NO_SPACE => "the vault is full: its disk has no room of that size",
            vault::INDEX_FULL => "the vault is full: its index has no room",
            vault::NO_UPLOAD => "the vault was started anew meanwhile; run again",
            vault::TOO_LONG | vault::TOO_SHORT => "the vault got another number of bytes",
            vault::NOT_FOUND => "the vault has no such object",
            vault::NOT_RELEASED => "the vault does not give it out: it is not released",
            vault::OUT_OF_RANGE | vault::BUFFER => "the bytes do not lie in object and buffer",
            vault::DAMAGED => "it is damaged in the vault, whose own line says where",
            vault::STOPPED => "the vault stopped after a write failed; its own line says which",
            vault::NO_LEDGER => "the vault cannot ask the ledger about it; nothing is released",
            vault::NOT_IN_LEDGER => "the ledger says another thing of it than it should",
            vault::DISK_FAILED => "the vault's disk failed; its own line says how",
            _ => return self.0.fmt(f),
        };
        f.write_str(text)
    }
}

//! The component: one document after the other, and what it says of each.

use core::fmt;

use portcullis_console::Terminal;
use portcullis_console::text::{Counted, Denied, Grouped, ShortDigest};
use portcullis_kernel::{Component, Mapping, NotifyGrant, Syscalls};
use portcullis_ledger::api as ledger;
use portcullis_publish::api as publish;
use portcullis_vault::api as vault;

use crate::bundle::{Bundle, Content, Entry, Missing};
use crate::failure::Failure;
use crate::intake::{Document, Intake, Taken, Way};

/// Columns of a path, so that the figures after it stand under each other.
const PATH_WIDTH: usize = 36;

/// Its memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The documents to take in.
    pub inbox: M::ReadOnly,
    /// A document on its way into the vault.
    pub ingest_vault: M::ReadWrite,
}

/// The component.
#[derive(Debug)]
pub struct Ingest<M: Mapping> {
    channel: u8,
    terminal: Terminal,
    inbox: M::ReadOnly,
    intake: Intake<M::ReadWrite>,
    /// Once the bundle was gone through.
    refused: Option<u64>,
}

/// What became of the documents.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    stored: u64,
    unchanged: u64,
    refused: u64,
    /// Of those stored, the released ones.
    released: u64,
}

/// The size of a document, in a column of its own; of one that could not be opened it is not known.
#[derive(Clone, Copy, Debug)]
struct Size(Option<u64>);

/// The grants that it needs.
#[derive(Clone, Copy, Debug)]
struct Grants {
    vault: vault::Client,
    ledger: ledger::Client,
    /// Without it documents are taken in all the same, and published at the next start.
    ready: Option<NotifyGrant>,
}

impl<M: Mapping> Ingest<M> {
    /// An ingest that asks the manager on its static channel `channel`.
    pub fn new(channel: u8, regions: Regions<M>) -> Self {
        Self {
            channel,
            terminal: Terminal::SILENT,
            inbox: regions.inbox,
            intake: Intake::new(regions.ingest_vault),
            refused: None,
        }
    }

    /// How many documents of the bundle were refused, those included that a grant's end kept from
    /// being tried; `None` where there was no bundle or no grant to take documents in, or not yet.
    pub const fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// Finds the grants; says which of them there is not.
    fn find(&mut self, kernel: &mut impl Syscalls) -> Option<Grants> {
        self.terminal = Terminal::find_or_silent(kernel, self.channel);
        let vault = vault::Client::find(kernel, self.channel);
        let ledger = ledger::Client::find(kernel, self.channel);
        let ready = publish::find_ready(kernel, self.channel);
        for (object, effect, refusal) in [
            (vault::OBJECT, "nothing is taken in", vault.err()),
            (ledger::OBJECT, "nothing is taken in", ledger.err()),
            (
                publish::OBJECT,
                "nothing is published before the next start",
                ready.err(),
            ),
        ] {
            if let Some(refusal) = refusal {
                let why = Denied(refusal);
                let text = format_args!("{effect}: no grant to {object}: {why}");
                self.terminal.line(kernel, text);
            }
        }
        Some(Grants {
            vault: vault.ok()?,
            ledger: ledger.ok()?,
            ready: ready.ok(),
        })
    }

    /// Takes every document of the inbox in.
    fn run(&mut self, kernel: &mut impl Syscalls, grants: Grants) {
        let bundle = match Bundle::open(&self.inbox) {
            Ok(bundle) => bundle,
            Err(error) => {
                let text = format_args!("nothing is taken in: {error}");
                return self.terminal.line(kernel, text);
            }
        };
        let mut tally = Tally::default();
        for index in 0..bundle.count() {
            if let Err(failure) = self.document(kernel, grants, bundle, index, &mut tally)
                && failure.is_final()
            {
                let left = u64::from(bundle.count() - index - 1);
                tally.refused += left;
                let documents = Counted(left, "document");
                let text = format_args!("{documents} not tried: no document can be taken in now");
                self.terminal.line(kernel, text);
                break;
            }
        }
        self.refused = Some(tally.refused);
        self.terminal.line(kernel, format_args!("{tally}"));
        if tally.released > 0
            && let Some(ready) = grants.ready
        {
            ready.signal(kernel);
        }
    }

    /// Takes one document in, and says what came of it.
    fn document(
        &mut self,
        kernel: &mut impl Syscalls,
        grants: Grants,
        bundle: Bundle,
        index: u32,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let terminal = self.terminal;
        let entry = match bundle.entry(&self.inbox, index) {
            Ok(entry) => entry,
            Err(error) => {
                tally.refused += 1;
                let number = u64::from(index) + 1;
                let text = format_args!("document {number}: refused: {error}");
                terminal.line(kernel, text);
                return Err(Failure::Entry(error));
            }
        };
        let path = &entry.path;
        let size = Size::of(&entry);
        match self.take(kernel, grants, &entry) {
            Ok((digest, taken)) => {
                tally.count(taken, path.is_public());
                let digest = ShortDigest(&digest);
                let text = format_args!("{path:<PATH_WIDTH$} {size}  sha256 {digest}  {taken}");
                terminal.line(kernel, text);
                Ok(())
            }
            Err(failure) => {
                tally.refused += 1;
                let text = format_args!("{path:<PATH_WIDTH$} {size}  refused: {failure}");
                terminal.line(kernel, text);
                Err(failure)
            }
        }
    }

    fn take(
        &mut self,
        kernel: &mut impl Syscalls,
        grants: Grants,
        entry: &Entry,
    ) -> Result<([u8; 32], Taken), Failure> {
        let (offset, sha256) = match entry.content {
            Content::Missing(missing) => return Err(Failure::Missing(missing)),
            Content::Present { offset, sha256 } => (offset, sha256),
        };
        let document = Document {
            path: &entry.path,
            size: entry.size,
            offset,
            sha256,
        };
        let way = Way {
            vault: grants.vault,
            ledger: grants.ledger,
            terminal: self.terminal,
        };
        let taken = self.intake.take(kernel, way, &self.inbox, &document)?;
        Ok((sha256, taken))
    }
}

impl<K: Syscalls, M: Mapping> Component<K> for Ingest<M> {
    fn init(&mut self, kernel: &mut K) {
        if let Some(grants) = self.find(kernel) {
            self.run(kernel, grants);
        }
    }
}

impl Size {
    const fn of(entry: &Entry) -> Self {
        match entry.content {
            Content::Present { .. } | Content::Missing(Missing::TooLarge) => Self(Some(entry.size)),
            Content::Missing(_) => Self(None),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(size) => write!(f, "{:>13} B", Grouped(size)),
            None => write!(f, "{:>13}  ", "-"),
        }
    }
}

impl Tally {
    fn count(&mut self, taken: Taken, released: bool) {
        match taken {
            Taken::Stored { .. } | Taken::Released { .. } | Taken::Named { .. } | Taken::Mended => {
                self.stored += 1;
                self.released += u64::from(released);
            }
            Taken::Unchanged => self.unchanged += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.stored + self.unchanged + self.refused;
        write!(
            f,
            "{}: {} stored, {} unchanged, {} refused",
            Counted(all, "document"),
            Grouped(self.stored),
            Grouped(self.unchanged),
            Grouped(self.refused)
        )
    }
}

#[cfg(test)]
mod tests;

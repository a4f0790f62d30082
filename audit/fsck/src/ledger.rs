//! What the ledger says of the vault's objects, held against what the vault says of them.
//!
//! An object has one reference for each entry that took it in, less one for each that removed it; with
//! the last of them it goes (decision 9). The vault follows the ledger at its own pace and says how far
//! it came, so what it says of an object is held against the entries up to there.

use std::collections::HashMap;

use portcullis_ledger::ENTRY_MAX;
use portcullis_log::entry::Decoded;
use portcullis_vault::{Act, DocumentEntry};

use crate::finding::{At, Findings, Place, Region};
use crate::index::Object;
use crate::log::{Records, Sink};
use crate::what::What;

/// What entries of the ledger make of an object.
#[derive(Default)]
struct Said {
    references: u32,
    recorded: Option<u64>,
    released: bool,
    name: String,
}

/// An object of the vault, and what the ledger says of it.
struct Named<'o> {
    object: &'o Object,
    /// As far as the vault has followed.
    followed: Said,
    /// References, all entries taken together.
    references: u32,
    /// The first entry that it has not followed.
    ahead: Option<u64>,
}

/// Reads the ledger's entries.
#[derive(Default)]
pub(crate) struct Documents<'o> {
    named: HashMap<[u8; 32], Named<'o>>,
    /// Objects that the vault does not have: their references, and the first entry that names them.
    others: HashMap<[u8; 32], (u32, u64)>,
    /// Entries.
    entries: u64,
    /// Of these, a document's.
    pub(crate) documents: u64,
}

impl<'o> Documents<'o> {
    /// Before the first entry, for a vault of these objects.
    pub(crate) fn new(objects: &'o [Object]) -> Self {
        let named = objects.iter().map(|object| {
            let named = Named {
                object,
                followed: Said::default(),
                references: 0,
                ahead: None,
            };
            (object.digest, named)
        });
        Self {
            named: named.collect(),
            ..Self::default()
        }
    }

    /// The end of the ledger: what it says is held against the vault. `through` is the entry up to which
    /// that says that everything is accounted for.
    pub(crate) fn end(self, through: u64, findings: &mut Findings) {
        let found = self.entries;
        let seen = self.named.values().map(|named| named.object.followed);
        let seen = seen.fold(through, u64::max);
        if seen > found {
            findings.violation(Place::VAULT, What::LedgerOlder { seen, found });
        }
        let mut named: Vec<_> = self.named.into_values().collect();
        named.sort_by_key(|named| named.object.slot);
        for named in named.iter().filter(|named| named.object.followed <= found) {
            named.check(findings);
        }
        let mut missing: Vec<_> = self.others.into_iter().collect();
        missing.sort_by_key(|(_, (_, entry))| *entry);
        for (digest, (_, entry)) in missing {
            let at = At::Object { slot: None, digest };
            let place = Place::new(Region::Vault, at);
            findings.violation(place, What::Missing { entry });
        }
    }

    fn document(&mut self, index: u64, document: &DocumentEntry<'_>) {
        let Some(named) = self.named.get_mut(&document.digest) else {
            let (references, _) = self.others.entry(document.digest).or_insert((0, index));
            count(references, document.act);
            if *references == 0 {
                self.others.remove(&document.digest);
            }
            return;
        };
        count(&mut named.references, document.act);
        if index < named.object.followed {
            named.followed.take(index, document);
        } else {
            named.ahead.get_or_insert(index);
        }
    }
}

impl Sink for Documents<'_> {
    fn commit(&mut self, records: Records<'_>, findings: &mut Findings) {
        check(records, findings);
        for (index, bytes) in records {
            self.entries += 1;
            if let Some(document) = DocumentEntry::decode(bytes) {
                self.documents += 1;
                self.document(index, &document);
            }
        }
    }
}

/// The entries of a ledger, whatever they say.
#[derive(Clone, Copy, Default, Debug)]
pub struct Entries;

impl Sink for Entries {
    fn commit(&mut self, records: Records<'_>, findings: &mut Findings) {
        check(records, findings);
    }
}

/// Each entry is of a length that the ledger takes, and of a kind that is known where it says one.
fn check(records: Records<'_>, findings: &mut Findings) {
    for (index, bytes) in records {
        let place = Place::new(Region::Worm, At::Record(index));
        let length = bytes.len();
        if !(1..=ENTRY_MAX).contains(&length) {
            findings.violation(place, What::EntryLength { length });
        }
        if let Some(Decoded::Unknown { version, kind }) = Decoded::read(bytes) {
            findings.unchecked(place, What::UnknownEntry { version, kind });
        }
    }
}

fn count(references: &mut u32, act: Act) {
    *references = match act {
        Act::Kept | Act::Released => references.saturating_add(1),
        Act::Removed => references.saturating_sub(1),
    };
}

impl Said {
    fn take(&mut self, index: u64, document: &DocumentEntry<'_>) {
        let anew = self.references == 0;
        count(&mut self.references, document.act);
        if document.act == Act::Removed {
            return;
        }
        if anew {
            self.recorded = Some(index);
            self.released = false;
        }
        let releases = document.act == Act::Released && !self.released;
        if anew || releases {
            document.path.clone_into(&mut self.name);
        }
        self.released |= releases;
    }
}

impl Named<'_> {
    fn check(&self, findings: &mut Findings) {
        let place = self.object.place();
        let (found, expected) = (self.object.references, self.followed.references);
        if found < expected {
            return findings.violation(place, What::References { expected, found });
        }
        if found > expected {
            // Removals that the vault passed over: it was not asked to carry them out.
            return findings.note(place, What::NotRemoved { expected, found });
        }
        if let Some(field) = self.other_than_said() {
            findings.violation(place, What::OtherThanLedger(field));
        }
        let expected = self.references;
        match self.ahead {
            Some(_) if expected == 0 && found > 0 => {
                findings.note(place, What::NotRemoved { expected, found });
            }
            Some(entry) if expected > 0 => findings.note(place, What::NotFollowed { entry }),
            _ if found == 0 => findings.note(place, What::NotRecorded),
            _ => {}
        }
    }

    /// What the vault says of the object and the ledger does not.
    fn other_than_said(&self) -> Option<&'static str> {
        let (object, said) = (self.object, &self.followed);
        if object.recorded != said.recorded {
            Some("first entry")
        } else if object.released != said.released {
            Some("release")
        } else if object.name != said.name {
            Some("name")
        } else {
            None
        }
    }
}

//! Following the ledger: what is recorded there, released, removed, and what it names that is gone.
//!
//! The ledger decides, not whoever asks. It says which documents there are, which are released, and
//! how many references an object has: one for each entry that takes it in, less one for each that
//! removes it. Each entry is followed once, however often it is asked for.

use heapless::{String, Vec};
use portcullis_blk::Disk;
use sha2::{Digest as _, Sha256};

use crate::{Act, DocumentEntry, ObjectDigest, Store, StoreError, entry::Entry};

/// Names of one object that are kept in memory: 32 KiB. Of an object with more, the ledger is read for
/// each name.
const NAMES_MAX: usize = 4096;
/// Objects that [`Walk`] keeps apart as missing: more are only counted.
const MISSING_MAX: usize = 64;

/// An object whose entries of the ledger are being followed, in their order. Whoever follows reads entry
/// [`next`](Following::next), hands it over, and so on until there is no next.
#[derive(Debug)]
pub struct Following {
    slot: u16,
    entry: Entry,
    next: u64,
    last: u64,
    changed: bool,
}

/// A search for a name among the entries of the ledger that take an object in, from the last one back.
/// Whoever searches reads entry [`next`](Naming::next), hands it over, and so on until there is no next.
#[derive(Debug)]
pub struct Naming {
    next: Option<u64>,
    /// The first entry that may name the object.
    first: u64,
    /// Whether an entry was seen that has the name.
    decided: bool,
    named: Named,
}

/// The names of the object that was asked for last: who asks for each of many names, as of the empty
/// document, has the ledger read once.
#[derive(Debug)]
pub(crate) struct Names {
    digest: ObjectDigest,
    /// The last entry that names it.
    last: Option<u64>,
    hashes: Vec<u64, NAMES_MAX>,
    /// Every entry that names it was looked at.
    whole: bool,
    /// All their names are here, and none was removed.
    sound: bool,
}

/// What the ledger says of an object under a name.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Named {
    /// An entry takes the object in under this name.
    pub known: bool,
    /// The last entry that names the object.
    pub last: Option<u64>,
}

/// A walk over the entries of the ledger that the vault has not followed yet: what it finds there
/// was cut off, or is gone from the vault.
#[derive(Debug)]
pub struct Walk {
    next: u64,
    missing: Vec<Missing, MISSING_MAX>,
    more: u64,
    waiting: u64,
}

/// An object that the ledger names and the vault does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing {
    /// The object.
    pub digest: ObjectDigest,
    /// Index of the ledger's entry.
    pub index: u64,
}

impl Store<'_> {
    /// Begins to follow what the ledger says of an object, up to entry `last`. Of an object that is new
    /// to the vault, the entries that are not accounted for count too: it may have been lost, and put
    /// again.
    pub fn follow(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
        last: u64,
    ) -> Result<Following, StoreError> {
        let mut following = self.follow_one(disk, digest, last)?;
        if following.entry.followed == 0 {
            following.next = self.through.min(last);
        }
        Ok(following)
    }

    /// Begins to follow entry `index`, and no other.
    fn follow_one(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
        index: u64,
    ) -> Result<Following, StoreError> {
        self.check_writable()?;
        let slot = self.find(digest)?;
        Ok(Following {
            slot,
            entry: self.entry(disk, slot)?,
            next: index,
            last: index,
            changed: false,
        })
    }

    /// Begins to search for a name of an object. Where only one entry took it in, its name is at hand.
    pub fn naming(
        &mut self,
        disk: &mut impl Disk,
        digest: &ObjectDigest,
        path: &str,
    ) -> Result<Naming, StoreError> {
        let slot = self.find(digest)?;
        let entry = self.entry(disk, slot)?;
        let last = entry.followed.checked_sub(1);
        let first = entry.recorded.unwrap_or_default();
        let is_one = entry.references == 1 && last == Some(first);
        let names = &mut self.memory.names;
        let at_hand = names
            .of(digest, last)
            .map(|names| names.contains(&hash(path)));
        let known = at_hand.unwrap_or(is_one && entry.name == *path);
        let next = last.filter(|_| !is_one && entry.references > 0 && at_hand.is_none());
        if next.is_some() {
            names.begin(digest, last);
        }
        Ok(Naming {
            next,
            first,
            decided: false,
            named: Named { known, last },
        })
    }

    /// Looks at the next entry, and at the one that it says comes before it; `None`: it is no document's.
    /// What an entry says of an earlier one is believed as far as that is this object's, too.
    pub fn look_for(
        &mut self,
        naming: &mut Naming,
        path: &str,
        document: Option<(DocumentEntry<'_>, Option<u64>)>,
    ) {
        let Some(index) = naming.next else { return };
        let names = &mut self.memory.names;
        let of_it = document.filter(|(document, _)| document.digest == names.digest);
        if let Some((document, _)) = of_it {
            names.add(&document);
            if document.path == path && !naming.decided {
                naming.decided = true;
                naming.named.known = document.act != Act::Removed;
            }
        }
        let earlier = of_it.and_then(|(_, earlier)| earlier);
        let next = earlier.filter(|it| *it < index).or(index.checked_sub(1));
        naming.next = next.filter(|it| *it >= naming.first);
        names.whole = naming.next.is_none();
    }

    /// Keeps in memory what the last entry says that was followed.
    pub(crate) fn followed(&mut self, index: u64, document: &DocumentEntry<'_>) {
        self.memory.names.follow(index, document);
    }

    /// Keeps what was followed, durably: the object's references. Without any it is removed.
    pub fn keep(&mut self, disk: &mut impl Disk, following: Following) -> Result<u32, StoreError> {
        let Following {
            slot,
            mut entry,
            last,
            changed,
            ..
        } = following;
        self.check_writable()?;
        let through = self.through;
        // Where an earlier entry is not accounted for, it stays so: the next start looks again.
        self.through += u64::from(last == through);
        if changed {
            entry.removed = entry.references == 0;
            if entry.released && entry.available == 0 {
                entry.available = self.number();
            }
            let written = self.write_entry(disk, slot, &entry);
            written.inspect_err(|_| self.through = through)?;
        }
        Ok(entry.references)
    }

    /// The walk over the entries of the ledger that are not accounted for: due after opening.
    pub const fn walk(&self) -> Walk {
        Walk {
            next: self.through,
            missing: Vec::new(),
            more: 0,
            waiting: 0,
        }
    }
}

impl Following {
    /// Index of the entry of the ledger to hand over next.
    pub fn next(&self) -> Option<u64> {
        (self.next <= self.last).then_some(self.next)
    }

    /// Follows the next entry, where it is this object's. Once an object is recorded, its index there
    /// never changes; what is released stays released, under the name that it was released with first.
    pub fn entry(&mut self, document: Option<&DocumentEntry<'_>>) {
        let index = self.next;
        self.next += 1;
        let entry = &mut self.entry;
        let of_it = document.filter(|document| document.digest == entry.digest);
        let Some(document) = of_it.filter(|_| index >= entry.followed) else {
            return;
        };
        self.changed = true;
        entry.followed = index + 1;
        if document.act == Act::Removed {
            entry.references = entry.references.saturating_sub(1);
            return;
        }
        if entry.references == 0 {
            // Whatever it was before it was removed.
            (entry.recorded, entry.released, entry.available) = (Some(index), false, 0);
            entry.name = name(document);
        }
        if document.act == Act::Released && !entry.released {
            entry.released = true;
            entry.name = name(document);
        }
        entry.references = entry.references.saturating_add(1);
    }
}

impl Naming {
    /// Index of the entry of the ledger to hand over next.
    pub const fn next(&self) -> Option<u64> {
        self.next
    }

    /// What was found.
    pub const fn named(&self) -> Named {
        self.named
    }
}

impl Names {
    /// Of no object yet.
    pub(crate) const fn new() -> Self {
        Self {
            digest: [0; 32],
            last: None,
            hashes: Vec::new(),
            whole: false,
            sound: false,
        }
    }

    /// The names of an object, up to this entry, where all of them are there.
    fn of(&self, digest: &ObjectDigest, last: Option<u64>) -> Option<&[u64]> {
        let is_it = self.digest == *digest && self.last == last;
        (self.whole && self.sound && is_it).then_some(&self.hashes)
    }

    fn begin(&mut self, digest: &ObjectDigest, last: Option<u64>) {
        (self.digest, self.last) = (*digest, last);
        (self.whole, self.sound) = (false, true);
        self.hashes.clear();
    }

    fn add(&mut self, document: &DocumentEntry<'_>) {
        let fits = self.hashes.push(hash(document.path)).is_ok();
        self.sound &= fits && document.act != Act::Removed;
    }

    /// The vault follows one more entry of the object.
    fn follow(&mut self, index: u64, document: &DocumentEntry<'_>) {
        if self.digest == document.digest && self.last < Some(index) {
            self.last = Some(index);
            self.add(document);
        }
    }
}

/// Tells names apart: no two of one object will have the same.
fn hash(name: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(name).into();
    u64::from_le_bytes(core::array::from_fn(|i| digest[i]))
}

fn name(document: &DocumentEntry<'_>) -> String<{ crate::NAME_MAX }> {
    String::try_from(document.path).expect("a document's entry holds a path that fits")
}

impl Walk {
    /// Index of the entry to look at next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Looks at the next entry, and follows it where that was cut off.
    pub fn look(
        &mut self,
        store: &mut Store<'_>,
        disk: &mut impl Disk,
        entry: &[u8],
    ) -> Result<(), StoreError> {
        let index = self.next;
        self.next += 1;
        match DocumentEntry::decode(entry) {
            // Not the vault's business.
            None => Ok(()),
            Some(document) if document.act == Act::Removed => {
                self.look_at_removal(store, disk, document.digest, index)
            }
            Some(document) => match store.follow_one(disk, &document.digest, index) {
                Ok(mut following) => {
                    following.entry(Some(&document));
                    store.keep(disk, following).map(drop)
                }
                Err(error) if error == StoreError::NotFound || error.is_damage() => {
                    let digest = document.digest;
                    let full = self.missing.push(Missing { digest, index });
                    self.more += u64::from(full.is_err());
                    Ok(())
                }
                Err(error) => Err(error),
            },
        }
    }

    /// A removal that was cut off is left to whoever may remove: that it stands in the ledger does not
    /// mean that the policy lets its writer remove anything.
    fn look_at_removal(
        &mut self,
        store: &mut Store<'_>,
        disk: &mut impl Disk,
        digest: ObjectDigest,
        index: u64,
    ) -> Result<(), StoreError> {
        // One reference goes, and an earlier entry, if there is one, still stands.
        let of_it = |missing: &Missing| missing.digest == digest;
        if let Some(last) = self.missing.iter().rposition(of_it) {
            self.missing.remove(last);
        }
        if let Ok(slot) = store.find(&digest) {
            let entry = store.entry(disk, slot)?;
            self.waiting += u64::from(index >= entry.followed);
        }
        Ok(())
    }

    /// The next entry cannot be read: the ledger says so itself.
    pub const fn skip(&mut self) {
        self.next += 1;
    }

    /// The walk reached the end of the ledger: the next one begins at the first object that is missing.
    pub fn end(&self, store: &mut Store<'_>) {
        match self.missing.first() {
            Some(first) => store.through = first.index,
            None if self.more == 0 => store.through = self.next,
            // Nobody knows any more which is the first.
            None => {}
        }
    }

    /// Objects that the ledger names and the vault does not have, in the ledger's order.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// How many more there are.
    pub const fn more(&self) -> u64 {
        self.more
    }

    /// Removals that the ledger names and nobody carried out.
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }
}

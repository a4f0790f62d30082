//! The index in memory: where every object is, by slot, by digest, by place.

use heapless::Vec;

use crate::{ObjectDigest, entry::Entry, layout::object_blocks};

/// Objects that a vault keeps at most. At 84 bytes each in memory (1.3 MiB) and a sector each on the
/// disk (8 MiB), it serves a folder of documents, not a file system.
pub const MAX_OBJECTS: usize = 16_384;

/// What is kept in memory of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) digest: ObjectDigest,
    pub(crate) number: u64,
    pub(crate) available: u64,
    pub(crate) first: u32,
    pub(crate) size: u32,
    pub(crate) released: bool,
    pub(crate) recorded: bool,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// Never written.
    Free,
    /// Its object was removed.
    Removed,
    /// Its sector does not open; it is left as it is, for whoever wants to know why.
    Void,
    Object(Object),
}

/// The index in memory.
#[derive(Debug)]
pub(crate) struct Table {
    slots: [Slot; MAX_OBJECTS],
    /// What each entry adds to the digest of the index; 0 where there is none.
    elements: [u128; MAX_OBJECTS],
    /// Digest of the index: all elements, added without carry.
    total: u128,
    /// Slots in use by the index: the first so many.
    size: usize,
    /// Slots of objects, by digest.
    by_digest: Vec<u16, MAX_OBJECTS>,
    /// Slots of objects that have blocks, by the first of them.
    by_place: Vec<u16, MAX_OBJECTS>,
    void: usize,
}

impl Object {
    pub(crate) const fn blocks(&self) -> u64 {
        object_blocks(self.size as u64)
    }

    const fn end(&self) -> u64 {
        self.first as u64 + self.blocks()
    }
}

impl From<&Entry> for Object {
    fn from(entry: &Entry) -> Self {
        Self {
            digest: entry.digest,
            number: entry.object,
            available: entry.available,
            // Both are checked before: the layout has 32-bit places, an object at most 64 MiB.
            first: entry.first as u32,
            size: entry.size as u32,
            released: entry.released,
            recorded: entry.recorded.is_some(),
        }
    }
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [Slot::Free; MAX_OBJECTS],
            elements: [0; MAX_OBJECTS],
            total: 0,
            size: 0,
            by_digest: Vec::new(),
            by_place: Vec::new(),
            void: 0,
        }
    }

    /// Forgets everything, for an index of `size` places.
    pub(crate) fn reset(&mut self, size: usize) {
        self.size = size.min(MAX_OBJECTS);
        self.slots[..self.size].fill(Slot::Free);
        self.elements[..self.size].fill(0);
        self.total = 0;
        self.by_digest.clear();
        self.by_place.clear();
        self.void = 0;
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn objects(&self) -> usize {
        self.by_digest.len()
    }

    pub(crate) const fn void(&self) -> usize {
        self.void
    }

    pub(crate) fn object(&self, slot: u16) -> Option<&Object> {
        match self.slots.get(usize::from(slot)) {
            Some(Slot::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// What the entry in a slot adds to the digest of the index.
    pub(crate) fn element(&self, slot: u16) -> u128 {
        self.elements.get(usize::from(slot)).map_or(0, |all| *all)
    }

    /// Digest of the index without the entry in a slot.
    pub(crate) fn others(&self, slot: u16) -> u128 {
        self.total ^ self.element(slot)
    }

    /// An entry was read from, or written to, a slot.
    pub(crate) fn set_element(&mut self, slot: u16, element: u128) {
        self.total = self.others(slot) ^ element;
        if let Some(place) = self.elements.get_mut(usize::from(slot)) {
            *place = element;
        }
    }

    /// The object in a slot was removed.
    pub(crate) fn set_removed(&mut self, slot: u16) {
        self.empty(slot, Slot::Removed);
    }

    /// A slot's sector cannot be used.
    pub(crate) fn set_void(&mut self, slot: u16) {
        self.empty(slot, Slot::Void);
        self.void += 1;
    }

    /// Takes a slot's object out, if it has one, and leaves `instead`.
    fn empty(&mut self, slot: u16, instead: Slot) {
        if let Some(object) = self.object(slot).copied() {
            if let Ok(at) = self.search(&object.digest) {
                self.by_digest.remove(at);
            }
            let at = self.place_of(&object);
            if self.by_place.get(at) == Some(&slot) {
                self.by_place.remove(at);
            }
        }
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = instead;
        }
    }

    /// The slot of the object with this digest.
    pub(crate) fn find(&self, digest: &ObjectDigest) -> Option<u16> {
        let at = self.search(digest).ok()?;
        self.by_digest.get(at).copied()
    }

    /// A slot without an object: one that says nothing, before one that says what was removed.
    pub(crate) fn free_slot(&self) -> Option<u16> {
        let slots = self.slots.get(..self.size)?;
        let free = slots.iter().position(|slot| matches!(slot, Slot::Free));
        let removed = || slots.iter().position(|slot| matches!(slot, Slot::Removed));
        free.or_else(removed).map(|slot| slot as u16)
    }

    /// The first run of `blocks` free blocks of `total`: where it starts.
    pub(crate) fn free_run(&self, blocks: u64, total: u64) -> Option<u64> {
        let mut free_from = 0;
        for object in self.placed() {
            if u64::from(object.first) - free_from >= blocks {
                return Some(free_from);
            }
            free_from = object.end();
        }
        (total - free_from >= blocks).then_some(free_from)
    }

    /// Blocks that objects take.
    pub(crate) fn used(&self) -> u64 {
        self.placed().map(Object::blocks).sum()
    }

    /// Puts an object into a slot that has none; `false`, and nothing changes, where its digest is
    /// there or some of its blocks are another's.
    pub(crate) fn insert(&mut self, slot: u16, object: Object) -> bool {
        let Err(by_digest) = self.search(&object.digest) else {
            return false;
        };
        let by_place = self.place_of(&object);
        if object.blocks() > 0 && self.overlaps(by_place, &object) {
            return false;
        }
        // Both lists are as long as there are slots, so there is room.
        let _ = self.by_digest.insert(by_digest, slot);
        if object.blocks() > 0 {
            let _ = self.by_place.insert(by_place, slot);
        }
        self.slots[usize::from(slot)] = Slot::Object(object);
        true
    }

    /// Puts an object into a slot in place of what is there. Its blocks are its own.
    pub(crate) fn replace(&mut self, slot: u16, object: Object) {
        self.empty(slot, Slot::Free);
        let inserted = self.insert(slot, object);
        debug_assert!(inserted, "a digest is in one slot, and runs are given once");
    }

    /// The first slot at or after `slot` that has an object.
    pub(crate) fn next_object(&self, slot: u64) -> Option<u16> {
        let from = usize::try_from(slot).ok()?;
        let slots = self.slots.get(from..self.size)?;
        let at = slots
            .iter()
            .position(|slot| matches!(slot, Slot::Object(_)))?;
        Some((from + at) as u16)
    }

    /// The object that could be published first at or after `cursor`.
    pub(crate) fn available(&self, cursor: u64) -> Option<u16> {
        let cursor = cursor.max(1);
        let available = |slot: &u16| self.object(*slot).map_or(0, |object| object.available);
        self.by_digest
            .iter()
            .copied()
            .filter(|slot| available(slot) >= cursor)
            .min_by_key(available)
    }

    fn placed(&self) -> impl Iterator<Item = &Object> {
        self.by_place.iter().filter_map(|slot| self.object(*slot))
    }

    /// Where an object stands among those that have blocks.
    fn place_of(&self, object: &Object) -> usize {
        let first = |slot: &u16| self.object(*slot).map_or(0, |object| object.first);
        self.by_place
            .partition_point(|slot| first(slot) < object.first)
    }

    fn overlaps(&self, at: usize, object: &Object) -> bool {
        let neighbour = |at: Option<usize>| self.object(*self.by_place.get(at?)?);
        let before = neighbour(at.checked_sub(1));
        let after = neighbour(Some(at));
        before.is_some_and(|before| before.end() > object.first.into())
            || after.is_some_and(|after| object.end() > after.first.into())
    }

    fn search(&self, digest: &ObjectDigest) -> Result<usize, usize> {
        self.by_digest.binary_search_by(|slot| {
            self.object(*slot)
                .map_or(core::cmp::Ordering::Less, |object| {
                    object.digest.cmp(digest)
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    fn object(name: u8, first: u32, size: u32) -> Object {
        Object {
            digest: [name; 32],
            number: name.into(),
            available: 0,
            first,
            size,
            released: false,
            recorded: false,
        }
    }

    /// A table of eight slots; on a stack of its own, since a test thread's is too small for one.
    fn with_table(test: impl FnOnce(&mut Table) + Send + 'static) {
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let body = || {
            let mut table = Box::new(Table::new());
            table.reset(8);
            test(&mut table);
        };
        thread.spawn(body).unwrap().join().unwrap();
    }

    #[test]
    fn runs_are_found_between_objects_and_never_given_twice() {
        with_table(|table| {
            assert!(table.insert(0, object(5, 4, 9_000)));
            assert!(table.insert(1, object(3, 9, 1)));
            assert_eq!(table.free_run(4, 20), Some(0));
            assert_eq!(table.free_run(5, 20), Some(10));
            assert_eq!(table.free_run(11, 20), None);
            assert_eq!(table.used(), 4);
            for (first, size) in [(3, 5_000), (6, 1), (8, 5_000), (4, 1)] {
                assert!(!table.insert(2, object(9, first, size)), "{first} {size}");
            }
            assert!(table.insert(2, object(9, 7, 5_000)));
            assert!(!table.insert(3, object(9, 15, 1)), "the digest is there");
            assert_eq!(table.find(&[5; 32]), Some(0));
            assert_eq!(table.find(&[4; 32]), None);
            assert_eq!(table.free_slot(), Some(3));
        });
    }

    #[test]
    fn what_is_removed_or_replaced_frees_its_run() {
        with_table(|table| {
            for slot in 0..8 {
                assert!(table.insert(slot, object(slot as u8, u32::from(slot), 1)));
            }
            assert_eq!((table.free_slot(), table.free_run(1, 8)), (None, None));
            table.set_removed(5);
            assert_eq!(
                (table.free_slot(), table.free_run(1, 8)),
                (Some(5), Some(5))
            );
            assert_eq!((table.find(&[5; 32]), table.objects()), (None, 7));
            table.replace(2, object(2, 5, 1));
            assert_eq!(
                (table.find(&[2; 32]), table.free_run(1, 8)),
                (Some(2), Some(2))
            );
            table.set_void(3);
            assert_eq!(table.free_run(2, 8), Some(2));
            assert_eq!((table.free_slot(), table.void()), (Some(5), 1));
            assert_eq!(table.next_object(3), Some(4));
            assert_eq!(table.next_object(5), Some(6));
            assert_eq!(table.next_object(8), None);
        });
    }

    #[test]
    fn the_digest_of_the_index_follows_every_entry() {
        with_table(|table| {
            table.set_element(0, 0b0011);
            table.set_element(1, 0b0101);
            assert_eq!((table.others(0), table.others(1)), (0b0101, 0b0011));
            assert_eq!(table.others(2), 0b0110);
            table.set_element(0, 0b1000);
            assert_eq!(table.others(7), 0b1101);
        });
    }

    #[test]
    fn empty_objects_take_no_place() {
        with_table(|table| {
            assert!(table.insert(0, object(1, 0, 0)));
            assert!(table.insert(1, object(2, 0, 1)));
            table.set_removed(0);
            assert_eq!((table.used(), table.objects()), (1, 1));
        });
    }
}

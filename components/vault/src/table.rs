//! The index in memory: where every object is, by slot, by digest, by place.

use heapless::Vec;

use crate::{ObjectDigest, Salt, entry::Entry, layout::object_blocks};

/// Objects that a vault keeps at most. At 80 bytes each in memory (1.3 MiB) and a sector each on the
/// disk (8 MiB), it serves a folder of documents, not a file system.
pub const MAX_OBJECTS: usize = 16_384;

/// What is kept in memory of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) digest: ObjectDigest,
    pub(crate) number: u64,
    pub(crate) available: u64,
    pub(crate) salt: Salt,
    pub(crate) first: u32,
    pub(crate) size: u32,
    pub(crate) released: bool,
    pub(crate) recorded: bool,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Free,
    /// Its sector does not open; it is left as it is, for whoever wants to know why.
    Void,
    Object(Object),
}

/// The index in memory.
#[derive(Debug)]
pub(crate) struct Table {
    slots: [Slot; MAX_OBJECTS],
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
            salt: entry.salt,
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

    /// Changes what does not decide an object's place in the orders.
    pub(crate) fn update(&mut self, slot: u16, available: u64, released: bool, recorded: bool) {
        if let Some(Slot::Object(object)) = self.slots.get_mut(usize::from(slot)) {
            object.available = available;
            object.released = released;
            object.recorded = recorded;
        }
    }

    /// Marks a slot whose sector does not open.
    pub(crate) fn set_void(&mut self, slot: u16) {
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = Slot::Void;
            self.void += 1;
        }
    }

    /// The slot of the object with this digest.
    pub(crate) fn find(&self, digest: &ObjectDigest) -> Option<u16> {
        let at = self.search(digest).ok()?;
        self.by_digest.get(at).copied()
    }

    /// A slot without an object.
    pub(crate) fn free_slot(&self) -> Option<u16> {
        let slots = self.slots.get(..self.size)?;
        let slot = slots.iter().position(|slot| matches!(slot, Slot::Free))?;
        Some(slot as u16)
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

    /// Adds an object; `false`, and nothing changes, where its digest is there or its blocks are
    /// another's.
    pub(crate) fn insert(&mut self, slot: u16, object: Object) -> bool {
        let Err(by_digest) = self.search(&object.digest) else {
            return false;
        };
        let by_place = self
            .by_place
            .partition_point(|slot| self.first_of(*slot) < u64::from(object.first));
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

    fn first_of(&self, slot: u16) -> u64 {
        self.object(slot).map_or(0, |object| object.first.into())
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
            salt: [0; 12],
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
    fn empty_objects_take_no_place() {
        with_table(|table| {
            assert!(table.insert(0, object(1, 0, 0)));
            assert!(table.insert(1, object(2, 0, 1)));
            assert_eq!(table.used(), 1);
        });
    }
}

//! When the leases of grants in force end: a binary heap over the table, the earliest end on top.

/// Memory for the leases of a table. Its initial value is all zeros.
#[derive(Debug)]
pub(super) struct Memory<const GRANTS: usize> {
    heap: [u16; GRANTS],
    places: [u16; GRANTS],
    ends: [u64; GRANTS],
}

impl<const GRANTS: usize> Memory<GRANTS> {
    pub(super) const EMPTY: Self = Self {
        heap: [0; GRANTS],
        places: [0; GRANTS],
        ends: [0; GRANTS],
    };

    pub(super) const fn leases(&mut self) -> Leases<'_> {
        Leases {
            heap: &mut self.heap,
            places: &mut self.places,
            ends: &mut self.ends,
            count: 0,
        }
    }
}

/// The leases. Each change takes time logarithmic in how many there are.
#[derive(Debug)]
pub(super) struct Leases<'t> {
    /// Indices of entries; no end is before its parent's, at half the place.
    heap: &'t mut [u16],
    /// Where in the heap an entry is, by index.
    places: &'t mut [u16],
    /// When an entry's lease ends, in nanoseconds of monotonic time, by index; 0: it has none.
    ends: &'t mut [u64],
    count: usize,
}

impl Leases<'_> {
    /// The entry whose lease ends first, and when.
    pub(super) fn first(&self) -> Option<(u16, u64)> {
        let first = *self.heap.get(..self.count)?.first()?;
        Some((first, self.end_of(first)))
    }

    /// When the lease of an entry ends.
    pub(super) fn end(&self, index: u16) -> Option<u64> {
        Some(self.end_of(index)).filter(|end| *end > 0)
    }

    /// Has the lease of an entry end at `end`, whatever it did before.
    pub(super) fn set(&mut self, index: u16, end: u64) {
        if self.end(index).is_none() {
            self.put(self.count, index);
            self.count += 1;
        }
        self.ends[usize::from(index)] = end.max(1);
        self.settle(self.place(index));
    }

    /// Takes the lease of an entry out, where it has one.
    pub(super) fn remove(&mut self, index: u16) {
        if self.end(index).is_none() {
            return;
        }
        let place = self.place(index);
        self.ends[usize::from(index)] = 0;
        self.count -= 1;
        if place < self.count {
            self.put(place, self.heap[self.count]);
            self.settle(place);
        }
    }

    /// Moves what is at a place to where it belongs.
    fn settle(&mut self, place: usize) {
        let (mut at, moved) = (place, self.heap[place]);
        let end = self.end_of(moved);
        while at > 0 && self.end_at((at - 1) / 2) > end {
            self.put(at, self.heap[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        while let Some(child) = self.earlier_child(at).filter(|it| self.end_at(*it) < end) {
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, moved);
    }

    fn earlier_child(&self, place: usize) -> Option<usize> {
        let children = (2 * place + 1)..(2 * place + 3).min(self.count);
        children.min_by_key(|child| self.end_at(*child))
    }

    fn put(&mut self, place: usize, index: u16) {
        self.heap[place] = index;
        // As many places as indices.
        self.places[usize::from(index)] = place as u16;
    }

    fn place(&self, index: u16) -> usize {
        self.places[usize::from(index)].into()
    }

    fn end_of(&self, index: u16) -> u64 {
        self.ends[usize::from(index)]
    }

    fn end_at(&self, place: usize) -> u64 {
        self.end_of(self.heap[place])
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::grants::MAX_TABLE;

    fn earliest(model: &BTreeMap<u16, u64>) -> Option<u64> {
        model.values().min().copied()
    }

    proptest! {
        #[test]
        fn the_earliest_end_is_first(
            steps in proptest::collection::vec((0..24u16, proptest::option::of(1..40u64)), 0..200),
        ) {
            let mut memory = Memory::<24>::EMPTY;
            let mut leases = memory.leases();
            let mut model = BTreeMap::new();
            for (index, end) in steps {
                match end {
                    Some(end) => {
                        leases.set(index, end);
                        model.insert(index, end);
                    }
                    None => {
                        leases.remove(index);
                        model.remove(&index);
                    }
                }
                prop_assert_eq!(leases.first().map(|(_, end)| end), earliest(&model));
                for index in 0..24 {
                    prop_assert_eq!(leases.end(index), model.get(&index).copied());
                }
            }
            while let Some((index, end)) = leases.first() {
                prop_assert_eq!(earliest(&model), Some(end));
                prop_assert_eq!(model.remove(&index), Some(end));
                leases.remove(index);
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn every_index_can_have_a_lease() {
        let mut memory = Box::new(Memory::<MAX_TABLE>::EMPTY);
        let mut leases = memory.leases();
        for index in 0..=u16::MAX {
            leases.set(index, u64::from(u16::MAX - index) + 1);
        }
        for index in (0..=u16::MAX).rev() {
            assert_eq!(leases.first().map(|(it, _)| it), Some(index));
            leases.remove(index);
        }
        assert_eq!(leases.first(), None);
    }
}

//! Capability slots, and the derivation tree over them (the mapping database).
//!
//! As in the kernel the tree is a doubly linked list in depth-first order, with two marks a slot
//! that say where a subtree ends. All capabilities to one object are neighbours. Where the kernel
//! strings the objects' lists together below their untyped memory, each object here has a list of
//! its own: no comparison ever reaches across.
//!
//! Invariants: an empty slot is in no list; the first of a list has `first_badged` set.

use alloc::vec::Vec;

use crate::Capability;

/// A capability slot: a position in [`Slots`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SlotIndex(pub(crate) u32);

/// A capability and its place in the derivation tree (`cte_t`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Slot {
    pub(crate) capability: Capability,
    pub(crate) node: Node,
}

/// A node of the derivation tree (`mdb_node_t`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Node {
    pub(crate) previous: Option<SlotIndex>,
    pub(crate) next: Option<SlotIndex>,
    /// Whether what follows can be its children.
    pub(crate) revocable: bool,
    /// Whether it starts a run of capabilities with its badge.
    pub(crate) first_badged: bool,
}

/// Every capability slot: those of CNodes (2^radix neighbours each), of threads, and one for each
/// object's original capability.
#[derive(Clone, Default, Debug)]
pub(crate) struct Slots(Vec<Slot>);

impl Slots {
    /// Adds `count` empty slots.
    pub(crate) fn allocate(&mut self, count: u32) -> SlotIndex {
        let first = SlotIndex(self.0.len() as u32);
        self.0
            .resize(self.0.len() + count as usize, Slot::default());
        first
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotIndex, &Slot)> {
        self.0
            .iter()
            .enumerate()
            .map(|(index, slot)| (SlotIndex(index as u32), slot))
    }

    /// A slot that holds exactly this.
    pub(crate) fn find(&self, capability: Capability) -> Option<SlotIndex> {
        self.iter()
            .find(|(_, slot)| slot.capability == capability)
            .map(|(index, _)| index)
    }

    pub(crate) fn get(&self, slot: SlotIndex) -> &Slot {
        &self.0[slot.0 as usize]
    }

    fn get_mut(&mut self, slot: SlotIndex) -> &mut Slot {
        &mut self.0[slot.0 as usize]
    }

    pub(crate) fn capability(&self, slot: SlotIndex) -> Capability {
        self.get(slot).capability
    }

    /// Changes what the slot holds and leaves its place in the tree.
    pub(crate) fn replace(&mut self, slot: SlotIndex, capability: Capability) {
        self.get_mut(slot).capability = capability;
    }

    /// Puts an object's first capability into an empty slot, as creating it from untyped memory
    /// does (`insertNewCap`).
    pub(crate) fn originate(&mut self, capability: Capability, slot: SlotIndex) {
        *self.get_mut(slot) = Slot {
            capability,
            node: Node {
                previous: None,
                next: None,
                revocable: true,
                first_badged: true,
            },
        };
    }

    /// Puts `capability`, derived from `source`, into the empty slot `destination` (`cteInsert`).
    pub(crate) fn insert(
        &mut self,
        capability: Capability,
        source: SlotIndex,
        destination: SlotIndex,
    ) {
        let from = *self.get(source);
        let revocable = capability.is_revocable(from.capability);
        *self.get_mut(destination) = Slot {
            capability,
            node: Node {
                previous: Some(source),
                next: from.node.next,
                revocable,
                first_badged: revocable,
            },
        };
        self.get_mut(source).node.next = Some(destination);
        if let Some(next) = from.node.next {
            self.get_mut(next).node.previous = Some(destination);
        }
    }

    /// Moves `source` to the empty slot `destination`, as `capability` (`cteMove`).
    pub(crate) fn relocate(
        &mut self,
        capability: Capability,
        source: SlotIndex,
        destination: SlotIndex,
    ) {
        let node = core::mem::take(self.get_mut(source)).node;
        *self.get_mut(destination) = Slot { capability, node };
        self.relink(node, destination);
    }

    /// Exchanges two slots, capability and place in the tree (`cteSwap`).
    pub(crate) fn swap(&mut self, a: SlotIndex, b: SlotIndex) {
        if a == b {
            return;
        }
        let (first, second) = (*self.get(a), *self.get(b));
        // Where the two are neighbours, linking the first one changes the second one's node.
        self.relink(first.node, b);
        let node = self.get(b).node;
        *self.get_mut(a) = Slot {
            capability: second.capability,
            node,
        };
        *self.get_mut(b) = first;
        self.relink(node, a);
    }

    /// Makes the neighbours of `node` point at `slot`.
    fn relink(&mut self, node: Node, slot: SlotIndex) {
        if let Some(previous) = node.previous {
            self.get_mut(previous).node.next = Some(slot);
        }
        if let Some(next) = node.next {
            self.get_mut(next).node.previous = Some(slot);
        }
    }

    /// Empties the slot (`emptySlot`). Its children become its parent's, and stay apart from any
    /// other capability's by inheriting its mark.
    pub(crate) fn empty(&mut self, slot: SlotIndex) {
        if self.capability(slot).is_null() {
            return;
        }
        let node = core::mem::take(self.get_mut(slot)).node;
        if let Some(previous) = node.previous {
            self.get_mut(previous).node.next = node.next;
        }
        if let Some(next) = node.next {
            let next = &mut self.get_mut(next).node;
            next.previous = node.previous;
            next.first_badged |= node.first_badged;
        }
    }

    /// Whether `child`, which follows `parent` in the list, is derived from it (`isMDBParentOf`).
    pub(crate) fn is_parent(&self, parent: SlotIndex, child: SlotIndex) -> bool {
        let (parent, child) = (self.get(parent), self.get(child));
        if !parent.node.revocable || !parent.capability.same_object(child.capability) {
            return false;
        }
        let badge = parent.capability.badge();
        badge.0 == 0 || badge == child.capability.badge() && !child.node.first_badged
    }

    /// Whether the slot holds the last capability to its object (`isFinalCapability`).
    pub(crate) fn is_final(&self, slot: SlotIndex) -> bool {
        let Slot { capability, node } = *self.get(slot);
        let same = |other: Option<SlotIndex>| {
            other.is_some_and(|other| self.capability(other).same_object(capability))
        };
        !same(node.previous) && !same(node.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectId;
    use std::vec;

    /// The slots of a list, from its first on; checks that it reads the same backwards.
    fn list(slots: &Slots, first: SlotIndex) -> Vec<u32> {
        let mut members = vec![];
        let (mut previous, mut next) = (None, Some(first));
        while let Some(slot) = next {
            let node = slots.get(slot).node;
            assert_eq!(node.previous, previous);
            members.push(slot.0);
            (previous, next) = (Some(slot), node.next);
        }
        members
    }

    /// Slots 0, 1, 2 hold an original and what was derived from it; slot 3 another original.
    fn slots() -> Slots {
        let [object, other] = [0, 1].map(ObjectId);
        let mut slots = Slots::default();
        let first = slots.allocate(5);
        slots.originate(Capability::endpoint(object), first);
        slots.insert(Capability::endpoint(object), first, SlotIndex(2));
        slots.insert(Capability::endpoint(object), first, SlotIndex(1));
        slots.originate(Capability::endpoint(other), SlotIndex(3));
        slots
    }

    #[test]
    fn what_is_derived_follows_its_source() {
        assert_eq!(list(&slots(), SlotIndex(0)), [0, 1, 2]);
    }

    #[test]
    fn moving_keeps_the_place() {
        let mut slots = slots();
        let held = slots.capability(SlotIndex(1));
        slots.relocate(held, SlotIndex(1), SlotIndex(4));
        assert_eq!(list(&slots, SlotIndex(0)), [0, 4, 2]);
        assert_eq!(*slots.get(SlotIndex(1)), Slot::default());
    }

    #[test]
    fn exchanging_neighbours_keeps_the_list_whole() {
        for (a, b, expected) in [(0, 1, [1, 0, 2]), (2, 1, [0, 2, 1]), (0, 2, [2, 1, 0])] {
            let mut slots = slots();
            slots.swap(SlotIndex(a), SlotIndex(b));
            assert_eq!(list(&slots, SlotIndex(expected[0])), expected);
        }
    }

    #[test]
    fn exchanging_across_lists_exchanges_the_places() {
        let mut slots = slots();
        slots.swap(SlotIndex(1), SlotIndex(3));
        assert_eq!(list(&slots, SlotIndex(0)), [0, 3, 2]);
        assert_eq!(list(&slots, SlotIndex(1)), [1]);
        let same = slots.clone();
        slots.swap(SlotIndex(2), SlotIndex(2));
        assert!(slots.iter().eq(same.iter()));
    }

    #[test]
    fn the_last_of_an_object_is_final() {
        let mut slots = slots();
        assert!(slots.is_final(SlotIndex(3)));
        for slot in [0, 1] {
            assert!(!slots.is_final(SlotIndex(slot)));
            slots.empty(SlotIndex(slot));
        }
        assert!(slots.is_final(SlotIndex(2)));
    }
}

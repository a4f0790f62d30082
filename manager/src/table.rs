//! The table of grants: an entry for every grant that the policy allows, and the tree of derivation.

use portcullis_policy_format::MAX_GRANTS;

use crate::entry::{Entry, State};

/// Entries of a table for systems like the reference appliance, whose policy allows 16 grants: far
/// more than one policy file is likely to list by hand, in 40 KiB.
pub const GRANTS: usize = 1_024;

/// Entries of the largest table: a grant's index has 16 bits in the badge.
pub const MAX_TABLE: usize = MAX_GRANTS as usize;

/// Bytes of an entry: the largest table then takes 2.5 MiB.
const ENTRY_SIZE: usize = 40;

const _: () = assert!(size_of::<Entry>() <= ENTRY_SIZE);

/// Memory for a manager's table of `GRANTS` grants. Its initial value is all zeros, so that as a
/// static it takes no room in an image.
#[derive(Debug)]
pub struct Table<const GRANTS: usize>([Entry; GRANTS]);

impl<const GRANTS: usize> Table<GRANTS> {
    /// An empty table.
    pub const fn new() -> Self {
        const { assert!(GRANTS <= MAX_TABLE, "a badge cannot index more grants") };
        Self([Entry::EMPTY; GRANTS])
    }

    pub(crate) const fn entries(&mut self) -> &mut [Entry] {
        &mut self.0
    }
}

impl<const GRANTS: usize> Default for Table<GRANTS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The entries in use. An index that came from the policy, a queue or the tree is always one of them.
#[derive(Debug)]
pub(crate) struct Grants<'t>(pub(crate) &'t mut [Entry]);

impl Grants<'_> {
    pub(crate) fn get(&self, index: u16) -> Option<&Entry> {
        self.0.get(usize::from(index))
    }

    pub(crate) fn at(&self, index: u16) -> &Entry {
        &self.0[usize::from(index)]
    }

    pub(crate) fn at_mut(&mut self, index: u16) -> &mut Entry {
        &mut self.0[usize::from(index)]
    }

    pub(crate) fn is_in_force(&self, index: u16) -> bool {
        self.get(index).is_some_and(|it| it.state == State::InForce)
    }

    /// Whether a grant is in force, or will be when its record is durable.
    pub(crate) fn is_issued(&self, index: u16) -> bool {
        let issued = |it: &Entry| matches!(it.state, State::InForce | State::Logged);
        self.get(index).is_some_and(issued)
    }

    /// Makes `index` the first child of `parent`.
    pub(crate) fn adopt(&mut self, parent: u16, index: u16) {
        let first = core::mem::replace(&mut self.at_mut(parent).child, index);
        let entry = self.at_mut(index);
        entry.parent = parent;
        entry.sibling = if first == parent { index } else { first };
    }

    /// The first of the deepest grants derived from `index`; itself where there is none.
    pub(crate) fn deepest(&self, index: u16) -> u16 {
        let mut deepest = index;
        while self.at(deepest).child != deepest {
            deepest = self.at(deepest).child;
        }
        deepest
    }

    /// Takes `index` out of its parent's children, where it is one. The entry still says whose it
    /// was, for the record.
    pub(crate) fn detach(&mut self, index: u16) {
        let Entry {
            parent, sibling, ..
        } = *self.at(index);
        let after = (sibling != index).then_some(sibling);
        if parent == index {
            return;
        }
        let mut at = self.at(parent).child;
        if at == index {
            self.at_mut(parent).child = after.unwrap_or(parent);
            self.at_mut(index).sibling = index;
            return;
        }
        // `parent` ends the list where it has no child, and a child where it is its own sibling.
        while at != parent {
            let next = self.at(at).sibling;
            if next == index {
                self.at_mut(at).sibling = after.unwrap_or(at);
                self.at_mut(index).sibling = index;
                return;
            }
            if next == at {
                return;
            }
            at = next;
        }
    }

    /// Makes `index` derived from none.
    pub(crate) fn orphan(&mut self, index: u16) {
        self.detach(index);
        self.at_mut(index).parent = index;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::boxed::Box;
    use std::vec::Vec;

    use portcullis_kernel::{MethodSet, Mode};
    use portcullis_policy_format::{Grant, When};

    use super::*;

    /// A table of the largest size.
    pub(crate) fn table() -> Box<[Entry]> {
        let grant = Grant {
            subject: 0,
            slot: 1,
            object: 0,
            interface: 0,
            methods: MethodSet(1),
            mode: Mode::Call,
            notification: None,
            when: When::Boot,
            lease_ms: None,
            line: 1,
        };
        (0..=u16::MAX)
            .map(|index| Entry::new(index, &grant))
            .collect()
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), ENTRY_SIZE);
        assert!(size_of::<Table<MAX_TABLE>>() <= 2_621_440, "2.5 MiB");
    }

    #[test]
    fn the_tree_gives_the_deepest_first() {
        let mut entries = table();
        let mut grants = Grants(&mut entries);
        // 9 to 0 and 65,535; 0 to 7 and 8; 7 to 6.
        for (parent, child) in [(9, 0), (9, u16::MAX), (0, 7), (0, 8), (7, 6)] {
            grants.adopt(parent, child);
        }
        assert_eq!(grants.at(6).parent(6), Some(7));
        let mut order = Vec::new();
        loop {
            let leaf = grants.deepest(9);
            order.push(leaf);
            if leaf == 9 {
                break;
            }
            grants.detach(leaf);
        }
        assert_eq!(grants.at(6).parent(6), Some(7), "kept for the record");
        grants.orphan(6);
        assert_eq!(grants.at(6).parent(6), None);
        assert_eq!(order, [u16::MAX, 8, 6, 7, 0, 9]);
    }

    #[test]
    fn an_orphan_leaves_its_siblings_in_place() {
        for gone in 1..=4 {
            let mut entries = table();
            let mut grants = Grants(&mut entries);
            for child in 1..=4 {
                grants.adopt(0, child);
            }
            grants.orphan(gone);
            let mut left = Vec::new();
            grants.orphan(gone);
            while grants.deepest(0) != 0 {
                left.push(grants.deepest(0));
                grants.detach(grants.deepest(0));
            }
            let expected: Vec<_> = [4, 3, 2, 1].into_iter().filter(|it| *it != gone).collect();
            assert_eq!(left, expected);
        }
    }
}

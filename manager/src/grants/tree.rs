//! Who derived from whom. An entry's own index stands for none, so that every index can be a parent.

use super::Entry;

/// Makes `index` the first child of `parent`.
pub(super) fn adopt(entries: &mut [Entry], parent: u16, index: u16) {
    let first = core::mem::replace(&mut entries[usize::from(parent)].child, index);
    let entry = &mut entries[usize::from(index)];
    entry.parent = parent;
    entry.sibling = if first == parent { index } else { first };
}

/// The first of the deepest entries below `index`; itself where there is none.
pub(super) fn deepest(entries: &[Entry], index: u16) -> u16 {
    let mut deepest = index;
    loop {
        match entries[usize::from(deepest)].child {
            child if child == deepest => return deepest,
            child => deepest = child,
        }
    }
}

/// Takes `index` out of its parent's children, where it is one. The entry still says whose it was.
pub(super) fn detach(entries: &mut [Entry], index: u16) {
    let Entry {
        parent, sibling, ..
    } = entries[usize::from(index)];
    let after = (sibling != index).then_some(sibling);
    if parent == index {
        return;
    }
    let mut at = entries[usize::from(parent)].child;
    if at == index {
        entries[usize::from(parent)].child = after.unwrap_or(parent);
        entries[usize::from(index)].sibling = index;
        return;
    }
    // `parent` ends the list where it has no child, and a child where it is its own sibling.
    while at != parent {
        let next = entries[usize::from(at)].sibling;
        if next == index {
            entries[usize::from(at)].sibling = after.unwrap_or(at);
            entries[usize::from(index)].sibling = index;
            return;
        }
        if next == at {
            return;
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::grants::MAX_TABLE;

    fn entries() -> Vec<Entry> {
        let mut entries = vec![Entry::FREE; MAX_TABLE];
        for (index, entry) in (0..=u16::MAX).zip(&mut entries) {
            (entry.parent, entry.child, entry.sibling) = (index, index, index);
        }
        entries
    }

    #[test]
    fn the_tree_gives_the_deepest_first() {
        let entries = &mut entries()[..];
        // 9 to 0 and 65,535; 0 to 7 and 8; 7 to 6.
        for (parent, child) in [(9, 0), (9, u16::MAX), (0, 7), (0, 8), (7, 6)] {
            adopt(entries, parent, child);
        }
        let mut order = Vec::new();
        loop {
            let leaf = deepest(entries, 9);
            order.push(leaf);
            if leaf == 9 {
                break;
            }
            detach(entries, leaf);
        }
        assert_eq!(entries[6].parent, 7, "kept for the record");
        assert_eq!(order, [u16::MAX, 8, 6, 7, 0, 9]);
    }

    #[test]
    fn an_orphan_leaves_its_siblings_in_place() {
        for gone in 1..=4 {
            let entries = &mut entries()[..];
            for child in 1..=4 {
                adopt(entries, 0, child);
            }
            detach(entries, gone);
            detach(entries, gone);
            let mut left = Vec::new();
            while deepest(entries, 0) != 0 {
                left.push(deepest(entries, 0));
                detach(entries, deepest(entries, 0));
            }
            let expected: Vec<_> = [4, 3, 2, 1].into_iter().filter(|it| *it != gone).collect();
            assert_eq!(left, expected);
        }
    }
}

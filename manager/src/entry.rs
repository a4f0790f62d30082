//! The table of grants: an entry for every grant that the policy allows.

use core::num::NonZeroU32;

use portcullis_kernel::{Generation, GrantBadge, MethodSet, Mode, Rights};
use portcullis_log::{Cause, GrantFields};
use portcullis_manager_api::badge_bits;
use portcullis_policy_format::{Grant, MAX_GRANTS, When};

/// Entries of a table for systems like the reference appliance, whose policy allows 15 grants: far
/// more than one policy file is likely to list by hand, in 36 KiB.
pub const GRANTS: usize = 1_024;

/// Entries of the largest table: a grant's index has 16 bits in the badge.
pub const MAX_TABLE: usize = MAX_GRANTS as usize;

/// Bytes of an entry: the largest table then takes 2.25 MiB.
const ENTRY_SIZE: usize = 36;

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

/// A grant that the policy allows: what it is, and how it stands.
///
/// `parent`, `child` and `sibling` are indices, and an entry's own stands for none: in the tree of
/// who derived from whom, which the kernel does not keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) methods: MethodSet,
    pub(crate) line: u32,
    pub(crate) lease_ms: Option<NonZeroU32>,
    /// Of the grant in force, or else the next that will be.
    pub(crate) generation: Generation,
    pub(crate) slot: u16,
    pub(crate) interface: u16,
    parent: u16,
    child: u16,
    sibling: u16,
    link: u16,
    pub(crate) subject: u8,
    pub(crate) object: u8,
    pub(crate) mode: Mode,
    pub(crate) notification: Option<u8>,
    pub(crate) origin: Origin,
    pub(crate) state: State,
    pub(crate) by: By,
}

/// When the policy allows a grant to be issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Boot,
    Request,
    /// When this component delegates its own.
    Delegated(u8),
}

/// How a grant stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Not issued, or no longer.
    Idle,
    /// In the queue of grants to issue.
    Due,
    InForce,
    /// Revoked, and in the queue of revocations to log; afterwards it becomes this.
    Unlogged(Next),
    /// Never to be issued again: its generations are used up, or the kernel still holds its badge.
    Retired,
}

/// What becomes of a grant once its revocation is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Idle,
    Due,
    Retired,
}

/// Who had a grant issued or revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    /// The policy says so itself.
    Policy,
    /// This component asked.
    Request(u8),
    /// This component faulted.
    Fault(u8),
}

impl Entry {
    const EMPTY: Self = Self {
        methods: MethodSet::EMPTY,
        line: 0,
        lease_ms: None,
        generation: match Generation::new(0) {
            Some(first) => first,
            None => panic!("0 is a generation"),
        },
        slot: 0,
        interface: 0,
        parent: 0,
        child: 0,
        sibling: 0,
        link: 0,
        subject: 0,
        object: 0,
        mode: Mode::Call,
        notification: None,
        origin: Origin::Boot,
        state: State::Idle,
        by: By::Policy,
    };

    /// The entry of grant `index` of a policy, not issued. Components are fewer than 62, so that
    /// their numbers fit.
    pub(crate) fn new(index: u16, grant: &Grant) -> Self {
        Self {
            methods: grant.methods,
            line: grant.line,
            lease_ms: grant.lease_ms.and_then(NonZeroU32::new),
            slot: grant.slot,
            interface: grant.interface,
            parent: index,
            child: index,
            sibling: index,
            subject: grant.subject as u8,
            object: grant.object as u8,
            mode: grant.mode,
            notification: grant.notification,
            origin: match grant.when {
                When::Boot => Origin::Boot,
                When::Request => Origin::Request,
                When::Delegated(from) => Origin::Delegated(from as u8),
            },
            ..Self::EMPTY
        }
    }

    /// What a record says of it.
    pub(crate) fn fields(&self, index: u16) -> GrantFields {
        GrantFields {
            index,
            generation: self.generation,
            subject: self.subject.into(),
            slot: self.slot,
            object: self.object.into(),
            interface: self.interface,
            methods: self.methods,
            mode: self.mode,
            parent: self.parent(index),
            lease_ms: self.lease_ms.map(NonZeroU32::get),
        }
    }

    /// The badge to mint with; `None` where it has no methods, which no sound policy allows.
    pub(crate) fn badge(&self, index: u16) -> Option<GrantBadge> {
        GrantBadge::new(index, self.generation, self.methods)
    }

    /// That badge as the kernel takes it.
    pub(crate) fn badge_bits(&self, badge: GrantBadge) -> u64 {
        badge_bits(badge, self.notification)
    }

    /// The rights of its root: all, so that copies have what the mode says and queued messages can
    /// be cancelled; where the manager itself is to use the root, no more than the mode's.
    pub(crate) const fn root_rights(&self, is_own: bool) -> Rights {
        if is_own {
            self.mode.rights()
        } else {
            Rights::ALL
        }
    }

    /// Whether the object is reached through its endpoint, rather than its notification.
    pub(crate) const fn is_endpoint(&self) -> bool {
        self.notification.is_none()
    }

    /// The index of the grant that it was derived from. `index` is its own.
    pub(crate) fn parent(&self, index: u16) -> Option<u16> {
        (self.parent != index).then_some(self.parent)
    }
}

impl By {
    /// The cause that a record names; `line` is the grant's, `fault` what the component did.
    pub(crate) fn cause(self, line: u32, fault: u64) -> Cause {
        match self {
            Self::Policy => Cause::Policy { line },
            Self::Request(component) => Cause::Request {
                component: component.into(),
                line: Some(line),
            },
            Self::Fault(component) => Cause::Fault {
                component: component.into(),
                reason: fault,
            },
        }
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

/// Entries in the order in which they came. An entry is in one queue at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue(Option<Ends>);

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u16,
    last: u16,
}

impl Queue {
    pub(crate) const EMPTY: Self = Self(None);

    pub(crate) fn first(&self) -> Option<u16> {
        self.0.map(|ends| ends.first)
    }

    pub(crate) fn push(&mut self, grants: &mut Grants<'_>, index: u16) {
        let first = match self.0 {
            Some(Ends { first, last }) => {
                grants.at_mut(last).link = index;
                first
            }
            None => index,
        };
        self.0 = Some(Ends { first, last: index });
    }

    pub(crate) fn pop(&mut self, grants: &Grants<'_>) -> Option<u16> {
        let Ends { first, last } = self.0?;
        self.0 = (first != last).then(|| Ends {
            first: grants.at(first).link,
            last,
        });
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::vec::Vec;

    use super::*;

    fn table() -> Box<[Entry]> {
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
        assert!(size_of::<Table<MAX_TABLE>>() <= 2_359_296, "2.25 MiB");
    }

    #[test]
    fn queues_keep_their_order_over_every_index() {
        let mut entries = table();
        let mut grants = Grants(&mut entries);
        let mut queue = Queue::EMPTY;
        assert_eq!(queue.pop(&grants), None);
        for index in 0..=u16::MAX {
            queue.push(&mut grants, index);
        }
        for index in 0..=u16::MAX {
            assert_eq!(queue.first(), Some(index));
            assert_eq!(queue.pop(&grants), Some(index));
        }
        assert_eq!(queue.first(), None);
        queue.push(&mut grants, u16::MAX);
        queue.push(&mut grants, 0);
        assert_eq!(queue.pop(&grants), Some(u16::MAX));
        assert_eq!(queue.pop(&grants), Some(0));
        assert_eq!(queue.pop(&grants), None);
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

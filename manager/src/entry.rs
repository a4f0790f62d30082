//! An entry of the table: a grant that the policy allows, and how it stands.

use core::num::NonZeroU32;

use portcullis_kernel::{Generation, GrantBadge, MethodSet, Mode, Rights};
use portcullis_log::{GrantFields, Operation};
use portcullis_manager_api::badge_bits;
use portcullis_policy_format::{Grant, When};

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
    pub(crate) parent: u16,
    pub(crate) child: u16,
    pub(crate) sibling: u16,
    pub(crate) link: u16,
    /// Records of this boot, modulo 2^32, when the one that issues it was the last.
    pub(crate) logged_at: u32,
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
    /// In the queue of those whose records are in the ring: in force as soon as that is durable.
    Logged,
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
    pub(crate) const EMPTY: Self = Self {
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
        logged_at: 0,
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

    /// The operation that a record of its being issued tells. `index` is its own.
    pub(crate) fn issuing(&self, index: u16) -> Operation {
        match self.parent(index) {
            Some(_) => Operation::Copy,
            None => Operation::Mint,
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

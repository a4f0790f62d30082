//! Capabilities: what a slot holds, and what deriving one from another gives.
//!
//! Follows `maskCapRights`, `updateCapData`, `isCapRevocable` and `sameRegionAs` of
//! `src/object/objecttype.c`.

use portcullis_kernel::{Badge, Rights};

/// Bits of a word, and of a capability pointer.
pub(crate) const WORD_BITS: u64 = 64;

/// A kernel object other than a thread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(pub(crate) u32);

/// A thread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ThreadId(pub(crate) u32);

impl ThreadId {
    /// The thread's number: 0 for the first that was created, then 1, and so on.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a capability slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Capability {
    /// Nothing.
    #[default]
    Null,
    /// An endpoint.
    Endpoint {
        /// The endpoint.
        object: ObjectId,
        /// What its receiver is told. 0 can still be set by minting.
        badge: Badge,
        /// Read to receive, Write to send, Grant or GrantReply to be replied to, Grant to have
        /// capabilities go along.
        rights: Rights,
    },
    /// A notification.
    Notification {
        /// The notification.
        object: ObjectId,
        /// The bits that a signal sets. 0 can still be set by minting.
        badge: Badge,
        /// Read to wait, Write to signal; the other two are always absent.
        rights: Rights,
    },
    /// A reply object.
    Reply {
        /// The reply object.
        object: ObjectId,
        /// Its one right: whether a reply through it may bring capabilities along.
        grant: bool,
    },
    /// A CNode.
    CNode {
        /// The CNode.
        object: ObjectId,
        /// The bits that a pointer must have above the slot's index.
        guard: u64,
        /// How many bits the guard has.
        guard_size: u8,
    },
    /// A thread.
    Thread {
        /// The thread.
        thread: ThreadId,
    },
    /// A scheduling context: what a thread needs in order to run.
    SchedulingContext {
        /// The scheduling context.
        object: ObjectId,
    },
    /// A CNode or thread whose last capability is being deleted. Seen only inside a CNode that was
    /// itself deleted, where the kernel leaves it.
    Zombie {
        /// Whose slots are left to clear.
        container: Container,
        /// How many of them.
        remaining: u32,
    },
}

/// An object that has slots of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Container {
    /// A CNode: 2^radix slots.
    CNode(ObjectId),
    /// A thread: the slots of its CSpace root and of its fault handler.
    Thread(ThreadId),
}

impl Capability {
    /// The capability that the creator of an endpoint holds.
    pub const fn endpoint(object: ObjectId) -> Self {
        Self::Endpoint {
            object,
            badge: Badge(0),
            rights: Rights::ALL,
        }
    }

    /// The capability that the creator of a notification holds.
    pub const fn notification(object: ObjectId) -> Self {
        Self::Notification {
            object,
            badge: Badge(0),
            rights: NOTIFICATION_RIGHTS,
        }
    }

    /// The capability that the creator of a reply object holds.
    pub const fn reply(object: ObjectId) -> Self {
        Self::Reply {
            object,
            grant: true,
        }
    }

    /// A CNode with a guard of `guard_size` zero bits.
    pub const fn cnode(object: ObjectId, guard_size: u8) -> Self {
        Self::CNode {
            object,
            guard: 0,
            guard_size,
        }
    }

    /// Whether it is [`Capability::Null`].
    pub const fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The badge of an endpoint or notification; 0 for everything else.
    pub const fn badge(self) -> Badge {
        match self {
            Self::Endpoint { badge, .. } | Self::Notification { badge, .. } => badge,
            _ => Badge(0),
        }
    }

    /// The rights of an endpoint, notification or reply object; none for everything else.
    pub const fn rights(self) -> Rights {
        match self {
            Self::Endpoint { rights, .. } | Self::Notification { rights, .. } => rights,
            Self::Reply { grant, .. } => Rights {
                grant,
                ..Rights::NONE
            },
            _ => Rights::NONE,
        }
    }

    /// As it is with no more than `mask` (`maskCapRights`): endpoints, notifications and reply
    /// objects lose rights, all others have none to lose.
    pub(crate) const fn masked(self, mask: Rights) -> Self {
        match self {
            Self::Endpoint {
                object,
                badge,
                rights,
            } => Self::Endpoint {
                object,
                badge,
                rights: rights.and(mask),
            },
            Self::Notification {
                object,
                badge,
                rights,
            } => Self::Notification {
                object,
                badge,
                rights: rights.and(mask),
            },
            Self::Reply { object, grant } => Self::Reply {
                object,
                grant: grant && mask.grant,
            },
            other => other,
        }
    }

    /// As it is with a new badge or guard (`updateCapData`); [`Capability::Null`] where it may not
    /// have one. `preserve` is set for Mutate, which changes no badge. `radix` is the CNode's.
    pub(crate) fn with_data(self, preserve: bool, data: u64, radix: u8) -> Self {
        match self {
            Self::Endpoint { badge, .. } | Self::Notification { badge, .. }
                if preserve || badge.0 != 0 =>
            {
                Self::Null
            }
            Self::Endpoint { object, rights, .. } => Self::Endpoint {
                object,
                badge: Badge(data),
                rights,
            },
            Self::Notification { object, rights, .. } => Self::Notification {
                object,
                badge: Badge(data),
                rights,
            },
            Self::CNode { object, .. } => {
                // seL4_CNode_CapData: the guard's size in the low six bits, the guard above.
                let guard_size = data & 0x3f;
                if guard_size + u64::from(radix) > WORD_BITS {
                    return Self::Null;
                }
                Self::CNode {
                    object,
                    guard: (data >> 6) & low_bits(guard_size),
                    guard_size: guard_size as u8,
                }
            }
            other => other,
        }
    }

    /// What copying it gives (`deriveCap`): itself, except that a zombie cannot be copied.
    pub(crate) const fn derived(self) -> Self {
        match self {
            Self::Zombie { .. } => Self::Null,
            other => other,
        }
    }

    /// Whether, derived from `source`, it has children of its own (`isCapRevocable`): where its
    /// badge is new.
    pub(crate) fn is_revocable(self, source: Self) -> bool {
        match self {
            Self::Endpoint { badge, .. } | Self::Notification { badge, .. } => {
                badge != source.badge()
            }
            _ => false,
        }
    }

    /// Whether both are capabilities to one object (`sameRegionAs`, which for these types is
    /// `sameObjectAs`). A zombie is to none.
    pub(crate) fn same_object(self, other: Self) -> bool {
        match (self, other) {
            (Self::Endpoint { object: a, .. }, Self::Endpoint { object: b, .. })
            | (Self::Notification { object: a, .. }, Self::Notification { object: b, .. })
            | (Self::Reply { object: a, .. }, Self::Reply { object: b, .. })
            | (Self::SchedulingContext { object: a }, Self::SchedulingContext { object: b })
            | (Self::CNode { object: a, .. }, Self::CNode { object: b, .. }) => a == b,
            (Self::Thread { thread: a }, Self::Thread { thread: b }) => a == b,
            _ => false,
        }
    }

    /// Whether faults can be sent through it, or it says that they go nowhere
    /// (`validFaultHandler`).
    pub(crate) fn may_handle_faults(self) -> bool {
        match self {
            Self::Null => true,
            Self::Endpoint { rights, .. } => rights.write && (rights.grant || rights.grant_reply),
            _ => false,
        }
    }

    /// Whether it allows CancelBadgedSends (`hasCancelSendRights`).
    pub(crate) fn may_cancel_sends(self) -> bool {
        matches!(self, Self::Endpoint { rights, .. } if rights == Rights::ALL)
    }
}

/// The rights that a notification has.
pub(crate) const NOTIFICATION_RIGHTS: Rights = Rights {
    read: true,
    write: true,
    grant: false,
    grant_reply: false,
};

/// A mask of the `count` low bits, for `count` from 0 to 63 (the kernel's `MASK`).
pub(crate) const fn low_bits(count: u64) -> u64 {
    (1 << count) - 1
}

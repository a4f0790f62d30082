//! Rights on a capability, and the modes of a grant that they make up.

use serde::{Deserialize, Serialize};

/// seL4's rights on an endpoint, notification or frame capability.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Rights {
    /// Receive, or wait.
    pub read: bool,
    /// Send, or signal.
    pub write: bool,
    /// Transfer capabilities along with a message.
    pub grant: bool,
    /// Call, and be replied to.
    pub grant_reply: bool,
}

impl Rights {
    /// No right at all.
    pub const NONE: Rights = Rights {
        read: false,
        write: false,
        grant: false,
        grant_reply: false,
    };
    /// Every right: what the creator of an object holds.
    pub const ALL: Rights = Rights {
        read: true,
        write: true,
        grant: true,
        grant_reply: true,
    };
    /// Receive only: a component's own input.
    pub const READ: Rights = Rights {
        read: true,
        ..Rights::NONE
    };
    /// Send only.
    pub const WRITE: Rights = Rights {
        write: true,
        ..Rights::NONE
    };
    /// Call, with a reply, and nothing else.
    pub const CALL: Rights = Rights {
        write: true,
        grant_reply: true,
        ..Rights::NONE
    };

    /// What both have: what minting with `other` from a capability with `self` gives.
    #[must_use]
    pub const fn and(self, other: Rights) -> Rights {
        Rights {
            read: self.read && other.read,
            write: self.write && other.write,
            grant: self.grant && other.grant,
            grant_reply: self.grant_reply && other.grant_reply,
        }
    }

    /// Whether every right of `self` is in `other`.
    pub fn is_subset(self, other: Rights) -> bool {
        self.and(other) == self
    }
}

/// How a grant lets its subject reach its object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Mode {
    /// A message and its reply.
    Call,
    /// A message, one way.
    Send,
    /// One bit of a notification, one way.
    Notify,
    /// A memory region that the subject writes and the object reads, and a notification; one way,
    /// and static: it stands in `system.xml`.
    Stream,
}

impl Mode {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Call, Self::Send, Self::Notify, Self::Stream];

    /// Whether its capability is to the object's notification, and not to its endpoint.
    pub const fn signals(self) -> bool {
        matches!(self, Self::Notify | Self::Stream)
    }

    /// The rights of the capability that the subject holds. Never Read and never Grant: with Read
    /// a subject could receive another's messages, with Grant it could pass capabilities on.
    pub const fn rights(self) -> Rights {
        match self {
            Mode::Call => Rights::CALL,
            Mode::Send | Mode::Notify | Mode::Stream => Rights::WRITE,
        }
    }

    /// Whether something flows from the object back to the subject.
    pub const fn flows_back(self) -> bool {
        matches!(self, Mode::Call)
    }

    /// The word that the policy language uses.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Call => "call",
            Mode::Send => "send",
            Mode::Notify => "notify",
            Mode::Stream => "stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All sixteen sets of rights.
    fn all() -> impl Iterator<Item = Rights> {
        (0..16).map(|bits| Rights {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            grant: bits & 4 != 0,
            grant_reply: bits & 8 != 0,
        })
    }

    #[test]
    fn masking_gives_what_both_have() {
        for a in all() {
            assert_eq!(a.and(Rights::ALL), a);
            assert_eq!(a.and(Rights::NONE), Rights::NONE);
            for b in all() {
                assert_eq!(a.and(b), b.and(a));
                assert!(a.and(b).is_subset(a) && a.and(b).is_subset(b));
                assert_eq!(a.is_subset(b) && b.is_subset(a), a == b);
            }
        }
    }

    #[test]
    fn no_mode_lets_its_subject_receive_or_pass_capabilities_on() {
        for mode in [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream] {
            let rights = mode.rights();
            assert!(rights.write && !rights.read && !rights.grant, "{mode:?}");
            // Something flows back exactly where a reply may.
            assert_eq!(rights.grant_reply, mode.flows_back(), "{mode:?}");
        }
    }
}

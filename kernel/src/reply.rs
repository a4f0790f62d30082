//! Reply objects, and the pool of a component that replies later.
//!
//! A receive names a reply object; the caller whose message arrives is held there until it is replied
//! to. A component that always replies before it receives again needs one. A component that keeps
//! callers waiting while it serves others needs one for each, and one more: it must never receive with
//! a reply object that holds a caller, since the kernel then lets go of that caller, for ever.

use crate::{CPtr, Message, Syscalls, cspace};

/// A capability to a reply object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyObject(pub CPtr);

impl ReplyObject {
    /// The reply object that every component has.
    pub const OWN: ReplyObject = ReplyObject(cspace::REPLY);
}

/// A caller that waits for its reply. It waits for ever where this is dropped.
#[must_use = "the caller waits until it is replied to"]
#[derive(PartialEq, Eq, Debug)]
pub struct Kept(u8);

/// The reply object of the next receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Current {
    /// The reply object.
    pub object: ReplyObject,
    /// Whether it holds a caller that was kept, to whom the component now replies.
    pub(crate) holds_kept: bool,
}

impl Current {
    /// Of a component that replies before it receives again.
    pub const OWN: Current = Current {
        object: ReplyObject::OWN,
        holds_kept: false,
    };
}

/// The reply objects of a component that keeps callers: its own, and those of the pool.
///
/// Such a component hands [`current`](Self::current) to [`serve`](crate::serve) by
/// [`Component::reply_object`](crate::Component::reply_object). A passive one runs on the scheduling context of
/// a caller that it keeps: the reply to that caller takes the context away, so that it must be the
/// last thing of a turn ([`exchange`](Self::exchange)), never [`reply`](Self::reply) in the midst of one.
#[derive(Debug)]
pub struct Replies {
    current: u8,
    holds_kept: bool,
    /// Bit n: reply object n holds nobody and is not the current one.
    free: u64,
}

impl Replies {
    /// Callers that can be kept at most: reply objects of the pool.
    pub const MAX: u8 = cspace::MAX_REPLIES;

    /// A pool of `callers` reply objects beside the component's own. As many callers can be kept.
    ///
    /// # Panics
    ///
    /// Where `callers` is above [`Replies::MAX`].
    pub const fn new(callers: u8) -> Self {
        assert!(callers <= Self::MAX, "the pool has no more reply objects");
        Self {
            current: 0,
            holds_kept: false,
            free: (1 << (callers + 1)) - 2,
        }
    }

    /// The reply object of the next receive.
    pub const fn current(&self) -> Current {
        Current {
            object: object(self.current),
            holds_kept: self.holds_kept,
        }
    }

    /// Keeps the caller that is being served: it is not replied to at the end of the turn. `None` where
    /// every reply object is in use: then it has to be replied to now.
    pub const fn keep(&mut self) -> Option<Kept> {
        if self.free == 0 {
            return None;
        }
        let kept = Kept(self.current);
        self.current = self.free.trailing_zeros() as u8;
        self.free &= self.free - 1;
        self.holds_kept = false;
        Some(kept)
    }

    /// Keeps the caller that is being served, and has the end of the turn reply to `kept` in its place.
    pub const fn exchange(&mut self, kept: Kept) -> Kept {
        let now = Kept(self.current);
        self.current = kept.0;
        self.holds_kept = true;
        now
    }

    /// Replies to a kept caller; to nobody, silently, where it does not wait any more.
    pub fn reply(&mut self, kernel: &mut impl Syscalls, kept: Kept, message: &Message) {
        kernel.reply(object(kept.0), message);
        self.free |= 1 << kept.0;
    }
}

/// Reply object `number`: 0 is the component's own.
const fn object(number: u8) -> ReplyObject {
    match number {
        0 => ReplyObject::OWN,
        _ => ReplyObject(cspace::reply(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn no_receive_uses_a_reply_object_that_holds_a_caller() {
        for callers in [0, 1, 5, Replies::MAX] {
            let mut replies = Replies::new(callers);
            let mut in_use = Vec::new();
            for _ in 0..callers {
                in_use.push(replies.current().object);
                let kept = replies.keep().unwrap();
                assert_eq!(object(kept.0), *in_use.last().unwrap());
                assert!(!in_use.contains(&replies.current().object));
            }
            assert_eq!(replies.keep(), None, "the last one is for who is served");
        }
    }

    #[test]
    fn an_exchange_replies_to_the_one_that_was_kept() {
        let mut replies = Replies::new(1);
        let first = replies.keep().unwrap();
        let second = replies.exchange(first);
        assert_eq!(
            replies.current(),
            Current {
                object: ReplyObject::OWN,
                holds_kept: true
            }
        );
        assert_eq!(second, Kept(1));
    }
}

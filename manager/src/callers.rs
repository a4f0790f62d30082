//! Who waits for an answer: until the record of what it asked for is durable.

use portcullis_kernel::{Current, Kept, Message, Replies, Syscalls, cspace};
use portcullis_manager_api::{FAILED, Found, PENDING, UNAVAILABLE, refuse};
use portcullis_policy_format::{AllowedGrant, When};

use crate::find::answer;
use crate::grants::Grants;
use crate::loaded::{COMPONENTS, Loaded};

/// What a component that asked has to wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    pub(crate) component: u16,
    /// The grant's number in the policy, and its index.
    pub(crate) number: u16,
    pub(crate) index: u16,
    /// Whether the component waits in its call.
    pub(crate) waits: bool,
}

/// The callers that are kept, one at most of each component: it has one thread.
#[derive(Debug)]
pub(crate) struct Callers {
    replies: Replies,
    /// By component: the caller, and the number of the grant that it waits for.
    waiting: [Option<(Kept, u16)>; COMPONENTS],
    /// The components of which one waits, a bit each.
    some: u64,
}

impl Callers {
    pub(crate) const NEW: Self = Self {
        replies: Replies::new(0),
        waiting: [const { None }; COMPONENTS],
        some: 0,
    };

    /// Lets as many callers wait as the pool has reply objects. Nobody does yet.
    pub(crate) const fn open(&mut self, replies: u8) {
        self.replies = Replies::new(replies);
    }

    /// The reply object of the next receive.
    pub(crate) const fn current(&self) -> Current {
        self.replies.current()
    }

    /// How many wait.
    pub(crate) const fn count(&self) -> u32 {
        self.some.count_ones()
    }

    /// Keeps the caller that is being served until its grant is decided, where it waits. Otherwise `message`
    /// becomes the answer that it is to ask again, when it is signalled: so it is with everybody without
    /// whom no record becomes durable.
    pub(crate) fn wait(
        &mut self,
        loaded: &Loaded<'_>,
        grants: &mut Grants<'_>,
        kernel: &mut impl Syscalls,
        awaited: Awaited,
        message: &mut Message,
    ) {
        let may_wait = awaited.waits && !loaded.is_on_log_path(awaited.component);
        if !may_wait || !self.keep(kernel, awaited) {
            grants.announce(awaited.index);
            refuse(message, PENDING, Some(loaded.line(awaited.number)));
        }
    }

    fn keep(&mut self, kernel: &mut impl Syscalls, awaited: Awaited) -> bool {
        // Whoever asks again does not wait any more for what it asked before.
        self.forget(kernel, awaited.component);
        let Some(place) = self.waiting.get_mut(usize::from(awaited.component)) else {
            return false;
        };
        *place = self.replies.keep().map(|kept| (kept, awaited.number));
        self.some |= u64::from(place.is_some()) << awaited.component;
        place.is_some()
    }

    /// Lets go of a component's caller that will not take an answer any more: where there is one after all,
    /// its grant is unavailable.
    pub(crate) fn forget(&mut self, kernel: &mut impl Syscalls, component: u16) {
        let mut message = Message::default();
        message.refuse(UNAVAILABLE);
        self.reply(kernel, component, &message);
    }

    /// Answers everybody whose grant is decided, and signals those that do not wait for theirs.
    #[inline(always)]
    pub(crate) fn settle(
        &mut self,
        loaded: &Loaded<'_>,
        grants: &mut Grants<'_>,
        kernel: &mut impl Syscalls,
    ) {
        if self.some != 0 {
            self.answer(loaded, grants, kernel);
        }
        if grants.has_news() {
            Self::signal(loaded, grants, kernel);
        }
    }

    /// Signals those who do not wait for a grant that is decided. Out of line, as [`answer`](Self::answer).
    #[inline(never)]
    fn signal(loaded: &Loaded<'_>, grants: &mut Grants<'_>, kernel: &mut impl Syscalls) {
        for component in members(grants.take_news()) {
            let channel = loaded.component(component).and_then(|it| it.channel);
            if let Some(channel) = channel {
                // Silent where the channel lets the manager signal nobody.
                kernel.signal(cspace::channel_notification(channel));
            }
        }
    }

    /// Out of line: there is seldom somebody.
    #[inline(never)]
    fn answer(&mut self, loaded: &Loaded<'_>, grants: &Grants<'_>, kernel: &mut impl Syscalls) {
        for component in members(self.some) {
            let waiting = self.waiting.get(usize::from(component));
            if let Some((_, number)) = waiting.and_then(Option::as_ref)
                && let Some(message) = decided(loaded, grants, *number)
            {
                self.reply(kernel, component, &message);
            }
        }
    }

    fn reply(&mut self, kernel: &mut impl Syscalls, component: u16, message: &Message) {
        let place = self.waiting.get_mut(usize::from(component));
        if let Some((kept, _)) = place.and_then(Option::take) {
            self.some &= !(1 << component);
            self.replies.reply(kernel, kept, message);
        }
    }
}

/// The answer to whoever waits for grant `number` of the policy; `None`: it waits for its record.
fn decided(loaded: &Loaded<'_>, grants: &Grants<'_>, number: u16) -> Option<Message> {
    let allowed = loaded.grant(number)?;
    let mut message = Message::default();
    let is_there = match grants.issued_as(number) {
        Some(index) if grants.is_in_force(index) => true,
        Some(index) if grants.is_issued(index) => return None,
        _ => is_silent(allowed) && grants.unmade(number).is_none(),
    };
    if is_there {
        answer(&mut message, &found(grants, number, allowed));
    } else {
        let code = grants.unmade(number).map_or(UNAVAILABLE, |_| FAILED);
        refuse(&mut message, code, Some(allowed.line));
    }
    Some(message)
}

/// Whether who asks for a grant must not learn from the answer that its object, or its delegate, was stopped:
/// nothing flows back from there.
pub(crate) fn is_silent(allowed: &AllowedGrant) -> bool {
    !allowed.grant.mode.flows_back() || matches!(allowed.when, When::Delegated(_))
}

/// Where a grant lies, and what it includes: it may have been narrowed when it was asked for.
pub(crate) fn found(grants: &Grants<'_>, number: u16, allowed: &AllowedGrant) -> Found {
    let grant = grants.fields_of(number, allowed).grant;
    Found {
        slot: grant.slot,
        methods: grant.methods,
    }
}

/// The components whose bits are set.
fn members(bits: u64) -> impl Iterator<Item = u16> {
    let mut rest = bits;
    core::iter::from_fn(move || {
        let first = (rest != 0).then(|| rest.trailing_zeros() as u16);
        rest &= rest.wrapping_sub(1);
        first
    })
}

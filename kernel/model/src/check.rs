//! Verifying every invariant of the kernel's state.
//!
//! Recomputes from scratch what the operations keep up step by step, and shares no code with them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::capability::NOTIFICATION_RIGHTS;
use crate::context::SchedulingContext;
use crate::derivation::{Node, Slot, SlotIndex};
use crate::endpoint::Endpoint;
use crate::kernel::Kind;
use crate::notification::Notification;
use crate::queue::Queue;
use crate::reply::{Next, Reply};
use crate::thread::{Pending, State};
use crate::{Capability, Container, Kernel, ObjectId, ThreadId};

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Violation {}

/// Fails with a [`Violation`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(Violation(format!($($message)+)));
        }
    };
}

impl Kernel {
    /// Verifies every invariant: that the derivation tree is one list an object with its marks in
    /// place, that capabilities fit their objects, that queues hold exactly the threads that wait
    /// in them and in order, that reply objects, bindings and threads agree with each other, that each
    /// scheduling context is one thread's and each thread's one, that the calls on it form one stack,
    /// and that it is nobody's once its last capability is gone.
    pub fn check_all(&self) -> Result<(), Violation> {
        for (index, slot) in self.slots.iter() {
            self.check_links(index, slot)?;
            self.check_capability(index, slot.capability)?;
        }
        let reachable = self.check_lists()?;
        for object in (0..self.objects.len() as u32).map(ObjectId) {
            match self.kind(object) {
                Kind::CNode { .. } => {}
                Kind::Endpoint(endpoint) => self.check_endpoint(object, endpoint)?,
                Kind::Notification(notification) => {
                    self.check_notification(object, notification)?;
                }
                Kind::Reply(reply) => self.check_reply(object, reply)?,
                Kind::SchedulingContext(context) => {
                    let reachable = reachable.contains_key(&Key::Object(object));
                    self.check_context(object, context, reachable)?;
                }
            }
        }
        for thread in (0..self.threads.len() as u32).map(ThreadId) {
            self.check_thread(thread)?;
        }
        Ok(())
    }

    /// Neighbours point at each other; an empty slot has none.
    fn check_links(&self, index: SlotIndex, slot: &Slot) -> Result<(), Violation> {
        if slot.capability.is_null() {
            ensure!(
                *slot == Slot::default(),
                "the empty slot {index:?} is in the derivation tree"
            );
            return Ok(());
        }
        if let Some(next) = slot.node.next {
            ensure!(
                self.slots.get(next).node.previous == Some(index),
                "slot {next:?} does not point back at {index:?}"
            );
        }
        match slot.node.previous {
            Some(previous) => ensure!(
                self.slots.get(previous).node.next == Some(index),
                "slot {previous:?} does not point on to {index:?}"
            ),
            None => ensure!(
                slot.node.first_badged,
                "slot {index:?} is first of its list and not marked so"
            ),
        }
        Ok(())
    }

    /// A capability is to an object of its type and has no field that the type cannot have.
    fn check_capability(&self, index: SlotIndex, held: Capability) -> Result<(), Violation> {
        let fits = match held {
            Capability::Null => true,
            Capability::Endpoint { object, .. } => matches!(self.kind(object), Kind::Endpoint(_)),
            Capability::Notification { object, rights, .. } => {
                rights.is_subset(NOTIFICATION_RIGHTS)
                    && matches!(self.kind(object), Kind::Notification(_))
            }
            Capability::Reply { object, .. } => matches!(self.kind(object), Kind::Reply(_)),
            Capability::CNode {
                object,
                guard,
                guard_size,
            } => match self.kind(object) {
                Kind::CNode { radix, .. } => {
                    radix + guard_size <= 64 && guard.checked_shr(guard_size.into()) == Some(0)
                }
                _ => false,
            },
            Capability::Thread { thread } => thread.index() < self.threads.len(),
            Capability::SchedulingContext { object } => {
                matches!(self.kind(object), Kind::SchedulingContext(_))
            }
            Capability::Zombie {
                container,
                remaining,
            } => remaining <= self.container_size(container) && remaining > 0,
        };
        ensure!(fits, "slot {index:?} holds the impossible {held:?}");
        Ok(())
    }

    fn container_size(&self, container: Container) -> u32 {
        match container {
            Container::Thread(_) => 2,
            Container::CNode(object) => match self.kind(object) {
                Kind::CNode { radix, .. } => 1 << radix,
                _ => 0,
            },
        }
    }

    /// The capabilities to one object form one list, without a cycle; only its first and those
    /// with a new badge have children; a zombie is alone. Gives what there are capabilities to.
    fn check_lists(&self) -> Result<BTreeMap<Key, usize>, Violation> {
        let mut lists: BTreeMap<Key, usize> = BTreeMap::new();
        let mut seen = 0;
        for (head, slot) in self.slots.iter() {
            if slot.capability.is_null() || slot.node.previous.is_some() {
                continue;
            }
            let key = Key::of(slot.capability);
            *lists.entry(key).or_default() += 1;
            let mut next = Some(head);
            while let Some(at) = next {
                let slot = self.slots.get(at);
                ensure!(
                    Key::of(slot.capability) == key,
                    "slot {at:?} is in the list of another object"
                );
                let Node {
                    revocable,
                    first_badged,
                    ..
                } = slot.node;
                let badged = slot.capability.badge().0 != 0;
                ensure!(
                    !revocable || first_badged && (badged || at == head),
                    "slot {at:?} is revocable and neither an original nor newly badged"
                );
                seen += 1;
                next = slot.node.next;
            }
        }
        let filled = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.capability.is_null())
            .count();
        ensure!(
            seen == filled,
            "{} slots are in a cycle of the derivation tree",
            filled - seen
        );
        for (key, count) in &lists {
            ensure!(
                *count == 1,
                "the capabilities to {key:?} form {count} lists"
            );
        }
        Ok(lists)
    }

    fn check_endpoint(&self, object: ObjectId, endpoint: &Endpoint) -> Result<(), Violation> {
        let waiting = self.check_queue(object, endpoint.queue)?;
        for thread in &waiting {
            let belongs = match self.thread(*thread).state {
                State::Receive { endpoint: at, .. } => endpoint.receivers && at == object,
                State::Send { endpoint: at, .. } => !endpoint.receivers && at == object,
                _ => false,
            };
            ensure!(
                belongs,
                "{thread:?} is in the queue of {object:?} by mistake"
            );
        }
        self.check_absent(&waiting, object, |state| match state {
            State::Receive { endpoint, .. } | State::Send { endpoint, .. } => endpoint == object,
            _ => false,
        })
    }

    fn check_notification(
        &self,
        object: ObjectId,
        notification: &Notification,
    ) -> Result<(), Violation> {
        let waits = |state| matches!(state, State::Wait { notification } if notification == object);
        let waiting = self.check_queue(object, notification.queue)?;
        for thread in &waiting {
            ensure!(
                waits(self.thread(*thread).state),
                "{thread:?} is in the queue of {object:?} by mistake"
            );
            ensure!(
                notification.bound.is_none_or(|bound| bound == *thread),
                "{thread:?} waits for {object:?}, which is bound to another"
            );
        }
        ensure!(
            waiting.is_empty() || notification.signalled.is_none(),
            "threads wait for {object:?} while it is signalled"
        );
        if let Some(bound) = notification.bound {
            let thread = self.thread(bound);
            ensure!(
                thread.bound == Some(object),
                "{object:?} is bound to {bound:?}, which knows nothing of it"
            );
            // It may receive while this is signalled: binding them wakes nobody (`bindNotification`).
        }
        if let Some(context) = notification.context {
            ensure!(
                matches!(self.kind(context), Kind::SchedulingContext(to) if to.notification == Some(object)),
                "{object:?} lends {context:?}, which knows nothing of it"
            );
        }
        self.check_absent(&waiting, object, waits)
    }

    /// Every thread whose state says that it waits at `object` is in its queue.
    fn check_absent(
        &self,
        waiting: &[ThreadId],
        object: ObjectId,
        waits: impl Fn(State) -> bool,
    ) -> Result<(), Violation> {
        for (index, thread) in self.threads.iter().enumerate() {
            ensure!(
                !waits(thread.state) || waiting.contains(&ThreadId(index as u32)),
                "thread {index} waits at {object:?} and is not in its queue"
            );
        }
        Ok(())
    }

    /// The links of a queue agree, and no thread is behind one of lower priority.
    fn check_queue(&self, object: ObjectId, queue: Queue) -> Result<Vec<ThreadId>, Violation> {
        let mut members: Vec<ThreadId> = Vec::new();
        let mut next = queue.head;
        while let Some(thread) = next {
            let entry = self.thread(thread);
            ensure!(
                entry.links.previous == members.last().copied(),
                "{thread:?} in the queue of {object:?} does not point back"
            );
            ensure!(
                !members.contains(&thread),
                "{thread:?} is twice in the queue of {object:?}"
            );
            if let Some(previous) = members.last() {
                ensure!(
                    self.thread(*previous).priority >= entry.priority,
                    "{thread:?} waits at {object:?} behind one of lower priority"
                );
            }
            members.push(thread);
            next = entry.links.next;
        }
        ensure!(
            queue.tail == members.last().copied(),
            "the queue of {object:?} does not end where it says"
        );
        Ok(members)
    }

    /// A reply object holds a thread that waits in it, and is on a stack of calls only while that
    /// waits for its reply.
    fn check_reply(&self, object: ObjectId, reply: &Reply) -> Result<(), Violation> {
        let Reply {
            thread,
            previous,
            next,
        } = *reply;
        let state = thread.map(|thread| self.thread(thread).state);
        let waits = matches!(state, Some(State::Reply { reply }) if reply == object);
        let receives = matches!(state, Some(State::Receive { reply, .. }) if reply == Some(object));
        ensure!(
            state.is_none() || waits || receives,
            "{object:?} holds {thread:?}, which is not waiting in it"
        );
        ensure!(
            waits || previous.is_none() && next.is_none(),
            "{object:?} is on a stack of calls and holds no caller"
        );
        let linked = match next {
            None => true,
            Some(Next::Reply(next)) => {
                matches!(self.kind(next), Kind::Reply(next) if next.previous == Some(object))
            }
            Some(Next::Context(context)) => {
                matches!(self.kind(context), Kind::SchedulingContext(to) if to.reply == Some(object))
            }
        };
        ensure!(linked, "what follows {object:?} does not point back at it");
        if let Some(previous) = previous {
            ensure!(
                matches!(self.kind(previous), Kind::Reply(to) if to.next == Some(Next::Reply(object))),
                "{previous:?} does not point on to {object:?}"
            );
        }
        Ok(())
    }

    /// A scheduling context, its thread, its notification and its last call agree; the stack of calls
    /// ends; with its last capability it lost them all.
    fn check_context(
        &self,
        object: ObjectId,
        context: &SchedulingContext,
        reachable: bool,
    ) -> Result<(), Violation> {
        if let Some(thread) = context.thread {
            ensure!(
                self.thread(thread).context == Some(object),
                "{object:?} is that of {thread:?}, which knows nothing of it"
            );
        }
        if let Some(lender) = context.notification {
            ensure!(
                matches!(self.kind(lender), Kind::Notification(to) if to.context == Some(object)),
                "{object:?} is lent by {lender:?}, which knows nothing of it"
            );
        }
        let mut calls = 0;
        let mut next = context.reply;
        while let Some(reply) = next {
            let Kind::Reply(entry) = self.kind(reply) else {
                return Err(Violation(format!(
                    "{reply:?} on a stack is no reply object"
                )));
            };
            ensure!(
                calls > 0 || entry.next == Some(Next::Context(object)),
                "the last call on {object:?}, in {reply:?}, knows nothing of it"
            );
            calls += 1;
            ensure!(
                calls <= self.objects.len(),
                "the stack of calls on {object:?} has no end"
            );
            next = entry.previous;
        }
        ensure!(
            reachable
                || context.thread.is_none()
                    && context.notification.is_none()
                    && context.reply.is_none(),
            "{object:?} is in use and nobody has a capability to it"
        );
        Ok(())
    }

    fn check_thread(&self, id: ThreadId) -> Result<(), Violation> {
        let thread = self.thread(id);
        let reply = match thread.state {
            State::Reply { reply } => Some(reply),
            State::Receive { reply, .. } => reply,
            _ => None,
        };
        if let Some(reply) = reply {
            ensure!(
                matches!(self.kind(reply), Kind::Reply(held) if held.thread == Some(id)),
                "{id:?} waits in {reply:?}, which does not hold it"
            );
        }
        if let Some(bound) = thread.bound {
            ensure!(
                matches!(self.kind(bound), Kind::Notification(to) if to.bound == Some(id)),
                "{id:?} is bound to {bound:?}, which knows nothing of it"
            );
        }
        if let Some(context) = thread.context {
            ensure!(
                matches!(self.kind(context), Kind::SchedulingContext(to) if to.thread == Some(id)),
                "{id:?} has {context:?}, which knows nothing of it"
            );
            ensure!(
                thread.state != State::Destroyed,
                "{id:?} was deleted and has {context:?}"
            );
        }
        ensure!(
            thread.fault.is_none()
                || matches!(
                    thread.state,
                    State::Send { .. } | State::Reply { .. } | State::Inactive
                ),
            "{id:?} is {:?} with a fault",
            thread.state
        );
        ensure!(
            thread.state != State::Running || thread.pending == Pending::None,
            "{id:?} runs and is in the system call {:?}",
            thread.pending
        );
        ensure!(
            thread.state == State::Running
                || thread.state == State::Inactive
                || thread.state == State::Destroyed
                || thread.pending != Pending::None,
            "{id:?} is {:?} in no system call",
            thread.state
        );
        ensure!(
            matches!(
                self.slots.capability(thread.cspace),
                Capability::Null | Capability::CNode { .. } | Capability::Zombie { .. }
            ),
            "the CSpace of {id:?} is not a CNode"
        );
        ensure!(
            matches!(
                self.slots.capability(self.fault_handler(id)),
                Capability::Null | Capability::Endpoint { .. }
            ),
            "the fault handler of {id:?} is not an endpoint"
        );
        Ok(())
    }
}

/// What a list of the derivation tree is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Nothing,
    Object(ObjectId),
    Thread(ThreadId),
}

impl Key {
    fn of(capability: Capability) -> Self {
        match capability {
            Capability::Null => Self::Nothing,
            Capability::Endpoint { object, .. }
            | Capability::Notification { object, .. }
            | Capability::Reply { object, .. }
            | Capability::SchedulingContext { object }
            | Capability::CNode { object, .. }
            | Capability::Zombie {
                container: Container::CNode(object),
                ..
            } => Self::Object(object),
            Capability::Thread { thread }
            | Capability::Zombie {
                container: Container::Thread(thread),
                ..
            } => Self::Thread(thread),
        }
    }
}

//! The state of the kernel, and how it says what came of a system call.

use alloc::vec::Vec;

use portcullis_kernel::{Badge, KernelError, Message};

use crate::context::SchedulingContext;
use crate::derivation::{SlotIndex, Slots};
use crate::endpoint::Endpoint;
use crate::notification::Notification;
use crate::queue::Queue;
use crate::reply::Reply;
use crate::thread::{State, Thread};
use crate::{CapabilityFault, ObjectId, ThreadId};

/// The kernel: every object, every capability, every thread.
///
/// Objects and threads are created by the driver, as the initialiser creates them from untyped
/// memory, and are never freed; with its last capability an object merely becomes unreachable.
#[derive(Clone, Default, Debug)]
pub struct Kernel {
    pub(crate) slots: Slots,
    pub(crate) objects: Vec<Object>,
    pub(crate) threads: Vec<Thread>,
}

/// What came of a thread's system call.
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a boxed message would be an allocation for every message"
)]
pub enum Completion {
    /// It sent, or yielded. Where there was nothing to send through, it is silently done.
    Done,
    /// It received this, or its call was answered with this.
    ///
    /// Where it was a signal, `badge` has the bits and the message is empty; on seL4 the message
    /// registers are then left as they were. Where the kernel itself answers a call, the badge is
    /// 0 and the label 0 or an error's code.
    Message {
        /// The badge.
        badge: Badge,
        /// The message.
        message: Message,
    },
    /// It did not wait, and there was nothing to receive. On seL4 this is a badge of 0.
    Nothing,
    /// Its invocation of a CNode ended so. Where the capability that it names as the CNode is an
    /// endpoint's, seL4 sends a message there; its answer comes as [`Completion::Message`].
    Invoked(Result<(), KernelError>),
    /// It faulted, has no fault handler, and stands still.
    Fault(CapabilityFault),
    /// It made an invocation whose result the model does not state: see the head of the crate. It
    /// stands still, and nothing else has happened.
    Unmodelled {
        /// The invocation's label.
        label: u64,
    },
    /// It has to make the same system call again, when it next runs: see [`Kernel::restart`].
    Restarted,
}

/// Takes what a step of the kernel completes, one thread at a time, in the order in which the
/// kernel makes the threads runnable; the one that made the system call comes last. A thread goes on
/// only while it has a scheduling context: see [`Kernel::is_schedulable`].
pub type Done<'a> = &'a mut dyn FnMut(ThreadId, Completion);

#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// The slot that its first capability was made in.
    pub(crate) original: SlotIndex,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    CNode { base: SlotIndex, radix: u8 },
    Endpoint(Endpoint),
    Notification(Notification),
    Reply(Reply),
    SchedulingContext(SchedulingContext),
}

/// Why looking an object up by a capability's type cannot fail.
const WELL_TYPED: &str = "a capability is to an object of its own type";

impl Kernel {
    /// A kernel with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn thread(&self, thread: ThreadId) -> &Thread {
        &self.threads[thread.index()]
    }

    pub(crate) fn thread_mut(&mut self, thread: ThreadId) -> &mut Thread {
        &mut self.threads[thread.index()]
    }

    pub(crate) fn set_state(&mut self, thread: ThreadId, state: State) {
        self.thread_mut(thread).state = state;
    }

    pub(crate) fn kind(&self, object: ObjectId) -> &Kind {
        &self.objects[object.0 as usize].kind
    }

    fn kind_mut(&mut self, object: ObjectId) -> &mut Kind {
        &mut self.objects[object.0 as usize].kind
    }

    /// The first slot and the radix of a CNode.
    pub(crate) fn cnode(&self, object: ObjectId) -> (SlotIndex, u8) {
        match self.kind(object) {
            Kind::CNode { base, radix } => (*base, *radix),
            _ => unreachable!("{WELL_TYPED}"),
        }
    }

    pub(crate) fn endpoint(&mut self, object: ObjectId) -> &mut Endpoint {
        match self.kind_mut(object) {
            Kind::Endpoint(endpoint) => endpoint,
            _ => unreachable!("{WELL_TYPED}"),
        }
    }

    pub(crate) fn notification(&mut self, object: ObjectId) -> &mut Notification {
        match self.kind_mut(object) {
            Kind::Notification(notification) => notification,
            _ => unreachable!("{WELL_TYPED}"),
        }
    }

    pub(crate) fn reply(&mut self, object: ObjectId) -> &mut Reply {
        match self.kind_mut(object) {
            Kind::Reply(reply) => reply,
            _ => unreachable!("{WELL_TYPED}"),
        }
    }

    pub(crate) fn scheduling_context(&mut self, object: ObjectId) -> &mut SchedulingContext {
        match self.kind_mut(object) {
            Kind::SchedulingContext(context) => context,
            _ => unreachable!("{WELL_TYPED}"),
        }
    }

    pub(crate) fn queue(&mut self, object: ObjectId) -> &mut Queue {
        match self.kind_mut(object) {
            Kind::Endpoint(endpoint) => &mut endpoint.queue,
            Kind::Notification(notification) => &mut notification.queue,
            _ => unreachable!("only endpoints and notifications have queues"),
        }
    }
}

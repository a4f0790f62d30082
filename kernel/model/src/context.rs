//! Scheduling contexts: which thread may run.
//!
//! A thread runs only on a scheduling context, and each is one thread's at a time. It moves with a
//! call to a server that has none and comes back with the reply; a notification lends the one that is
//! bound to it to the thread that it wakes. What a scheduling context is worth in time is not
//! modelled: here it always has some.
//! Follows `src/object/schedcontext.c` and `notification.h`.

use portcullis_kernel::KernelError;

use crate::error::{Refusal, SyscallError};
use crate::invocation::{Extras, label};
use crate::kernel::{Kernel, Kind};
use crate::thread::State;
use crate::{Capability, ObjectId, ThreadId};

/// A scheduling context.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct SchedulingContext {
    /// The thread that runs on it.
    pub(crate) thread: Option<ThreadId>,
    /// The notification that lends it.
    pub(crate) notification: Option<ObjectId>,
    /// The reply object of the last call that donated it.
    pub(crate) reply: Option<ObjectId>,
}

impl Kernel {
    /// The scheduling context that the thread has.
    pub fn context(&self, thread: ThreadId) -> Option<ObjectId> {
        self.thread(thread).context
    }

    /// Whether the thread would run: it is in no system call, or has to make one again, and has a
    /// scheduling context. No other makes a system call; the driver lets a thread whose system call
    /// was completed wait for a scheduling context (`isSchedulable`).
    pub fn is_schedulable(&self, thread: ThreadId) -> bool {
        let thread = self.thread(thread);
        matches!(thread.state, State::Running | State::Restart) && thread.context.is_some()
    }

    /// Gives a thread without a scheduling context one that no thread has.
    /// `IllegalOperation` where it is not so, `InvalidArgument` where `context` is none.
    pub fn bind_context(&mut self, context: ObjectId, thread: ThreadId) -> Result<(), KernelError> {
        let Kind::SchedulingContext(held) = self.kind(context) else {
            return Err(KernelError::InvalidArgument);
        };
        let to = self.thread(thread);
        if held.thread.is_some() || to.context.is_some() || to.state == State::Destroyed {
            return Err(KernelError::IllegalOperation);
        }
        self.donate(context, thread);
        Ok(())
    }

    /// Has a notification lend the scheduling context. Errors as [`Kernel::bind_context`] has.
    pub fn bind_context_to_notification(
        &mut self,
        context: ObjectId,
        notification: ObjectId,
    ) -> Result<(), KernelError> {
        let (Kind::SchedulingContext(held), Kind::Notification(lender)) =
            (self.kind(context), self.kind(notification))
        else {
            return Err(KernelError::InvalidArgument);
        };
        if held.notification.is_some() || lender.context.is_some() {
            return Err(KernelError::IllegalOperation);
        }
        self.scheduling_context(context).notification = Some(notification);
        self.notification(notification).context = Some(context);
        Ok(())
    }

    /// Takes the scheduling context from whatever has to do with it: its thread, its notification,
    /// and the last call that donated it (`invokeSchedContext_Unbind`).
    ///
    /// # Panics
    ///
    /// Where `context` is no scheduling context.
    pub fn unbind_context(&mut self, context: ObjectId) {
        self.unbind_thread(context);
        let reply = self.scheduling_context(context).reply.take();
        if let Some(reply) = reply {
            self.reply(reply).next = None;
        }
        let notification = self.scheduling_context(context).notification;
        if let Some(notification) = notification {
            self.unbind_lender(notification);
        }
    }

    /// Moves the scheduling context to a thread that has none (`schedContext_donate`).
    pub(crate) fn donate(&mut self, context: ObjectId, to: ThreadId) {
        self.unbind_thread(context);
        self.scheduling_context(context).thread = Some(to);
        self.thread_mut(to).context = Some(context);
    }

    /// Takes the scheduling context from its thread (`schedContext_unbindTCB`).
    pub(crate) fn unbind_thread(&mut self, context: ObjectId) {
        if let Some(thread) = self.scheduling_context(context).thread.take() {
            self.thread_mut(thread).context = None;
        }
    }

    /// Takes the notification's scheduling context from it (`schedContextMaybeUnbindNtfn`).
    pub(crate) fn unbind_lender(&mut self, notification: ObjectId) {
        if let Some(context) = self.notification(notification).context.take() {
            self.scheduling_context(context).notification = None;
        }
    }

    /// Lends a thread without a scheduling context the one of the notification that it was told of,
    /// where no thread has that (`maybeDonateSchedContext`).
    pub(crate) fn lend_context(&mut self, notification: ObjectId, thread: ThreadId) {
        if self.thread(thread).context.is_none()
            && let Some(context) = self.notification(notification).context
            && self.scheduling_context(context).thread.is_none()
        {
            self.donate(context, thread);
        }
    }

    /// Has the thread, which is about to wait, give back what the notification lent it
    /// (`maybeReturnSchedContext`).
    pub(crate) fn return_context(&mut self, notification: ObjectId, thread: ThreadId) {
        let lent = self.notification(notification).context;
        if let Some(context) = lent
            && self.thread(thread).context == lent
        {
            self.unbind_thread(context);
        }
    }

    /// Checks and executes an invocation of a scheduling context (`decodeSchedContextInvocation`).
    pub(crate) fn invoke_context(
        &mut self,
        thread: ThreadId,
        context: ObjectId,
        extras: Extras,
    ) -> Result<(), Refusal> {
        let SchedulingContext {
            thread: held,
            notification: lender,
            ..
        } = *self.scheduling_context(context);
        let invoked = self.thread(thread).message.label();
        match invoked {
            label::CONTEXT_BIND => {
                let bound = match self.slots.capability(extras.require(0)?) {
                    Capability::Thread { thread: target } => self.bind_context(context, target),
                    Capability::Notification { object, .. } => {
                        self.bind_context_to_notification(context, object)
                    }
                    _ => return Err(SyscallError::InvalidCapability { number: 1 }.into()),
                };
                bound.map_err(|_| SyscallError::IllegalOperation)?;
            }
            label::CONTEXT_UNBIND_OBJECT => match self.slots.capability(extras.require(0)?) {
                Capability::Thread { thread: target } => {
                    if held != Some(target) || target == thread {
                        return Err(SyscallError::IllegalOperation.into());
                    }
                    self.unbind_thread(context);
                }
                Capability::Notification { object, .. } => {
                    if lender != Some(object) {
                        return Err(SyscallError::IllegalOperation.into());
                    }
                    self.unbind_lender(object);
                }
                _ => return Err(SyscallError::InvalidCapability { number: 1 }.into()),
            },
            label::CONTEXT_UNBIND if held != Some(thread) => self.unbind_context(context),
            label::CONTEXT_CONSUMED => return Err(Refusal::Unmodelled),
            label::CONTEXT_YIELD_TO => {
                let highest = self.thread(thread).maximum_priority;
                return match held {
                    Some(target) if target != thread && self.thread(target).priority <= highest => {
                        Err(Refusal::Unmodelled)
                    }
                    _ => Err(SyscallError::IllegalOperation.into()),
                };
            }
            _ => return Err(SyscallError::IllegalOperation.into()),
        }
        self.set_state(thread, State::Restart);
        Ok(())
    }
}

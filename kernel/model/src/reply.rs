//! MCS reply objects, and the stack of calls that they form.
//!
//! Each holds at most one thread, which waits for its reply or receives with it. Where a caller
//! donated its scheduling context with the call, its reply object is pushed onto the context's stack:
//! the context knows the reply object of the last such call, and each that of the call before. A
//! reply pops it and gives the context back; a call that ends in any other way breaks the stack.
//! Follows `src/object/reply.c` and `doReplyTransfer` of `src/kernel/thread.c`.

use crate::kernel::{Done, Kernel};
use crate::thread::State;
use crate::{ObjectId, ThreadId};

/// A reply object.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reply {
    pub(crate) thread: Option<ThreadId>,
    /// The reply object of the call before, on the same scheduling context.
    pub(crate) previous: Option<ObjectId>,
    pub(crate) next: Option<Next>,
}

/// What follows a reply object on a stack of calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// The reply object of a later call.
    Reply(ObjectId),
    /// Nothing: it is the last call on this scheduling context.
    Context(ObjectId),
}

impl Kernel {
    /// Has `caller` wait for its reply in the reply object, which holds nobody. Where `donates` is
    /// set, a `callee` without a scheduling context gets the caller's (`reply_push`).
    pub(crate) fn push_reply(
        &mut self,
        reply: ObjectId,
        caller: ThreadId,
        callee: ThreadId,
        donates: bool,
    ) {
        self.reply(reply).thread = Some(caller);
        self.set_state(caller, State::Reply { reply });
        let Some(context) = self.thread(caller).context else {
            return;
        };
        if !donates || self.thread(callee).context.is_some() {
            return;
        }
        let previous = self.scheduling_context(context).reply.replace(reply);
        if let Some(previous) = previous {
            self.reply(previous).next = Some(Next::Reply(reply));
        }
        let entry = self.reply(reply);
        entry.previous = previous;
        entry.next = Some(Next::Context(context));
        self.donate(context, callee);
    }

    /// Parts the reply object and its thread, which stands still (`reply_unlink`).
    pub(crate) fn unlink_reply(&mut self, reply: ObjectId, thread: ThreadId) {
        self.reply(reply).thread = None;
        self.set_state(thread, State::Inactive);
    }

    /// Ends the wait of `caller` for its reply. The last call on a scheduling context gives the
    /// context back to a caller that has none (`reply_remove`).
    fn remove_reply(&mut self, reply: ObjectId, caller: ThreadId) {
        let previous = self.reply(reply).previous;
        let Some(Next::Context(context)) = self.reply(reply).next else {
            return self.detach_reply(reply, caller);
        };
        self.scheduling_context(context).reply = previous;
        if let Some(previous) = previous {
            self.reply(previous).next = Some(Next::Context(context));
        }
        *self.reply(reply) = Reply::default();
        if self.thread(caller).context.is_none() {
            self.donate(context, caller);
        }
        self.set_state(caller, State::Inactive);
    }

    /// Ends the wait of `caller` for its reply, breaks the stack there, and gives nothing back
    /// (`reply_remove_tcb`).
    pub(crate) fn detach_reply(&mut self, reply: ObjectId, caller: ThreadId) {
        let Reply { previous, next, .. } = core::mem::take(self.reply(reply));
        match next {
            Some(Next::Context(context)) => self.scheduling_context(context).reply = None,
            Some(Next::Reply(next)) => self.reply(next).previous = None,
            None => {}
        }
        if let Some(previous) = previous {
            self.reply(previous).next = None;
        }
        self.set_state(caller, State::Inactive);
    }

    /// Replies with the message of `sender` to the caller that the reply object holds; to nobody,
    /// silently, where it holds none (`doReplyTransfer`). A caller that faulted makes its system call
    /// again. `grant` says whether a capability may go along.
    pub(crate) fn reply_transfer(
        &mut self,
        sender: ThreadId,
        reply: ObjectId,
        grant: bool,
        done: Done<'_>,
    ) {
        let Some(caller) = self.caller(reply) else {
            return;
        };
        self.remove_reply(reply, caller);
        if self.thread_mut(caller).fault.take().is_some() {
            return self.take_back(caller, done);
        }
        if grant {
            self.transfer(sender, None, caller);
        }
        self.deliver_reply(sender, caller, done);
    }

    /// The reply object is gone: the thread that it holds stands still, with its scheduling context
    /// where it had donated that.
    pub(crate) fn cancel_reply(&mut self, reply: ObjectId) {
        if let Some(caller) = self.caller(reply) {
            self.remove_reply(reply, caller);
        } else if let Some(thread) = self.reply(reply).thread {
            self.cancel_ipc(thread);
        }
    }

    /// The thread that waits for its reply in the reply object.
    fn caller(&mut self, reply: ObjectId) -> Option<ThreadId> {
        let thread = self.reply(reply).thread?;
        matches!(self.thread(thread).state, State::Reply { .. }).then_some(thread)
    }
}

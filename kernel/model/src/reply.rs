//! MCS reply objects.
//!
//! Each holds at most one thread, which waits for its reply or receives with it.
//! Follows `src/object/reply.c` and `doReplyTransfer` of `src/kernel/thread.c`.

use crate::kernel::{Done, Kernel};
use crate::thread::State;
use crate::{ObjectId, ThreadId};

impl Kernel {
    /// Has `caller` wait for its reply in the reply object, which holds nobody (`reply_push`).
    pub(crate) fn link_reply(&mut self, reply: ObjectId, caller: ThreadId) {
        *self.reply(reply) = Some(caller);
        self.set_state(caller, State::Reply { reply });
    }

    /// Parts the reply object and its thread, which stands still (`reply_unlink`).
    pub(crate) fn unlink_reply(&mut self, reply: ObjectId, thread: ThreadId) {
        *self.reply(reply) = None;
        self.set_state(thread, State::Inactive);
    }

    /// Replies with the message of `sender` to the caller that the reply object holds; to nobody,
    /// silently, where it holds none (`doReplyTransfer`).
    /// `grant` says whether a capability may go along.
    pub(crate) fn reply_transfer(
        &mut self,
        sender: ThreadId,
        reply: ObjectId,
        grant: bool,
        done: Done<'_>,
    ) {
        let Some(caller) = *self.reply(reply) else {
            return;
        };
        if matches!(self.thread(caller).state, State::Reply { .. }) {
            self.unlink_reply(reply, caller);
            if grant {
                self.transfer(sender, None, caller);
            }
            self.deliver_reply(sender, caller, done);
        }
    }

    /// The reply object is gone: the thread that it holds stands still.
    pub(crate) fn cancel_reply(&mut self, reply: ObjectId) {
        if let Some(thread) = *self.reply(reply) {
            self.cancel_ipc(thread);
        }
    }
}

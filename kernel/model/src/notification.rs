//! Notifications: words of bits that are signalled and waited for.
//!
//! Follows `src/object/notification.c`.

use crate::kernel::{Completion, Done, Kernel};
use crate::queue::Queue;
use crate::thread::State;
use crate::{ObjectId, ThreadId};

/// A notification.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Notification {
    /// Threads that wait for it; while there are any, it holds no signal.
    pub(crate) queue: Queue,
    /// What was signalled since it was last taken. A signal of no bits is a signal.
    pub(crate) signalled: Option<u64>,
    /// The thread whose receiving it ends.
    pub(crate) bound: Option<ThreadId>,
    /// The scheduling context that it lends.
    pub(crate) context: Option<ObjectId>,
}

impl Kernel {
    /// Signals a notification from outside, as an interrupt does.
    pub fn signal(&mut self, notification: ObjectId, badge: u64, done: Done<'_>) {
        self.send_signal(notification, badge, done);
    }

    /// Signals (`sendSignal`): wakes the first that waits, or the bound thread where it waits for
    /// a message, or else keeps the bits.
    pub(crate) fn send_signal(&mut self, notification: ObjectId, badge: u64, done: Done<'_>) {
        let Notification {
            queue,
            signalled,
            bound,
            ..
        } = *self.notification(notification);
        if let Some(waiting) = queue.head {
            self.dequeue(notification, waiting);
            self.lend_context(notification, waiting);
            return self.deliver_signal(waiting, badge, done);
        }
        if signalled.is_none()
            && let Some(bound) = bound
            && matches!(self.thread(bound).state, State::Receive { .. })
        {
            self.cancel_ipc(bound);
            self.lend_context(notification, bound);
            return self.deliver_signal(bound, badge, done);
        }
        self.notification(notification).signalled = Some(signalled.unwrap_or(0) | badge);
    }

    /// Waits for, or polls, a notification (`receiveSignal`).
    pub(crate) fn receive_signal(
        &mut self,
        thread: ThreadId,
        notification: ObjectId,
        blocking: bool,
        done: Done<'_>,
    ) {
        if let Some(bits) = self.notification(notification).signalled.take() {
            self.lend_context(notification, thread);
            self.deliver_signal(thread, bits, done);
        } else if blocking {
            self.set_state(thread, State::Wait { notification });
            self.enqueue(notification, thread);
            self.return_context(notification, thread);
        } else {
            self.complete(thread, Completion::Nothing, done);
        }
    }

    /// The notification is gone: all that wait for it try again (`cancelAllSignals`).
    pub(crate) fn cancel_all_signals(&mut self, notification: ObjectId, done: Done<'_>) {
        while let Some(thread) = self.notification(notification).queue.head {
            self.cancel_ipc(thread);
            self.take_back(thread, done);
        }
    }

    /// Parts a notification and its thread.
    pub(crate) fn unbind(&mut self, notification: ObjectId) {
        if let Some(thread) = self.notification(notification).bound.take() {
            self.thread_mut(thread).bound = None;
        }
    }
}

//! Endpoints: sending and receiving messages.
//!
//! Follows `src/object/endpoint.c`.

use portcullis_kernel::{Badge, Message};

use crate::kernel::{Completion, Done, Kernel};
use crate::queue::Queue;
use crate::thread::State;
use crate::{ObjectId, ThreadId};

/// An endpoint: threads that all wait to send, or all wait to receive.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Endpoint {
    pub(crate) queue: Queue,
    /// What the queue waits for; without meaning where it is empty.
    pub(crate) receivers: bool,
}

/// What a capability lets its user send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SendRights {
    pub(crate) badge: u64,
    /// Whether it has Grant or GrantReply.
    pub(crate) can_be_answered: bool,
    /// Whether it has Grant.
    pub(crate) grant: bool,
}

impl Kernel {
    /// Sends the message of `thread` (`sendIPC`). Leaves the thread in `Restart` where it goes on
    /// at once.
    pub(crate) fn send_ipc(
        &mut self,
        thread: ThreadId,
        endpoint: ObjectId,
        rights: SendRights,
        blocking: bool,
        call: bool,
        done: Done<'_>,
    ) {
        let Endpoint { queue, receivers } = *self.endpoint(endpoint);
        let receiver = match queue.head {
            Some(receiver) if receivers => receiver,
            _ => {
                if blocking {
                    self.block_on_send(thread, endpoint, rights, call);
                }
                return;
            }
        };
        let State::Receive { reply, .. } = self.thread(receiver).state else {
            unreachable!("threads in a queue of receivers receive");
        };
        self.dequeue(endpoint, receiver);
        if rights.grant {
            self.transfer(thread, Some(endpoint), receiver);
        }
        if let Some(reply) = reply {
            self.unlink_reply(reply, receiver);
        }
        if call {
            self.await_reply(thread, reply, rights);
        }
        self.deliver(thread, rights.badge, receiver, done);
    }

    fn block_on_send(
        &mut self,
        thread: ThreadId,
        endpoint: ObjectId,
        rights: SendRights,
        call: bool,
    ) {
        self.set_state(
            thread,
            State::Send {
                endpoint,
                rights,
                call,
            },
        );
        self.enqueue(endpoint, thread);
        self.endpoint(endpoint).receivers = false;
    }

    /// Has a caller whose message was taken wait for its reply: for ever, where the receiver has
    /// no reply object or the capability no right to an answer.
    fn await_reply(&mut self, caller: ThreadId, reply: Option<ObjectId>, rights: SendRights) {
        match reply {
            Some(reply) if rights.can_be_answered => self.link_reply(reply, caller),
            _ => self.set_state(caller, State::Inactive),
        }
    }

    /// Hands the message of `sender` to `receiver`, whose system call that ends.
    fn deliver(&mut self, sender: ThreadId, badge: u64, receiver: ThreadId, done: Done<'_>) {
        let message = self.thread(sender).message.clone();
        let badge = Badge(badge);
        self.complete(receiver, Completion::Message { badge, message }, done);
    }

    /// Hands the message of `sender` to a caller that waited for it as the reply.
    pub(crate) fn deliver_reply(&mut self, sender: ThreadId, caller: ThreadId, done: Done<'_>) {
        self.deliver(sender, 0, caller, done);
    }

    /// Ends the thread's receiving with signalled bits alone.
    pub(crate) fn deliver_signal(&mut self, thread: ThreadId, bits: u64, done: Done<'_>) {
        let completion = Completion::Message {
            badge: Badge(bits),
            message: Message::default(),
        };
        self.complete(thread, completion, done);
    }

    /// Receives from an endpoint (`receiveIPC`).
    pub(crate) fn receive_ipc(
        &mut self,
        thread: ThreadId,
        endpoint: ObjectId,
        reply: Option<ObjectId>,
        blocking: bool,
        done: Done<'_>,
    ) {
        // A reply object that still holds a caller lets it go: that caller waits for ever.
        if let Some(other) = reply.and_then(|reply| *self.reply(reply)) {
            self.cancel_ipc(other);
        }
        if let Some(bits) = self.take_bound_signal(thread) {
            return self.deliver_signal(thread, bits, done);
        }
        let Endpoint { queue, receivers } = *self.endpoint(endpoint);
        let sender = match queue.head {
            Some(sender) if !receivers => sender,
            _ if blocking => return self.block_on_receive(thread, endpoint, reply),
            _ => return self.complete(thread, Completion::Nothing, done),
        };
        let State::Send { rights, call, .. } = self.thread(sender).state else {
            unreachable!("threads in a queue of senders send");
        };
        self.dequeue(endpoint, sender);
        if rights.grant {
            self.transfer(sender, Some(endpoint), thread);
        }
        if call {
            self.await_reply(sender, reply, rights);
        } else {
            self.complete(sender, Completion::Done, done);
        }
        self.deliver(sender, rights.badge, thread, done);
    }

    fn block_on_receive(&mut self, thread: ThreadId, endpoint: ObjectId, reply: Option<ObjectId>) {
        self.set_state(thread, State::Receive { endpoint, reply });
        if let Some(reply) = reply {
            *self.reply(reply) = Some(thread);
        }
        self.enqueue(endpoint, thread);
        self.endpoint(endpoint).receivers = true;
    }

    /// The endpoint is gone: all that wait at it try again (`cancelAllIPC`).
    pub(crate) fn cancel_all_ipc(&mut self, endpoint: ObjectId, done: Done<'_>) {
        while let Some(thread) = self.endpoint(endpoint).queue.head {
            self.cancel_ipc(thread);
            self.take_back(thread, done);
        }
    }

    /// All that wait to send with this badge try again (`cancelBadgedSends`).
    pub(crate) fn cancel_badged_sends(&mut self, endpoint: ObjectId, badge: u64, done: Done<'_>) {
        let mut next = self.endpoint(endpoint).queue.head;
        while let Some(thread) = next {
            let entry = self.thread(thread);
            next = entry.links.next;
            if matches!(entry.state, State::Send { rights, .. } if rights.badge == badge) {
                self.dequeue(endpoint, thread);
                self.take_back(thread, done);
            }
        }
    }
}

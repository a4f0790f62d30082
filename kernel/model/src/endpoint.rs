//! Endpoints: sending and receiving messages.
//!
//! Follows `src/object/endpoint.c`.

use portcullis_kernel::{Badge, Message, Rights};

use crate::kernel::{Completion, Done, Kernel};
use crate::queue::Queue;
use crate::thread::{State, Thread};
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

impl SendRights {
    /// What a capability with this badge and these rights lets its user send.
    pub(crate) const fn new(badge: Badge, rights: Rights) -> Self {
        Self {
            badge: badge.0,
            can_be_answered: rights.grant || rights.grant_reply,
            grant: rights.grant,
        }
    }
}

/// How a message is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) blocking: bool,
    pub(crate) call: bool,
    /// Whether a receiver without a scheduling context gets the sender's.
    pub(crate) donates: bool,
}

impl Kernel {
    /// Sends the message of `thread`, or its fault where it faulted (`sendIPC`). Leaves the thread in
    /// `Restart` where it goes on at once.
    pub(crate) fn send_ipc(
        &mut self,
        thread: ThreadId,
        endpoint: ObjectId,
        rights: SendRights,
        how: Sending,
        done: Done<'_>,
    ) {
        let Endpoint { queue, receivers } = *self.endpoint(endpoint);
        let receiver = match queue.head {
            Some(receiver) if receivers => receiver,
            _ => {
                if how.blocking {
                    self.block_on_send(thread, endpoint, rights, how.call);
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
        if how.call || self.thread(thread).fault.is_some() {
            self.await_reply(thread, receiver, reply, rights, how.donates);
        } else if how.donates
            && self.thread(receiver).context.is_none()
            && let Some(context) = self.thread(thread).context
        {
            self.donate(context, receiver);
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
    fn await_reply(
        &mut self,
        caller: ThreadId,
        callee: ThreadId,
        reply: Option<ObjectId>,
        rights: SendRights,
        donates: bool,
    ) {
        match reply {
            Some(reply) if rights.can_be_answered => {
                self.push_reply(reply, caller, callee, donates);
            }
            _ => self.set_state(caller, State::Inactive),
        }
    }

    /// Hands the message of `sender` to `receiver`, whose system call that ends.
    fn deliver(&mut self, sender: ThreadId, badge: u64, receiver: ThreadId, done: Done<'_>) {
        self.go_on(receiver);
        let badge = Badge(badge);
        let Thread { fault, message, .. } = self.thread(sender);
        let got = |message| Completion::Message { badge, message };
        match fault {
            None => done(receiver, got(message.clone())),
            Some(fault) => done(receiver, got(fault.message())),
        }
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
        if let Some(other) = reply.and_then(|reply| self.reply(reply).thread) {
            self.cancel_ipc(other);
        }
        if let Some(bound) = self.thread(thread).bound {
            if let Some(bits) = self.notification(bound).signalled.take() {
                self.lend_context(bound, thread);
                return self.deliver_signal(thread, bits, done);
            }
            if blocking {
                self.return_context(bound, thread);
            }
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
        if call || self.thread(sender).fault.is_some() {
            self.await_reply(sender, thread, reply, rights, true);
        } else {
            self.complete(sender, Completion::Done, done);
        }
        self.deliver(sender, rights.badge, thread, done);
    }

    fn block_on_receive(&mut self, thread: ThreadId, endpoint: ObjectId, reply: Option<ObjectId>) {
        self.set_state(thread, State::Receive { endpoint, reply });
        if let Some(reply) = reply {
            self.reply(reply).thread = Some(thread);
        }
        self.enqueue(endpoint, thread);
        self.endpoint(endpoint).receivers = true;
    }

    /// The endpoint is gone: all that wait at it try again (`cancelAllIPC`).
    pub(crate) fn cancel_all_ipc(&mut self, endpoint: ObjectId, done: Done<'_>) {
        while let Some(thread) = self.endpoint(endpoint).queue.head {
            if let State::Receive {
                reply: Some(reply), ..
            } = self.thread(thread).state
            {
                self.unlink_reply(reply, thread);
            }
            self.dequeue(endpoint, thread);
            self.try_again(thread, done);
        }
    }

    /// Has a thread that waited make its system call again; one that waited with a fault stands
    /// still.
    fn try_again(&mut self, thread: ThreadId, done: Done<'_>) {
        if self.thread(thread).fault.is_some() {
            self.set_state(thread, State::Inactive);
        } else {
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
                self.try_again(thread, done);
            }
        }
    }
}

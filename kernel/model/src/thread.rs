//! Threads: their states, and suspending, resuming and ending them.
//!
//! Follows `suspend`, `restart` and `setPriority` of `src/kernel/thread.c`, `cancelIPC` of
//! `src/object/endpoint.c` and `src/kernel/faulthandler.c`.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Message};

use crate::derivation::SlotIndex;
use crate::endpoint::{SendRights, Sending};
use crate::invocation::Along;
use crate::kernel::{Completion, Done, Kernel};
use crate::queue::Links;
use crate::{Capability, CapabilityFault, ObjectId, ThreadId};

/// What a thread is doing, as a driver sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ThreadState {
    /// It runs, or is ready to where it has a scheduling context: it is in no system call.
    Running,
    /// It has to make its last system call again when it next runs: see [`Kernel::restart`].
    Restart,
    /// It stands still until it is resumed: it was suspended, faulted, called without the right to
    /// be replied to, or lost its reply.
    Inactive,
    /// It waits for a message.
    BlockedOnReceive,
    /// It waits for a receiver.
    BlockedOnSend,
    /// It waits for a reply.
    BlockedOnReply,
    /// It waits for a signal.
    BlockedOnNotification,
    /// It was deleted.
    Destroyed,
}

/// [`ThreadState`] with what the kernel keeps in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Running,
    Restart,
    Inactive,
    Receive {
        endpoint: ObjectId,
        reply: Option<ObjectId>,
    },
    Send {
        endpoint: ObjectId,
        rights: SendRights,
        call: bool,
    },
    Reply {
        reply: ObjectId,
    },
    Wait {
        notification: ObjectId,
    },
    Destroyed,
}

/// The system call that a thread is in. Its message is in [`Thread::message`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pending {
    None,
    Call(CPtr),
    Send(CPtr),
    NbSend(CPtr),
    NbSendRecv { to: CPtr, from: CPtr, reply: CPtr },
    NbSendWait { to: CPtr, from: CPtr },
    Recv { from: CPtr, reply: CPtr },
    NbRecv { from: CPtr, reply: CPtr },
    ReplyRecv { from: CPtr, reply: CPtr },
    Wait(CPtr),
    NbWait(CPtr),
    Invoke(Invocation),
}

/// Slots of a thread: the root of its CSpace, and the endpoint that its faults go to.
pub(crate) const THREAD_SLOTS: u32 = 2;

#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) priority: u8,
    /// The highest priority that an invocation on its authority sets.
    pub(crate) maximum_priority: u8,
    pub(crate) state: State,
    pub(crate) pending: Pending,
    pub(crate) links: Links,
    /// Its slot for the root of its CSpace.
    pub(crate) cspace: SlotIndex,
    /// The slot that its first capability was made in.
    pub(crate) original: SlotIndex,
    pub(crate) bound: Option<ObjectId>,
    pub(crate) context: Option<ObjectId>,
    /// The fault that it waits for an answer to.
    pub(crate) fault: Option<CapabilityFault>,
    /// What it sends: kept for as long as the call may have to be made again.
    pub(crate) message: Message,
    /// What it sends along: pointers to capabilities.
    pub(crate) along: Along,
    /// Where it takes what others send along.
    pub(crate) takes: Option<CNodeSlot>,
}

impl Kernel {
    /// What the thread is doing.
    pub fn state(&self, thread: ThreadId) -> ThreadState {
        match self.thread(thread).state {
            State::Running => ThreadState::Running,
            State::Restart => ThreadState::Restart,
            State::Inactive => ThreadState::Inactive,
            State::Receive { .. } => ThreadState::BlockedOnReceive,
            State::Send { .. } => ThreadState::BlockedOnSend,
            State::Reply { .. } => ThreadState::BlockedOnReply,
            State::Wait { .. } => ThreadState::BlockedOnNotification,
            State::Destroyed => ThreadState::Destroyed,
        }
    }

    /// The thread's priority.
    pub fn priority(&self, thread: ThreadId) -> u8 {
        self.thread(thread).priority
    }

    /// Stops the thread wherever it is. What it waited for no longer concerns it; resumed, it
    /// makes that system call again.
    pub fn suspend(&mut self, thread: ThreadId) {
        self.cancel_ipc(thread);
        if self.thread(thread).state != State::Destroyed {
            self.set_state(thread, State::Inactive);
        }
    }

    /// Lets a stopped or blocked thread go on. Where it was in a system call it makes it again,
    /// and is reported as [`Completion::Restarted`]. A running thread is left alone.
    pub fn resume(&mut self, thread: ThreadId, done: Done<'_>) {
        match self.thread(thread).state {
            State::Running | State::Restart | State::Destroyed => {}
            _ => {
                self.cancel_ipc(thread);
                self.take_back(thread, done);
            }
        }
    }

    /// Has the thread give up whatever system call it is in and go on elsewhere, as writing its
    /// registers does (`TCB_WriteRegisters` with `resume_target`).
    pub fn redirect(&mut self, thread: ThreadId) {
        if self.thread(thread).state != State::Destroyed {
            self.cancel_ipc(thread);
            self.thread_mut(thread).pending = Pending::None;
            self.set_state(thread, State::Running);
        }
    }

    /// Ends the thread: deletes every capability to it, as the driver does with a component that
    /// died on its own.
    pub fn destroy(&mut self, thread: ThreadId, done: Done<'_>) {
        while let Some(slot) = self.slots.find(Capability::Thread { thread }) {
            self.delete_slot(slot, true, done);
        }
    }

    /// Makes the thread repeat its system call when it next runs; a thread in none just goes on.
    pub(crate) fn take_back(&mut self, thread: ThreadId, done: Done<'_>) {
        if self.thread(thread).pending == Pending::None {
            self.set_state(thread, State::Running);
        } else {
            self.set_state(thread, State::Restart);
            done(thread, Completion::Restarted);
        }
    }

    /// Sets the thread's priority, and moves it to its place in the queue that it is in
    /// (`setPriority`).
    pub(crate) fn set_priority(&mut self, thread: ThreadId, priority: u8) {
        let waits_at = match self.thread(thread).state {
            State::Receive { endpoint, .. } | State::Send { endpoint, .. } => Some(endpoint),
            State::Wait { notification } => Some(notification),
            _ => None,
        };
        if let Some(object) = waits_at {
            self.dequeue(object, thread);
        }
        self.thread_mut(thread).priority = priority;
        if let Some(object) = waits_at {
            self.enqueue(object, thread);
        }
    }

    /// Ends the thread's system call.
    pub(crate) fn complete(&mut self, thread: ThreadId, completion: Completion, done: Done<'_>) {
        self.go_on(thread);
        done(thread, completion);
    }

    /// Has the thread be in no system call.
    pub(crate) fn go_on(&mut self, thread: ThreadId) {
        let entry = self.thread_mut(thread);
        entry.state = State::Running;
        entry.pending = Pending::None;
    }

    /// Stops the thread with a fault, which goes to its fault handler as a call (`handleFault`).
    /// Resumed or replied to, it makes the same system call again.
    pub(crate) fn fault(&mut self, thread: ThreadId, fault: CapabilityFault, done: Done<'_>) {
        let handler = self.slots.capability(self.fault_handler(thread));
        if let Capability::Endpoint {
            object,
            badge,
            rights,
        } = handler
        {
            self.thread_mut(thread).fault = Some(fault);
            let how = Sending {
                blocking: true,
                call: false,
                donates: true,
            };
            self.send_ipc(thread, object, SendRights::new(badge, rights), how, done);
        } else {
            self.set_state(thread, State::Inactive);
            done(thread, Completion::Fault(fault));
        }
    }

    /// The thread's slot for the endpoint that its faults go to.
    pub(crate) fn fault_handler(&self, thread: ThreadId) -> SlotIndex {
        SlotIndex(self.thread(thread).cspace.0 + 1)
    }

    /// Takes the thread out of whatever it waits for and makes it inactive (`cancelIPC`).
    pub(crate) fn cancel_ipc(&mut self, thread: ThreadId) {
        self.thread_mut(thread).fault = None;
        match self.thread(thread).state {
            State::Send { endpoint, .. } => {
                self.dequeue(endpoint, thread);
                self.set_state(thread, State::Inactive);
            }
            State::Receive { endpoint, reply } => {
                self.dequeue(endpoint, thread);
                match reply {
                    Some(reply) => self.unlink_reply(reply, thread),
                    None => self.set_state(thread, State::Inactive),
                }
            }
            State::Wait { notification } => {
                self.dequeue(notification, thread);
                self.set_state(thread, State::Inactive);
            }
            State::Reply { reply } => self.detach_reply(reply, thread),
            State::Running | State::Restart | State::Inactive | State::Destroyed => {}
        }
    }
}

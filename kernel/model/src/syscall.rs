//! System calls: from the call to what it completes.
//!
//! Follows `src/api/syscall.c` and `decodeInvocation` of `src/object/objecttype.c`.

use portcullis_kernel::{CPtr, Message, Syscall};

use crate::derivation::SlotIndex;
use crate::endpoint::{SendRights, Sending};
use crate::error::{Refusal, SyscallError};
use crate::invocation::{self, Along, Extras};
use crate::kernel::{Completion, Done, Kernel, Kind};
use crate::notification::Notification;
use crate::thread::{Pending, State};
use crate::{Capability, CapabilityFault, LookupFault, ObjectId, ThreadId};

/// Bits of a message's label (`seL4_MessageInfo`); the rest of a longer one is cut off.
const LABEL_BITS: u32 = 52;

/// How a capability is invoked.
#[derive(Clone, Copy)]
struct How {
    sending: Sending,
    /// Whether the thread goes on to receive: then it may not invoke what could destroy it.
    first_phase: bool,
}

const CALL: How = How {
    sending: Sending {
        blocking: true,
        call: true,
        donates: true,
    },
    first_phase: false,
};
const SEND: How = How {
    sending: Sending {
        call: false,
        donates: false,
        ..CALL.sending
    },
    ..CALL
};
const NB_SEND: How = How {
    sending: Sending {
        blocking: false,
        ..SEND.sending
    },
    ..CALL
};
const FIRST_PHASE: How = How {
    sending: Sending {
        donates: true,
        ..NB_SEND.sending
    },
    first_phase: true,
};

/// What came of an invocation.
enum Outcome {
    /// The thread goes on.
    Ended(Result<(), SyscallError>),
    /// The thread waits, or stands still.
    Stopped,
    /// A capability pointer did not resolve.
    Faulted(CapabilityFault),
    /// The model does not state what comes of it.
    Unmodelled,
}

impl Kernel {
    /// Executes a system call of `thread` and tells `done` of every thread whose system call it
    /// completes. Where `thread` is not [`Running`](crate::ThreadState::Running), or has no
    /// scheduling context, it is in no position to make one, and nothing happens.
    pub fn syscall(&mut self, thread: ThreadId, call: &Syscall, done: Done<'_>) {
        self.syscall_with(thread, call, &[], done);
    }

    /// As [`syscall`](Self::syscall), with up to three capabilities that go along with the message of a
    /// system call that sends. One arrives only where the right to that, Grant, is on the capability
    /// that is sent through, and where the receiver has a [slot](Self::set_receive_slot) for it.
    pub fn syscall_with(
        &mut self,
        thread: ThreadId,
        call: &Syscall,
        along: &[CPtr],
        done: Done<'_>,
    ) {
        let entry = self.thread_mut(thread);
        if entry.state != State::Running || entry.context.is_none() {
            return;
        }
        let mut sent = None;
        entry.pending = match call {
            Syscall::Call(to, message) => {
                sent = Some(message);
                Pending::Call(*to)
            }
            Syscall::Send(to, message) => {
                sent = Some(message);
                Pending::Send(*to)
            }
            Syscall::NbSend(to, message) => {
                sent = Some(message);
                Pending::NbSend(*to)
            }
            Syscall::NbSendRecv {
                to,
                message,
                from,
                reply,
            } => {
                sent = Some(message);
                Pending::NbSendRecv {
                    to: *to,
                    from: *from,
                    reply: *reply,
                }
            }
            Syscall::NbSendWait { to, message, from } => {
                sent = Some(message);
                Pending::NbSendWait {
                    to: *to,
                    from: *from,
                }
            }
            Syscall::ReplyRecv {
                from,
                reply,
                message,
            } => {
                sent = Some(message);
                Pending::ReplyRecv {
                    from: *from,
                    reply: *reply,
                }
            }
            Syscall::Recv { from, reply } => Pending::Recv {
                from: *from,
                reply: *reply,
            },
            Syscall::NbRecv { from, reply } => Pending::NbRecv {
                from: *from,
                reply: *reply,
            },
            Syscall::Wait(from) => Pending::Wait(*from),
            Syscall::NbWait(from) => Pending::NbWait(*from),
            Syscall::Invoke(invocation) => Pending::Invoke(*invocation),
            Syscall::Yield => return self.complete(thread, Completion::Done, done),
        };
        if let Some(message) = sent {
            entry.along = Along::new(along);
            let label = message.label() & ((1 << LABEL_BITS) - 1);
            entry.message.set(label, message.words());
        }
        self.execute(thread, done);
    }

    /// Has a thread in [`Restart`](crate::ThreadState::Restart) make its system call again. The
    /// driver does so when it would run the thread next; for any other thread, and one without a
    /// scheduling context, nothing happens.
    pub fn restart(&mut self, thread: ThreadId, done: Done<'_>) {
        let entry = self.thread(thread);
        if entry.state == State::Restart && entry.context.is_some() {
            self.set_state(thread, State::Running);
            self.execute(thread, done);
        }
    }

    fn execute(&mut self, thread: ThreadId, done: Done<'_>) {
        match self.thread(thread).pending {
            Pending::None => {}
            Pending::Call(to) => self.call(thread, to, done),
            Pending::Send(to) => self.send(thread, to, SEND, done),
            Pending::NbSend(to) => self.send(thread, to, NB_SEND, done),
            Pending::Recv { from, reply } => self.receive(thread, from, Some(reply), true, done),
            Pending::NbRecv { from, reply } => self.receive(thread, from, Some(reply), false, done),
            Pending::Wait(from) => self.receive(thread, from, None, true, done),
            Pending::NbWait(from) => self.receive(thread, from, None, false, done),
            // Whatever comes of the message, it goes on to receive.
            Pending::ReplyRecv { from, reply } => {
                self.invoke(thread, reply, FIRST_PHASE, done);
                self.receive(thread, from, Some(reply), true, done);
            }
            Pending::NbSendRecv { to, from, reply } => {
                self.invoke(thread, to, FIRST_PHASE, done);
                self.receive(thread, from, Some(reply), true, done);
            }
            Pending::NbSendWait { to, from } => {
                self.invoke(thread, to, FIRST_PHASE, done);
                self.receive(thread, from, None, true, done);
            }
            Pending::Invoke(invocation) => {
                let encoded = invocation::encode(&invocation);
                let entry = self.thread_mut(thread);
                entry.message = encoded.message;
                entry.along = encoded.along;
                match self.invoke(thread, encoded.service, CALL, done) {
                    Outcome::Ended(result) => {
                        let result = result.map_err(SyscallError::code);
                        self.complete(thread, Completion::Invoked(result), done);
                    }
                    Outcome::Stopped => {}
                    Outcome::Faulted(fault) => self.fault(thread, fault, done),
                    Outcome::Unmodelled => self.stop_unmodelled(thread, done),
                }
            }
        }
    }

    /// Stops a thread that made an invocation whose result the model does not state.
    fn stop_unmodelled(&mut self, thread: ThreadId, done: Done<'_>) {
        let label = self.thread(thread).message.label();
        self.set_state(thread, State::Inactive);
        done(thread, Completion::Unmodelled { label });
    }

    fn call(&mut self, thread: ThreadId, to: CPtr, done: Done<'_>) {
        match self.invoke(thread, to, CALL, done) {
            Outcome::Ended(result) => {
                let message = match result {
                    Ok(()) => Message::default(),
                    Err(error) => error.message(),
                };
                let badge = portcullis_kernel::Badge(0);
                self.complete(thread, Completion::Message { badge, message }, done);
            }
            Outcome::Stopped => {}
            Outcome::Faulted(fault) => self.fault(thread, fault, done),
            Outcome::Unmodelled => self.stop_unmodelled(thread, done),
        }
    }

    /// Sends; what is refused is silently done.
    fn send(&mut self, thread: ThreadId, to: CPtr, how: How, done: Done<'_>) {
        match self.invoke(thread, to, how, done) {
            Outcome::Faulted(fault) if how.sending.blocking => self.fault(thread, fault, done),
            Outcome::Ended(_) | Outcome::Faulted(_) => {
                self.complete(thread, Completion::Done, done);
            }
            Outcome::Stopped => {}
            Outcome::Unmodelled => self.stop_unmodelled(thread, done),
        }
    }

    /// Invokes the capability at `pointer` with the thread's message (`handleInvocation`).
    fn invoke(&mut self, thread: ThreadId, pointer: CPtr, how: How, done: Done<'_>) -> Outcome {
        let fault = |address, lookup| {
            Outcome::Faulted(CapabilityFault {
                address,
                receiving: false,
                lookup,
            })
        };
        let slot = match self.lookup_slot(thread, pointer) {
            Ok(slot) => slot,
            Err(lookup) => return fault(pointer, lookup),
        };
        let extras = match self.lookup_along(thread) {
            Ok(extras) => extras,
            Err((along, lookup)) => return fault(along, lookup),
        };
        match self.perform(thread, slot, extras, how, done) {
            Ok(()) => {}
            Err(Refusal::Error(error)) => return Outcome::Ended(Err(error)),
            Err(Refusal::Unmodelled) => return Outcome::Unmodelled,
        }
        if self.thread(thread).state == State::Restart {
            self.set_state(thread, State::Running);
            Outcome::Ended(Ok(()))
        } else {
            Outcome::Stopped
        }
    }

    /// Checks and executes (`decodeInvocation`). The thread is in `Restart` while its invocation
    /// runs, as in the kernel: where it stays so, it goes on.
    fn perform(
        &mut self,
        thread: ThreadId,
        slot: SlotIndex,
        extras: Extras,
        how: How,
        done: Done<'_>,
    ) -> Result<(), Refusal> {
        const REFUSED: SyscallError = SyscallError::InvalidCapability { number: 0 };
        match self.slots.capability(slot) {
            Capability::Endpoint {
                object,
                badge,
                rights,
            } if rights.write => {
                let rights = SendRights::new(badge, rights);
                self.set_state(thread, State::Restart);
                self.send_ipc(thread, object, rights, how.sending, done);
                Ok(())
            }
            Capability::Notification {
                object,
                badge,
                rights,
            } if rights.write => {
                self.set_state(thread, State::Restart);
                self.send_signal(object, badge.0, done);
                Ok(())
            }
            Capability::Reply { object, grant } => {
                self.set_state(thread, State::Restart);
                self.reply_transfer(thread, object, grant, done);
                Ok(())
            }
            Capability::Thread { thread: target } if !how.first_phase => {
                self.invoke_thread(thread, slot, target, extras, done)
            }
            Capability::SchedulingContext { object } if !how.first_phase => {
                self.invoke_context(thread, object, extras)
            }
            root @ Capability::CNode { .. } if !how.first_phase => {
                Ok(self.invoke_cnode(thread, root, extras, done)?)
            }
            _ => Err(REFUSED.into()),
        }
    }

    /// Receives through the capability at `from` (`handleRecv`).
    fn receive(
        &mut self,
        thread: ThreadId,
        from: CPtr,
        reply: Option<CPtr>,
        blocking: bool,
        done: Done<'_>,
    ) {
        match self.receivable(thread, from, reply) {
            Ok(Source::Endpoint(endpoint, reply)) => {
                self.receive_ipc(thread, endpoint, reply, blocking, done);
            }
            Ok(Source::Notification(notification)) => {
                self.receive_signal(thread, notification, blocking, done);
            }
            Err((address, lookup)) => {
                let fault = CapabilityFault {
                    address,
                    receiving: true,
                    lookup,
                };
                self.fault(thread, fault, done);
            }
        }
    }

    /// What the thread may receive from, and the pointer that is at fault where it may not. The
    /// reply object is looked up for an endpoint only.
    fn receivable(
        &self,
        thread: ThreadId,
        from: CPtr,
        reply: Option<CPtr>,
    ) -> Result<Source, (CPtr, LookupFault)> {
        const MISSING: LookupFault = LookupFault::MissingCapability { bits_left: 0 };
        let slot = self
            .lookup_slot(thread, from)
            .map_err(|fault| (from, fault))?;
        match self.slots.capability(slot) {
            Capability::Endpoint { object, rights, .. } if rights.read => {
                let Some(pointer) = reply else {
                    return Ok(Source::Endpoint(object, None));
                };
                let slot = self
                    .lookup_slot(thread, pointer)
                    .map_err(|fault| (pointer, fault))?;
                match self.slots.capability(slot) {
                    Capability::Reply { object: reply, .. } => {
                        Ok(Source::Endpoint(object, Some(reply)))
                    }
                    _ => Err((pointer, MISSING)),
                }
            }
            Capability::Notification { object, rights, .. }
                if rights.read && self.may_wait(thread, object) =>
            {
                Ok(Source::Notification(object))
            }
            _ => Err((from, MISSING)),
        }
    }

    /// Whether the notification is bound to no other thread.
    fn may_wait(&self, thread: ThreadId, notification: ObjectId) -> bool {
        match self.kind(notification) {
            Kind::Notification(Notification { bound, .. }) => {
                bound.is_none_or(|bound| bound == thread)
            }
            _ => false,
        }
    }
}

/// What a thread receives from.
enum Source {
    /// An endpoint, with a reply object where the system call names one.
    Endpoint(ObjectId, Option<ObjectId>),
    /// A notification.
    Notification(ObjectId),
}

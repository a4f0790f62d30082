//! No message is delivered without the capability.
//!
//! Every delivery is held against what its sender and its receiver held at the time. For that the
//! test keeps its own book: for each thread the capability through which it is sending, and that
//! through which it is receiving. Each message carries a number of its own.

use std::collections::HashMap;

use portcullis_kernel::{Badge, CNodeSlot, CPtr, Invocation, Message, Rights, Syscall};
use portcullis_model::{Capability, Completion, Kernel, ObjectId, ThreadId};
use proptest::collection::vec;
use proptest::prelude::*;

const THREADS: usize = 4;
/// Radix of a thread's CNode: pointers 0 to 3.
const RADIX: u8 = 2;
/// Slots of the manager's CNode: itself, two endpoints, a notification, one reply object a thread,
/// then the threads' CNodes.
const ITSELF: u64 = 0;
const SOURCES: core::ops::Range<u64> = 1..4 + THREADS as u64;
const CNODES: u64 = SOURCES.end;

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// The manager mints a capability into a slot of a thread, which it clears first.
    Give {
        source: u64,
        thread: usize,
        slot: u64,
        rights: Rights,
        badge: u64,
    },
    /// The manager revokes all that came from a source.
    Revoke(u64),
    /// The manager takes back what is queued with a thread's badged endpoint.
    Clear {
        thread: usize,
        slot: u64,
    },
    Call(usize, u64),
    Send(usize, u64),
    NbSend(usize, u64),
    Recv {
        thread: usize,
        from: u64,
        reply: u64,
    },
    ReplyRecv {
        thread: usize,
        from: u64,
        reply: u64,
    },
    Wait(usize, u64),
    Restart(usize),
    Resume(usize),
}

/// What a thread is doing, by the test's book.
#[derive(Clone, Copy, Debug, Default)]
struct Doing {
    /// The number of its message, and the capability that it was sent through.
    sends: Option<(u64, Capability)>,
    receives: Option<Capability>,
    call: Option<Call>,
    awaits_reply: bool,
}

/// A system call by its slots, to be looked up again when it is repeated.
#[derive(Clone, Copy, Debug)]
struct Call {
    sends: Option<u64>,
    receives: Option<u64>,
    is_call: bool,
}

struct Book {
    kernel: Kernel,
    manager: ThreadId,
    threads: Vec<ThreadId>,
    cnodes: Vec<ObjectId>,
    doing: HashMap<ThreadId, Doing>,
    /// What every message that was ever sent was sent through.
    sent: HashMap<u64, Capability>,
    /// Bits of every signal that was ever allowed, by notification.
    signals: HashMap<ObjectId, u64>,
}

impl Book {
    fn new() -> Self {
        let mut kernel = Kernel::new();
        let all = kernel.create_cnode(4);
        let manager = kernel.create_thread(9);
        let root = Capability::cnode(all, 60);
        kernel.set_cspace(manager, root).unwrap();
        kernel.insert(all, ITSELF, root).unwrap();
        let mut objects = vec![kernel.create_endpoint(), kernel.create_endpoint()];
        objects.push(kernel.create_notification());
        objects.extend((0..THREADS).map(|_| kernel.create_reply()));
        for (slot, object) in SOURCES.zip(objects) {
            kernel.hand_over(object, all, slot).unwrap();
        }
        let (mut threads, mut cnodes) = (Vec::new(), Vec::new());
        for index in 0..THREADS as u64 {
            let cnode = kernel.create_cnode(RADIX);
            let thread = kernel.create_thread(index as u8 / 2);
            let root = Capability::cnode(cnode, 64 - RADIX);
            kernel.set_cspace(thread, root).unwrap();
            kernel.insert(all, CNODES + index, root).unwrap();
            threads.push(thread);
            cnodes.push(cnode);
        }
        Self {
            kernel,
            manager,
            threads,
            cnodes,
            doing: HashMap::new(),
            sent: HashMap::new(),
            signals: HashMap::new(),
        }
    }

    fn held(&self, thread: usize, slot: u64) -> Capability {
        self.kernel.capability(self.cnodes[thread], slot).unwrap()
    }

    fn invoke(&mut self, invocation: Invocation) -> Result<(), TestCaseError> {
        let manager = self.manager;
        self.step(|kernel, done| {
            kernel.syscall(manager, &Syscall::Invoke(invocation), done);
        })
    }

    /// Takes a step and holds everything that it delivers against the book.
    fn step(
        &mut self,
        step: impl FnOnce(&mut Kernel, &mut dyn FnMut(ThreadId, Completion)),
    ) -> Result<(), TestCaseError> {
        let mut events = Vec::new();
        step(&mut self.kernel, &mut |thread, completion| {
            events.push((thread, completion));
        });
        for (thread, completion) in events {
            let doing = self.doing.entry(thread).or_default();
            if let Completion::Message { badge, message } = &completion {
                let doing = *doing;
                self.check(doing, *badge, message)?;
            }
            // A thread that has to try again, or may once it is resumed, is looked up again.
            if !matches!(completion, Completion::Restarted | Completion::Fault(_)) {
                self.doing.insert(thread, Doing::default());
            }
        }
        self.kernel
            .check_all()
            .map_err(|violation| TestCaseError::fail(violation.to_string()))
    }

    /// Whether the receiver may get this, by what it and the sender held.
    fn check(&self, receiver: Doing, badge: Badge, message: &Message) -> Result<(), TestCaseError> {
        let numbered = message.label() >= 16;
        if !numbered {
            // The kernel's own answer to a call, or a signal.
            let signalled = receiver.receives.is_some();
            if signalled {
                let allowed = self.signals.values().fold(0, |bits, more| bits | more);
                prop_assert_eq!(badge.0 & !allowed, 0, "bits that nobody may signal");
            }
            return Ok(());
        }
        let through = self.sent[&message.word(0)];
        match through {
            Capability::Endpoint {
                object,
                badge: held,
                rights,
            } => {
                prop_assert!(rights.write, "sent through {:?}", through);
                prop_assert_eq!(held, badge);
                let receives = receiver.receives;
                let may = matches!(
                    receives,
                    Some(Capability::Endpoint { object: at, rights, .. })
                        if at == object && rights.read
                );
                prop_assert!(may, "{:?} was received through {:?}", through, receives);
            }
            Capability::Reply { .. } => {
                prop_assert!(receiver.awaits_reply, "a reply to one that made no call");
                let may = matches!(
                    receiver.sends,
                    Some((_, Capability::Endpoint { rights, .. }))
                        if rights.grant || rights.grant_reply
                );
                prop_assert!(may, "a reply to {:?}", receiver.sends);
                prop_assert_eq!(badge, Badge(0));
            }
            other => prop_assert!(false, "a message was sent through {:?}", other),
        }
        Ok(())
    }

    /// Enters into the book what the thread is about to do, and does it.
    fn begin(&mut self, thread: usize, call: Call, syscall: &Syscall) -> Result<(), TestCaseError> {
        let id = self.threads[thread];
        if self.kernel.state(id) != portcullis_model::ThreadState::Running {
            return Ok(());
        }
        let number = self.sent.len() as u64;
        self.enter(thread, call, number);
        let syscall = numbered(syscall, number);
        self.step(|kernel, done| kernel.syscall(id, &syscall, done))
    }

    fn enter(&mut self, thread: usize, call: Call, number: u64) {
        let sends = call.sends.map(|slot| self.held(thread, slot));
        if let Some(through) = sends {
            self.sent.insert(number, through);
        }
        if let Some(Capability::Notification {
            object,
            badge,
            rights,
        }) = sends
            && rights.write
        {
            *self.signals.entry(object).or_default() |= badge.0;
        }
        let doing = Doing {
            sends: sends.map(|through| (number, through)),
            receives: call.receives.map(|slot| self.held(thread, slot)),
            call: Some(call),
            awaits_reply: call.is_call,
        };
        self.doing.insert(self.threads[thread], doing);
    }

    fn apply(&mut self, operation: Operation) -> Result<(), TestCaseError> {
        let at = |root, index| CNodeSlot {
            root: CPtr(root),
            index,
            depth: 64,
        };
        let message = Message::new(16);
        let (mut sends, mut receives, mut is_call) = (None, None, false);
        let (thread, syscall) = match operation {
            Operation::Give {
                source,
                thread,
                slot,
                rights,
                badge,
            } => {
                let destination = at(CNODES + thread as u64, slot);
                self.invoke(Invocation::Delete(destination))?;
                return self.invoke(Invocation::Mint {
                    destination,
                    source: at(ITSELF, source),
                    rights,
                    badge,
                });
            }
            Operation::Revoke(source) => {
                return self.invoke(Invocation::Revoke(at(ITSELF, source)));
            }
            Operation::Clear { thread, slot } => {
                let slot = at(CNODES + thread as u64, slot);
                return self.invoke(Invocation::CancelBadgedSends(slot));
            }
            Operation::Restart(thread) => {
                let id = self.threads[thread];
                let doing = self.doing.get(&id).copied().unwrap_or_default();
                if let (Some(call), portcullis_model::ThreadState::Restart) =
                    (doing.call, self.kernel.state(id))
                {
                    let number = doing.sends.map_or(0, |(number, _)| number);
                    self.enter(thread, call, number);
                }
                return self.step(|kernel, done| kernel.restart(id, done));
            }
            Operation::Resume(thread) => {
                let id = self.threads[thread];
                return self.step(|kernel, done| kernel.resume(id, done));
            }
            Operation::Call(thread, to) => {
                (sends, is_call) = (Some(to), true);
                (thread, Syscall::Call(CPtr(to), message))
            }
            Operation::Send(thread, to) => {
                sends = Some(to);
                (thread, Syscall::Send(CPtr(to), message))
            }
            Operation::NbSend(thread, to) => {
                sends = Some(to);
                (thread, Syscall::NbSend(CPtr(to), message))
            }
            Operation::Recv {
                thread,
                from,
                reply,
            } => {
                receives = Some(from);
                let (from, reply) = (CPtr(from), CPtr(reply));
                (thread, Syscall::Recv { from, reply })
            }
            Operation::ReplyRecv {
                thread,
                from,
                reply,
            } => {
                (sends, receives) = (Some(reply), Some(from));
                let (from, reply) = (CPtr(from), CPtr(reply));
                let syscall = Syscall::ReplyRecv {
                    from,
                    reply,
                    message,
                };
                (thread, syscall)
            }
            Operation::Wait(thread, from) => {
                receives = Some(from);
                (thread, Syscall::Wait(CPtr(from)))
            }
        };
        let call = Call {
            sends,
            receives,
            is_call,
        };
        self.begin(thread, call, &syscall)
    }
}

/// The system call with its message's number in it.
fn numbered(syscall: &Syscall, number: u64) -> Syscall {
    let mut syscall = syscall.clone();
    match &mut syscall {
        Syscall::Call(_, message)
        | Syscall::Send(_, message)
        | Syscall::NbSend(_, message)
        | Syscall::ReplyRecv { message, .. } => message.set(16, &[number]),
        _ => {}
    }
    syscall
}

fn rights() -> impl Strategy<Value = Rights> {
    any::<[bool; 4]>().prop_map(|[read, write, grant, grant_reply]| Rights {
        read,
        write,
        grant,
        grant_reply,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let thread = || 0..THREADS;
    let slot = || 0..1u64 << RADIX;
    prop_oneof![
        8 => (SOURCES, thread(), slot(), rights(), 0..4u64).prop_map(
            |(source, thread, slot, rights, badge)| Operation::Give {
                source, thread, slot, rights, badge
            }
        ),
        1 => SOURCES.prop_map(Operation::Revoke),
        1 => (thread(), slot()).prop_map(|(thread, slot)| Operation::Clear { thread, slot }),
        3 => (thread(), slot()).prop_map(|(thread, to)| Operation::Call(thread, to)),
        2 => (thread(), slot()).prop_map(|(thread, to)| Operation::Send(thread, to)),
        1 => (thread(), slot()).prop_map(|(thread, to)| Operation::NbSend(thread, to)),
        4 => (thread(), slot(), slot())
            .prop_map(|(thread, from, reply)| Operation::Recv { thread, from, reply }),
        3 => (thread(), slot(), slot())
            .prop_map(|(thread, from, reply)| Operation::ReplyRecv { thread, from, reply }),
        1 => (thread(), slot()).prop_map(|(thread, from)| Operation::Wait(thread, from)),
        4 => thread().prop_map(Operation::Restart),
        4 => thread().prop_map(Operation::Resume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_message_is_delivered_without_the_capability(operations in vec(operation(), 1..200)) {
        let mut book = Book::new();
        for operation in operations {
            book.apply(operation)?;
        }
    }
}

//! A small system that the rules are tried on.

use portcullis_kernel::{
    Badge, CNodeSlot, CPtr, Invocation, KernelError, Message, Rights, Syscall,
};
use portcullis_model::{
    Capability, CapabilityFault, Completion, Kernel, LookupFault, ObjectId, ThreadId, ThreadState,
};

/// Radix of the one CNode; its guard fills the rest of a pointer.
const RADIX: u8 = 8;
/// Slot that holds the CNode itself.
pub(crate) const CNODE: u64 = 1;
/// Slot that holds a reply object.
pub(crate) const REPLY: u64 = 2;
/// Slot that is kept empty.
pub(crate) const EMPTY: u64 = 3;
/// Slot of the endpoint's original capability, and of the notification's.
pub(crate) const ENDPOINT: u64 = 4;
pub(crate) const NOTIFICATION: u64 = 5;
/// First slot that tests fill.
pub(crate) const FREE: u64 = 16;

/// What a step completed.
pub(crate) type Events = Vec<(ThreadId, Completion)>;

/// A kernel with one CSpace, which all threads share.
pub(crate) struct System {
    pub(crate) kernel: Kernel,
    pub(crate) cnode: ObjectId,
    pub(crate) endpoint: ObjectId,
    pub(crate) notification: ObjectId,
    /// The thread that invokes.
    pub(crate) manager: ThreadId,
}

impl System {
    pub(crate) fn new() -> Self {
        let mut kernel = Kernel::new();
        let cnode = kernel.create_cnode(RADIX);
        let endpoint = kernel.create_endpoint();
        let notification = kernel.create_notification();
        let reply = kernel.create_reply();
        let manager = kernel.create_thread(200);
        let root = Capability::cnode(cnode, 64 - RADIX);
        kernel.set_cspace(manager, root).unwrap();
        kernel.insert(cnode, CNODE, root).unwrap();
        let of_reply = Capability::reply(reply);
        kernel.insert(cnode, REPLY, of_reply).unwrap();
        kernel.hand_over(endpoint, cnode, ENDPOINT).unwrap();
        kernel.hand_over(notification, cnode, NOTIFICATION).unwrap();
        Self {
            kernel,
            cnode,
            endpoint,
            notification,
            manager,
        }
    }

    /// Another thread with the same CSpace.
    pub(crate) fn thread(&mut self, priority: u8) -> ThreadId {
        let thread = self.kernel.create_thread(priority);
        let root = Capability::cnode(self.cnode, 64 - RADIX);
        self.kernel.set_cspace(thread, root).unwrap();
        thread
    }

    /// Puts a copy of an object's first capability into this slot.
    pub(crate) fn hold(&mut self, slot: u64, capability: Capability) {
        self.kernel.insert(self.cnode, slot, capability).unwrap();
    }

    /// Has the manager make a call with capabilities along; gives what it is told, and what the call
    /// completes for others.
    pub(crate) fn call_with(
        &mut self,
        to: u64,
        text: &Message,
        along: &[u64],
    ) -> (Completion, Events) {
        let (manager, call) = (self.manager, call(to, text));
        let along: Vec<_> = along.iter().copied().map(CPtr).collect();
        let mut events =
            self.step(|kernel, done| kernel.syscall_with(manager, &call, &along, done));
        let own = events.iter().rposition(|(thread, _)| *thread == manager);
        let own = own.unwrap_or_else(|| panic!("{call:?} did not come back: {events:?}"));
        (events.remove(own).1, events)
    }

    /// Another reply object, in this slot.
    pub(crate) fn reply_at(&mut self, slot: u64) -> ObjectId {
        let object = self.kernel.create_reply();
        let capability = Capability::reply(object);
        self.kernel.insert(self.cnode, slot, capability).unwrap();
        object
    }

    /// What the slot holds.
    pub(crate) fn at(&self, slot: u64) -> Capability {
        self.kernel.capability(self.cnode, slot).unwrap()
    }

    /// The filled slots from [`FREE`] on.
    pub(crate) fn filled(&self) -> Vec<u64> {
        let slots = self.kernel.scan(self.cnode).map(|(slot, _)| slot);
        slots.filter(|slot| *slot >= FREE).collect()
    }

    /// Makes a system call and verifies every invariant after it.
    pub(crate) fn syscall(&mut self, thread: ThreadId, call: Syscall) -> Events {
        self.step(|kernel, done| kernel.syscall(thread, &call, done))
    }

    /// Takes a step and verifies every invariant after it.
    pub(crate) fn step(
        &mut self,
        step: impl FnOnce(&mut Kernel, &mut dyn FnMut(ThreadId, Completion)),
    ) -> Events {
        let mut events = Events::new();
        step(&mut self.kernel, &mut |thread, completion| {
            events.push((thread, completion));
        });
        self.kernel.check_all().unwrap();
        events
    }

    /// Has the manager invoke a CNode; nobody else may be concerned.
    pub(crate) fn invoke(&mut self, invocation: Invocation) -> Result<(), KernelError> {
        let (result, others) = self.invoke_with(invocation);
        assert_eq!(others, [], "only the manager is concerned");
        result
    }

    /// Has the manager invoke a CNode; gives what it completes for others too.
    pub(crate) fn invoke_with(
        &mut self,
        invocation: Invocation,
    ) -> (Result<(), KernelError>, Events) {
        let mut events = self.syscall(self.manager, Syscall::Invoke(invocation));
        match events.pop() {
            Some((thread, Completion::Invoked(result))) if thread == self.manager => {
                (result, events)
            }
            other => panic!("{invocation:?} came to {other:?}"),
        }
    }

    pub(crate) fn copy(
        &mut self,
        source: u64,
        destination: u64,
        rights: Rights,
    ) -> Result<(), KernelError> {
        self.invoke(Invocation::Copy {
            destination: slot(destination),
            source: slot(source),
            rights,
        })
    }

    pub(crate) fn mint(
        &mut self,
        source: u64,
        destination: u64,
        rights: Rights,
        badge: u64,
    ) -> Result<(), KernelError> {
        self.invoke(Invocation::Mint {
            destination: slot(destination),
            source: slot(source),
            rights,
            badge,
        })
    }

    pub(crate) fn revoke(&mut self, index: u64) -> Result<(), KernelError> {
        self.invoke(Invocation::Revoke(slot(index)))
    }

    pub(crate) fn delete(&mut self, index: u64) -> Result<(), KernelError> {
        self.invoke(Invocation::Delete(slot(index)))
    }

    pub(crate) fn state(&self, thread: ThreadId) -> ThreadState {
        self.kernel.state(thread)
    }
}

/// The slot as an invocation names it.
pub(crate) const fn slot(index: u64) -> CNodeSlot {
    CNodeSlot {
        root: CPtr(CNODE),
        index,
        depth: 64,
    }
}

pub(crate) fn message(label: u64, words: &[u64]) -> Message {
    let mut message = Message::new(0);
    message.set(label, words);
    message
}

pub(crate) fn call(to: u64, message: &Message) -> Syscall {
    Syscall::Call(CPtr(to), message.clone())
}

pub(crate) fn send(to: u64, message: &Message) -> Syscall {
    Syscall::Send(CPtr(to), message.clone())
}

pub(crate) fn nb_send(to: u64, message: &Message) -> Syscall {
    Syscall::NbSend(CPtr(to), message.clone())
}

/// Receives from a slot with [`REPLY`].
pub(crate) const fn recv(from: u64) -> Syscall {
    Syscall::Recv {
        from: CPtr(from),
        reply: CPtr(REPLY),
    }
}

pub(crate) const fn nb_recv(from: u64) -> Syscall {
    Syscall::NbRecv {
        from: CPtr(from),
        reply: CPtr(REPLY),
    }
}

pub(crate) fn reply_recv(from: u64, message: &Message) -> Syscall {
    Syscall::ReplyRecv {
        from: CPtr(from),
        reply: CPtr(REPLY),
        message: message.clone(),
    }
}

pub(crate) const fn wait(from: u64) -> Syscall {
    Syscall::Wait(CPtr(from))
}

pub(crate) const fn poll(from: u64) -> Syscall {
    Syscall::NbWait(CPtr(from))
}

/// What a receiver gets.
pub(crate) fn received(badge: u64, message: &Message) -> Completion {
    Completion::Message {
        badge: Badge(badge),
        message: message.clone(),
    }
}

/// What a receiver gets from a signal.
pub(crate) fn signalled(bits: u64) -> Completion {
    received(bits, &Message::default())
}

/// What a caller gets that the kernel refuses.
pub(crate) fn refused(label: u64, words: &[u64]) -> Completion {
    received(0, &message(label, words))
}

/// The fault of a thread that receives through `address`.
pub(crate) const fn receive_fault(address: u64) -> Completion {
    Completion::Fault(CapabilityFault {
        address: CPtr(address),
        receiving: true,
        lookup: LookupFault::MissingCapability { bits_left: 0 },
    })
}

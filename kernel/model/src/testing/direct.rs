//! The system calls of one thread.

use alloc::rc::Rc;
use core::cell::RefCell;

use portcullis_kernel::{
    Badge, CNodes, CPtr, Invocation, KernelError, Mapping, Message, ReplyObject, Syscall, Syscalls,
};

use super::{Machine, ReadOnlyRegion, SharedRegion};
use crate::{Completion, Kernel, ThreadId};

/// The system calls of a thread of the model.
#[derive(Clone)]
pub struct Direct {
    machine: Machine,
    thread: ThreadId,
}

impl Direct {
    /// The system calls of `thread` in a kernel that nothing else runs on: one that would block
    /// panics.
    pub fn new(kernel: Rc<RefCell<Kernel>>, thread: ThreadId) -> Self {
        Self::of(Machine::with(kernel), thread)
    }

    pub(crate) fn of(machine: Machine, thread: ThreadId) -> Self {
        Self { machine, thread }
    }

    /// The thread.
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Executes a system call and gives what came of it.
    ///
    /// # Panics
    ///
    /// Where it would block for ever: no component is ready that could complete it.
    pub fn execute(&mut self, call: &Syscall) -> Completion {
        self.machine.execute(self.thread, call)
    }

    fn receive(&mut self, call: &Syscall, message: &mut Message) -> Option<Badge> {
        match self.execute(call) {
            Completion::Message {
                badge,
                message: received,
            } => {
                *message = received;
                Some(badge)
            }
            Completion::Nothing => None,
            other => panic!("{call:?} came to {other:?}"),
        }
    }

    fn receive_one(&mut self, call: &Syscall, message: &mut Message) -> Badge {
        self.receive(call, message)
            .expect("receiving that blocks ends with a message")
    }

    fn sent(&mut self, call: &Syscall) {
        match self.execute(call) {
            Completion::Done => {}
            other => panic!("{call:?} came to {other:?}"),
        }
    }
}

impl Syscalls for Direct {
    fn call(&mut self, to: CPtr, message: &mut Message) {
        self.receive_one(&Syscall::Call(to, message.clone()), message);
    }

    fn send(&mut self, to: CPtr, message: &Message) {
        self.sent(&Syscall::Send(to, message.clone()));
    }

    fn nb_send(&mut self, to: CPtr, message: &Message) {
        self.sent(&Syscall::NbSend(to, message.clone()));
    }

    fn signal(&mut self, to: CPtr) {
        self.sent(&Syscall::Send(to, Message::default()));
    }

    fn recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        let reply = reply.0;
        self.receive_one(&Syscall::Recv { from, reply }, message)
    }

    fn nb_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Option<Badge> {
        let reply = reply.0;
        self.receive(&Syscall::NbRecv { from, reply }, message)
    }

    fn reply_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        let call = Syscall::ReplyRecv {
            from,
            reply: reply.0,
            message: message.clone(),
        };
        self.receive_one(&call, message)
    }

    fn yield_now(&mut self) {
        self.sent(&Syscall::Yield);
    }
}

impl Mapping for Direct {
    type ReadOnly = ReadOnlyRegion;
    type ReadWrite = SharedRegion;
}

impl CNodes for Direct {
    fn invoke(&mut self, invocation: &Invocation) -> Result<(), KernelError> {
        match self.execute(&Syscall::Invoke(*invocation)) {
            Completion::Invoked(result) => result,
            other => panic!("{invocation:?} came to {other:?}"),
        }
    }
}

//! seL4's system calls, made over a socket to the kernel's process.

use std::os::fd::OwnedFd;

use portcullis_kernel::{
    Badge, CNodes, CPtr, Invocation, KernelError, Mapping, Message, ReplyObject, Syscalls, label,
};

use super::{Mapped, MappedMut, exit};
use crate::wire::{self, Answered, Carrying, MAX_PACKET, Packet, Plain};

/// Exit status of a component whose kernel is gone.
const KERNEL_GONE: i32 = 70;
/// No capability: for system calls that name only one.
const NONE: CPtr = CPtr(0);

/// A component's way to its kernel. All that a component can do goes through this.
pub struct Client {
    socket: OwnedFd,
    packet: Packet,
    received: [u8; MAX_PACKET],
}

impl Client {
    /// A client over a connected SOCK_SEQPACKET socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            packet: Packet::new(),
            received: [0; MAX_PACKET],
        }
    }

    /// Waits for the kernel's first answer: the component's turn to start.
    pub(crate) fn wait_for_start(&mut self) {
        self.receive();
    }

    /// Tells the kernel that the component gives up, and why.
    pub(crate) fn panicked(&mut self, text: &str) {
        self.packet.panic(text);
        self.send_packet();
    }

    fn carrying(&mut self, call: Carrying, to: CPtr, reply: CPtr, message: &Message) -> Answered {
        self.packet.message(call, to, reply, message);
        self.exchange()
    }

    fn plain(&mut self, call: Plain, from: CPtr, reply: CPtr) -> Answered {
        self.packet.plain(call, from, reply);
        self.exchange()
    }

    fn exchange(&mut self) -> Answered {
        self.send_packet();
        self.receive()
    }

    fn send_packet(&mut self) {
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.socket, self.packet.bytes())) {
            Ok(_) => {}
            Err(_) => exit(KERNEL_GONE),
        }
    }

    fn receive(&mut self) -> Answered {
        let received =
            rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut self.received[..]));
        let answer = match received {
            Ok(length) => self.received.get(..length).and_then(wire::decode_answer),
            Err(_) => None,
        };
        // An end of file or garbage means that the kernel's process is gone: nothing is left to do.
        answer.unwrap_or_else(|| exit(KERNEL_GONE))
    }
}

impl Syscalls for Client {
    fn call(&mut self, to: CPtr, message: &mut Message) {
        if let Answered::Message(_, reply) = self.carrying(Carrying::Call, to, NONE, message) {
            *message = reply;
        }
    }

    fn send(&mut self, to: CPtr, message: &Message) {
        self.carrying(Carrying::Send, to, NONE, message);
    }

    fn nb_send(&mut self, to: CPtr, message: &Message) {
        self.carrying(Carrying::NbSend, to, NONE, message);
    }

    fn signal(&mut self, to: CPtr) {
        self.carrying(Carrying::Send, to, NONE, &Message::default());
    }

    fn recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        let answer = self.plain(Plain::Recv, from, reply.0);
        received(answer, message).unwrap_or_default()
    }

    fn nb_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Option<Badge> {
        let answer = self.plain(Plain::NbRecv, from, reply.0);
        received(answer, message)
    }

    fn reply_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        let answer = self.carrying(Carrying::ReplyRecv, from, reply.0, message);
        received(answer, message).unwrap_or_default()
    }

    fn yield_now(&mut self) {
        self.plain(Plain::Yield, NONE, NONE);
    }
}

impl Mapping for Client {
    type ReadOnly = Mapped;
    type ReadWrite = MappedMut;
}

impl CNodes for Client {
    fn invoke(&mut self, invocation: &Invocation) -> Result<(), KernelError> {
        self.packet.invoke(invocation);
        match self.exchange() {
            Answered::Invoked(result) => result,
            // The model answers an invocation of something that is no CNode as a call would be.
            Answered::Message(_, message) => Err(u8::try_from(message.label())
                .ok()
                .and_then(|code| KernelError::from_code(code.into()))
                .unwrap_or(KernelError::InvalidCapability)),
            Answered::Done | Answered::Nothing => Err(KernelError::InvalidCapability),
        }
    }
}

fn received(answer: Answered, message: &mut Message) -> Option<Badge> {
    match answer {
        Answered::Message(badge, arrived) => {
            *message = arrived;
            Some(badge)
        }
        Answered::Done => {
            message.set(label::REQUEST, &[]);
            Some(Badge::default())
        }
        Answered::Nothing | Answered::Invoked(_) => None,
    }
}

//! The system calls that `portcullis_kernel` names, made on seL4.

use core::ffi::c_int;

use portcullis_kernel::{
    Badge, CNodeSlot, CNodes, CPtr, Invocation, KernelError, Mapping, Message, ReplyObject, Rights,
    Syscalls, cspace,
};
use sel4::cap::{CNode, Endpoint, Notification, Reply};
use sel4::sys::syscall_id;
use sel4::{AbsoluteCPtr, CPtrWithDepth, CapRights, CapRightsBuilder, MessageInfoBuilder};

use crate::memory::{ReadOnly, ReadWrite};
use crate::registers::{REGISTERS, Received, system_call};

/// The calling protection domain's system calls.
#[derive(Debug)]
pub struct Sel4 {
    /// A passive domain gives its scheduling context back to the monitor with its first receive.
    forfeit: bool,
}

impl Sel4 {
    pub(crate) fn new() -> Self {
        Self {
            forfeit: sel4_microkit::pd_is_passive(),
        }
    }
}

impl Syscalls for Sel4 {
    fn call(&mut self, to: CPtr, message: &mut Message) {
        let info = put(message);
        // A call takes no reply object: the register is not looked at.
        exchange(syscall_id::Call, to, ReplyObject::OWN, info, message);
    }

    fn send(&mut self, to: CPtr, message: &Message) {
        transmit(syscall_id::Send, to, message);
    }

    fn nb_send(&mut self, to: CPtr, message: &Message) {
        transmit(syscall_id::NBSend, to, message);
    }

    fn signal(&mut self, to: CPtr) {
        Notification::from_bits(to.bits()).signal();
    }

    fn recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        if core::mem::take(&mut self.forfeit) {
            forfeit_and_recv(from, reply, message)
        } else {
            exchange(syscall_id::Recv, from, reply, 0, message)
        }
    }

    fn nb_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Option<Badge> {
        let badge = exchange(syscall_id::NBRecv, from, reply, 0, message);
        // Every capability that is handed out has a badge; seL4 reports "nothing" as badge zero.
        (badge.0 != 0).then_some(badge)
    }

    fn reply_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        let info = put(message);
        exchange(syscall_id::ReplyRecv, from, reply, info, message)
    }

    fn yield_now(&mut self) {
        sel4::r#yield();
    }
}

impl Mapping for Sel4 {
    type ReadOnly = ReadOnly;
    type ReadWrite = ReadWrite;
}

impl CNodes for Sel4 {
    /// In line, so that an invocation is not first put together in memory and then taken apart.
    #[inline(always)]
    fn invoke(&mut self, invocation: &Invocation) -> Result<(), KernelError> {
        match *invocation {
            Invocation::Copy {
                destination,
                source,
                rights,
            } => slot(destination).copy(&slot(source), cap_rights(rights)),
            Invocation::Mint {
                destination,
                source,
                rights,
                badge,
            } => slot(destination).mint(&slot(source), cap_rights(rights), badge),
            Invocation::Move {
                destination,
                source,
            } => slot(destination).move_(&slot(source)),
            Invocation::Mutate {
                destination,
                source,
                badge,
            } => slot(destination).mutate(&slot(source), badge),
            Invocation::Revoke(place) => slot(place).revoke(),
            Invocation::Delete(place) => slot(place).delete(),
            Invocation::CancelBadgedSends(place) => return cancel_badged_sends(place),
        }
        .map_err(|error| kernel_error(error.into_sys()))
    }
}

/// seL4's `CNode_CancelBadgedSends`, which the `sel4` crate wraps only in its raw form.
fn cancel_badged_sends(place: CNodeSlot) -> Result<(), KernelError> {
    let code = sel4::with_ipc_buffer_mut(|buffer| {
        buffer
            .inner_mut()
            .seL4_CNode_CancelBadgedSends(place.root.bits(), place.index, place.depth)
    });
    if code == sel4::sys::seL4_Error::seL4_NoError {
        Ok(())
    } else {
        Err(kernel_error(code))
    }
}

fn kernel_error(code: sel4::sys::seL4_Error::Type) -> KernelError {
    KernelError::from_code(u64::from(code)).unwrap_or(KernelError::IllegalOperation)
}

fn slot(place: CNodeSlot) -> AbsoluteCPtr {
    let path = CPtrWithDepth::from_bits_with_depth(place.index, place.depth.into());
    AbsoluteCPtr::new(CNode::from_bits(place.root.bits()), path)
}

fn cap_rights(rights: Rights) -> CapRights {
    CapRightsBuilder::none()
        .read(rights.read)
        .write(rights.write)
        .grant(rights.grant)
        .grant_reply(rights.grant_reply)
        .build()
}

/// Puts the words that do not go in registers into the IPC buffer; gives the message info word (label
/// from bit 12, length below bit 7).
#[inline(always)]
fn put(message: &Message) -> u64 {
    if message.length() > REGISTERS {
        put_long(message.words());
    }
    message.label() << 12 | message.length() as u64
}

/// Out of line, so that a short message pays nothing for it.
#[inline(never)]
fn put_long(words: &[u64]) {
    sel4::with_ipc_buffer_mut(|buffer| {
        copy(&mut buffer.msg_regs_mut()[REGISTERS..], &words[REGISTERS..]);
    });
}

/// Copies `from` to the start of `to`, as `copy_from_slice` does. That would be a call of `memcpy`,
/// which for a message takes longer than the words do.
#[inline(always)]
fn copy(to: &mut [u64], from: &[u64]) {
    for (place, word) in to.iter_mut().zip(from) {
        // SAFETY: a reference may be written; volatile, so that the loop stays one.
        unsafe { core::ptr::from_mut(place).write_volatile(*word) };
    }
}

/// Makes a system call that sends `message` and receives nothing.
fn transmit(number: c_int, to: CPtr, message: &Message) {
    let info = put(message);
    let [w0, w1, w2, w3, ..] = *message.room();
    system_call(number, to.bits(), info, &mut [w0, w1, w2, w3], 0);
}

/// Makes a system call that receives into `message`. Where a notification ended it, seL4 leaves the
/// message registers as they were, `info` too: its length may be anything.
#[inline(always)]
fn exchange(
    number: c_int,
    to: CPtr,
    reply: ReplyObject,
    info: u64,
    message: &mut Message,
) -> Badge {
    let words = message.room_mut().first_chunk_mut();
    let words = words.expect("a message has room for more than registers");
    let Received { info, badge } = system_call(number, to.bits(), info, words, reply.0.bits());
    message.received(info >> 12, (info & 0x7f) as usize);
    if message.length() > REGISTERS {
        take(message, REGISTERS);
    }
    Badge(badge)
}

/// Takes the words from `first` on out of the IPC buffer.
#[inline(never)]
fn take(message: &mut Message, first: usize) {
    let length = message.length();
    sel4::with_ipc_buffer(|buffer| {
        copy(
            &mut message.room_mut()[first..],
            &buffer.msg_regs()[first..length],
        );
    });
}

/// Gives the scheduling context back to the monitor and receives, in one system call.
#[cold]
fn forfeit_and_recv(from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
    let monitor = Endpoint::from_bits(cspace::MONITOR_ENDPOINT.bits());
    let nothing = MessageInfoBuilder::default().build();
    let reply = Reply::from_bits(reply.0.bits());
    let (info, badge) = monitor.nb_send_recv(nothing, Endpoint::from_bits(from.bits()), reply);
    message.received(info.label(), info.length());
    take(message, 0);
    Badge(badge)
}

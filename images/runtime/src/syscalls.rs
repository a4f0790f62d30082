//! The system calls that `portcullis_kernel` names, made on seL4.

use portcullis_kernel::{
    Badge, CNodeSlot, CNodes, CPtr, Invocation, KernelError, MAX_WORDS, Message, Rights, Syscalls,
    cspace,
};
use sel4::cap::{CNode, Endpoint, Notification, Reply};
use sel4::{AbsoluteCPtr, CPtrWithDepth, Cap, CapRights, CapRightsBuilder, MessageInfo};

const REPLY: Reply = Cap::from_bits(cspace::REPLY.bits());

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
        let info = endpoint(to).call(info);
        take(message, info);
    }

    fn send(&mut self, to: CPtr, message: &Message) {
        let info = put(message);
        endpoint(to).send(info);
    }

    fn nb_send(&mut self, to: CPtr, message: &Message) {
        let info = put(message);
        endpoint(to).nb_send(info);
    }

    fn signal(&mut self, to: CPtr) {
        Notification::from_bits(to.bits()).signal();
    }

    fn recv(&mut self, from: CPtr, message: &mut Message) -> Badge {
        let (info, badge) = if core::mem::take(&mut self.forfeit) {
            let nothing = sel4::MessageInfoBuilder::default().build();
            endpoint(cspace::MONITOR_ENDPOINT).nb_send_recv(nothing, endpoint(from), REPLY)
        } else {
            endpoint(from).recv(REPLY)
        };
        take(message, info);
        Badge(badge)
    }

    fn nb_recv(&mut self, from: CPtr, message: &mut Message) -> Option<Badge> {
        let (info, badge) = endpoint(from).nb_recv(REPLY);
        // Every capability that is handed out has a badge; seL4 reports "nothing" as badge zero.
        if badge == 0 {
            return None;
        }
        take(message, info);
        Some(Badge(badge))
    }

    fn reply_recv(&mut self, from: CPtr, message: &mut Message) -> Badge {
        let info = put(message);
        let (info, badge) = endpoint(from).reply_recv(info, REPLY);
        take(message, info);
        Badge(badge)
    }

    fn yield_now(&mut self) {
        sel4::r#yield();
    }
}

impl CNodes for Sel4 {
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

fn endpoint(cptr: CPtr) -> Endpoint {
    Endpoint::from_bits(cptr.bits())
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

/// Puts `message` into the IPC buffer.
fn put(message: &Message) -> MessageInfo {
    let words = message.words();
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[..words.len()].copy_from_slice(words));
    sel4::MessageInfoBuilder::default()
        .label(message.label())
        .length(words.len())
        .build()
}

/// Takes what the kernel delivered out of the IPC buffer. Where a notification ended a receive, seL4
/// leaves the message registers as they were, `info` too: its length may be anything.
fn take(message: &mut Message, info: MessageInfo) {
    let length = info.length().min(MAX_WORDS);
    sel4::with_ipc_buffer(|buffer| message.set(info.label(), &buffer.msg_regs()[..length]));
}

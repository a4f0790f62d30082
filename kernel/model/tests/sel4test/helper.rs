//! Threads as sel4test's helpers have them: each with a scheduling context and a reply object.

use portcullis_kernel::{CPtr, Message, Syscall};
use portcullis_model::invocation::label;
use portcullis_model::{Capability, Completion, ObjectId, ThreadId};

use crate::system::{Events, FREE, System, call, message, received, refused, wait};

/// Slot of the manager's own thread.
pub(crate) const MANAGER: u64 = 6;
/// Slot of another endpoint.
pub(crate) const OTHER: u64 = 7;
/// First slot that no helper has.
pub(crate) const SPARE: u64 = FREE + 128;
/// What a call that the kernel executes is answered with.
pub(crate) const OK: Completion = Completion::Message {
    badge: portcullis_kernel::Badge(0),
    message: Message::new(0),
};
/// Errors of the kernel, as labels.
pub(crate) const INVALID_CAPABILITY: u64 = 2;
pub(crate) const ILLEGAL_OPERATION: u64 = 3;
pub(crate) const FAILED_LOOKUP: u64 = 6;
pub(crate) const DELETE_FIRST: u64 = 8;

/// A thread, and the slots of what belongs to it.
#[derive(Clone, Copy)]
pub(crate) struct Helper {
    pub(crate) thread: ThreadId,
    pub(crate) context: ObjectId,
    pub(crate) tcb: u64,
    pub(crate) sc: u64,
    pub(crate) reply: u64,
}

/// A system with a second endpoint, whose manager holds its own thread.
pub(crate) fn new_system() -> System {
    let mut system = System::new();
    let thread = system.manager;
    system.hold(MANAGER, Capability::Thread { thread });
    endpoint_at(&mut system, OTHER);
    system
}

/// Another endpoint's first capability, in this slot.
pub(crate) fn endpoint_at(system: &mut System, slot: u64) -> ObjectId {
    let object = system.kernel.create_endpoint();
    let handed = system.kernel.hand_over(object, system.cnode, slot);
    handed.unwrap();
    object
}

/// Has the faults of a thread go to a new endpoint, in this slot.
pub(crate) fn handle_faults(system: &mut System, thread: ThreadId, slot: u64) {
    let handler = Capability::endpoint(system.kernel.create_endpoint());
    system.hold(slot, handler);
    system.kernel.set_fault_handler(thread, handler).unwrap();
}

/// A helper with the slots of this place, 0 to 15. All of them hold the first capabilities.
pub(crate) fn helper(system: &mut System, place: u64, priority: u8) -> Helper {
    let first = FREE + 8 * place;
    let thread = system.thread(priority);
    let context = system.kernel.context(thread).unwrap();
    let reply = system.kernel.create_reply();
    let (kernel, cnode) = (&mut system.kernel, system.cnode);
    kernel.hand_over_thread(thread, cnode, first).unwrap();
    kernel.hand_over(context, cnode, first + 1).unwrap();
    kernel.hand_over(reply, cnode, first + 2).unwrap();
    Helper {
        thread,
        context,
        tcb: first,
        sc: first + 1,
        reply: first + 2,
    }
}

/// A message that says something.
pub(crate) fn text() -> Message {
    message(20, &[7])
}

/// Has the manager take the helper's scheduling context away.
pub(crate) fn unbind(system: &mut System, helper: &Helper) {
    let told = system.call_with(helper.sc, &Message::new(label::CONTEXT_UNBIND), &[]);
    assert_eq!(told, (OK, vec![]));
    assert!(!system.kernel.is_schedulable(helper.thread));
}

/// Has the manager bind a scheduling context to the object in a slot; gives what it is told.
pub(crate) fn bind(system: &mut System, sc: u64, object: u64) -> Completion {
    let bind = Message::new(label::CONTEXT_BIND);
    let (told, others) = system.call_with(sc, &bind, &[object]);
    assert_eq!(others, []);
    told
}

/// Has the manager bind the helper to its own scheduling context.
pub(crate) fn rebind(system: &mut System, helper: &Helper) {
    assert_eq!(bind(system, helper.sc, helper.tcb), OK);
    assert_eq!(system.kernel.context(helper.thread), Some(helper.context));
}

/// Has the helper tell the manager, through `to`, that it is ready, receive from `from` with its reply
/// object, and loses its scheduling context.
pub(crate) fn make_passive(system: &mut System, helper: &Helper, to: u64, from: u64) {
    assert_eq!(system.syscall(system.manager, wait(to)), []);
    let ready = nb_send_recv(to, from, helper);
    assert_eq!(
        system.syscall(helper.thread, ready),
        [(system.manager, received(0, &text()))]
    );
    unbind(system, helper);
}

/// `NBSendRecv` with the helper's reply object.
pub(crate) fn nb_send_recv(to: u64, from: u64, helper: &Helper) -> Syscall {
    Syscall::NbSendRecv {
        to: CPtr(to),
        message: text(),
        from: CPtr(from),
        reply: CPtr(helper.reply),
    }
}

pub(crate) fn nb_send_wait(to: u64, from: u64) -> Syscall {
    Syscall::NbSendWait {
        to: CPtr(to),
        message: text(),
        from: CPtr(from),
    }
}

/// `Recv` with the helper's reply object.
pub(crate) fn recv_with(from: u64, reply: u64) -> Syscall {
    Syscall::Recv {
        from: CPtr(from),
        reply: CPtr(reply),
    }
}

/// `ReplyRecv` with the helper's reply object.
pub(crate) fn reply_recv_with(from: u64, reply: u64) -> Syscall {
    Syscall::ReplyRecv {
        from: CPtr(from),
        reply: CPtr(reply),
        message: text(),
    }
}

/// Has the helper call, and checks that the server takes the message on the helper's scheduling context.
pub(crate) fn call_donates(system: &mut System, caller: ThreadId, to: u64, server: ThreadId) {
    let context = system.kernel.context(caller);
    assert!(context.is_some());
    let events = system.syscall(caller, call(to, &text()));
    assert_eq!(events, [(server, received(0, &text()))]);
    assert_eq!(system.kernel.context(server), context);
    assert_eq!(system.kernel.context(caller), None);
}

/// Has the manager set a helper's priority on its own authority.
pub(crate) fn set_priority(system: &mut System, tcb: u64, priority: u64) -> Completion {
    let set = message(label::TCB_SET_PRIORITY, &[priority]);
    let (told, others) = system.call_with(tcb, &set, &[MANAGER]);
    assert_eq!(others, []);
    told
}

/// Has the manager delete what a slot holds; gives what that completes for others.
pub(crate) fn delete(system: &mut System, index: u64) -> Events {
    let delete = portcullis_kernel::Invocation::Delete(crate::system::slot(index));
    let (result, events) = system.invoke_with(delete);
    assert_eq!(result, Ok(()));
    events
}

/// What a call is answered with that the kernel refuses without details.
pub(crate) fn error(label: u64) -> Completion {
    refused(label, &[])
}

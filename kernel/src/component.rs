//! A component, and the loop that serves it.

use crate::{Badge, GrantBadge, Message, Method, Source, Syscalls, cspace, label};

/// Who made a call that a component is asked to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The holder of a grant. [`serve`] has checked that the grant includes the method.
    Grant(GrantBadge),
    /// The peer of a static channel.
    Channel(u8),
}

/// A protection domain's program: what it does when it starts, is called, and is notified. The
/// same three entry points as Microkit's `init`, `protected` and `notified`.
pub trait Component<K: Syscalls> {
    /// Runs once, before anything is served.
    fn init(&mut self, kernel: &mut K);

    /// Serves a request: `message` holds it, and afterwards the reply. After a `send` the reply
    /// goes nowhere.
    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let _ = (kernel, caller, method);
        message.refuse(label::BAD_METHOD);
    }

    /// Takes notifications: bit n is channel, or granted bit, n.
    fn notified(&mut self, kernel: &mut K, bits: u64) {
        let _ = (kernel, bits);
    }
}

/// Serves `component` for ever, on its own input. A platform's system calls return for as long as
/// the component lives, so neither does this.
pub fn serve<K: Syscalls, C: Component<K>>(kernel: &mut K, component: &mut C) -> ! {
    component.init(kernel);
    let mut message = Message::default();
    let mut badge = kernel.recv(cspace::INPUT, &mut message);
    loop {
        badge = match dispatch(kernel, component, badge, &mut message) {
            Answer::Reply => kernel.reply_recv(cspace::INPUT, &mut message),
            Answer::None => kernel.recv(cspace::INPUT, &mut message),
        };
    }
}

/// What a received message or notification is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The message that the component left, as a reply.
    Reply,
    /// Nothing.
    None,
}

/// Has `component` take what was received with `badge`: one turn of [`serve`]'s loop, for
/// platforms that run components by turns.
pub fn dispatch<K: Syscalls, C: Component<K> + ?Sized>(
    kernel: &mut K,
    component: &mut C,
    badge: Badge,
    message: &mut Message,
) -> Answer {
    let caller = match badge.source() {
        Source::Grant(grant) => Caller::Grant(grant),
        Source::Channel(id) => Caller::Channel(id),
        Source::Notification(bits) => {
            component.notified(kernel, bits);
            return Answer::None;
        }
        // Only a parent protection domain receives faults; no component is one.
        Source::Fault(_) => return Answer::None,
    };
    match message.method() {
        Some(method) if allows(caller, method) => component.call(kernel, caller, method, message),
        _ => message.refuse(label::BAD_METHOD),
    }
    Answer::Reply
}

/// A grant allows what its badge says; a static channel is its server's to judge.
fn allows(caller: Caller, method: Method) -> bool {
    match caller {
        Caller::Grant(grant) => grant.methods().contains(method),
        Caller::Channel(_) => true,
    }
}

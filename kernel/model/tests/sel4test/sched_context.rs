//! The cases of `schedcontext.c` that are about who has a scheduling context, and not about time.

use portcullis_kernel::Message;
use portcullis_model::invocation::label;
use portcullis_model::{Completion, ThreadState};

use crate::helper::{
    Helper, ILLEGAL_OPERATION, INVALID_CAPABILITY, OK, OTHER, SPARE, bind, call_donates, delete,
    endpoint_at, error, helper, make_passive, nb_send_wait, new_system, rebind, text, unbind,
};
use crate::system::{
    ENDPOINT, NOTIFICATION, System, call, received, refused, send, signalled, wait,
};

fn unbind_object(system: &mut System, sc: u64, object: u64) -> Completion {
    let unbind = Message::new(label::CONTEXT_UNBIND_OBJECT);
    let (told, others) = system.call_with(sc, &unbind, &[object]);
    assert_eq!(others, []);
    told
}

/// A thread and a notification may be bound at once, each once; nothing else, and only what is bound is
/// unbound.
#[test]
fn sched_context_0003() {
    let mut system = new_system();
    let Helper { tcb, sc, .. } = helper(&mut system, 0, 10);
    let illegal = error(ILLEGAL_OPERATION);
    let invalid = refused(INVALID_CAPABILITY, &[1]);
    assert_eq!(unbind_object(&mut system, sc, tcb), OK);
    assert_eq!(bind(&mut system, sc, ENDPOINT), invalid);
    assert_eq!(bind(&mut system, sc, tcb), OK);
    assert_eq!(bind(&mut system, sc, tcb), illegal);
    assert_eq!(bind(&mut system, sc, NOTIFICATION), OK);
    assert_eq!(bind(&mut system, sc, NOTIFICATION), illegal);
    assert_eq!(unbind_object(&mut system, sc, NOTIFICATION), OK);
    assert_eq!(unbind_object(&mut system, sc, tcb), OK);
    assert_eq!(unbind_object(&mut system, sc, ENDPOINT), invalid);
    assert_eq!(unbind_object(&mut system, sc, NOTIFICATION), illegal);
    assert_eq!(unbind_object(&mut system, sc, tcb), illegal);
    for label in [label::CONTEXT_BIND, label::CONTEXT_UNBIND_OBJECT] {
        let truncated = system.call_with(sc, &Message::new(label), &[]);
        assert_eq!(truncated, (error(7), vec![]));
    }
}

/// A thread whose scheduling context was deleted does not run.
#[test]
fn sched_context_0005() {
    let mut system = new_system();
    let helper = helper(&mut system, 0, 10);
    assert_eq!(delete(&mut system, helper.sc), []);
    assert!(!system.kernel.is_schedulable(helper.thread));
}

/// The scheduling context that a notification lent to a thread is free again when the thread is deleted.
#[test]
fn sched_context_0006() {
    let mut system = new_system();
    let [one, two] = [0, 1].map(|place| helper(&mut system, place, 10));
    system.syscall(one.thread, wait(NOTIFICATION));
    unbind(&mut system, &one);
    assert_eq!(bind(&mut system, one.sc, NOTIFICATION), OK);
    let signal = send(NOTIFICATION, &text());
    let events = system.syscall(system.manager, signal.clone());
    assert_eq!(events[0], (one.thread, signalled(0)));
    assert_eq!(system.kernel.context(one.thread), Some(one.context));
    delete(&mut system, one.tcb);
    assert_eq!(system.state(one.thread), ThreadState::Destroyed);
    system.syscall(two.thread, wait(NOTIFICATION));
    delete(&mut system, two.sc);
    let events = system.syscall(system.manager, signal);
    assert_eq!(events[0], (two.thread, signalled(0)));
    assert_eq!(system.kernel.context(two.thread), Some(one.context));
}

/// A passive thread may be resumed before it is bound or after; one that waits for the notification that
/// its scheduling context is bound to gives that back.
#[test]
fn sched_context_0007() {
    let mut system = new_system();
    for place in 0..2 {
        let helper = helper(&mut system, place, 10);
        let tell =
            |system: &mut System, label| system.call_with(helper.tcb, &Message::new(label), &[]);
        assert_eq!(tell(&mut system, label::TCB_SUSPEND).0, OK);
        unbind(&mut system, &helper);
        if place == 0 {
            assert_eq!(tell(&mut system, label::TCB_RESUME).0, OK);
            assert!(!system.kernel.is_schedulable(helper.thread));
            rebind(&mut system, &helper);
        } else {
            rebind(&mut system, &helper);
            assert!(!system.kernel.is_schedulable(helper.thread));
            assert_eq!(tell(&mut system, label::TCB_RESUME).0, OK);
        }
        assert!(system.kernel.is_schedulable(helper.thread));
    }
    let lazy = helper(&mut system, 2, 10);
    assert_eq!(bind(&mut system, lazy.sc, NOTIFICATION), OK);
    let illegal = error(ILLEGAL_OPERATION);
    assert_eq!(bind(&mut system, lazy.sc, lazy.tcb), illegal);
    system.syscall(lazy.thread, wait(NOTIFICATION));
    assert_eq!(system.kernel.context(lazy.thread), None);
    rebind(&mut system, &lazy);
}

/// Messages that expect no reply donate for good; the client gets its scheduling context back once the
/// server that has it is deleted.
#[test]
fn sched_context_0008() {
    let mut system = new_system();
    let [client, proxy, server] = [0, 1, 2].map(|place| helper(&mut system, place, 10));
    let [client_send, client_wait, proxy_send] = [ENDPOINT, OTHER, SPARE];
    endpoint_at(&mut system, proxy_send);
    for (passive, from) in [(&server, proxy_send), (&proxy, client_send)] {
        system.syscall(passive.thread, wait(from));
        unbind(&mut system, passive);
    }
    let events = system.syscall(client.thread, nb_send_wait(client_send, client_wait));
    assert_eq!(events, [(proxy.thread, received(0, &text()))]);
    let events = system.syscall(proxy.thread, nb_send_wait(proxy_send, client_send));
    assert_eq!(events, [(server.thread, received(0, &text()))]);
    assert_eq!(system.kernel.context(server.thread), Some(client.context));
    let illegal = error(ILLEGAL_OPERATION);
    assert_eq!(bind(&mut system, client.sc, client.tcb), illegal);
    delete(&mut system, server.tcb);
    rebind(&mut system, &client);
    let events = system.syscall(system.manager, send(client_wait, &text()));
    assert_eq!(events[0], (client.thread, received(0, &text())));
    assert!(system.kernel.is_schedulable(client.thread));
}

/// A client that called a passive server.
fn called() -> (System, Helper, Helper) {
    let mut system = new_system();
    let [client, server] = [0, 1].map(|place| helper(&mut system, place, 10));
    make_passive(&mut system, &server, ENDPOINT, ENDPOINT);
    call_donates(&mut system, client.thread, ENDPOINT, server.thread);
    (system, client, server)
}

/// When the reply object is deleted, its caller gets its scheduling context back, and no reply.
#[test]
fn sched_context_0009() {
    let (mut system, client, server) = called();
    assert_eq!(delete(&mut system, server.reply), []);
    assert!(!system.kernel.is_schedulable(server.thread));
    assert_eq!(system.kernel.context(client.thread), Some(client.context));
    assert_eq!(system.state(client.thread), ThreadState::Inactive);
    system.step(|kernel, _| kernel.redirect(client.thread));
    assert!(system.kernel.is_schedulable(client.thread));
}

/// A scheduling context may be taken from the server that it was donated to.
#[test]
fn sched_context_0010() {
    let mut system = new_system();
    let [client, server] = [0, 1].map(|place| helper(&mut system, place, 10));
    make_passive(&mut system, &server, ENDPOINT, ENDPOINT);
    let events = system.syscall(client.thread, nb_send_wait(ENDPOINT, ENDPOINT));
    assert_eq!(events, [(server.thread, received(0, &text()))]);
    assert_eq!(system.kernel.context(server.thread), Some(client.context));
    assert_eq!(unbind_object(&mut system, client.sc, server.tcb), OK);
    assert!(!system.kernel.is_schedulable(server.thread));
    rebind(&mut system, &client);
    system.step(|kernel, _| kernel.redirect(client.thread));
    assert!(system.kernel.is_schedulable(client.thread));
}

/// A client that called a passive proxy, which called a passive server.
fn chain() -> (System, [Helper; 3]) {
    let mut system = new_system();
    let all @ [client, proxy, server] = [0, 1, 2].map(|place| helper(&mut system, place, 10));
    make_passive(&mut system, &server, OTHER, OTHER);
    make_passive(&mut system, &proxy, ENDPOINT, ENDPOINT);
    call_donates(&mut system, client.thread, ENDPOINT, proxy.thread);
    call_donates(&mut system, proxy.thread, OTHER, server.thread);
    assert_eq!(system.kernel.context(server.thread), Some(client.context));
    (system, all)
}

/// Deleting the reply objects from the last call on takes the scheduling context back along the chain.
#[test]
fn sched_context_0011() {
    let (mut system, [client, proxy, server]) = chain();
    delete(&mut system, server.reply);
    assert!(!system.kernel.is_schedulable(server.thread));
    assert_eq!(system.kernel.context(proxy.thread), Some(client.context));
    delete(&mut system, proxy.reply);
    assert_eq!(system.kernel.context(client.thread), Some(client.context));
}

/// Deleting them in the other order breaks the chain: the client does not get its scheduling context
/// back.
#[test]
fn sched_context_0012() {
    let (mut system, [client, proxy, server]) = chain();
    delete(&mut system, proxy.reply);
    assert_eq!(system.kernel.context(server.thread), Some(client.context));
    delete(&mut system, server.reply);
    assert!(!system.kernel.is_schedulable(server.thread));
    assert_eq!(system.kernel.context(proxy.thread), Some(client.context));
    system.step(|kernel, _| kernel.redirect(client.thread));
    assert!(!system.kernel.is_schedulable(client.thread));
    assert_eq!(system.syscall(client.thread, call(ENDPOINT, &text())), []);
}

/// Deleting the scheduling context stops the whole chain; each thread of it goes on with another.
#[test]
fn sched_context_0013() {
    let (mut system, [client, proxy, server]) = chain();
    delete(&mut system, client.sc);
    assert!(!system.kernel.is_schedulable(server.thread));
    delete(&mut system, server.reply);
    assert_eq!(system.kernel.context(proxy.thread), None);
    for (thread, tcb) in [(proxy.thread, proxy.tcb), (client.thread, client.tcb)] {
        assert_eq!(bind(&mut system, server.sc, tcb), OK);
        system.step(|kernel, _| kernel.redirect(thread));
        assert!(system.kernel.is_schedulable(thread));
        assert_eq!(unbind_object(&mut system, server.sc, tcb), OK);
    }
}

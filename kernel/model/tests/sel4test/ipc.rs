//! `ipc.c`.

use portcullis_kernel::{CPtr, MAX_WORDS, Message, Syscall};
use portcullis_model::invocation::label;
use portcullis_model::{Completion, ThreadState};

use crate::helper::{
    Helper, OK, OTHER, SPARE, bind, call_donates, delete, endpoint_at, handle_faults, helper,
    make_passive, nb_send_recv, new_system, rebind, recv_with, reply_recv_with, set_priority, text,
    unbind,
};
use crate::system::{ENDPOINT, REPLY, System, call, message, nb_send, received, recv, send, wait};

/// A message of each length.
fn all_lengths() -> impl Iterator<Item = Message> {
    let words: Vec<u64> = (0xabba_cafe..).take(MAX_WORDS).collect();
    (0..=MAX_WORDS).map(move |length| message(20, &words[..length]))
}

/// A system with two helpers of the same priority.
fn pair() -> (System, Helper, Helper) {
    let mut system = new_system();
    let [a, b] = [0, 1].map(|place| helper(&mut system, place, 10));
    (system, a, b)
}

/// Send and Recv hand over messages of every length, whoever comes first.
#[test]
fn ipc0001() {
    let (mut system, sender, receiver) = pair();
    for text in all_lengths() {
        let done = (sender.thread, Completion::Done);
        let got = (receiver.thread, received(0, &text));
        system.syscall(receiver.thread, recv_with(ENDPOINT, receiver.reply));
        let events = system.syscall(sender.thread, send(ENDPOINT, &text));
        assert_eq!(events, [got.clone(), done.clone()]);
        system.syscall(sender.thread, send(ENDPOINT, &text));
        let events = system.syscall(receiver.thread, recv_with(ENDPOINT, receiver.reply));
        assert_eq!(events, [done, got]);
    }
}

/// Call and ReplyRecv hand over messages and replies of every length.
#[test]
fn ipc0002() {
    let (mut system, client, server) = pair();
    system.syscall(server.thread, recv_with(ENDPOINT, server.reply));
    for text in all_lengths() {
        let events = system.syscall(client.thread, call(ENDPOINT, &text));
        assert_eq!(events, [(server.thread, received(0, &text))]);
        let answer = Syscall::ReplyRecv {
            from: CPtr(ENDPOINT),
            reply: CPtr(server.reply),
            message: text.clone(),
        };
        let events = system.syscall(server.thread, answer);
        assert_eq!(events, [(client.thread, received(0, &text))]);
    }
}

/// As `ipc0002`, with the reply and the next Recv apart.
#[test]
fn ipc0003() {
    let (mut system, client, server) = pair();
    for text in all_lengths() {
        system.syscall(client.thread, call(ENDPOINT, &text));
        let events = system.syscall(server.thread, recv_with(ENDPOINT, server.reply));
        assert_eq!(events, [(server.thread, received(0, &text))]);
        let events = system.syscall(server.thread, send(server.reply, &text));
        assert_eq!(events[0], (client.thread, received(0, &text)));
    }
}

/// NBSend hands over where somebody receives, and drops the message where nobody does.
#[test]
fn ipc0004() {
    let (mut system, sender, receiver) = pair();
    for text in all_lengths() {
        let done = (sender.thread, Completion::Done);
        let nb_send = nb_send(ENDPOINT, &text);
        let events = system.syscall(sender.thread, nb_send.clone());
        assert_eq!(events, std::slice::from_ref(&done));
        system.syscall(receiver.thread, recv_with(ENDPOINT, receiver.reply));
        let events = system.syscall(sender.thread, nb_send);
        assert_eq!(events, [(receiver.thread, received(0, &text)), done]);
    }
}

/// A caller may be suspended, resumed and deleted while it waits for its reply.
#[test]
fn ipc0010() {
    let (mut system, client, _) = pair();
    system.syscall(client.thread, call(ENDPOINT, &text()));
    system.syscall(system.manager, recv(ENDPOINT));
    for label in [label::TCB_SUSPEND, label::TCB_RESUME, label::TCB_SUSPEND] {
        let (told, _) = system.call_with(client.tcb, &Message::new(label), &[]);
        assert_eq!(told, OK);
    }
    delete(&mut system, client.tcb);
    assert_eq!(system.state(client.thread), ThreadState::Destroyed);
    let events = system.syscall(system.manager, send(REPLY, &text()));
    assert_eq!(events, [(system.manager, Completion::Done)]);
}

/// A call goes through five passive proxies to a passive server and back, ten times, on the client's
/// scheduling context. `step` is what each priority is above the one before.
fn chain(step: i8) {
    const PROXIES: u64 = 5;
    let mut system = new_system();
    let client = helper(&mut system, 0, 20);
    let servers: Vec<_> = (1..=PROXIES + 1)
        .map(|place| {
            helper(
                &mut system,
                place,
                (20 + step * place as i8).cast_unsigned(),
            )
        })
        .collect();
    let endpoint = |place: usize| SPARE + place as u64;
    for (place, server) in servers.iter().enumerate() {
        endpoint_at(&mut system, endpoint(place));
        make_passive(&mut system, server, OTHER, endpoint(place));
    }
    for _ in 0..10 {
        let mut caller = client.thread;
        for (place, server) in servers.iter().enumerate() {
            call_donates(&mut system, caller, endpoint(place), server.thread);
            caller = server.thread;
        }
        for (place, server) in servers.iter().enumerate().rev() {
            let caller = place
                .checked_sub(1)
                .map_or(client, |before| servers[before]);
            let reply_recv = reply_recv_with(endpoint(place), server.reply);
            let events = system.syscall(server.thread, reply_recv);
            assert_eq!(events, [(caller.thread, received(0, &text()))]);
            assert_eq!(system.kernel.context(caller.thread), Some(client.context));
            assert_eq!(system.kernel.context(server.thread), None);
        }
    }
}

/// A chain of servers of the client's priority. The kernel's fastpath, which the same chain takes in
/// `IPC0015`, must come to the same.
#[test]
fn ipc0011() {
    chain(0);
}

/// A chain of servers, each of a higher priority (`IPC0014` by the fastpath).
#[test]
fn ipc0012() {
    chain(1);
}

/// A chain of servers, each of a lower priority.
#[test]
fn ipc0013() {
    chain(-1);
}

/// A reply gives the scheduling context back even where it is sent, and not given by ReplyRecv.
#[test]
fn ipc0016() {
    let (mut system, client, server) = pair();
    make_passive(&mut system, &server, ENDPOINT, ENDPOINT);
    call_donates(&mut system, client.thread, ENDPOINT, server.thread);
    let events = system.syscall(server.thread, send(server.reply, &text()));
    let done = (server.thread, Completion::Done);
    assert_eq!(events, [(client.thread, received(0, &text())), done]);
    assert_eq!(system.kernel.context(client.thread), Some(client.context));
    assert!(!system.kernel.is_schedulable(server.thread));
    assert_eq!(system.syscall(server.thread, wait(ENDPOINT)), []);
    assert_eq!(system.state(server.thread), ThreadState::Running);
}

/// A server without a scheduling context takes one message and does not run; further senders wait until
/// it has one.
#[test]
fn ipc0017() {
    let (mut system, server, first) = pair();
    let second = helper(&mut system, 2, 9);
    system.syscall(server.thread, wait(ENDPOINT));
    unbind(&mut system, &server);
    let events = system.syscall(system.manager, nb_send(ENDPOINT, &text()));
    assert_eq!(events[0], (server.thread, received(0, &text())));
    assert!(!system.kernel.is_schedulable(server.thread));
    for client in [&first, &second] {
        assert_eq!(system.syscall(client.thread, send(ENDPOINT, &text())), []);
    }
    rebind(&mut system, &server);
    for client in [&first, &second] {
        let events = system.syscall(server.thread, wait(ENDPOINT));
        assert_eq!(events[0], (client.thread, Completion::Done));
    }
    system.syscall(server.thread, wait(ENDPOINT));
    let events = system.syscall(system.manager, send(ENDPOINT, &text()));
    assert_eq!(events[0], (server.thread, received(0, &text())));
}

/// The message of a sender without a scheduling context is received; the sender does not run.
#[test]
fn ipc0018() {
    let (mut system, client, _) = pair();
    system.syscall(client.thread, send(ENDPOINT, &text()));
    unbind(&mut system, &client);
    let events = system.syscall(system.manager, wait(ENDPOINT));
    let got = (system.manager, received(0, &text()));
    assert_eq!(events, [(client.thread, Completion::Done), got]);
    assert!(!system.kernel.is_schedulable(client.thread));
    assert_eq!(system.syscall(client.thread, send(ENDPOINT, &text())), []);
    rebind(&mut system, &client);
    for _ in 0..2 {
        system.syscall(client.thread, send(ENDPOINT, &text()));
        let events = system.syscall(system.manager, wait(ENDPOINT));
        assert_eq!(events[0], (client.thread, Completion::Done));
    }
}

/// Deleting the scheduling context of a sender leaves its message.
#[test]
fn ipc0019() {
    let (mut system, client, _) = pair();
    system.syscall(client.thread, send(ENDPOINT, &text()));
    delete(&mut system, client.sc);
    let events = system.syscall(system.manager, wait(ENDPOINT));
    assert_eq!(events[1], (system.manager, received(0, &text())));
    assert!(!system.kernel.is_schedulable(client.thread));
}

/// A receiver whose scheduling context was deleted takes a message, and runs with a new one.
#[test]
fn ipc0020() {
    let (mut system, waiter, other) = pair();
    system.syscall(waiter.thread, wait(ENDPOINT));
    delete(&mut system, waiter.sc);
    let events = system.syscall(system.manager, send(ENDPOINT, &text()));
    assert_eq!(events[0], (waiter.thread, received(0, &text())));
    assert!(!system.kernel.is_schedulable(waiter.thread));
    unbind(&mut system, &other);
    assert_eq!(bind(&mut system, other.sc, waiter.tcb), OK);
    assert!(system.kernel.is_schedulable(waiter.thread));
}

/// A passive fault handler runs on the scheduling context of the thread that faulted, and gives it back
/// with its reply. The fault here is an empty slot that is received from, for the model has no pages.
#[test]
fn ipc0021() {
    const FAULTS: u64 = SPARE + 1;
    let (mut system, handler, faulter) = pair();
    handle_faults(&mut system, faulter.thread, FAULTS);
    make_passive(&mut system, &handler, ENDPOINT, FAULTS);
    let events = system.syscall(faulter.thread, wait(SPARE));
    // The message of a capability fault: where, while receiving, a missing capability.
    let fault = message(1, &[0, SPARE, 1, 2, 0]);
    assert_eq!(events, [(handler.thread, received(0, &fault))]);
    assert_eq!(system.kernel.context(handler.thread), Some(faulter.context));
    assert!(!system.kernel.is_schedulable(faulter.thread));
    endpoint_at(&mut system, SPARE);
    let reply_recv = reply_recv_with(FAULTS, handler.reply);
    let events = system.syscall(handler.thread, reply_recv);
    assert_eq!(events, [(faulter.thread, Completion::Restarted)]);
    assert_eq!(system.kernel.context(faulter.thread), Some(faulter.context));
    let events = system.step(|kernel, done| kernel.restart(faulter.thread, done));
    assert_eq!(events, []);
    assert_eq!(system.state(faulter.thread), ThreadState::BlockedOnReceive);
}

/// A passive server hands each call on to a server of its own, with the scheduling context; whoever
/// replies gives it back to the caller.
#[test]
fn ipc0022() {
    const CLIENTS: u64 = 3;
    let mut system = new_system();
    let spawner = helper(&mut system, 0, 12);
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|place| helper(&mut system, place, 11))
        .collect();
    let servers: Vec<_> = (CLIENTS + 1..=2 * CLIENTS)
        .map(|place| helper(&mut system, place, 11))
        .collect();
    make_passive(&mut system, &spawner, ENDPOINT, ENDPOINT);
    // The spawner receives with the reply object of the server that is to reply.
    let cancel = |kernel: &mut portcullis_model::Kernel| kernel.redirect(spawner.thread);
    system.step(|kernel, _| cancel(kernel));
    rebind(&mut system, &spawner);
    system.syscall(spawner.thread, recv_with(ENDPOINT, servers[0].reply));
    unbind(&mut system, &spawner);
    for (place, (client, server)) in clients.iter().zip(&servers).enumerate() {
        system.syscall(server.thread, wait(OTHER));
        unbind(&mut system, server);
        call_donates(&mut system, client.thread, ENDPOINT, spawner.thread);
        let next = servers.get(place + 1).unwrap_or(&spawner);
        let hand_on = nb_send_recv(OTHER, ENDPOINT, next);
        let events = system.syscall(spawner.thread, hand_on);
        assert_eq!(events, [(server.thread, received(0, &text()))]);
        assert_eq!(system.kernel.context(server.thread), Some(client.context));
    }
    for (client, server) in clients.iter().zip(&servers) {
        let events = system.syscall(server.thread, send(server.reply, &text()));
        assert_eq!(events[0], (client.thread, received(0, &text())));
        assert_eq!(system.kernel.context(client.thread), Some(client.context));
        assert!(!system.kernel.is_schedulable(server.thread));
    }
}

/// A client that called a passive server, which then waits for something else.
fn called() -> (System, Helper, Helper) {
    let (mut system, client, server) = pair();
    make_passive(&mut system, &server, OTHER, ENDPOINT);
    call_donates(&mut system, client.thread, ENDPOINT, server.thread);
    assert_eq!(system.syscall(server.thread, wait(OTHER)), []);
    (system, client, server)
}

/// A caller whose scheduling context was deleted is replied to, and does not run.
#[test]
fn ipc0023() {
    let (mut system, client, server) = called();
    delete(&mut system, client.sc);
    let events = system.syscall(system.manager, send(server.reply, &Message::default()));
    assert_eq!(events[0], (client.thread, received(0, &Message::default())));
    assert!(!system.kernel.is_schedulable(client.thread));
}

/// Nor does one whose reply object and scheduling context were deleted.
#[test]
fn ipc0024() {
    let (mut system, client, server) = called();
    delete(&mut system, server.reply);
    assert_eq!(system.kernel.context(client.thread), Some(client.context));
    delete(&mut system, client.sc);
    assert_eq!(system.kernel.context(client.thread), None);
    assert!(!system.kernel.is_schedulable(client.thread));
}

/// Two threads talk to each other by NBSendRecv.
#[test]
fn ipc0025() {
    let (mut system, a, b) = pair();
    let talk = |system: &mut System, from: &Helper| {
        system.syscall(from.thread, nb_send_recv(ENDPOINT, ENDPOINT, from))
    };
    assert_eq!(talk(&mut system, &a), []);
    for _ in 0..10 {
        for (from, to) in [(&b, &a), (&a, &b)] {
            assert_eq!(talk(&mut system, from), [(to.thread, received(0, &text()))]);
            assert_eq!(system.kernel.context(from.thread), Some(from.context));
        }
    }
}

/// A client donates to a server of a lower priority, whether that waits already or comes later.
#[test]
fn ipc0027() {
    let (mut system, client, server) = pair();
    make_passive(&mut system, &server, OTHER, ENDPOINT);
    assert_eq!(set_priority(&mut system, server.tcb, 1), OK);
    assert_eq!(set_priority(&mut system, client.tcb, 2), OK);
    call_donates(&mut system, client.thread, ENDPOINT, server.thread);
    let events = system.syscall(server.thread, send(server.reply, &text()));
    assert_eq!(events[0], (client.thread, received(0, &text())));
    assert_eq!(system.kernel.context(client.thread), Some(client.context));

    let second = helper(&mut system, 2, 1);
    system.syscall(system.manager, wait(OTHER));
    system.syscall(client.thread, call(ENDPOINT, &text()));
    let events = system.syscall(second.thread, nb_send_recv(OTHER, ENDPOINT, &second));
    assert_eq!(events[1], (second.thread, received(0, &text())));
    unbind(&mut system, &second);
    // It had one of its own when it took the message.
    assert_eq!(system.kernel.context(client.thread), Some(client.context));
    rebind(&mut system, &second);
    let events = system.syscall(second.thread, send(second.reply, &text()));
    assert_eq!(events[0], (client.thread, received(0, &text())));
}

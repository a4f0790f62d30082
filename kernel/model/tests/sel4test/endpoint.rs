//! `endpoints.c`: cancelling the messages of one badge.

use portcullis_kernel::{Invocation, Rights};
use portcullis_model::{Completion, ThreadState};

use crate::helper::{Helper, INVALID_CAPABILITY, SPARE, helper, new_system, recv_with, text};
use crate::system::{ENDPOINT, Events, REPLY, System, call, received, recv, refused, send, slot};

/// Clients, each with a badge of its own.
const CLIENTS: u64 = 4;

const fn badged(client: u64) -> u64 {
    SPARE + client
}

const fn derived(client: u64) -> u64 {
    SPARE + 32 + client
}

/// A system whose clients each hold a copy of a badged capability.
fn system() -> (System, Vec<Helper>) {
    let mut system = new_system();
    let clients = (0..CLIENTS).map(|client| {
        let minted = system.mint(ENDPOINT, badged(client), Rights::ALL, 200 + client);
        minted.unwrap();
        system
            .copy(badged(client), derived(client), Rights::ALL)
            .unwrap();
        helper(&mut system, client, 100)
    });
    let clients = clients.collect();
    (system, clients)
}

/// Takes the derived capability of a client away, and cancels what waits with its badge.
fn cancel(system: &mut System, client: u64) -> Events {
    system.revoke(badged(client)).unwrap();
    let cancel = Invocation::CancelBadgedSends(slot(badged(client)));
    let (result, events) = system.invoke_with(cancel);
    assert_eq!(result, Ok(()));
    events
}

/// Only the calls with the cancelled badge end, and find that their capability is gone.
#[test]
fn cancel_badged_sends_0001() {
    let (mut system, clients) = system();
    for (client, it) in (0..).zip(&clients) {
        system.syscall(it.thread, call(derived(client), &text()));
    }
    for (client, it) in (0..).zip(&clients) {
        let events = system.syscall(system.manager, recv(ENDPOINT));
        let got = received(200 + client, &text());
        assert_eq!(events, [(system.manager, got)]);
        let events = system.syscall(system.manager, send(REPLY, &text()));
        assert_eq!(events[0], (it.thread, received(0, &text())));
        system.syscall(it.thread, call(derived(client), &text()));
    }
    for (client, it) in (0..).zip(&clients) {
        let events = cancel(&mut system, client);
        assert_eq!(events, [(it.thread, Completion::Restarted)]);
        let events = system.step(|kernel, done| kernel.restart(it.thread, done));
        let gone = refused(INVALID_CAPABILITY, &[0]);
        assert_eq!(events, [(it.thread, gone)]);
        for other in &clients[client as usize + 1..] {
            assert_eq!(system.state(other.thread), ThreadState::BlockedOnSend);
        }
    }
}

/// A client whose badge was cancelled reaches the endpoint no more; the others do.
#[test]
fn cancel_badged_sends_0002() {
    let (mut system, clients) = system();
    let server = helper(&mut system, CLIENTS, 100);
    for cancelled in 0..=CLIENTS {
        for (client, it) in (0..).zip(&clients) {
            system.syscall(server.thread, recv_with(ENDPOINT, server.reply));
            let events = system.syscall(it.thread, call(derived(client), &text()));
            if client < cancelled {
                let gone = refused(INVALID_CAPABILITY, &[0]);
                assert_eq!(events, [(it.thread, gone)]);
                continue;
            }
            let got = received(200 + client, &text());
            assert_eq!(events, [(server.thread, got)]);
            let events = system.syscall(server.thread, send(server.reply, &text()));
            assert_eq!(events[0], (it.thread, received(0, &text())));
        }
        if cancelled < CLIENTS {
            assert_eq!(cancel(&mut system, cancelled), []);
        }
    }
}

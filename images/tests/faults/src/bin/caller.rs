//! Calls servers that fault, one after the other, and says what comes back.

#![no_std]
#![no_main]

use portcullis_console::api::Terminal;
use portcullis_faults::KINDS;
use portcullis_kernel::{Component, Message, Method, Refusal, Syscalls};
use portcullis_manager_api::{find_call, find_send};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

/// Channel to the manager, in `faults.xml`.
const MANAGER: u8 = 0;
/// The interface of all servers here, and the server that faults before it serves.
const INTERFACE: &str = "faults";
const EARLY: &str = "early";

struct Caller;

impl<K: Syscalls> Component<K> for Caller {
    fn init(&mut self, kernel: &mut K) {
        let terminal = Terminal::find_or_silent(kernel, MANAGER);
        for (number, server) in (0..).zip(KINDS) {
            match call(kernel, server, number) {
                Ok(()) => terminal.line(kernel, format_args!("{server}: served")),
                Err(refusal) => terminal.line(kernel, format_args!("{server}: {refusal}")),
            }
        }
        // It has a lower priority, so that it has not run yet: this waits in its queue.
        match send(kernel) {
            Ok(()) => terminal.line(kernel, format_args!("{EARLY}: let go")),
            Err(refusal) => terminal.line(kernel, format_args!("{EARLY}: {refusal}")),
        }
    }
}

fn call(kernel: &mut impl Syscalls, server: &str, method: u8) -> Result<(), Refusal> {
    let grant = find_call(kernel, MANAGER, server, INTERFACE)?;
    let method = Method::new(method).ok_or(Refusal::Garbled)?;
    let mut message = Message::default();
    grant.call(kernel, method, &mut message).map(drop)
}

fn send(kernel: &mut impl Syscalls) -> Result<(), Refusal> {
    let grant = find_send(kernel, MANAGER, EARLY, INTERFACE)?;
    let method = Method::new(0).ok_or(Refusal::Garbled)?;
    grant.send(kernel, method, &mut Message::default());
    Ok(())
}

#[protection_domain]
fn init() -> Domain<Caller> {
    Domain::new(Caller)
}

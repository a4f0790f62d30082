//! Calls, sends and asks as fast as its budget allows, for as long as the appliance runs.

#![no_std]
#![no_main]

use portcullis_console::api::{INTERFACE, OBJECT, WRITE};
use portcullis_kernel::{Component, Message, Mode, Refusal, Syscalls, cspace, label};
use portcullis_manager_api::{FORBIDDEN, Find, find, find_send};
use portcullis_probe::{Outcome, Report, same};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

/// Rounds after which it says that it is still answered.
const ROUNDS: u64 = 2000;

struct Flood;

#[protection_domain]
fn init() -> Domain<Flood> {
    Domain::new(Flood)
}

impl<K: Syscalls> Component<K> for Flood {
    fn init(&mut self, kernel: &mut K) {
        let mut report = Report::new(kernel, 0);
        let outcome = (0..ROUNDS).try_for_each(|at| round(kernel, at));
        report.verdict(kernel, "flood-while-it-works", outcome);
        report.end(kernel);
        let mut at = ROUNDS;
        while round(kernel, at).is_ok() {
            at += 1;
        }
        report.line(kernel, format_args!("BROKEN in round {at}"));
    }
}

/// One of everything: a request that is denied, one that is garbled, text that cannot be read.
fn round(kernel: &mut impl Syscalls, at: u64) -> Outcome {
    let wanted = Find {
        object: "vault",
        interface: "objects",
        mode: Mode::Call,
    };
    match find(kernel, 0, &wanted) {
        Err(Refusal::Object(code)) => same(at, code, FORBIDDEN)?,
        other => same(at, u64::from(other.is_ok()), 2)?,
    }
    let mut message = Message::default();
    message.set(label::REQUEST, &[u64::MAX; 9]);
    kernel.call(cspace::channel_endpoint(0), &mut message);
    same(at, message.word(0), label::BAD_REQUEST)?;
    if let Ok(console) = find_send(kernel, 0, OBJECT, INTERFACE) {
        message.set(label::REQUEST + u64::from(WRITE.number()), &[u64::MAX; 3]);
        kernel.nb_send(console.0, &message);
    }
    kernel.nb_send(cspace::channel_endpoint(0), &message);
    Ok(())
}

//! Below everybody else in this test: runs only where the attacker is blocked, and says so.

#![no_std]
#![no_main]

use portcullis_kernel::{Caller, Component, Message, Method, ReplyObject, Syscalls, cspace, label};
use portcullis_manager_api::find_call;
use portcullis_probe::{Breach, Outcome, Report, api, same};
use portcullis_probe_pds::told;
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

struct Watch;

#[protection_domain]
fn init() -> Domain<Watch> {
    Domain::new(Watch)
}

/// The only method of `warden`.
const IDLE: Method = api::ECHO;

impl<K: Syscalls> Component<K> for Watch {
    fn init(&mut self, kernel: &mut K) {
        let mut report = Report::new(kernel, 0);
        let Ok(warden) = find_call(kernel, 0, "warden", "warden") else {
            return report.line(kernel, format_args!("no grant to the warden"));
        };
        let mut message = Message::default();
        loop {
            // Whoever waits for this gate goes on first.
            while kernel
                .nb_recv(cspace::INPUT, ReplyObject::OWN, &mut message)
                .is_some()
            {}
            message.set(0, &[]);
            match warden.call(kernel, IDLE, &mut message) {
                Ok([told::THROUGH]) => break,
                Ok(_) => {}
                Err(refusal) => return report.line(kernel, format_args!("warden: {refusal}")),
            }
        }
        let served = still_served(kernel);
        report.verdict(kernel, "served-on-given-time", served);
        report.end(kernel);
    }

    fn call(&mut self, _: &mut K, _: Caller, _: Method, message: &mut Message) {
        message.reply(&[]);
    }
}

/// The server that was given the time of `donor` serves on.
fn still_served(kernel: &mut impl Syscalls) -> Outcome {
    let none = |_| Breach {
        at: 0,
        got: 0,
        due: label::OK,
    };
    let target = find_call(kernel, 0, api::NAME, api::NAME).map_err(none)?;
    for at in 0..100 {
        let mut message = Message::request(api::ECHO, &[at, 7]);
        let answer = target.call(kernel, api::ECHO, &mut message).map_err(none)?;
        same(at, answer.first().copied().unwrap_or(u64::MAX), at)?;
    }
    Ok(())
}

//! Gives its time to a passive server: sends to it in a way that donates, and waits for nothing.
//!
//! From then on the server runs on this component's time, for whoever calls it. `watch` sees whether
//! it still serves.

#![no_std]
#![no_main]

use portcullis_kernel::{Component, Message, Syscalls, cspace, label};
use portcullis_manager_api::find_call;
use portcullis_probe::{Report, api};
use portcullis_probe_pds::{Info, Number, Registers, raw};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

struct Donor;

#[protection_domain]
fn init() -> Domain<Donor> {
    Domain::new(Donor)
}

impl<K: Syscalls> Component<K> for Donor {
    fn init(&mut self, kernel: &mut K) {
        let report = Report::new(kernel, 0);
        let Ok(target) = find_call(kernel, 0, api::NAME, api::NAME) else {
            return report.line(kernel, format_args!("no grant to the server"));
        };
        // A passive server gives its own time back when it waits for the second time.
        for _ in 0..2 {
            kernel.call(target.0, &mut Message::request(api::ECHO, &[]));
        }
        report.line(kernel, format_args!("gives its time to the server"));
        let mut registers = Registers {
            cptr: cspace::INPUT.bits(),
            info: Info::new(label::REQUEST, 1).bits(),
            reply: cspace::REPLY.bits(),
            first: target.0.bits(),
            ..Registers::default()
        };
        let mut landing = 0;
        // SAFETY: `landing` is a word of this function's own.
        unsafe { raw::system_call(Number::NB_SEND_RECV, &mut registers, &raw mut landing) };
        report.line(kernel, format_args!("runs again, on {:#x}", registers.cptr));
    }
}

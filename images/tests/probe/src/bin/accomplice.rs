//! A client on the attacker's side: would take whatever comes with an answer.

#![no_std]
#![no_main]

use portcullis_kernel::{CPtr, Component, KernelError, Syscalls, cspace, label};
use portcullis_manager_api::find_call;
use portcullis_probe::{Outcome, Report, same};
use portcullis_probe_pds::{FIRST_ANSWER, Info, Number, Registers, fence, raw};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

struct Accomplice;

#[protection_domain]
fn init() -> Domain<Accomplice> {
    Domain::new(Accomplice)
}

impl<K: Syscalls> Component<K> for Accomplice {
    fn init(&mut self, kernel: &mut K) {
        let mut report = Report::new(kernel, 0);
        let Ok(captive) = find_call(kernel, 0, "captive", "captive") else {
            return report.line(kernel, format_args!("no grant to the captive"));
        };
        // Where the answer's capabilities should go, as if one of these were a CNode.
        fence::ask_for_capabilities(1 << 58, 40, 58);
        let outcome = ask(captive.0, 0).and_then(|()| still_empty());
        report.verdict(kernel, "nothing-with-a-reply", outcome);
        fence::ask_for_capabilities(captive.0.bits(), 40, 64);
        let outcome = ask(captive.0, 1);
        report.verdict(kernel, "one-answer", outcome);
        report.end(kernel);
        let forgotten = ask(captive.0, 2);
        report.verdict(kernel, "never-answered", forgotten);
    }
}

/// Calls with capabilities of its own, which it may not pass on; expects one word.
fn ask(captive: CPtr, at: u64) -> Outcome {
    sel4::with_ipc_buffer_mut(|buffer| {
        let held = [captive, cspace::INPUT, cspace::REPLY];
        buffer
            .caps_or_badges_mut()
            .copy_from_slice(&held.map(CPtr::bits));
    });
    let answer = call(captive, Info::new(label::REQUEST, 1).with_extra(3), at);
    same(at, answer.info, Info::new(label::OK, 1).bits())?;
    same(at, answer.words[0], FIRST_ANSWER)
}

/// Nothing came into any slot.
fn still_empty() -> Outcome {
    let filled = [cspace::INPUT, cspace::REPLY, cspace::channel_endpoint(0)];
    let all = (0..1 << cspace::MICROKIT_RADIX).map(CPtr);
    for slot in all.filter(|slot| !filled.contains(slot)) {
        let answer = call(slot, Info::new(label::REQUEST, 1), 0);
        let due = KernelError::InvalidCapability.code().into();
        same(slot.bits(), Info::read(answer.info).label, due)?;
    }
    Ok(())
}

fn call(to: CPtr, info: Info, word: u64) -> Registers {
    let mut registers = Registers {
        cptr: to.bits(),
        info: info.bits(),
        words: [word, 0, 0, 0],
        ..Registers::default()
    };
    let mut landing = 0;
    // SAFETY: `landing` is a word of this function's own.
    unsafe { raw::system_call(Number::CALL, &mut registers, &raw mut landing) };
    registers
}

//! A component that does one thing that it may not, with nobody to put it back on its feet.
//!
//! There are several in `system.xml`; the name of each says what it does.

#![no_std]
#![no_main]

use portcullis_kernel::{Component, Syscalls, cspace, label};
use portcullis_probe::{Breach, Report};
use portcullis_probe_pds::{Info, Number, Registers, raw};
use portcullis_runtime::Domain;
use sel4_microkit::{pd_name, protection_domain, var};

/// An address that no protection domain of the appliance maps. `qemu/tests/probe.rs` finds it in the
/// log, and the number of the system call that there is not.
const NOWHERE: u64 = 0x7000_0000;
const NO_CALL: Number = Number(-100);

struct Offender {
    /// A page that it may only read.
    readable: u64,
}

#[protection_domain]
fn init() -> Domain<Offender> {
    let readable: usize = *var!(told: usize = 0);
    Domain::new(Offender {
        readable: readable as u64,
    })
}

impl<K: Syscalls> Component<K> for Offender {
    fn init(&mut self, kernel: &mut K) {
        let name = pd_name().unwrap_or_default();
        let mut report = Report::new(kernel, 0);
        report.line(kernel, format_args!("offends"));
        let got = self.offend(name);
        // Nobody comes here.
        let due = 0;
        report.verdict(kernel, name, Err(Breach { at: 0, got, due }));
    }
}

impl Offender {
    /// Gives what it got, if it goes on.
    fn offend(&self, name: &str) -> u64 {
        let mut landing = 0;
        let landing = &raw mut landing;
        let mut registers = Registers {
            cptr: cspace::channel_endpoint(0).bits(),
            info: Info::new(label::REQUEST, 4).bits(),
            reply: cspace::REPLY.bits(),
            ..Registers::default()
        };
        let code = [raw::RETURN; 4];
        // SAFETY: `landing` is a word of this function's own, which nobody reads here. Each of these
        // ends this program, or hits nothing that it relies on.
        unsafe {
            match name {
                "offender_writes" => raw::store(self.readable, 1, landing),
                "offender_reads" => return raw::load(NOWHERE, landing),
                "offender_executes" => {
                    raw::jump(core::hint::black_box(&code).as_ptr() as u64, landing)
                }
                "offender_receives" => raw::system_call(Number::RECV, &mut registers, landing),
                "offender_asks" => raw::system_call(NO_CALL, &mut registers, landing),
                "offender_listens" => {
                    forge_faults();
                    registers.cptr = cspace::MONITOR_ENDPOINT.bits();
                    raw::system_call(Number::RECV, &mut registers, landing);
                }
                "offender_traps" => (raw::PRIVILEGED[0].0)(landing),
                _ => return u64::MAX,
            }
        }
        registers.cptr
    }
}

/// A passive domain holds Microkit's monitor's endpoint, to say that it is ready. Faults of others,
/// with any label, are dropped there, or are this domain's own: the badge says whose.
fn forge_faults() {
    let monitor = cspace::MONITOR_ENDPOINT.bits();
    let mut landing = 0;
    for label in 1..16 {
        let mut registers = Registers {
            cptr: monitor,
            info: Info::new(label, 4).bits(),
            words: [0x20_0000, 8, 0, 6],
            ..Registers::default()
        };
        // SAFETY: `landing` is a word of this function's own.
        unsafe { raw::system_call(Number::SEND, &mut registers, &raw mut landing) };
    }
}

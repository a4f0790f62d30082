//! Calls, has the manager measure, and prints what was counted on the serial line.
//!
//! A line a series: `count NAME OPERATIONS SAMPLES TOTAL MINIMUM MEDIAN MAXIMUM`, in steps of the
//! counter, all of a sample's operations together; the series `nothing` and `manager-nothing` are
//! what reading the counter costs. First `unit N`, the instructions of a step; last `end`.

#![no_std]
#![no_main]

use core::fmt::{self, Write};
use core::hint::black_box;

use portcullis_counts::{MEASURE, Measured, REQUESTED, UNIT, instructions, start};
use portcullis_kernel::{CallGrant, Component, Message, Method, cspace};
use portcullis_manager_api::find_call;
use portcullis_runtime::{Domain, MANAGER, Mmio, Sel4};
use portcullis_uart::Device;
use sel4_microkit::{
    Channel, MessageInfo, protection_domain, var, with_msg_regs, with_msg_regs_mut,
};

/// Channel of `system.xml`.
const STOCK: Channel = Channel::new(1);
/// Calls a sample: on a counter of 16 instructions a step this measures a call to a quarter.
const CALLS: usize = 64;
/// Samples of calls.
const SAMPLES: usize = 31;
/// Rounds over all the grants that are issued on request.
const ROUNDS: usize = 4;

#[cfg(target_arch = "aarch64")]
type Uart = portcullis_uart::Pl011<Mmio<u32>>;
#[cfg(target_arch = "riscv64")]
type Uart = portcullis_uart::Ns16550<Mmio<u8>>;

struct Client {
    line: Line,
}

impl Component<Sel4> for Client {
    fn init(&mut self, kernel: &mut Sel4) {
        start();
        self.line.print(format_args!("unit {UNIT}"));
        self.series("nothing", 1, &mut samples(1, || {}));
        let grant = find_call(kernel, MANAGER, "server", "echo1").expect("the policy grants it");
        self.calls::<0>(kernel, grant);
        self.calls::<1>(kernel, grant);
        self.calls::<2>(kernel, grant);
        self.calls::<3>(kernel, grant);
        self.calls::<4>(kernel, grant);
        self.calls::<16>(kernel, grant);
        self.manager(kernel);
        self.line.print(format_args!("end"));
    }
}

impl Client {
    /// Calls of `N` words, each answered by as many.
    fn calls<const N: usize>(&mut self, kernel: &mut Sel4, grant: CallGrant) {
        let words = black_box([41; N]);
        let mut stock = samples(CALLS, || {
            with_msg_regs_mut(|registers| registers[..N].copy_from_slice(&words));
            let info = STOCK.pp_call(MessageInfo::new(0, N));
            let count = info.count();
            with_msg_regs(|registers| check(&registers[..count], N));
        });
        self.series(format_args!("stock-{N}"), CALLS, &mut stock);
        // `echo1` numbers its method 1: see `bench/src/sel4/policy.rs`.
        let method = Method::new(1).expect("it is below 32");
        let mut message = Message::default();
        let mut granted = samples(CALLS, || {
            message.set(0, &words);
            let reply = grant.call(kernel, method, &mut message);
            check(reply.expect("it is granted"), N);
        });
        self.series(format_args!("granted-{N}"), CALLS, &mut granted);
    }

    /// What the manager measures in itself.
    fn manager(&mut self, kernel: &mut Sel4) {
        let mut series =
            [const { heapless::Vec::<u32, { REQUESTED * ROUNDS }>::new() }; Measured::ALL.len()];
        for _ in 0..ROUNDS {
            for grant in 0..REQUESTED {
                for (series, measured) in series.iter_mut().zip(Measured::ALL) {
                    let _ = series.push(ask(kernel, measured, grant));
                }
            }
        }
        for (series, measured) in series.iter_mut().zip(Measured::ALL) {
            self.series(measured.name(), 1, series);
        }
    }

    fn series(&mut self, name: impl fmt::Display, operations: usize, samples: &mut [u32]) {
        samples.sort_unstable();
        let total: u64 = samples.iter().copied().map(u64::from).sum();
        let (count, median) = (samples.len(), samples[samples.len() / 2]);
        let (minimum, maximum) = (samples[0], samples[count - 1]);
        self.line.print(format_args!(
            "count {name} {operations} {count} {total} {minimum} {median} {maximum}"
        ));
    }
}

/// Steps that `operations` of `operation` take; two samples go first, to warm up.
fn samples(operations: usize, mut operation: impl FnMut()) -> [u32; SAMPLES] {
    let mut sample = || {
        let before = instructions();
        for _ in 0..operations {
            operation();
        }
        instructions().wrapping_sub(before) as u32
    };
    sample();
    sample();
    core::array::from_fn(|_| sample())
}

#[inline(always)]
fn check(reply: &[u64], count: usize) {
    assert!(reply.len() == count && reply.iter().all(|word| *word == 42));
}

fn ask(kernel: &mut Sel4, measured: Measured, grant: usize) -> u32 {
    let manager = CallGrant(cspace::channel_endpoint(MANAGER));
    let mut message = Message::default();
    message.set(0, &[measured as u64, grant as u64]);
    let reply = manager.call(kernel, MEASURE, &mut message);
    reply.expect("the manager measures what it is asked")[0] as u32
}

/// The serial line, polled.
struct Line(Uart);

impl Line {
    fn print(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self, "{line}").expect("the line takes everything");
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while !self.0.put(byte) {}
        }
        Ok(())
    }
}

#[protection_domain]
fn init() -> Domain<Client> {
    let base: usize = *var!(uart: usize = 0);
    // SAFETY: `system.xml` maps the device's registers there, uncached, for this domain alone.
    let registers = unsafe { Mmio::new(base as *mut _) };
    let mut uart = Uart::new(registers);
    uart.start();
    Domain::new(Client { line: Line(uart) })
}

//! Leases that end while somebody spins above all but the clock and the manager.
//!
//! [`Holder`] holds the leases. [`Observer`] spins while they run, so that nothing below it does, tries to stop
//! the clock, and sees when the manager has ended each.

use core::fmt;

use portcullis_clock::{Counter, deadline};
use portcullis_console::api::Terminal;
use portcullis_kernel::{
    CallGrant, Component, KernelError, Message, Method, Refusal, Region, RegionMut, Signals,
    Syscalls, cspace,
};
use portcullis_manager_api::find_call;

/// The component that serves what is leased, and the interfaces, one a lease.
const SERVER: &str = "lessor";
/// The interfaces that it serves: number n has method n alone.
const LEASED: [&str; 8] = [
    "lease_0", "lease_1", "lease_2", "lease_3", "lease_4", "lease_5", "lease_6", "lease_7",
];
/// The channel of holder and observer, at both ends.
const CHANNEL: u8 = 1;

/// Spins while there is a deadline, once it is told to. What it sees it leaves on a page: in word 0 how many
/// ends, in the others how late each was, in nanoseconds.
#[derive(Debug)]
pub struct Observer<C, R, W, F> {
    counter: C,
    /// The page on which the manager leaves its deadlines.
    page: R,
    seen: W,
    /// What it tries against the clock while it spins.
    attack: F,
}

impl<C: Counter, R: Region, W: RegionMut, F: FnMut()> Observer<C, R, W, F> {
    /// An observer that tries `attack` with each turn of its loop.
    pub const fn new(counter: C, page: R, seen: W, attack: F) -> Self {
        Self {
            counter,
            page,
            seen,
            attack,
        }
    }

    /// Spins until the manager leaves another deadline than this. How late that was.
    fn spin(&mut self, until: u64) -> u64 {
        while deadline::read(&self.page) == Some(until) {
            (self.attack)();
        }
        self.counter.monotonic().saturating_sub(until)
    }
}

impl<K: Syscalls, C: Counter, R: Region, W: RegionMut, F: FnMut()> Component<K>
    for Observer<C, R, W, F>
{
    fn init(&mut self, _: &mut K) {}

    fn notified(&mut self, kernel: &mut K, _: Signals) {
        let mut ends = 0;
        while let Some(until) = deadline::read(&self.page) {
            let late = self.spin(until);
            ends += 1;
            let written = self.seen.store(8 * ends, late);
            written.expect("the page has room for more ends than there are leases");
        }
        let written = self.seen.store(0, ends as u64);
        written.expect("the page has a word");
        kernel.signal(cspace::channel_notification(CHANNEL));
    }
}

/// Holds the leases while the observer spins. It says what that saw, and whether it still holds anything.
#[derive(Debug)]
pub struct Holder<R> {
    /// Its channel to the manager.
    manager: u8,
    /// What the observer saw.
    seen: R,
    held: [Option<CallGrant>; LEASED.len()],
}

impl<R: Region> Holder<R> {
    /// A holder that asks the manager on this channel.
    pub const fn new(manager: u8, seen: R) -> Self {
        Self {
            manager,
            seen,
            held: [None; LEASED.len()],
        }
    }
}

impl<K: Syscalls, R: Region> Component<K> for Holder<R> {
    fn init(&mut self, kernel: &mut K) {
        let find = |interface| find_call(kernel, self.manager, SERVER, interface).ok();
        self.held = LEASED.map(find);
        kernel.signal(cspace::channel_notification(CHANNEL));
    }

    fn notified(&mut self, kernel: &mut K, _: Signals) {
        let terminal = Terminal::find_or_silent(kernel, self.manager);
        let late = Late(&self.seen);
        terminal.line(kernel, format_args!("late, in microseconds:{late}"));
        let had = self.held.iter().flatten().count();
        let held = (0..).zip(self.held);
        let is_left = |(number, grant): &(u8, Option<CallGrant>)| {
            grant.is_some_and(|grant| !is_gone(kernel, grant, *number))
        };
        let left = held.filter(is_left).count();
        terminal.line(kernel, format_args!("held {had} leases, holds {left}"));
    }
}

/// What the observer saw, in microseconds: one line, since the console counts lines that are the same.
struct Late<'r, R>(&'r R);

impl<R: Region> fmt::Display for Late<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = self.0.load(0).unwrap_or(0) as usize;
        (1..=ends).try_for_each(|end| {
            let late = self.0.load(8 * end).unwrap_or(0) / 1_000;
            write!(f, " {late}")
        })
    }
}

/// The server of what is leased, which serves nothing: whoever still reaches it holds too much.
#[derive(Debug)]
pub struct Lessor;

impl<K: Syscalls> Component<K> for Lessor {
    fn init(&mut self, _: &mut K) {}
}

/// Whether the kernel refuses a call through a grant.
fn is_gone(kernel: &mut impl Syscalls, grant: CallGrant, number: u8) -> bool {
    let method = Method::new(number).expect("there are fewer leases than methods");
    let called = grant
        .call(kernel, method, &mut Message::default())
        .map(drop);
    called == Err(Refusal::Kernel(KernelError::InvalidCapability))
}

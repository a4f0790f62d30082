//! An alarm made of a scheduling context of one's own.
//!
//! No device takes part: seL4 wakes a thread when its budget is replenished, and no capability that a
//! component holds can keep it from that. `qemu_virt_aarch64` exports its physical timer to every
//! protection domain, so that any of them can stop that one for good.
//!
//! While an alarm is set, a receive looks at the counter and at what has arrived once a period, and
//! gives up what is left of the budget (`Yield`). So an alarm is late by a period at most, and the
//! domain that has it must have a budget below its period: with a whole one, nobody below would run.

use core::sync::atomic::{AtomicU64, Ordering};

use portcullis_clock::RINGING;
use portcullis_kernel::{Badge, CPtr, Mapping, Message, ReplyObject, Syscalls};

use crate::memory::{ReadOnly, ReadWrite};
use crate::{Sel4, nanoseconds};

/// The alarm of a protection domain: one thread sets it and waits for it.
#[derive(Debug)]
pub struct Alarm {
    /// In nanoseconds of the counter.
    at: AtomicU64,
}

/// No alarm is set. The counter does not come there in 584 years.
const NEVER: u64 = u64::MAX;

impl Alarm {
    /// One that is not set.
    pub const fn new() -> Self {
        Self {
            at: AtomicU64::new(NEVER),
        }
    }

    fn at(&self) -> Option<u64> {
        Some(self.at.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

impl portcullis_clock::Alarm for &Alarm {
    fn set(&mut self, at: Option<u64>) {
        self.at.store(at.unwrap_or(NEVER), Ordering::Relaxed);
    }
}

/// System calls of a domain with an alarm, which is on while it receives.
#[derive(Debug)]
pub struct Alarmed {
    kernel: Sel4,
    alarm: &'static Alarm,
}

impl Alarmed {
    /// System calls with this alarm.
    pub fn new(alarm: &'static Alarm) -> Self {
        let kernel = Sel4::new();
        Self { kernel, alarm }
    }
}

impl Syscalls for Alarmed {
    fn call(&mut self, to: CPtr, message: &mut Message) {
        self.kernel.call(to, message);
    }

    fn send(&mut self, to: CPtr, message: &Message) {
        self.kernel.send(to, message);
    }

    fn nb_send(&mut self, to: CPtr, message: &Message) {
        self.kernel.nb_send(to, message);
    }

    fn signal(&mut self, to: CPtr) {
        self.kernel.signal(to);
    }

    fn recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        while let Some(at) = self.alarm.at() {
            if nanoseconds() >= at {
                return RINGING;
            }
            if let Some(badge) = self.kernel.nb_recv(from, reply, message) {
                return badge;
            }
            self.kernel.yield_now();
        }
        self.kernel.recv(from, reply, message)
    }

    fn nb_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Option<Badge> {
        self.kernel.nb_recv(from, reply, message)
    }

    fn reply_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Badge {
        self.kernel.reply(reply, message);
        self.recv(from, reply, message)
    }

    fn yield_now(&mut self) {
        self.kernel.yield_now();
    }
}

impl Mapping for Alarmed {
    type ReadOnly = ReadOnly;
    type ReadWrite = ReadWrite;
}

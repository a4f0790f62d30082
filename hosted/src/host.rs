//! What the host gives components as devices: a source of randomness, clocks, and a timer.

use std::os::fd::OwnedFd;

use portcullis_clock::{Alarm, Counter, Rtc};
use portcullis_entropy::{Silent, Source};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// `/dev/urandom` as a noise source. Its bytes are a generator's: the health tests of a component see
/// that it works, and nothing of the noise behind it.
#[derive(Debug)]
pub(crate) struct Urandom(pub(crate) OwnedFd);

impl Source for Urandom {
    fn read(&mut self, mut samples: &mut [u8]) -> Result<(), Silent> {
        while !samples.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut *samples)) {
                Ok(0) | Err(_) => return Err(Silent),
                Ok(read) => samples = &mut samples[read..],
            }
        }
        Ok(())
    }
}

/// The host's clocks, which every component can read.
#[derive(Clone, Copy, Debug)]
pub struct Clocks;

impl Counter for Clocks {
    fn monotonic(&mut self) -> u64 {
        nanoseconds(ClockId::Monotonic)
    }
}

impl Rtc for Clocks {
    fn utc(&mut self) -> Option<u64> {
        Some(nanoseconds(ClockId::Realtime))
    }
}

/// The alarm of the component `clock`: a timer that its process sets, and the kernel's process waits for.
#[derive(Debug)]
pub(crate) struct Timer(pub(crate) OwnedFd);

impl Timer {
    /// A timer of the monotonic clock, which is not set.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        timerfd_create(TimerfdClockId::Monotonic, flags).map(Self)
    }

    /// Takes note that it rang: it is silent until it is set again.
    pub(crate) fn take(&self) {
        // Where the clock set it meanwhile, there is nothing to read, and it rings again.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl Alarm for Timer {
    fn set(&mut self, at: Option<u64>) {
        let none = Timespec::default();
        // All zeros disarm it.
        let value = at.map_or(none, |at| Timespec {
            tv_sec: i64::try_from(at / SECOND).unwrap_or(i64::MAX),
            tv_nsec: (at % SECOND) as i64,
        });
        let timer = Itimerspec {
            it_interval: none,
            it_value: value,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &timer)
            .expect("the kernel gave a timer, and nanoseconds are below a second");
    }
}

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// What a clock says; 0 where it says something before its epoch.
fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * SECOND + time.tv_nsec as u64
}

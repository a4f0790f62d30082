//! What the host gives components as devices: a source of randomness, and clocks.

use std::os::fd::OwnedFd;

use portcullis_clock::{Counter, Rtc};
use portcullis_entropy::{Silent, Source};
use rustix::time::{ClockId, clock_gettime};

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
pub(crate) struct Clocks;

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

/// What a clock says; 0 where it says something before its epoch.
fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + time.tv_nsec as u64
}

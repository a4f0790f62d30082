//! The PL031 (Arm DDI 0224): UTC in whole seconds.

use portcullis_kernel::Registers;

use crate::Rtc;

/// RTCDR: seconds since 1970-01-01 UTC.
const DATA: usize = 0x000;
/// RTCCR: bit 0 says that the clock runs.
const CONTROL: usize = 0x00c;
const RUNS: u32 = 1;
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// A PL031.
#[derive(Debug)]
pub struct Pl031<R>(R);

impl<R: Registers> Pl031<R> {
    /// The RTC with these registers.
    pub const fn new(registers: R) -> Self {
        Self(registers)
    }
}

impl<R: Registers> Rtc for Pl031<R> {
    fn utc(&mut self) -> Option<u64> {
        let runs = self.0.read(CONTROL) & RUNS != 0;
        runs.then(|| u64::from(self.0.read(DATA)) * SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        control: u32,
        data: u32,
    }

    impl Registers for Fixed {
        fn read(&self, offset: usize) -> u32 {
            match offset {
                DATA => self.data,
                CONTROL => self.control,
                _ => unreachable!("{offset:#x} is not read"),
            }
        }

        fn write(&mut self, _: usize, _: u32) {
            unreachable!("reading the time changes nothing");
        }
    }

    #[test]
    fn seconds_are_read_while_the_clock_runs() {
        let utc = |control, data| Pl031::new(Fixed { control, data }).utc();
        assert_eq!(utc(1, 1_800_000_000), Some(1_800_000_000 * SECOND));
        assert_eq!(utc(1, u32::MAX), Some(u64::from(u32::MAX) * SECOND));
        assert_eq!(utc(0, 1_800_000_000), None);
    }
}

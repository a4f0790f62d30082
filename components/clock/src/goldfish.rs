//! The goldfish RTC (QEMU's `hw/rtc/goldfish_rtc.c`): UTC in nanoseconds.

use portcullis_kernel::Registers;

use crate::Rtc;

/// The low word of the time. Reading it latches the high word.
const TIME_LOW: usize = 0x00;
/// The high word of the time, as it was when the low word was read.
const TIME_HIGH: usize = 0x04;

/// A goldfish RTC.
#[derive(Debug)]
pub struct Goldfish<R>(R);

impl<R: Registers> Goldfish<R> {
    /// The RTC with these registers.
    pub const fn new(registers: R) -> Self {
        Self(registers)
    }
}

impl<R: Registers> Rtc for Goldfish<R> {
    fn utc(&mut self) -> Option<u64> {
        let low = self.0.read(TIME_LOW);
        let high = self.0.read(TIME_HIGH);
        Some(u64::from(high) << 32 | u64::from(low))
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// Gives the high word that was true when the low one was read.
    struct Latched {
        now: Cell<u64>,
        high: Cell<u32>,
    }

    impl Registers for Latched {
        fn read(&self, offset: usize) -> u32 {
            // Time passes between any two reads: the low word overflows.
            let now = self.now.get();
            self.now.set(now + 2);
            if offset == TIME_LOW {
                self.high.set((now >> 32) as u32);
                now as u32
            } else {
                self.high.get()
            }
        }

        fn write(&mut self, _: usize, _: u32) {
            unreachable!("reading the time changes nothing");
        }
    }

    #[test]
    fn the_low_word_is_read_first() {
        let now = 0x18a3_ffff_ffff;
        let (now_cell, high) = (Cell::new(now), Cell::new(0));
        let mut rtc = Goldfish::new(Latched {
            now: now_cell,
            high,
        });
        assert_eq!(rtc.utc(), Some(now));
        assert_eq!(rtc.utc(), Some(now + 4));
    }
}

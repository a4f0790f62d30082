//! The page `utc_offset`: how far UTC is ahead of monotonic time, for whoever may ask nobody, the
//! manager.
//!
//! Word 0: UTC in nanoseconds since 1970-01-01 at the moment that monotonic time was 0; 0: unknown.

use portcullis_kernel::{OutOfRange, Region, RegionMut};

/// Offset of the word in the page.
const WORD: usize = 0;

/// The earliest UTC that an RTC is believed: 2025-01-01, in nanoseconds. Portcullis is younger than
/// that; an RTC that was never set says something near 1970.
pub const EARLIEST: u64 = 1_735_689_600_000_000_000;

/// How far UTC is ahead of monotonic time; `None`: the RTC says nothing that can be true.
pub(crate) fn of(utc: Option<u64>, monotonic: u64) -> Option<u64> {
    let believed = utc.filter(|utc| *utc >= EARLIEST);
    believed
        .and_then(|utc| utc.checked_sub(monotonic))
        .filter(|it| *it > 0)
}

/// UTC at a moment of monotonic time; `None` where it is not known. Whoever wrote the page is believed no more
/// than an RTC.
pub fn utc(offset: Option<u64>, monotonic: u64) -> Option<u64> {
    let utc = offset.and_then(|offset| offset.checked_add(monotonic));
    utc.filter(|utc| *utc >= EARLIEST)
}

/// Writes the page.
pub(crate) fn write(page: &mut impl RegionMut, offset: Option<u64>) -> Result<(), OutOfRange> {
    page.store(WORD, offset.unwrap_or(0))
}

/// Reads the page; `None`: UTC is unknown, or the system has no such page.
pub fn read(page: &impl Region) -> Option<u64> {
    page.load(WORD).ok().filter(|offset| *offset > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock may be taken over, and write anything into the page.
    #[test]
    fn an_offset_that_no_rtc_can_mean_is_unknown() {
        for (offset, monotonic) in [(1, 0), (1, 7), (EARLIEST - 8, 7), (u64::MAX, 1)] {
            assert_eq!(utc(Some(offset), monotonic), None);
        }
        assert_eq!(utc(Some(EARLIEST - 7), 7), Some(EARLIEST));
        assert_eq!(utc(Some(EARLIEST), 7), Some(EARLIEST + 7));
        assert_eq!(utc(None, EARLIEST), None);
    }

    #[test]
    fn what_an_rtc_cannot_mean_is_unknown() {
        assert_eq!(of(Some(EARLIEST), 0), Some(EARLIEST));
        assert_eq!(of(Some(EARLIEST + 7), 5), Some(EARLIEST + 2));
        for utc in [None, Some(0), Some(EARLIEST - 1)] {
            assert_eq!(of(utc, 0), None);
        }
        // A counter that is ahead of the RTC: one of them is not what it seems.
        assert_eq!(of(Some(EARLIEST), EARLIEST), None);
        assert_eq!(of(Some(EARLIEST), u64::MAX), None);
    }
}

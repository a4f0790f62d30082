//! Continuous health tests of a noise source (NIST SP 800-90B, section 4.4).
//!
//! A sample is a byte. The source is claimed to give at least 4 bits of entropy a sample: half of what
//! virtio-rng and `/dev/urandom` promise, so that the tests find a source that lost more than half of
//! it. The chance that a source as good as the claim fails a test is 2^-30 for each sample (first test)
//! or window (second test).

use core::fmt;

/// Bits of min-entropy that a sample is claimed to have.
const MIN_ENTROPY: u32 = 4;
/// The chance of a false alarm is 2 to the minus this: within what section 4.4 recommends (20 to 40).
const FALSE_ALARM: u32 = 30;
/// Equal samples in a row that are one too many: 1 + 30/4, rounded up (section 4.4.1).
pub const REPETITION_CUTOFF: u32 = 1 + FALSE_ALARM.div_ceil(MIN_ENTROPY);
/// Samples of a window of the second test, for samples of more than one bit (section 4.4.2).
pub const WINDOW: u32 = 512;
/// Samples of a window equal to its first that are one too many: 1 + CRITBINOM(512, 2^-4, 1 - 2^-30)
/// (section 4.4.2). A test computes it.
pub const PROPORTION_CUTOFF: u32 = 71;

/// A test that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unhealthy {
    /// The repetition count test: one value came this often in a row.
    Stuck {
        /// How often.
        times: u32,
    },
    /// The adaptive proportion test: one value came this often in a window.
    Biased {
        /// How often.
        times: u32,
    },
}

/// Both tests, over all samples of a source since it was started. A failure stays.
#[derive(Clone, Debug, Default)]
pub struct Health {
    last: Option<u8>,
    /// How often the last sample came in a row.
    repeated: u32,
    /// First sample of the window.
    first: u8,
    /// Samples of the window so far, the first included; 0: the next one begins a window.
    seen: u32,
    /// Of these, equal to the first.
    equal: u32,
    failed: Option<Unhealthy>,
}

impl Health {
    /// Tests the next samples of the source.
    pub fn check(&mut self, samples: &[u8]) -> Result<(), Unhealthy> {
        for sample in samples {
            self.repetition(*sample);
            self.proportion(*sample);
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn repetition(&mut self, sample: u8) {
        if self.last == Some(sample) {
            self.repeated += 1;
        } else {
            (self.last, self.repeated) = (Some(sample), 1);
        }
        if self.repeated >= REPETITION_CUTOFF {
            let times = self.repeated;
            self.fail(Unhealthy::Stuck { times });
        }
    }

    fn proportion(&mut self, sample: u8) {
        if self.seen == 0 {
            (self.first, self.equal) = (sample, 0);
        }
        self.equal += u32::from(sample == self.first);
        self.seen = (self.seen + 1) % WINDOW;
        if self.equal >= PROPORTION_CUTOFF {
            let times = self.equal;
            self.fail(Unhealthy::Biased { times });
        }
    }

    /// Keeps the first failure.
    const fn fail(&mut self, unhealthy: Unhealthy) {
        if self.failed.is_none() {
            self.failed = Some(unhealthy);
        }
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck { times } => {
                write!(
                    f,
                    "the source is stuck: it gave one byte {times} times in a row"
                )
            }
            Self::Biased { times } => write!(
                f,
                "the source is biased: it gave one byte {times} times within {WINDOW}"
            ),
        }
    }
}

impl core::error::Error for Unhealthy {}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::{Rng as _, SeedableRng as _};
    use std::vec::Vec;

    fn noise(seed: u8) -> impl FnMut() -> u8 {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        move || rng.next_u32() as u8
    }

    fn samples(count: usize, sample: impl FnMut() -> u8) -> Vec<u8> {
        core::iter::repeat_with(sample).take(count).collect()
    }

    /// SP 800-90B, section 4.4.2: the smallest count that a binomial of `WINDOW` draws of probability
    /// 2^-MIN_ENTROPY exceeds with a chance of at most 2^-FALSE_ALARM, and one more.
    #[test]
    fn the_proportion_cutoff_is_that_of_the_standard() {
        let (p, draws) = (0.5f64.powi(MIN_ENTROPY as i32), f64::from(WINDOW));
        // Chances of more than k equal ones, summed from the smallest: no digits are lost.
        let mut chances = Vec::from([(1.0 - p).powi(WINDOW as i32)]);
        for k in 0..WINDOW {
            let k = f64::from(k);
            let next = chances.last().unwrap() * (draws - k) / (k + 1.0) * p / (1.0 - p);
            chances.push(next);
        }
        let above = |k: usize| chances[k + 1..].iter().rev().sum::<f64>();
        let critical = (0..).find(|k| above(*k) <= 0.5f64.powi(FALSE_ALARM as i32));
        assert_eq!(critical.unwrap() + 1, PROPORTION_CUTOFF as usize);
        assert_eq!(REPETITION_CUTOFF, 9);
    }

    #[test]
    fn a_good_source_passes() {
        for seed in 0..16 {
            let samples = samples(1 << 18, noise(seed));
            assert_eq!(Health::default().check(&samples), Ok(()));
        }
    }

    #[test]
    fn a_stuck_source_fails_at_the_cutoff_whatever_came_before() {
        for (seed, value) in [(1, 0), (2, 0xff), (3, 0x5a)] {
            let mut health = Health::default();
            let mut before = samples(1_000, noise(seed));
            before.push(!value);
            assert_eq!(health.check(&before), Ok(()));
            let almost = [value; REPETITION_CUTOFF as usize - 1];
            assert_eq!(health.check(&almost), Ok(()));
            let times = REPETITION_CUTOFF;
            assert_eq!(health.check(&[value]), Err(Unhealthy::Stuck { times }));
            // A failure stays, however well the source does afterwards.
            let after = samples(1_000, noise(seed));
            assert_eq!(health.check(&after), Err(Unhealthy::Stuck { times }));
        }
    }

    /// One value in every second place never repeats, and is far too frequent.
    #[test]
    fn a_biased_source_fails_though_it_never_repeats() {
        let mut noise = noise(7);
        let mut odd = false;
        let biased = samples(WINDOW as usize, || {
            odd = !odd;
            if odd { 0x20 } else { noise() | 1 }
        });
        let times = PROPORTION_CUTOFF;
        assert_eq!(
            Health::default().check(&biased),
            Err(Unhealthy::Biased { times })
        );
    }

    /// A source that has lost more than half of its entropy is found within a few windows.
    #[test]
    fn a_source_that_favours_one_value_fails_soon() {
        for seed in 0..16 {
            let mut noise = noise(seed);
            let biased = samples(64 * WINDOW as usize, || match noise() {
                0..64 => 0x20,
                other => other,
            });
            assert!(Health::default().check(&biased).is_err(), "{seed}");
        }
    }

    #[test]
    fn the_samples_may_come_in_pieces_of_any_size() {
        let mut stuck = samples(700, noise(9));
        stuck.extend([3; 20]);
        let whole = Health::default().check(&stuck);
        for size in [1, 7, 512] {
            let mut health = Health::default();
            let pieces = stuck.chunks(size).map(|piece| health.check(piece));
            assert_eq!(pieces.last(), Some(whole), "{size}");
        }
    }
}

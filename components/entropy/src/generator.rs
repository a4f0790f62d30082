//! The generator: ChaCha20, seeded and reseeded with tested bytes of the source.
//!
//! After each request the generator's key is replaced by its own next output (fast key erasure): what
//! it gave before cannot be computed from what it holds now.

use core::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::health::{Health, Unhealthy};

/// Samples that are tested before anything is generated, in bytes: eight windows of the adaptive
/// proportion test. SP 800-90B, section 4.3, asks for at least 1,024 samples; they may be used.
pub const STARTUP_BYTES: usize = 4096;
/// Bytes generated after which the source is read again. ChaCha20 could give far more; a reseed takes a
/// device about 100 us, and ends what somebody who learned the key could compute.
pub const RESEED_BYTES: usize = 64 * 1024;
/// Samples of a reseed, in bytes: 256 bits at the claimed 4 bits a sample (`health::MIN_ENTROPY`).
const FRESH_BYTES: usize = 64;

/// A noise source, as the platform gives it.
pub trait Source {
    /// Fills `samples`, at most [`STARTUP_BYTES`], with bytes as the device gives them, or gives up in bounded
    /// time, however many answers they take: the manager waits for the first bytes.
    fn read(&mut self, samples: &mut [u8]) -> Result<(), Silent>;
}

/// There is no source, or it did not answer in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silent;

/// Why nothing is generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The source did not answer in time. It is asked again with the next request; a board's device that was
    /// silent once is not used again.
    Silent,
    /// The source failed a health test, and is not asked again.
    Unhealthy(Unhealthy),
}

/// The generator with its source.
pub struct Generator<S> {
    source: S,
    health: Health,
    /// `None`: it was never seeded.
    rng: Option<ChaCha20Rng>,
    /// Bytes that may be generated before the next reseed.
    left: usize,
}

impl<S: Source> Generator<S> {
    /// A generator that has not asked its source yet.
    pub fn new(source: S) -> Self {
        Self {
            source,
            health: Health::default(),
            rng: None,
            left: 0,
        }
    }

    /// Fills `random`, and reads the source first where it is time to. On failure `random` is as it was.
    pub fn fill(&mut self, random: &mut [u8]) -> Result<(), Fault> {
        // A failure of the tests stays.
        self.health.check(&[])?;
        if self.left < random.len() {
            self.seed()?;
        }
        let Some(rng) = &mut self.rng else {
            return Err(Fault::Silent);
        };
        rng.fill_bytes(random);
        self.left = self.left.saturating_sub(random.len());
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        *rng = ChaCha20Rng::from_seed(*key);
        Ok(())
    }

    /// Reads and tests the source; the new key is a hash of that and of the generator's own output.
    fn seed(&mut self) -> Result<(), Fault> {
        let mut hash = Sha256::new();
        let fresh = match &mut self.rng {
            Some(rng) => {
                let mut own = Zeroizing::new([0; 32]);
                rng.fill_bytes(&mut *own);
                hash.update(*own);
                FRESH_BYTES
            }
            None => STARTUP_BYTES,
        };
        let mut samples = Zeroizing::new([0; STARTUP_BYTES]);
        let samples = &mut samples[..fresh];
        self.source.read(samples).map_err(|Silent| Fault::Silent)?;
        self.health.check(samples)?;
        hash.update(&*samples);
        let key = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
        self.rng = Some(ChaCha20Rng::from_seed(*key));
        self.left = RESEED_BYTES;
        Ok(())
    }
}

impl<S: fmt::Debug> fmt::Debug for Generator<S> {
    /// All but the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("source", &self.source)
            .field("health", &self.health)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl From<Unhealthy> for Fault {
    fn from(unhealthy: Unhealthy) -> Self {
        Self::Unhealthy(unhealthy)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no source of randomness answers"),
            Self::Unhealthy(unhealthy) => unhealthy.fmt(f),
        }
    }
}

impl core::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::REPETITION_CUTOFF;
    use std::vec;
    use std::vec::Vec;

    /// A source that counts what is read of it, and can be told to fail.
    struct Noise {
        rng: ChaCha20Rng,
        read: usize,
        fails: Option<Failing>,
    }

    #[derive(Clone, Copy)]
    enum Failing {
        Silent,
        Stuck,
    }

    impl Noise {
        fn new(seed: u8) -> Self {
            let rng = ChaCha20Rng::from_seed([seed; 32]);
            let (read, fails) = (0, None);
            Self { rng, read, fails }
        }
    }

    impl Source for Noise {
        fn read(&mut self, samples: &mut [u8]) -> Result<(), Silent> {
            self.read += samples.len();
            match self.fails {
                Some(Failing::Silent) => return Err(Silent),
                Some(Failing::Stuck) => samples.fill(0xaa),
                None => self.rng.fill_bytes(samples),
            }
            Ok(())
        }
    }

    fn random<const N: usize>(generator: &mut Generator<Noise>) -> Result<[u8; N], Fault> {
        let mut random = [0; N];
        generator.fill(&mut random).map(|()| random)
    }

    #[test]
    fn the_start_up_test_comes_before_the_first_byte() {
        let mut generator = Generator::new(Noise::new(1));
        assert_eq!(generator.source.read, 0);
        random::<1>(&mut generator).unwrap();
        assert_eq!(generator.source.read, STARTUP_BYTES);
    }

    #[test]
    fn output_depends_on_the_source_and_on_nothing_else() {
        let outputs = |seed| {
            let mut generator = Generator::new(Noise::new(seed));
            [0; 3].map(|_| random::<40>(&mut generator).unwrap())
        };
        assert_eq!(outputs(1), outputs(1));
        let (one, other) = (outputs(1), outputs(2));
        let mut all: Vec<_> = one.into_iter().chain(other).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6, "no output comes twice");
    }

    /// What is generated after a request is not the rest of the stream that the request was cut from.
    #[test]
    fn the_key_is_replaced_after_each_request() {
        let mut split = Generator::new(Noise::new(3));
        let mut whole = Generator::new(Noise::new(3));
        let [first, second] = [0; 2].map(|_| random::<64>(&mut split).unwrap());
        let both = random::<128>(&mut whole).unwrap();
        assert_eq!(first, both[..64]);
        assert_ne!(second, both[64..]);
    }

    #[test]
    fn the_source_is_read_again_in_time() {
        let mut generator = Generator::new(Noise::new(4));
        for _ in 0..RESEED_BYTES / 512 {
            random::<512>(&mut generator).unwrap();
        }
        assert_eq!(generator.source.read, STARTUP_BYTES);
        random::<1>(&mut generator).unwrap();
        assert_eq!(generator.source.read, STARTUP_BYTES + FRESH_BYTES);
    }

    #[test]
    fn without_a_source_nothing_is_generated_until_it_answers() {
        let mut generator = Generator::new(Noise::new(5));
        generator.source.fails = Some(Failing::Silent);
        assert_eq!(random::<8>(&mut generator), Err(Fault::Silent));
        generator.source.fails = None;
        assert!(random::<8>(&mut generator).is_ok());
        // Nor is it where the time for a reseed has come.
        generator.left = 0;
        generator.source.fails = Some(Failing::Silent);
        assert_eq!(random::<8>(&mut generator), Err(Fault::Silent));
    }

    #[test]
    fn a_source_that_fails_a_test_is_never_used_again() {
        for good in [0, RESEED_BYTES] {
            let mut generator = Generator::new(Noise::new(6));
            if good > 0 {
                generator.fill(&mut vec![0; good]).unwrap();
            }
            generator.source.fails = Some(Failing::Stuck);
            let times = REPETITION_CUTOFF;
            let stuck = Err(Fault::Unhealthy(Unhealthy::Stuck { times }));
            assert_eq!(random::<8>(&mut generator), stuck);
            generator.source.fails = None;
            let read = generator.source.read;
            assert_eq!(random::<8>(&mut generator), stuck);
            assert_eq!(generator.source.read, read);
        }
    }
}

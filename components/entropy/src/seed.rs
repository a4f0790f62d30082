//! The page `boot_seed`: random bytes for whoever may ask nobody, the manager.
//!
//! Word 0 says what the page holds, and is written last: 0, nothing yet; 1, a seed; 2, none, for no
//! source answered; 3, none, for the source failed a health test. The seed is the [`SEED`] bytes from
//! offset 8 on. They are output of the generator, of which they say nothing; they are no secret once the
//! reader made an id of them.

use core::fmt;

use portcullis_kernel::{OutOfRange, Region, RegionMut};
use portcullis_manager_api::BootIdOrigin;

use crate::generator::Fault;

/// Bytes of the seed: those of a boot id.
pub const SEED: usize = 16;

const STATE: usize = 0;
const BYTES: usize = 8;

const EMPTY: u64 = 0;
const READY: u64 = 1;
const SILENT: u64 = 2;
const UNHEALTHY: u64 = 3;

/// Why there is no seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSeed {
    /// The system has no such page, or nothing was written to it, or nothing that can be read.
    Unwritten,
    /// No source of randomness answered.
    Silent,
    /// The source failed a health test.
    Unhealthy,
}

/// Writes the page.
pub(crate) fn write(
    page: &mut impl RegionMut,
    seed: Result<[u8; SEED], Fault>,
) -> Result<(), OutOfRange> {
    let state = match seed {
        Ok(seed) => {
            page.write(BYTES, &seed)?;
            READY
        }
        Err(Fault::Silent) => SILENT,
        Err(Fault::Unhealthy(_)) => UNHEALTHY,
    };
    page.store(STATE, state)
}

/// The seed of this boot.
pub fn read(page: &impl Region) -> Result<[u8; SEED], NoSeed> {
    match page.load(STATE).unwrap_or(EMPTY) {
        READY => {
            let mut seed = [0; SEED];
            let read = page.read(BYTES, &mut seed);
            read.map(|()| seed).map_err(|_| NoSeed::Unwritten)
        }
        SILENT => Err(NoSeed::Silent),
        UNHEALTHY => Err(NoSeed::Unhealthy),
        _ => Err(NoSeed::Unwritten),
    }
}

impl From<NoSeed> for BootIdOrigin {
    fn from(no_seed: NoSeed) -> Self {
        match no_seed {
            NoSeed::Unwritten => Self::Unseeded,
            NoSeed::Silent => Self::NoSource,
            NoSeed::Unhealthy => Self::Unhealthy,
        }
    }
}

impl fmt::Display for NoSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unwritten => "nobody wrote a seed",
            Self::Silent => "no source of randomness answers",
            Self::Unhealthy => "the source of randomness failed a health test",
        })
    }
}

impl core::error::Error for NoSeed {}

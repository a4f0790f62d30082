//! The source of randomness: a device, tests of its health, a generator.
//!
//! The component reads a noise source ([`Source`]), runs the continuous health tests of NIST SP 800-90B
//! on every byte that it reads ([`Health`]), and seeds a ChaCha20 generator with what passed
//! ([`Generator`]). When it starts, before the manager does, it writes the [`seed`] of this boot to a
//! page that the manager maps read-only: the boot's id is made of it. After that it serves the
//! interface `entropy` ([`api`]) to holders of a grant, and keeps nobody waiting: it makes no call.
//!
//! It says nothing about the source that the tests cannot see: a source that repeats a good sequence
//! passes them. Where a test fails, nothing is generated any more until the component is started anew.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod component;
mod generator;
mod health;
pub mod seed;

pub use component::{Entropy, Regions};
pub use generator::{Fault, Generator, RESEED_BYTES, STARTUP_BYTES, Silent, Source};
pub use health::{Health, PROPORTION_CUTOFF, REPETITION_CUTOFF, Unhealthy, WINDOW};

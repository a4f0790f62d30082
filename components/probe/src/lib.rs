//! What an attacker in the edge domain tries, on every platform.
//!
//! [`Probe`] is a component that was taken over. It knows seL4 and everything in this repository, and
//! tries to get past its grants with nothing but the system calls that every component has. What only
//! seL4 has (receiving where it may not, faults, raw invocations) is tried by the programs in
//! `images/tests/probe`. [`EVERYWHERE`], [`ON_SEL4`] and [`FATAL`] list all of it, so that a test can tell an attempt that was refused
//! from one that was never made.
//!
//! [`Holder`] holds leases, which end while [`Observer`] spins.
//!
//! Nothing here is part of the appliance: `system.xml` and `policy.toml` beside this crate, and those in
//! `leases/`, add it to test images.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod holder;
mod list;
mod probe;
mod report;
mod target;

pub use holder::{Holder, Lessor, Observer};
pub use list::{Attempt, EVERYWHERE, FATAL, ON_SEL4};
pub use probe::{ABOVE_CEILING, Probe};
pub use report::{Breach, Outcome, Report, same};
pub use target::{Tally, Target, api};

//! The clock: monotonic time, and UTC from the board's real-time clock (RTC).
//!
//! Monotonic time is a counter that every component can read. What only one component can read is the
//! RTC; the clock owns its registers. When it starts, before the manager does, it reads the RTC once and
//! writes how far UTC is ahead of the counter to the page [`offset`], which the manager maps read-only:
//! from then on UTC is that offset and the counter, and runs backwards no more than the counter does.
//! After that it serves the interface `clock` ([`api`]) to holders of a grant.
//!
//! An RTC drifts, and can be set: the clock says what this one said at boot, and no more.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod component;
mod goldfish;
pub mod offset;
mod pl031;

pub use component::{Clock, Regions};
pub use goldfish::Goldfish;
pub use pl031::Pl031;

/// A real-time clock, as the platform gives it.
pub trait Rtc {
    /// Nanoseconds since 1970-01-01 UTC, leap seconds left out; `None`: it does not say.
    fn utc(&mut self) -> Option<u64>;
}

/// The counter that every component can read, as the platform gives it.
pub trait Counter {
    /// Nanoseconds since some moment before the boot. Never goes back.
    fn monotonic(&mut self) -> u64;
}

//! The clock: monotonic time, UTC from the board's real-time clock (RTC), and the manager's deadline.
//!
//! Monotonic time is a counter that every component can read. What only one component can read is the
//! RTC; the clock owns its registers. When it starts, it reads the RTC once and writes how far UTC is
//! ahead of the counter to the page [`offset`], which the manager maps read-only: from then on UTC is
//! that offset and the counter, and runs backwards no more than the counter does.
//!
//! The manager leaves its next deadline on the page [`deadline`], and the clock signals the manager when
//! it has passed. The manager believes nothing of it: a signal has it look at the counter itself. The
//! clock serves the interface `clock` ([`api`]) to holders of a grant.
//!
//! An RTC drifts, and can be set: the clock says what this one said at boot, and no more.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod component;
pub mod deadline;
mod goldfish;
pub mod offset;
mod pl031;

pub use component::{Clock, Regions};
pub use goldfish::Goldfish;
pub use pl031::Pl031;

use portcullis_kernel::Badge;

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

/// What wakes the clock at a moment of its [`Counter`], as the platform gives it. Ringing is a
/// notification of the clock, with [`RINGING`] or any other bit: the clock looks the same whatever
/// woke it.
pub trait Alarm {
    /// Has it ring at `at`, in place of what was set before; `None`: not at all. It may ring early
    /// and more than once.
    fn set(&mut self, at: Option<u64>);
}

/// The badge of a ringing alarm.
pub const RINGING: Badge = Badge(1 << 61);

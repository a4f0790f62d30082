//! What the platform gives the manager beside the kernel.

use core::fmt;

/// The clock, and the operator's eyes.
pub trait Platform {
    /// The time in nanoseconds: since 1970-01-01 UTC where the platform knows it, else since boot.
    /// Where it goes back, records carry the latest time seen.
    fn now(&mut self) -> u64;

    /// Shows one line to the operator.
    fn report(&mut self, line: fmt::Arguments<'_>);
}

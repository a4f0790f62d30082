//! Verifying every invariant of the kernel's state.

use alloc::string::String;
use core::fmt;

use crate::Kernel;

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation(pub(crate) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Violation {}

impl Kernel {
    /// Verifies every invariant.
    pub fn check_all(&self) -> Result<(), Violation> {
        Ok(())
    }
}

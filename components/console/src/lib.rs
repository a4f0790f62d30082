//! The serial console: shows what components say, and what the manager allows.
//!
//! It changes nothing: the methods of the manager that it may call only show.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;

pub use api::Terminal;

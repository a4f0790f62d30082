//! Components that ask for grants, hand them on and give them back, on every platform; for test images only.
//!
//! [`Asker`] asks the manager for a grant to the server of `portcullis_probe`, calls through it, hands a part
//! of it on to [`Helper`], takes that back and gives its own up; at each step it sees to it that the kernel,
//! or the server's receive loop, allows what is granted and no more. `system.xml` and `policy.toml` beside
//! this crate add them to the reference appliance.

#![no_std]
#![forbid(unsafe_code)]

mod asker;
mod helper;

pub use asker::{Asker, STEPS};
pub use helper::Helper;

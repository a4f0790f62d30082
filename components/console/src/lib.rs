//! The serial console: shows what components say, and what the manager allows.
//!
//! It puts each line's sender before it, by the badge that the kernel delivered, and escapes what
//! could move the cursor or change the terminal. At the serial line a person may ask what is in
//! force and why: the manager answers with numbers, and the names are in the compiled policy, which
//! the console maps read-only and believes where its hash is that of the policy in force. Nothing that can be asked changes anything, since the methods of the manager that
//! the console may call only show.
//!
//! A component that floods it stops nobody: a message costs bounded work and its sender waits
//! until it is shown, the kernel queues senders in turn and delivers input before messages, and
//! text that repeats is counted instead of shown.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
mod command;
mod console;
mod editor;
mod inspect;
mod output;
mod record;
pub mod report;
mod senders;
mod serial;
mod show;
mod table;
pub mod text;
mod why;

pub use api::Terminal;
pub use console::{Channels, Console};
pub use serial::Serial;

//! The QEMU boards that the appliance runs on with the real kernel.
//!
//! In order: [`Sdk::find`] says whether this machine has a Microkit SDK; a [`System`] is a system
//! description with its policy and programs; [`System::build`] makes a bootable [`Image`] of it for a
//! [`Board`] and a [`Config`]; [`Machine::boot`] starts QEMU with it and reads its serial line, and
//! its [`Memory`], in which [`capscan`] finds what the kernel's slots hold. A [`RootTask`] is a program
//! in the place of a system. The programs and the image
//! builder are in `images/`, a workspace of its own, which this one calls.

mod board;
pub mod capscan;
mod error;
mod line;
mod machine;
mod memory;
mod root_task;
mod scenario;
mod sdk;
mod system;
mod trace;

pub use board::{Board, Config};
pub use error::Error;
pub use line::Line;
pub use machine::{Machine, raw_disk};
pub use memory::Memory;
pub use root_task::RootTask;
pub use scenario::{Through, watch};
pub use sdk::Sdk;
pub use system::{Image, System, root};
pub use trace::leave_ended;

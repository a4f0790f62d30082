//! The manager on the kernel model, with an invariant checked after every system call it makes.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses a part of it"
)]

pub mod ceiling;
pub mod draft;
pub mod machine;
pub mod memory;
pub mod threads;
pub mod world;

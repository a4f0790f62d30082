//! The cases of sel4test that the model can express, under sel4test's own names.
//!
//! They follow sel4test's `apps/sel4test-tests/src/tests` for the MCS kernel; `docs/kernel-model.md`
//! lists the cases that are not here, with the reason of each. sel4test starts threads and looks at
//! what they left in memory; here each thread's system calls are made one by one, and what comes of
//! each is looked at.

#[path = "../rules/system.rs"]
#[expect(dead_code, reason = "the tests of single rules use the rest")]
mod system;

mod bind;
mod cnodeop;
mod endpoint;
mod helper;
mod ipc;
mod priority;
mod sched_context;

//! One test a rule of the seL4 manual and of the kernel's sources, by object.

mod cnode;
mod delete;
mod derivation;
mod endpoint;
mod invocation;
mod lookup;
mod notification;
mod reply;
mod setup;
mod system;
mod thread;
mod transfer;

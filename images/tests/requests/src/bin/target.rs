//! The server that grants are asked for, as a protection domain.

#![no_std]
#![no_main]

use portcullis_probe::Target;
use portcullis_runtime::{Domain, MANAGER};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Target> {
    Domain::new(Target::new(MANAGER, None))
}

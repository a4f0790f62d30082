//! The attacker with the system calls of every platform, as a protection domain.

#![no_std]
#![no_main]

use portcullis_probe::Probe;
use portcullis_runtime::{Domain, MANAGER};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Probe> {
    Domain::new(Probe::new(MANAGER))
}

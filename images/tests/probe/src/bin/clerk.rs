//! The same server; when it is poked it waits for `watch`, and calls to it queue up.

#![no_std]
#![no_main]

use portcullis_probe::Target;
use portcullis_runtime::{Domain, MANAGER};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Target> {
    Domain::new(Target::new(MANAGER, Some("watch")))
}

//! Who asks for a grant, hands it on and gives it up, as a protection domain.

#![no_std]
#![no_main]

use portcullis_requests::Asker;
use portcullis_runtime::{Domain, MANAGER};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Asker> {
    Domain::new(Asker::new(MANAGER))
}

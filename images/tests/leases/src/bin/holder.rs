//! The holder of leases as a protection domain.

#![no_std]
#![no_main]

use portcullis_probe::Holder;
use portcullis_runtime::{Domain, MANAGER, ReadOnly, region};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Holder<ReadOnly>> {
    Domain::new(Holder::new(MANAGER, region!(lateness)))
}

//! The server of what is leased: whoever still reaches it holds too much.

#![no_std]
#![no_main]

use portcullis_probe::Lessor;
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Lessor> {
    Domain::new(Lessor)
}

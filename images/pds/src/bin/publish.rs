//! The publisher as a protection domain.

#![no_std]
#![no_main]

use portcullis_publish::Publish;
use portcullis_runtime::{Domain, MANAGER, Sel4, regions};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Publish<Sel4>> {
    let regions = regions!(portcullis_publish::Regions {
        vault_publish,
        publish_edge
    });
    Domain::new(Publish::new(MANAGER, regions))
}

//! The publisher as a protection domain.

#![no_std]
#![no_main]

use portcullis_publish::Publish;
use portcullis_runtime::{Domain, Memory, region};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Publish<Memory, Memory>> {
    let buffer = region!(vault_publish, vault_publish_size);
    Domain::new(Publish::new(
        0,
        buffer,
        region!(publish_edge, publish_edge_size),
    ))
}

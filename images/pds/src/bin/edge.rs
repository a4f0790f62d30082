//! The edge as a protection domain.

#![no_std]
#![no_main]

use portcullis_edge::Edge;
use portcullis_runtime::{Domain, MANAGER, Sel4, regions};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Edge<Sel4>> {
    let regions = regions!(portcullis_edge::Regions { publish_edge });
    Domain::new(Edge::new(MANAGER, regions))
}

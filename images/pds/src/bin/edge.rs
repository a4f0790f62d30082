//! The edge as a protection domain.

#![no_std]
#![no_main]

use portcullis_edge::Edge;
use portcullis_runtime::{Domain, Memory, region};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Edge<Memory>> {
    Domain::new(Edge::new(0, region!(publish_edge, publish_edge_size)))
}

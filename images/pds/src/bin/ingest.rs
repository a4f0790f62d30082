//! The intake of documents as a protection domain.

#![no_std]
#![no_main]

use portcullis_ingest::Ingest;
use portcullis_runtime::{Domain, MANAGER, Sel4, regions};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Ingest<Sel4>> {
    let regions = regions!(portcullis_ingest::Regions {
        inbox,
        ingest_vault
    });
    Domain::new(Ingest::new(MANAGER, regions))
}

//! The intake of documents as a protection domain.

#![no_std]
#![no_main]

use portcullis_ingest::Ingest;
use portcullis_runtime::{Domain, Memory, region};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Ingest<Memory, Memory>> {
    let inbox = region!(inbox, inbox_size);
    Domain::new(Ingest::new(
        0,
        inbox,
        region!(ingest_vault, ingest_vault_size),
    ))
}

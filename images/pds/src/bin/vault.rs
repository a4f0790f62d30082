//! The vault as a protection domain.

#![no_std]
#![no_main]

use portcullis_runtime::{Domain, MANAGER, Sel4, regions};
use portcullis_vault::{Memory, Vault};
use sel4_microkit::protection_domain;
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[protection_domain]
fn init() -> Domain<Vault<'static, Sel4>> {
    let regions = regions!(portcullis_vault::Regions {
        vault_key,
        ingest_vault,
        vault_publish,
        vault_disk
    });
    Domain::new(Vault::new(MANAGER, regions, MEMORY.take()))
}

//! The vault as a protection domain.

#![no_std]
#![no_main]

use portcullis_runtime::{Domain, Memory, region};
use portcullis_vault::{Memory as VaultMemory, Vault};
use sel4_microkit::protection_domain;
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<VaultMemory> = ConstStaticCell::new(VaultMemory::new());

#[protection_domain]
fn init() -> Domain<Vault<'static, Memory, Memory, Memory, Memory>> {
    Domain::new(Vault::new(
        0,
        region!(vault_key, vault_key_size),
        region!(ingest_vault, ingest_vault_size),
        region!(vault_publish, vault_publish_size),
        region!(vault_disk, vault_disk_size),
        MEMORY.take(),
    ))
}

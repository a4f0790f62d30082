//! The ledger as a protection domain.

#![no_std]
#![no_main]

use portcullis_ledger::{Ledger, Memory};
use portcullis_runtime::{Domain, MANAGER, Sel4, regions};
use sel4_microkit::protection_domain;
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[protection_domain]
fn init() -> Domain<Ledger<'static, Sel4>> {
    let regions = regions!(portcullis_ledger::Regions {
        grant_log,
        grant_log_ack,
        ledger_key,
        ledger_disk
    });
    Domain::new(Ledger::new(MANAGER, regions, MEMORY.take()))
}

//! The ledger as a protection domain.

#![no_std]
#![no_main]

use portcullis_ledger::{Ledger, Memory as LedgerMemory};
use portcullis_runtime::{Domain, Memory, region};
use sel4_microkit::protection_domain;
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<LedgerMemory> = ConstStaticCell::new(LedgerMemory::new());

#[protection_domain]
fn init() -> Domain<Ledger<'static, Memory, Memory, Memory, Memory>> {
    Domain::new(Ledger::new(
        0,
        region!(grant_log, grant_log_size),
        region!(grant_log_ack, grant_log_ack_size),
        region!(ledger_key, ledger_key_size),
        region!(ledger_disk, ledger_disk_size),
        MEMORY.take(),
    ))
}

//! Whether the ring that carries the grant log holds the records of a whole boot.
//!
//! At boot the manager runs before the ledger has read anything: a boot grant that does not fit
//! into the ring is not issued, since it could not be logged.

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_log::ring::{SLOT, SLOTS_OFFSET};
use portcullis_sdf::System;
use thiserror::Error;

use super::Check;

/// Records of a boot beside those of its grants: `boot` and `seal`.
const OTHER_RECORDS: usize = 2;
/// Bytes of a page: regions are whole pages.
const PAGE: usize = 4096;

/// A ring that does not hold a boot.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum LogFault {
    /// Too few slots.
    #[error(
        "region `{region}` has room for {slots} records of the grant log, and a boot writes \
         {records}: one for each boot grant, and two for its begin and end"
    )]
    #[diagnostic(
        code(policy::log_ring_too_small),
        help("in `system.xml`, give `{region}` size=\"{needed:#x}\"")
    )]
    RingTooSmall {
        /// The region.
        region: String,
        /// Records that it has room for.
        slots: usize,
        /// Records of a boot.
        records: usize,
        /// Bytes that it needs.
        needed: usize,
    },
}

pub(super) fn check(check: &mut Check<'_>, system: &System) {
    let policy = check.policy;
    let manager = policy.manager();
    let ring = policy
        .grants
        .iter()
        .find(|grant| Some(grant.subject) == manager && grant.mode == Mode::Stream)
        .and_then(|grant| grant.region.as_ref());
    let Some(ring) = ring else { return };
    let size = system
        .region_named(&ring.name)
        .and_then(|region| system.region(region).size.as_ref());
    let Some(size) = size else { return };
    let slots = (size.value as usize).saturating_sub(SLOTS_OFFSET) / SLOT;
    let records = check.ceiling.boot_count() + OTHER_RECORDS;
    if slots < records {
        let fault = LogFault::RingTooSmall {
            region: ring.name.clone(),
            slots,
            records,
            needed: (SLOTS_OFFSET + records * SLOT).next_multiple_of(PAGE),
        };
        check.broken(&ring.place, "the ring", fault);
    }
}

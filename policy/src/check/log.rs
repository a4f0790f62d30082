//! Whether the ring that carries the grant log holds the records of a whole boot.
//!
//! At boot the manager runs before the ledger has read anything: a boot grant that does not fit
//! into the ring is not issued, since it could not be logged. Without a ring none is.

use miette::Diagnostic;
use portcullis_log::ring::{SLOT, SLOTS_OFFSET};
use thiserror::Error;

use super::{Check, Described};
use crate::model::MANAGER;
use crate::relation::stream_of_log;

/// Records of a boot beside those of its grants: `boot` and `seal`.
const OTHER_RECORDS: usize = 2;
/// Bytes of a page: regions are whole pages.
const PAGE: usize = 4096;

/// A ring that does not hold a boot, or is not there.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum LogFault {
    /// The manager cannot log.
    #[error(
        "the policy allows grants, and `{MANAGER}` has no memory region to write the grant log to"
    )]
    #[diagnostic(
        code(policy::no_log_ring),
        help(
            "add to `{file}` a region `grant_log` with size=\"{needed:#x}\", mapped perms=\"rw\" in \
             `{MANAGER}` and perms=\"r\" in the component that keeps the log; and to the policy: \
             [[grants]] with subject = \"{MANAGER}\", that component as object, mode = \"stream\", \
             region = \"grant_log\", when = \"boot\" and a reason"
        )
    )]
    NoRing {
        /// Name of the system description.
        file: String,
        /// Bytes that the ring needs.
        needed: usize,
    },
    /// Too few slots.
    #[error(
        "region `{region}` has room for {slots} records of the grant log, and a boot writes \
         {records}: one for each boot grant, and two for its begin and end"
    )]
    #[diagnostic(
        code(policy::log_ring_too_small),
        help("in `{file}`, give `{region}` size=\"{needed:#x}\"")
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
        /// Name of the system description.
        file: String,
    },
}

pub(super) fn check(check: &mut Check<'_>, described: Described<'_>) {
    let (policy, system) = (check.policy, described.system);
    // That there is no manager is found elsewhere.
    let Some(manager) = policy.manager() else {
        return;
    };
    let ring = stream_of_log(policy).and_then(|grant| grant.region.as_ref());
    let Some(ring) = ring else {
        if check.ceiling.count() > 0 {
            // The boot grants, and the one that the ring itself is.
            let needed = bytes(check.ceiling.boot_count() + 1 + OTHER_RECORDS);
            let file = described.source.name().to_owned();
            let place = &policy.component(manager).place;
            check.broken(place, "cannot log", LogFault::NoRing { file, needed });
        }
        return;
    };
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
            needed: bytes(records),
            file: described.source.name().to_owned(),
        };
        check.broken(&ring.place, "the ring", fault);
    }
}

/// The size of a ring with room for this many records.
fn bytes(records: usize) -> usize {
    (SLOTS_OFFSET + records * SLOT).next_multiple_of(PAGE)
}

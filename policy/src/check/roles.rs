//! What the manager's regions are made of.
//!
//! They are memory that nobody has before the manager does: of no fixed physical address, which could be a
//! device's, and mapped alike at both ends. The ring and its acknowledgement begin as zeros, or the manager
//! would take what fills them for records that are durable; so do the pages on which others tell it something.
//! Policy and keys are the content of a file.

use miette::Diagnostic;
use portcullis_sdf::{PdId, Prefill, RegionId, Span, System};
use thiserror::Error;

use super::custody::{is_written, what};

/// A region that is not what its role needs.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum RoleFault {
    /// It lies where the description says.
    #[error("region `{region}` lies at {address:#x}, and is {what}")]
    #[diagnostic(
        code(policy::role_at_fixed_address),
        help(
            "remove phys_addr: a device that lies there, or whoever writes it before the boot, would \
             decide what the manager reads"
        )
    )]
    Fixed {
        /// The region.
        region: String,
        /// What it is.
        what: &'static str,
        /// Where it lies.
        address: u64,
    },
    /// It begins with a content.
    #[error("region `{region}` is filled at boot, and is {what}")]
    #[diagnostic(
        code(policy::role_filled),
        help(
            "remove what fills it: it must begin as zeros, or the manager takes its content for records, \
             or for the word of who writes there"
        )
    )]
    Filled {
        /// The region.
        region: String,
        /// What it is.
        what: &'static str,
    },
    /// It is the content of no file.
    #[error("region `{region}` is not filled from a file, and is {what}")]
    #[diagnostic(
        code(policy::role_not_filled),
        help("write prefill_path with its file: the manager starts with nothing else there")
    )]
    NotFilled {
        /// The region.
        region: String,
        /// What it is.
        what: &'static str,
    },
    /// One end goes past the cache.
    #[error("`{pd}` maps region `{region}` with cached=\"false\", and it is {what}")]
    #[diagnostic(
        code(policy::role_not_cached),
        help(
            "remove cached=\"false\": who goes past the cache does not see what is written through it"
        )
    )]
    NotCached {
        /// Who maps it.
        pd: String,
        /// The region.
        region: String,
        /// What it is.
        what: &'static str,
    },
}

/// What is wrong with the regions of these symbols, with the place in the system description. `ends`: those
/// who find them.
pub(crate) fn faults(
    system: &System,
    ends: &[PdId],
    roles: &[(&'static str, RegionId)],
) -> Vec<(Span, RoleFault)> {
    let mut faults = Vec::new();
    for (symbol, id) in roles {
        faults.extend(content(system, symbol, *id));
        let ends = ends.iter();
        faults.extend(ends.flat_map(|pd| uncached(system, *pd, symbol, *id)));
    }
    faults
}

/// Where a region lies, and what fills it.
fn content(system: &System, symbol: &str, id: RegionId) -> Vec<(Span, RoleFault)> {
    let of = system.region(id);
    let (region, what) = (of.name.value.clone(), what(symbol));
    let mut faults = Vec::new();
    if let Some(address) = &of.phys_addr {
        let fault = RoleFault::Fixed {
            region: region.clone(),
            what,
            address: address.value,
        };
        faults.push((address.span.clone(), fault));
    }
    match (&of.prefill, is_written(symbol)) {
        (None, true) | (Some(Prefill::Path(_)), false) => {}
        (Some(_), true) => faults.push((of.span.clone(), RoleFault::Filled { region, what })),
        (_, false) => faults.push((of.span.clone(), RoleFault::NotFilled { region, what })),
    }
    faults
}

/// The mappings of a region that go past the cache.
fn uncached(
    system: &System,
    pd: PdId,
    symbol: &str,
    id: RegionId,
) -> impl Iterator<Item = (Span, RoleFault)> {
    let pd = system.pd(pd);
    let maps = pd.maps.iter();
    let maps = maps.filter(move |map| map.region.value == id && !map.cached.value);
    maps.map(move |map| {
        let fault = RoleFault::NotCached {
            pd: pd.name.value.clone(),
            region: system.region(id).name.value.clone(),
            what: what(symbol),
        };
        (map.cached.span.clone(), fault)
    })
}

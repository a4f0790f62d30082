//! The component that watches the manager's deadline.

use portcullis_sdf::{End, Map, PdId, System};

use crate::model::MANAGER;

/// The symbol of the page on which the manager leaves its next deadline.
pub(crate) const DEADLINE: &str = "lease_deadline";

/// Who watches the manager's deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Clock {
    pub(crate) pd: PdId,
    /// The manager's id of their channel.
    pub(crate) channel: u8,
}

/// The component that maps the manager's page, and has a channel with it on which each notifies the other
/// and neither calls.
pub(crate) fn of(system: &System) -> Option<Clock> {
    let manager = system.pd_named(MANAGER)?;
    let region = page(system, manager)?.region.value;
    let notifies = |end: &End| end.notify.value && !end.pp.value;
    let watches = |pd: PdId| {
        let maps = &system.pd(pd).maps;
        pd != manager && maps.iter().any(|map| map.region.value == region)
    };
    let mut ends = system.ends();
    let (own, other) = ends.find(|(own, other)| {
        own.pd.value == manager && watches(other.pd.value) && notifies(own) && notifies(other)
    })?;
    Some(Clock {
        pd: other.pd.value,
        channel: own.id.value,
    })
}

/// The mapping by which the manager finds the page.
pub(crate) fn page(system: &System, manager: PdId) -> Option<&Map> {
    let mut maps = system.pd(manager).maps.iter();
    maps.find(|map| {
        let symbol = map.setvar_vaddr.as_ref();
        symbol.is_some_and(|symbol| symbol.value == DEADLINE)
    })
}

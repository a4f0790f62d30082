//! The slots that the manager names in its CNode invocations, and no others.

use portcullis_kernel::{CNodeSlot, CPtr, Grant, cspace};
use portcullis_manager_api::Authority;

/// A slot of the authority CNode.
pub(crate) const fn authority(slot: u32) -> CNodeSlot {
    slot_of(Authority::ITSELF, slot)
}

/// The capability that a grant is minted from.
pub(crate) const fn source(layout: Authority, grant: &Grant) -> CNodeSlot {
    authority(if grant.mode.signals() {
        layout.notification(grant.object)
    } else {
        layout.endpoint(grant.object)
    })
}

/// A slot of the grants CNode of component `number`.
pub(crate) const fn grants(layout: Authority, number: u16, slot: u16) -> CNodeSlot {
    slot_of(layout.grants_cnode(number), slot as u32)
}

/// The capability in a slot of the authority CNode, as the manager invokes it.
pub(crate) const fn pointer(slot: u32) -> CPtr {
    cspace::grant(slot)
}

/// A slot of the CNode whose capability lies in slot `cnode` of the authority CNode.
const fn slot_of(cnode: u32, slot: u32) -> CNodeSlot {
    CNodeSlot {
        root: cspace::grant(cnode),
        index: slot as u64,
        depth: Authority::DEPTH,
    }
}

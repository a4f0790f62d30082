//! CNodes: how capabilities to them are formed, and how their slots are filled.

use portcullis_manager_api::guard_bits;

use super::{CNode, CNodeKind, Capability, Mismatch, Object};

/// A capability to a CNode: in the root, and in the authority CNode. The TCB's to the root has no
/// guard.
pub(super) fn to_cnode(pd: &str, cnode: &CNode) -> Capability {
    let object = Object::CNode {
        pd: pd.to_owned(),
        kind: cnode.kind,
    };
    let guard_bits = match cnode.kind {
        CNodeKind::Root => 0,
        _ => guard_bits(cnode.radix),
    };
    Capability {
        guard_bits,
        ..Capability::whole(object)
    }
}

/// Puts a capability into an empty slot.
pub(super) fn put(
    cnode: &mut CNode,
    pd: &str,
    slot: u32,
    capability: Capability,
) -> Result<(), Mismatch> {
    if let Some(first) = cnode.slots.get(&slot) {
        return Err(Mismatch::SlotTaken {
            pd: pd.to_owned(),
            kind: cnode.kind,
            slot,
            first: Box::new(first.object.clone()),
            second: Box::new(capability.object),
        });
    }
    cnode.slots.insert(slot, capability);
    Ok(())
}

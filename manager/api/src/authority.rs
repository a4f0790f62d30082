//! Where things lie in the manager's authority CNode, and how to name them.

use portcullis_kernel::cspace;

/// Where things lie in the manager's authority CNode: one function of the number of components, so
/// that the image builder, the hosted kernel and the manager agree.
///
/// The capability to the authority CNode in the manager's root CNode, the one to a grants CNode in
/// its component's root CNode, and the ones to both in the authority CNode are all alike: guard
/// zero, of [`guard_bits`] bits, so that guard and index together are the [`Authority::DEPTH`] bits
/// that the root CNode leaves. Hence one number names a slot everywhere: `cspace::grant(slot)` as a
/// pointer of the CNode's holder, and (`root`, `slot`, `DEPTH`) in a CNode invocation, where `root`
/// is `cspace::grant` of the slot of the authority CNode that holds the CNode's capability. Such a
/// pointer uses up all 64 bits (6 in the root CNode, 58 in the authority CNode) and so ends at the
/// CNode's capability, and not inside the CNode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authority {
    components: u32,
}

impl Authority {
    /// The layout for a policy with this many components.
    pub const fn new(components: u16) -> Self {
        Self {
            components: components as u32,
        }
    }

    /// Depth, in bits, of every slot in a CNode invocation by the manager.
    pub const DEPTH: u8 = cspace::LEAF_BITS;

    /// The capability to the authority CNode itself. Slot 0 stays empty.
    pub const ITSELF: u32 = 1;

    /// The grants CNode of component `number`.
    pub const fn grants_cnode(self, number: u16) -> u32 {
        Self::ITSELF + 1 + number as u32
    }

    /// The unbadged endpoint of component `number`.
    pub const fn endpoint(self, number: u16) -> u32 {
        self.grants_cnode(number) + self.components
    }

    /// The unbadged notification of component `number`.
    pub const fn notification(self, number: u16) -> u32 {
        self.endpoint(number) + self.components
    }

    /// The reply object of component `number`: to answer whom it was serving when it faulted.
    pub const fn reply(self, number: u16) -> u32 {
        self.notification(number) + self.components
    }

    /// The root of the grant with this index, as in its badge: where its badged capability is minted.
    pub const fn root(self, index: u16) -> u32 {
        Self::ITSELF + 1 + PER_COMPONENT * self.components + index as u32
    }

    /// Bits that the authority CNode needs for a policy with this many grants.
    pub const fn radix(self, grants: u32) -> u8 {
        let slots = Self::ITSELF + 1 + PER_COMPONENT * self.components + grants;
        let bits = (u32::BITS - (slots - 1).leading_zeros()) as u8;
        if bits < 6 { 6 } else { bits }
    }
}

/// Slots for each component: grants CNode, endpoint, notification, reply object.
const PER_COMPONENT: u32 = 4;

/// Bits that a component's grants CNode needs for this many grants (slot 0 stays empty).
pub const fn grants_radix(grants: u32) -> u8 {
    let bits = (u32::BITS - grants.leading_zeros()) as u8;
    if bits < 6 { 6 } else { bits }
}

/// Bits of the guard, which is zero, of a capability to a grants CNode or to the authority CNode with
/// this radix. See [`Authority`].
pub const fn guard_bits(radix: u8) -> u8 {
    Authority::DEPTH - radix
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_capabilities_share_a_slot_of_the_authority_cnode() {
        for (components, grants) in [(1, 1), (8, 15), (62, 65_536)] {
            let authority = Authority::new(components);
            let mut slots = BTreeSet::from([0, Authority::ITSELF]);
            for number in 0..components {
                assert!(slots.insert(authority.grants_cnode(number)));
                assert!(slots.insert(authority.endpoint(number)));
                assert!(slots.insert(authority.notification(number)));
                assert!(slots.insert(authority.reply(number)));
            }
            for index in 0..grants {
                assert!(slots.insert(authority.root(index as u16)));
            }
            let last = *slots.last().unwrap();
            let radix = authority.radix(grants);
            assert!(last < 1 << radix);
            assert!(radix == 6 || last >= 1 << (radix - 1), "half of it is idle");
        }
    }

    #[test]
    fn a_grants_cnode_holds_its_grants_and_slot_0() {
        for (grants, radix) in [(0, 6), (63, 6), (64, 7), (2_047, 11), (4_095, 12)] {
            assert_eq!(grants_radix(grants), radix);
            assert_eq!(guard_bits(radix) + radix, cspace::LEAF_BITS);
        }
    }
}

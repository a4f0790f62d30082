//! Capability pointers, and where things lie in a component's CSpace.

/// A capability pointer: 64 bits that the kernel resolves in the caller's CSpace, guard and index
/// of the root CNode first (seL4 manual, "Capability Address Lookup").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CPtr(pub u64);

impl CPtr {
    /// The pointer as the word that a system call takes.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The layout of a protection domain's CSpace: Microkit 2.3.0's, with Portcullis's CNodes added.
///
/// The root CNode has 64 slots, resolved by the six highest bits of a [`CPtr`]. Slot 0 is the
/// CNode that Microkit fills (9 bits, guard zero), so that a small number addresses it directly.
pub mod cspace {
    use super::CPtr;

    /// Bits that the root CNode resolves (Microkit's `PD_ROOT_CAP_BITS`).
    pub const ROOT_RADIX: u8 = 6;
    /// Bits that Microkit's own CNode resolves (Microkit's `PD_CAP_BITS`).
    pub const MICROKIT_RADIX: u8 = 9;
    /// Bits left for the CNode in a root slot: its guard and its radix add up to this.
    pub const LEAF_BITS: u8 = 64 - ROOT_RADIX;
    /// Slot of the root CNode that holds Microkit's CNode.
    pub const MICROKIT_ROOT_SLOT: u64 = 0;
    /// Slot of the root CNode that holds a component's grants CNode, or the manager's authority CNode.
    pub const PORTCULLIS_ROOT_SLOT: u64 = 1;

    /// Slot of the root CNode that holds the CNode of the pool's reply objects, in a component that keeps
    /// callers ([`Replies`](crate::Replies)).
    pub const REPLIES_ROOT_SLOT: u64 = 2;
    /// Bits that the CNode of the pool's reply objects resolves.
    pub const REPLIES_RADIX: u8 = 6;
    /// Reply objects of the pool at most: one for each component that may have a channel to this one.
    pub const MAX_REPLIES: u8 = MAX_CHANNELS;

    /// The component's own endpoint (or notification, where nothing can call it).
    pub const INPUT: CPtr = CPtr(1);
    /// The copy of the fault endpoint. Stock Microkit hands it out; our images do not.
    pub const FAULT_ENDPOINT: CPtr = CPtr(2);
    /// The component's VSpace. Stock Microkit hands it out; our images do not.
    pub const VSPACE: CPtr = CPtr(3);
    /// The component's reply object.
    pub const REPLY: CPtr = CPtr(4);
    /// The monitor's endpoint, in a passive component only.
    pub const MONITOR_ENDPOINT: CPtr = CPtr(5);
    /// The component's TCB, in the benchmark configuration only.
    pub const TCB: CPtr = CPtr(6);

    /// Channels of one kind that a protection domain can have (Microkit's ids are 0 to 61).
    pub const MAX_CHANNELS: u8 = 62;
    const BASE_NOTIFICATION: u64 = 10;
    const BASE_ENDPOINT: u64 = BASE_NOTIFICATION + 64;
    const BASE_IRQ: u64 = BASE_ENDPOINT + 64;

    /// The notification capability of channel `id`.
    pub const fn channel_notification(id: u8) -> CPtr {
        CPtr(BASE_NOTIFICATION + id as u64)
    }

    /// The endpoint capability of channel `id` (present where the channel has `pp="true"`).
    pub const fn channel_endpoint(id: u8) -> CPtr {
        CPtr(BASE_ENDPOINT + id as u64)
    }

    /// The IRQ handler capability of channel `id`.
    pub const fn irq_handler(id: u8) -> CPtr {
        CPtr(BASE_IRQ + id as u64)
    }

    /// Reply object `number` of the component's pool, from 1 to [`MAX_REPLIES`].
    pub const fn reply(number: u8) -> CPtr {
        CPtr(REPLIES_ROOT_SLOT << LEAF_BITS | number as u64)
    }

    /// Grant slot `slot` of the calling component's grants CNode; for the manager, slot `slot` of
    /// its authority CNode.
    pub const fn grant(slot: u32) -> CPtr {
        CPtr(PORTCULLIS_ROOT_SLOT << LEAF_BITS | slot as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_capability_has_a_slot_of_its_own_in_microkit_s_cnode() {
        let fixed = [
            cspace::INPUT,
            cspace::FAULT_ENDPOINT,
            cspace::VSPACE,
            cspace::REPLY,
            cspace::MONITOR_ENDPOINT,
            cspace::TCB,
        ];
        let channels = (0..cspace::MAX_CHANNELS).flat_map(|id| {
            [
                cspace::channel_notification(id),
                cspace::channel_endpoint(id),
                cspace::irq_handler(id),
            ]
        });
        let mut pointers: std::vec::Vec<_> = fixed.into_iter().chain(channels).collect();
        let count = pointers.len();
        pointers.sort_unstable();
        pointers.dedup();
        assert_eq!(pointers.len(), count);
        let slots = 1 << cspace::MICROKIT_RADIX;
        assert!(pointers.iter().all(|pointer| pointer.bits() < slots));
    }

    #[test]
    fn a_grant_s_pointer_begins_with_the_root_slot() {
        let pointer = cspace::grant(70).bits();
        assert_eq!(pointer >> cspace::LEAF_BITS, cspace::PORTCULLIS_ROOT_SLOT);
        assert_eq!(pointer, 1 << 58 | 70);
    }
}

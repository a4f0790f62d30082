//! Pointers to capabilities that it does not hold, and receiving from those that it holds.

use portcullis_kernel::{CPtr, cspace as slots, label};
use portcullis_probe::Outcome;

use super::{Attacker, Lookup, RECEIVES, Step};
use crate::{Info, Number, Registers};

/// Bits of the guard before Microkit's CNode.
const MICROKIT_GUARD: Lookup = Lookup::Guard {
    bits: (slots::LEAF_BITS - slots::MICROKIT_RADIX) as u64,
};
/// Bits of the guard before the smallest grants CNode.
const GRANTS_GUARD: Lookup = Lookup::Guard {
    bits: slots::LEAF_BITS as u64 - 6,
};
/// A request that nobody may take.
const REQUEST: Info = Info::new(label::REQUEST, 4);

pub(super) const STEPS: &[Step] = &[
    ("recv-from-empty-slots", Attacker::recv_from_empty_slots),
    (
        "recv-from-empty-grant-slots",
        Attacker::recv_from_empty_grant_slots,
    ),
    ("recv-from-reply-object", Attacker::recv_from_reply_object),
    (
        "recv-from-client-capabilities",
        Attacker::recv_from_client_capabilities,
    ),
    (
        "recv-through-absent-cnodes",
        Attacker::recv_through_absent_cnodes,
    ),
    (
        "recv-with-other-reply-objects",
        Attacker::recv_with_other_reply_objects,
    ),
    (
        "guards-of-microkit-cnode",
        Attacker::guards_of_microkit_cnode,
    ),
    ("guards-of-grants-cnode", Attacker::guards_of_grants_cnode),
    ("recv-through-guards", Attacker::recv_through_guards),
    (
        "receive-from-fault-endpoint",
        Attacker::receive_from_fault_endpoint,
    ),
];

impl Attacker {
    /// Receives in all four ways, and expects the fault of a capability that is none to receive from.
    pub(super) fn receives_nothing(&self, from: CPtr, why: Lookup) -> Outcome {
        RECEIVES.into_iter().try_for_each(|number| {
            let came = self.raw(number, from, REQUEST);
            self.capability_fault(came, from.bits(), true, why)
        })
    }

    fn recv_from_empty_slots(&self) -> Outcome {
        let mut slots = Self::empty_slots();
        slots.try_for_each(|slot| self.receives_nothing(slot, Lookup::Missing))
    }

    fn recv_from_empty_grant_slots(&self) -> Outcome {
        let mut slots = self.empty_grant_slots();
        slots.try_for_each(|slot| self.receives_nothing(slot, Lookup::Missing))
    }

    fn recv_from_reply_object(&self) -> Outcome {
        self.receives_nothing(slots::REPLY, Lookup::Missing)
    }

    /// A stock Microkit client may receive from its server's endpoint, and take what others send there.
    fn recv_from_client_capabilities(&self) -> Outcome {
        let mut held = self.client_capabilities().into_iter();
        held.try_for_each(|held| self.receives_nothing(held, Lookup::Missing))
    }

    fn recv_through_absent_cnodes(&self) -> Outcome {
        for root in 2..1 << slots::ROOT_RADIX {
            for low in [0, slots::INPUT.bits(), u64::MAX >> slots::ROOT_RADIX] {
                let pointer = CPtr(root << slots::LEAF_BITS | low);
                self.receives_nothing(pointer, Lookup::Missing)?;
            }
        }
        Ok(())
    }

    /// With another's reply object it would answer in another's place.
    fn recv_with_other_reply_objects(&self) -> Outcome {
        let others = Self::empty_slots().chain(self.client_capabilities());
        for reply in others.chain([slots::INPUT, CPtr(u64::MAX)]) {
            let registers = Registers {
                cptr: slots::INPUT.bits(),
                reply: reply.bits(),
                ..Registers::default()
            };
            for number in [Number::RECV, Number::NB_RECV] {
                let came = self.supervised.call(number, registers);
                self.capability_fault(came, reply.bits(), true, Lookup::Missing)?;
            }
        }
        Ok(())
    }

    /// Bits above the radix are the guard's, which is zero: no second name for any slot.
    fn guards_of_microkit_cnode(&self) -> Outcome {
        for bit in slots::MICROKIT_RADIX..slots::LEAF_BITS {
            for slot in [slots::INPUT, slots::REPLY, Self::manager(), CPtr(0)] {
                self.no_way(CPtr(slot.bits() | 1 << bit), MICROKIT_GUARD)?;
            }
        }
        Ok(())
    }

    fn guards_of_grants_cnode(&self) -> Outcome {
        for bit in 6..slots::LEAF_BITS {
            for slot in self.client_capabilities().into_iter().skip(1) {
                self.no_way(CPtr(slot.bits() | 1 << bit), GRANTS_GUARD)?;
            }
        }
        Ok(())
    }

    /// Every way to send through a pointer whose lookup fails: those that wait fault, the others drop
    /// what they carry.
    fn no_way(&self, pointer: CPtr, why: Lookup) -> Outcome {
        for number in [Number::CALL, Number::SEND] {
            let came = self.raw(number, pointer, REQUEST);
            self.capability_fault(came, pointer.bits(), false, why)?;
        }
        self.silent(pointer.bits(), self.raw(Number::NB_SEND, pointer, REQUEST))
    }

    fn recv_through_guards(&self) -> Outcome {
        for bit in slots::MICROKIT_RADIX..slots::LEAF_BITS {
            let pointer = CPtr(slots::INPUT.bits() | 1 << bit);
            self.receives_nothing(pointer, MICROKIT_GUARD)?;
        }
        for bit in 6..slots::LEAF_BITS {
            let pointer = CPtr(self.target.bits() | 1 << bit);
            self.receives_nothing(pointer, GRANTS_GUARD)?;
        }
        Ok(())
    }

    /// Stock Microkit hands out a copy of the fault endpoint, and passive domains the monitor's: from
    /// there faults could be taken, or forged.
    fn receive_from_fault_endpoint(&self) -> Outcome {
        for endpoint in [slots::FAULT_ENDPOINT, slots::MONITOR_ENDPOINT] {
            self.receives_nothing(endpoint, Lookup::Missing)?;
            for label in 0..8 {
                let forged = Info::new(label, 4);
                self.silent(label, self.raw(Number::SEND, endpoint, forged))?;
                self.silent(label, self.raw(Number::NB_SEND, endpoint, forged))?;
                self.nothing_there(label, self.raw(Number::CALL, endpoint, forged))?;
            }
        }
        Ok(())
    }
}

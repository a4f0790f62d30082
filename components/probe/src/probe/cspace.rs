//! Using what it does not hold: every slot of its CSpace, and what lies beyond.

use portcullis_kernel::{
    CNodeSlot, CNodes, CPtr, Invocation, KernelError, Message, ReplyObject, Rights, cspace, label,
};

use super::Attacker;
use crate::{Outcome, same};

/// Slots of the smallest grants CNode: all are tried.
const GRANT_SLOTS: u32 = 64;
/// Slots of the root CNode.
const ROOT_SLOTS: u64 = 1 << cspace::ROOT_RADIX;

impl<K: CNodes> Attacker<'_, K> {
    /// The slots that Microkit and the image builder leave empty.
    fn empty_slots(&self) -> impl Iterator<Item = CPtr> + use<K> {
        let filled = [cspace::INPUT, cspace::REPLY, self.manager()];
        let slots = (0..1 << cspace::MICROKIT_RADIX).map(CPtr);
        slots.filter(move |slot| !filled.contains(slot))
    }

    /// The slots of its grants CNode in which no grant lies.
    fn empty_grant_slots(&self) -> impl Iterator<Item = CPtr> + use<K> {
        let held = [self.target.0, self.poke.0, self.console.0];
        let slots = (0..GRANT_SLOTS).map(cspace::grant);
        slots.filter(move |slot| !held.contains(slot))
    }

    pub(super) fn call_empty_slots(&mut self) -> Outcome {
        self.empty_slots()
            .try_for_each(|slot| self.call_nothing(slot))
    }

    pub(super) fn send_to_empty_slots(&mut self) -> Outcome {
        self.unseen(|attacker| {
            for slot in attacker.empty_slots() {
                attacker.send_every_way(slot);
            }
            Ok(())
        })
    }

    pub(super) fn use_empty_grant_slots(&mut self) -> Outcome {
        self.unseen(|attacker| {
            for slot in attacker.empty_grant_slots() {
                attacker.send_every_way(slot);
                attacker.call_nothing(slot)?;
            }
            Ok(())
        })
    }

    /// The root has 64 slots and two CNodes: the others lead nowhere, whatever the bits below say.
    pub(super) fn call_through_absent_cnodes(&mut self) -> Outcome {
        for root in 2..ROOT_SLOTS {
            for low in [
                0,
                1,
                cspace::INPUT.bits(),
                self.manager().bits(),
                u64::MAX >> 6,
            ] {
                self.call_nothing(CPtr(root << cspace::LEAF_BITS | low))?;
            }
        }
        Ok(())
    }

    /// Its input is for receiving: nothing can be sent there, not by itself either.
    pub(super) fn call_own_input(&mut self) -> Outcome {
        self.call_nothing(cspace::INPUT)?;
        self.send_every_way(cspace::INPUT);
        self.poll_own_input()
    }

    /// A reply object that holds no caller takes a reply and has nobody to give it to.
    pub(super) fn reply_to_nobody(&mut self) -> Outcome {
        self.unseen(|attacker| {
            for reply in [label::OK, label::REFUSED, 0] {
                let answer = attacker.call(cspace::REPLY, reply, &[7; 8]);
                same(reply, answer.label(), 0)?;
                same(reply, answer.words().len() as u64, 0)?;
            }
            attacker.send_every_way(cspace::REPLY);
            Ok(())
        })
    }

    /// Nobody may call it, so nothing ever waits there.
    pub(super) fn poll_own_input(&mut self) -> Outcome {
        let arrived = self
            .kernel
            .nb_recv(cspace::INPUT, ReplyObject::OWN, &mut Message::default());
        same(0, arrived.map_or(0, |badge| badge.0), 0)
    }

    /// It holds no capability to a CNode that a pointer could end at, so none can be invoked.
    pub(super) fn invoke_cnodes(&mut self) -> Outcome {
        let roots = self.empty_slots().step_by(7);
        let roots = roots.chain(self.empty_grant_slots().step_by(7));
        let roots = roots.chain([cspace::INPUT, CPtr(2 << cspace::LEAF_BITS), CPtr(u64::MAX)]);
        for root in roots {
            for (number, invocation) in (0..).zip(invocations(root, self.target.0)) {
                let refused = self.kernel.invoke(&invocation);
                let got = refused.map_or_else(|error| error.code().into(), |()| 0);
                let due = KernelError::InvalidCapability.code();
                same(root.bits() << 8 | number, got, due.into())?;
            }
        }
        Ok(())
    }

    /// Everything that sends and is silent where it may not.
    fn send_every_way(&mut self, to: CPtr) {
        let mut message = Message::default();
        message.set(label::REQUEST, &[1, 2, 3]);
        self.kernel.send(to, &message);
        self.kernel.nb_send(to, &message);
        self.kernel.signal(to);
    }
}

/// Each invocation that would give it a capability, or take one from others.
fn invocations(root: CPtr, held: CPtr) -> [Invocation; 7] {
    let slot = |index| CNodeSlot {
        root,
        index,
        depth: cspace::LEAF_BITS,
    };
    let (source, destination) = (slot(held.bits()), slot(40));
    [
        Invocation::Copy {
            destination,
            source,
            rights: Rights::ALL,
        },
        Invocation::Mint {
            destination,
            source,
            rights: Rights::ALL,
            badge: u64::MAX >> 2,
        },
        Invocation::Move {
            destination,
            source,
        },
        Invocation::Mutate {
            destination,
            source,
            badge: 1 << 63,
        },
        Invocation::Revoke(source),
        Invocation::Delete(source),
        Invocation::CancelBadgedSends(source),
    ]
}

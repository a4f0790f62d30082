//! Every slot of a running kernel.
//!
//! The walk begins at the kernel's own slots, one for each interrupt. What lies in one was derived from
//! a capability of the first task, and so leads to that task's CNode. From there every CNode and TCB is
//! reached, since the first task made them all and keeps a capability to each.
//!
//! That none is missed, the kernel's derivation tree shows. Every capability is in it, between the slot
//! before and the slot after its own, so where the neighbours of all slots are among them, there is no
//! other ([`Slots::unlinked`], [`Slots::strays`]). A slot that was emptied is zero (`emptySlot`), so
//! what lies in one is alive. The words of a capability also lie elsewhere, such as on the kernel's stack;
//! nothing in the tree names those, and no thread can name them.

use std::collections::{BTreeMap, BTreeSet};

use super::kernel::{Capability, Kernel, Kind, SLOT, Slot};
use crate::{Error, Memory};

/// Slots of a TCB (`tcbCNodeEntries`).
const TCB_SLOTS: u64 = 5;
/// The slot of a TCB that holds its root CNode (`tcbCTable`).
pub(super) const TCB_CSPACE: u64 = 0;
/// The slot of a TCB that says where its faults go (`tcbFaultHandler`).
pub(super) const TCB_FAULT_ENDPOINT: u64 = 3;
/// The slot of the first task's CNode that holds a capability to it (`seL4_CapInitThreadCNode`).
const FIRST_CNODE: u64 = 2;
/// More slots than any memory here holds, in a CNode or in all.
const MANY: u64 = 1 << 22;

/// Every slot of a running kernel.
#[derive(Debug)]
pub struct Slots {
    /// The objects with slots, by the address of the first.
    pub holders: BTreeMap<u64, Holder>,
    /// The CNode of the first task.
    pub first_cnode: u64,
    occupied: BTreeMap<u64, Slot>,
}

/// An object with slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// What it is.
    pub kind: HolderKind,
    /// How many slots it has.
    pub slots: u64,
}

/// What has slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HolderKind {
    /// A CNode.
    CNode,
    /// A thread.
    Tcb,
    /// The kernel itself, a slot for each interrupt.
    Interrupts,
}

impl Slots {
    /// Reads every slot that there is in `memory`.
    pub fn walk(kernel: &Kernel, memory: &Memory) -> Result<Self, Error> {
        let (first_cnode, radix) = first_cnode(kernel, memory)?;
        let interrupts = Holder {
            kind: HolderKind::Interrupts,
            slots: kernel.interrupts.size / SLOT,
        };
        let mut slots = Self {
            holders: BTreeMap::new(),
            first_cnode,
            occupied: BTreeMap::new(),
        };
        let mut found = vec![
            (kernel.interrupts.address, interrupts),
            (first_cnode, cnode(radix)),
        ];
        while let Some((start, holder)) = found.pop() {
            if slots.holders.insert(start, holder) == Some(holder) {
                continue;
            }
            if holder.slots > MANY {
                return Err(Error::Capscan(format!(
                    "in the board's memory a CNode at {start:#x} has {} slots",
                    holder.slots
                )));
            }
            for number in 0..holder.slots {
                let address = start + number * SLOT;
                let Some(slot) = kernel.slot(memory, address) else {
                    continue;
                };
                slots.occupied.insert(address, slot);
                found.extend(holder_of(&slot.capability));
            }
        }
        Ok(slots)
    }

    /// The occupied slots, by address.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Capability)> {
        let slots = self.occupied.iter();
        slots.map(|(address, slot)| (*address, &slot.capability))
    }

    /// The occupied slots of the object whose first slot is at `start`, by number.
    pub fn of(&self, start: u64) -> impl Iterator<Item = (u64, &Capability)> {
        let count = self.holders.get(&start).map_or(0, |holder| holder.slots);
        let range = self.occupied.range(start..start + count * SLOT);
        range.map(move |(address, slot)| ((address - start) / SLOT, &slot.capability))
    }

    /// The object that a slot is in, and its number there.
    pub fn place(&self, address: u64) -> Option<(u64, u64)> {
        let (start, holder) = self.holders.range(..=address).next_back()?;
        let number = (address - start) / SLOT;
        (number < holder.slots).then_some((*start, number))
    }

    /// The occupied slots that are not in the derivation tree as the kernel puts them there.
    pub fn unlinked(&self, kernel: &Kernel, memory: &Memory) -> Vec<u64> {
        let is_unlinked = |(address, slot): &(&u64, &Slot)| {
            let place = self.place(**address);
            let is_first = place.is_some_and(|(start, _)| start == self.first_cnode);
            // What the first task was given when the kernel started has nothing before it.
            let is_alone = slot.previous == 0 && !is_first;
            is_alone || neighbours(kernel, memory, slot).any(|(_, back)| back != Some(**address))
        };
        let slots = self.occupied.iter().filter(is_unlinked);
        slots.map(|(address, _)| *address).collect()
    }

    /// Addresses outside of all slots that the derivation tree leads to; and those at which lies what
    /// could be a badged capability to an endpoint or notification, and that something in memory
    /// names as its neighbour in the tree.
    pub fn strays(&self, kernel: &Kernel, memory: &Memory) -> BTreeSet<u64> {
        let slots = self.occupied.values();
        let named = slots.flat_map(|slot| neighbours(kernel, memory, slot).map(|(at, _)| at));
        let could_be = self.could_be_slots(kernel, memory).filter(|address| {
            let slot = kernel.slot(memory, *address);
            slot.is_some_and(|slot| {
                neighbours(kernel, memory, &slot).any(|(_, back)| back == Some(*address))
            })
        });
        let addresses = named.chain(could_be);
        addresses.filter(|it| self.place(*it).is_none()).collect()
    }

    /// Where in memory lies what could be a badged capability to an endpoint or notification.
    fn could_be_slots(&self, kernel: &Kernel, memory: &Memory) -> impl Iterator<Item = u64> {
        let is_sent_to = |it: &Capability| matches!(it.kind, Kind::Endpoint | Kind::Notification);
        let capabilities = self.occupied.values().map(|slot| &slot.capability);
        let sent_to = capabilities.filter(|it| is_sent_to(it));
        let objects: BTreeSet<u64> = sent_to.map(|it| it.object).collect();
        let pieces = memory.written().flat_map(|(start, bytes)| {
            let addresses = (start..).step_by(SLOT as usize);
            addresses.zip(bytes.chunks_exact(SLOT as usize))
        });
        pieces.filter_map(move |(physical, piece)| {
            let word = |at| u64::from_le_bytes(std::array::from_fn(|i| piece[at + i]));
            let it = kernel.capability(word(0), word(8))?;
            let could_be = is_sent_to(&it) && it.badge != 0 && objects.contains(&it.object);
            could_be.then(|| kernel.virtual_address(physical))
        })
    }
}

/// The slots before and after one in the derivation tree, each with the slot that it names in turn.
fn neighbours(
    kernel: &Kernel,
    memory: &Memory,
    slot: &Slot,
) -> impl Iterator<Item = (u64, Option<u64>)> {
    let before = kernel.slot(memory, slot.previous).map(|it| it.next);
    let after = kernel.slot(memory, slot.next).map(|it| it.previous);
    let both = [(slot.previous, before), (slot.next, after)];
    both.into_iter().filter(|(address, _)| *address != 0)
}

/// The slots that a capability is to.
fn holder_of(capability: &Capability) -> Option<(u64, Holder)> {
    let holder = match capability.kind {
        Kind::CNode { radix, .. } => cnode(radix),
        Kind::Tcb => Holder {
            kind: HolderKind::Tcb,
            slots: TCB_SLOTS,
        },
        _ => return None,
    };
    Some((capability.object, holder))
}

fn cnode(radix: u8) -> Holder {
    Holder {
        kind: HolderKind::CNode,
        slots: 1 << radix,
    }
}

/// The first task's CNode. The notification that an interrupt signals was derived from a capability
/// in it.
fn first_cnode(kernel: &Kernel, memory: &Memory) -> Result<(u64, u8), Error> {
    let count = kernel.interrupts.size / SLOT;
    let interrupts = (0..count).map(|number| kernel.interrupts.address + number * SLOT);
    let before = |address: &u64| kernel.slot(memory, *address).map(|slot| slot.previous);
    let trees = interrupts.flat_map(|start| {
        let tree = std::iter::successors(Some(start), before);
        tree.take_while(|address| *address != 0).take(MANY as usize)
    });
    let found = trees
        .into_iter()
        .find_map(|address| around(kernel, memory, address));
    found.ok_or_else(|| Error::Capscan("the first task's CNode is not to be found".to_owned()))
}

/// The CNode around a slot, if it is such as the first task's. As every object it lies at a multiple of
/// its size.
fn around(kernel: &Kernel, memory: &Memory, address: u64) -> Option<(u64, u8)> {
    let sizes = 1..MANY.ilog2() as u8;
    let mut starts = sizes.map(|radix| (address & !((SLOT << radix) - 1), radix));
    starts.find(|(start, radix)| {
        let own = kernel.slot(memory, start + FIRST_CNODE * SLOT);
        own.and_then(|slot| holder_of(&slot.capability)) == Some((*start, cnode(*radix)))
    })
}

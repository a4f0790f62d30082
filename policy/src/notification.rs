//! Which bit of its object's notification each `notify` and `stream` grant sets.
//!
//! A protection domain has one notification word, bits 0 to 61, that it shares among its static
//! channels, its interrupts and the grants of which it is the object. A grant gets the lowest bit
//! that nothing else has, in the order of the ceiling: the same policy and system give the same bits.

use std::collections::HashMap;

use portcullis_kernel::{Mode, cspace};
use portcullis_sdf::{PdId, System};

use crate::ceiling::{Ceiling, Held};
use crate::model::{ComponentId, Policy};

/// Bits of a notification that mean something: Microkit's channel ids.
const BITS: u64 = (1 << cspace::MAX_CHANNELS) - 1;

/// The bits of all grants that have one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Bits {
    assigned: HashMap<(ComponentId, u32), u8>,
    unassigned: Vec<Held>,
}

impl Bits {
    /// Assigns a bit to each grant of `ceiling` that needs one.
    pub fn assign(policy: &Policy, ceiling: &Ceiling, system: &System) -> Self {
        let mut used: Vec<u64> = policy
            .components
            .iter()
            .map(|component| {
                system
                    .pd_named(&component.name)
                    .map_or(0, |pd| used_bits(system, pd))
            })
            .collect();
        let mut bits = Self::default();
        for held in ceiling.grants().filter(|held| needs_bit(held.mode)) {
            let used = &mut used[held.object.index()];
            if let Some(bit) = free_bit(*used) {
                *used |= 1 << bit;
                bits.assigned.insert((held.subject, held.slot), bit);
            } else {
                bits.unassigned.push(*held);
            }
        }
        bits
    }

    /// The bit of a grant; `None` where it needs none, or there was none left.
    pub fn of(&self, held: &Held) -> Option<u8> {
        self.assigned.get(&(held.subject, held.slot)).copied()
    }

    /// The grants for which no bit was left.
    pub fn unassigned(&self) -> &[Held] {
        &self.unassigned
    }
}

/// Whether a grant of this mode is a notification.
const fn needs_bit(mode: Mode) -> bool {
    matches!(mode, Mode::Notify | Mode::Stream)
}

/// The bits that a protection domain's channels and interrupts have.
pub(crate) fn used_bits(system: &System, pd: PdId) -> u64 {
    let channels = system
        .ends()
        .filter(|(end, _)| end.pd.value == pd)
        .map(|(end, _)| end.id.value);
    let irqs = system.pd(pd).irqs.iter().map(|irq| irq.id.value);
    channels
        .chain(irqs)
        .filter(|id| *id < cspace::MAX_CHANNELS)
        .fold(0, |bits, id| bits | 1 << id)
}

/// The lowest bit, or channel id, that is not used.
pub(crate) fn free_bit(used: u64) -> Option<u8> {
    let free = !used & BITS;
    (free != 0).then(|| free.trailing_zeros() as u8)
}

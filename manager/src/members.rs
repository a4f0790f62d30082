//! What became of the components in this boot.

use portcullis_kernel::{Fault, KernelError};

use crate::loaded::COMPONENTS;

/// The components, by number. One that there is not is up, and nothing is noted of it.
#[derive(Debug)]
pub(crate) struct Members {
    /// Those that were stopped after a fault, a bit each.
    down: u64,
    /// Those of whose fault a record is to be written yet, a bit each.
    unlogged: u64,
    /// What the kernel stopped each for, where it did.
    faults: [Fault; COMPONENTS],
    /// What is wrong with the capability to its endpoint, that grants are minted from.
    unsound: [Option<KernelError>; COMPONENTS],
    /// Records of its denied requests.
    denials: [u8; COMPONENTS],
}

impl Members {
    pub(crate) const NEW: Self = Self {
        down: 0,
        unlogged: 0,
        faults: [Fault::Other { label: 0 }; COMPONENTS],
        unsound: [None; COMPONENTS],
        denials: [0; COMPONENTS],
    };

    /// Whether a component was stopped after a fault.
    pub(crate) const fn is_down(&self, number: u16) -> bool {
        self.down & 1 << number != 0
    }

    /// Notes that a component faulted, whether it is stopped, and what the fault was, if that may be
    /// told.
    pub(crate) fn faulted(&mut self, number: u16, stops: bool, fault: Option<Fault>) {
        self.unlogged |= 1 << number;
        self.down = self.down & !(1 << number) | u64::from(stops) << number;
        if let (Some(place), Some(fault)) = (self.faults.get_mut(usize::from(number)), fault) {
            *place = fault;
        }
    }

    /// What a component was last stopped for, as far as it may be told.
    pub(crate) fn fault(&self, number: u16) -> Fault {
        let fault = self.faults.get(usize::from(number)).copied();
        fault.unwrap_or(Fault::Other { label: 0 })
    }

    /// The first component of whose fault a record is to be written.
    pub(crate) fn first_unlogged(&self) -> Option<u16> {
        (self.unlogged != 0).then(|| self.unlogged.trailing_zeros() as u16)
    }

    /// Notes that the fault of the first of them is in the log.
    pub(crate) const fn finish_fault(&mut self) {
        self.unlogged &= self.unlogged.wrapping_sub(1);
    }

    /// What makes it impossible to mint from a component's endpoint.
    pub(crate) fn unsound(&self, number: u16) -> Option<KernelError> {
        self.unsound.get(usize::from(number)).copied().flatten()
    }

    pub(crate) fn set_unsound(&mut self, number: u16, error: KernelError) {
        if let Some(place) = self.unsound.get_mut(usize::from(number)) {
            *place = Some(error);
        }
    }

    /// Records of a component's denied requests.
    pub(crate) fn denials(&self, number: u16) -> u8 {
        self.denials
            .get(usize::from(number))
            .copied()
            .unwrap_or(u8::MAX)
    }

    pub(crate) fn count_denial(&mut self, number: u16) {
        if let Some(count) = self.denials.get_mut(usize::from(number)) {
            *count = count.saturating_add(1);
        }
    }
}

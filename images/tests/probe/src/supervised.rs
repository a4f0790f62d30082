//! An attempt under the warden's eye.

use crate::told::{self, Page, state, word};
use crate::{Number, Registers, raw};

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// It came back, with these registers.
    Back(Registers),
    /// The kernel told the fault handler of it, with this message.
    Fault(Fault),
    /// It would have waited for ever.
    Blocked,
}

/// A fault message (manual, "Faults").
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fault {
    /// What kind of fault.
    pub label: u64,
    /// How many words it has.
    pub length: u64,
    /// The first of them.
    pub words: [u64; 16],
}

/// Labels of faults: libsel4's `seL4_Fault_*`.
pub mod fault {
    /// A capability that is not there, or not of the kind that is needed.
    pub const CAPABILITY: u64 = 1;
    /// A system call that there is not.
    pub const UNKNOWN_SYSCALL: u64 = 2;
    /// An instruction that is not allowed.
    pub const USER_EXCEPTION: u64 = 3;
    /// Memory that is not there, or not for this.
    pub const MEMORY: u64 = 6;
    /// An instruction that traps to a hypervisor (Arm).
    pub const TRAP: u64 = 8;
}

/// Makes attempts whose thread may fault or block.
#[derive(Debug)]
pub struct Supervised {
    state: Page,
    told: Page,
}

impl Supervised {
    /// Attempts of the protection domain that writes `state`, whose warden writes `told`.
    pub const fn new(state: Page, told: Page) -> Self {
        Self { state, told }
    }

    /// The warden's page, which can be read.
    pub const fn told(&self) -> &Page {
        &self.told
    }

    /// The attacker's own page, which can be written, and the warden's.
    pub const fn pages(&self) -> (&Page, &Page) {
        (&self.state, &self.told)
    }

    /// Makes a system call.
    pub fn call(&self, number: Number, mut registers: Registers) -> Came {
        let came = self.attempt(|landing| {
            // SAFETY: `landing` is a word of the page that this protection domain writes.
            unsafe { raw::system_call(number, &mut registers, landing) }
        });
        came.unwrap_or(Came::Back(registers))
    }

    /// Makes any attempt; `None`: it came back. The attempt is given the word in which it leaves where
    /// it goes on.
    pub fn attempt(&self, attempt: impl FnOnce(*mut u64)) -> Option<Came> {
        let before = self.told.word(word::COUNT);
        self.state.set(state::PHASE, 1);
        attempt(self.state.at(state::LANDING));
        self.state.set(state::PHASE, 0);
        if self.told.word(word::COUNT) == before {
            return None;
        }
        if self.told.word(word::KIND) == told::BLOCKED {
            return Some(Came::Blocked);
        }
        Some(Came::Fault(Fault {
            label: self.told.word(word::LABEL),
            length: self.told.word(word::LENGTH),
            words: core::array::from_fn(|index| self.told.word(word::FIRST + index)),
        }))
    }

    /// How often the warden had to help.
    pub fn helped(&self) -> u64 {
        self.told.word(word::COUNT)
    }

    /// Says that every attempt was made.
    pub fn end(&self) {
        self.state.set(state::PHASE, told::THROUGH);
    }
}

//! What is the kernel's: system calls that there are not, and instructions that are not a program's.

use portcullis_kernel::cspace as slots;
use portcullis_probe::{Breach, Outcome, same};

use super::{Attacker, Step, faulted};
use crate::{Info, Number, fault, raw};

pub(super) const STEPS: &[Step] = &[
    ("debug-system-calls", Attacker::debug_system_calls),
    ("unknown-system-calls", Attacker::unknown_system_calls),
    ("privileged-instructions", Attacker::privileged_instructions),
    ("set-a-timer", Attacker::set_a_timer),
];

impl Attacker {
    /// Those that kernels of other configurations have: `DebugPutChar` (-12) to the benchmarks', and
    /// `SetTLSBase`. This one has none of them.
    fn debug_system_calls(&self) -> Outcome {
        (12..64).try_for_each(|number| self.unknown(-number))
    }

    fn unknown_system_calls(&self) -> Outcome {
        let numbers = [
            0,
            1,
            2,
            64,
            255,
            1 << 31,
            (1 << 32) - 1,
            -(1 << 31),
            -(1 << 32),
            i64::MAX,
            i64::MIN,
        ];
        numbers
            .into_iter()
            .try_for_each(|number| self.unknown(number))
    }

    fn unknown(&self, number: i64) -> Outcome {
        let came = self.raw(Number(number), slots::INPUT, Info::new(1, 4));
        let message = faulted(number as u64, came, fault::UNKNOWN_SYSCALL)?;
        // The last word is the number.
        let last = message.length as usize - 1;
        same(number as u64, message.words[last], number as u64)
    }

    fn privileged_instructions(&self) -> Outcome {
        let mut all = (0..).zip(raw::PRIVILEGED);
        all.try_for_each(|(at, (execute, due))| self.traps(at, *execute, *due))
    }

    /// A fault with this label and cause is what an instruction comes to.
    fn traps(&self, at: u64, execute: fn(*mut u64), (label, cause): (u64, u64)) -> Outcome {
        let executed = Breach {
            at,
            got: 0,
            due: label,
        };
        let came = self.supervised.attempt(execute).ok_or(executed)?;
        let message = faulted(at, came, label)?;
        same(at, raw::cause(&message), cause)
    }

    /// Where a timer can be set at all, it is nobody's, and the kernel's goes on: what is above this
    /// component, with a budget, still gets its time (see `flood-while-it-works`).
    fn set_a_timer(&self) -> Outcome {
        match raw::TIMER {
            Some(due) => self.traps(0, raw::set_exported_timer, due),
            None => match self.supervised.attempt(raw::set_exported_timer) {
                None => Ok(()),
                Some(came) => faulted(0, came, 0).map(|_| ()),
            },
        }
    }
}

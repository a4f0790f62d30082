//! What came of an attempt, as a line on the console.

use core::fmt;

use portcullis_console::Terminal;
use portcullis_kernel::Syscalls;

/// What came of an attempt: nothing, or a breach.
pub type Outcome = Result<(), Breach>;

/// Where a refusal was not the one that was due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breach {
    /// Which of the attempt's tries: a slot, a label, a position in a list.
    pub at: u64,
    /// What came of it.
    pub got: u64,
    /// What was due.
    pub due: u64,
}

/// Says what came of each attempt, in lines that a test can read: `held NAME`, or
/// `BROKEN NAME: ...`; at last `end of attempts: N held, M broken`.
#[derive(Debug)]
pub struct Report {
    terminal: Terminal,
    held: u64,
    broken: u64,
}

/// Whether `got` is what was due at `at`.
pub fn same(at: u64, got: u64, due: u64) -> Outcome {
    if got == due {
        return Ok(());
    }
    Err(Breach { at, got, due })
}

impl Report {
    /// A report on the console, through the caller's grant to it.
    pub fn new(kernel: &mut impl Syscalls, channel: u8) -> Self {
        Self {
            terminal: Terminal::find_or_silent(kernel, channel),
            held: 0,
            broken: 0,
        }
    }

    /// Says what came of an attempt.
    pub fn verdict(&mut self, kernel: &mut impl Syscalls, name: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                self.held += 1;
                self.terminal.line(kernel, format_args!("held {name}"));
            }
            Err(breach) => {
                self.broken += 1;
                self.terminal
                    .line(kernel, format_args!("BROKEN {name}: {breach}"));
            }
        }
    }

    /// Says something beside.
    pub fn line(&self, kernel: &mut impl Syscalls, text: fmt::Arguments<'_>) {
        self.terminal.line(kernel, text);
    }

    /// Says that every attempt was made.
    pub fn end(&self, kernel: &mut impl Syscalls) {
        let Self { held, broken, .. } = self;
        self.terminal.line(
            kernel,
            format_args!("end of attempts: {held} held, {broken} broken"),
        );
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, got, due } = self;
        write!(f, "at {at:#x} got {got:#x}, not {due:#x}")
    }
}

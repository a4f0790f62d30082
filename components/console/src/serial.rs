//! The serial device, as the console sees it.

/// A serial device. The platform implements it: the terminal of a hosted run, a PL011, an NS16550.
pub trait Serial {
    /// Writes text, whose lines end in `\n`; the platform makes of that what its device needs.
    /// Waits until the device has taken it.
    fn write(&mut self, text: &[u8]);

    /// Moves input that has arrived into `buffer` and says how many bytes; 0 where there is none.
    /// Never waits.
    fn read(&mut self, buffer: &mut [u8]) -> usize;

    /// Whether a terminal is at the other end: one that takes carriage returns and the control
    /// sequence "erase to the end of the line", and sends each key as it is pressed, not echoed.
    /// Elsewhere (a file, a pipe, a log) output is lines alone and input is not echoed.
    fn is_terminal(&self) -> bool;

    /// Called when the input that an interrupt announced was read. Where more has arrived, or was
    /// left, the platform interrupts again: the interrupt is level-triggered.
    fn acknowledge(&mut self) {}
}

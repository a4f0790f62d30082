//! Lines on the serial device, and the one line at the bottom of a terminal that is redrawn.
//!
//! On a terminal the last line is what is being typed or, before anything was typed, how far
//! something is. Each new line goes above it. Elsewhere there are only lines.

use core::fmt::{self, Write};

use crate::Serial;

/// Bytes that are gathered before the device is asked to write: most lines in one write.
const BUFFER: usize = 256;
/// To the first column, and erase to the end of the line (ECMA-48, CR and EL).
const ERASE_LINE: &str = "\r\u{1b}[K";

/// The device, and what stands in the last line.
#[derive(Debug)]
pub(crate) struct Output<S> {
    serial: S,
    buffer: heapless::Vec<u8, BUFFER>,
    /// The last line of the terminal has text that is to be redrawn.
    bottom: bool,
}

impl<S: Serial> Output<S> {
    pub(crate) const fn new(serial: S) -> Self {
        Self {
            serial,
            buffer: heapless::Vec::new(),
            bottom: false,
        }
    }

    pub(crate) fn serial(&mut self) -> &mut S {
        &mut self.serial
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.serial.is_terminal()
    }

    /// Writes a line, above the last line of a terminal.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.clear_bottom();
        let _ = self.write_fmt(text);
        let _ = self.write_str("\n");
        self.flush();
    }

    /// Writes text into the last line of a terminal, in place of what stands there.
    pub(crate) fn bottom(&mut self, text: fmt::Arguments<'_>) {
        if !self.is_terminal() {
            return;
        }
        let _ = self.write_str(ERASE_LINE);
        let _ = self.write_fmt(text);
        self.bottom = true;
        self.flush();
    }

    /// Empties the last line of a terminal, where something stands in it.
    pub(crate) fn clear_bottom(&mut self) {
        if self.bottom {
            self.bottom = false;
            let _ = self.write_str(ERASE_LINE);
            self.flush();
        }
    }

    /// Makes what stands in the last line of a terminal a line of its own.
    pub(crate) fn keep_bottom(&mut self) {
        if self.bottom {
            self.bottom = false;
            let _ = self.write_str("\n");
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.serial.write(&self.buffer);
            self.buffer.clear();
        }
    }
}

impl<S: Serial> Write for Output<S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.as_bytes().chunks(BUFFER) {
            if self.buffer.len() + piece.len() > BUFFER {
                self.flush();
            }
            // Fits: a piece is at most the buffer, which was emptied where there was no room.
            let _ = self.buffer.extend_from_slice(piece);
        }
        Ok(())
    }
}

//! The serial line: standard input and output as the device of the console.
//!
//! What is typed goes through a pipe, so that the console never waits for a person and the kernel
//! sees what ends the run: Ctrl-D, the line `quit`, the end of the input. The console writes to the
//! terminal itself.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};

/// Ctrl-D.
const END_OF_TRANSMISSION: u8 = 4;
/// The line that ends the run.
const QUIT: &[u8] = b"quit";
/// Bytes that are read at once: what a person types, or a line of a script.
const CHUNK: usize = 256;

/// What the console is connected to.
pub struct Console {
    reader: OwnedFd,
    writer: OwnedFd,
    output: OwnedFd,
    /// Whether there is input that has not ended.
    listens: bool,
    line: Vec<u8>,
    is_terminal: bool,
    /// The terminal's mode before, to be put back.
    before: Option<Termios>,
}

/// What came of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Typed {
    /// Something for the console.
    Text,
    /// The run is to end.
    Quit,
}

impl Console {
    /// Standard input and output; no input where `once` is set.
    pub fn standard(once: bool) -> io::Result<Self> {
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        let typed_at = io::stdin().is_terminal();
        let is_terminal = io::stdout().is_terminal() && (once || typed_at);
        let mut console = Self::with_output(output)?;
        console.is_terminal = is_terminal;
        console.listens = !once;
        if console.listens && typed_at && is_terminal {
            console.before = Some(key_by_key()?);
        }
        Ok(console)
    }

    /// No input, and standard error as output: standard output is for something else.
    pub fn standard_error() -> io::Result<Self> {
        Self::with_output(io::stderr().as_fd().try_clone_to_owned()?)
    }

    /// No input, and output to this file.
    pub fn with_output(output: OwnedFd) -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            reader,
            writer,
            output,
            listens: false,
            line: Vec::new(),
            is_terminal: false,
            before: None,
        })
    }

    /// Where a person types.
    pub(super) fn typed_at() -> BorrowedFd<'static> {
        rustix::stdio::stdin()
    }

    pub(super) fn input(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    pub(super) fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether there may be more input.
    pub(super) fn listens(&self) -> bool {
        self.listens
    }

    /// Whether the console has input that it did not read.
    pub(super) fn has_unread(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.reader, PollFlags::IN)];
        Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
    }

    /// Takes the input that has arrived.
    pub(super) fn take(&mut self) -> io::Result<Typed> {
        let mut typed = [0; CHUNK];
        let read = match rustix::io::read(io::stdin(), &mut typed[..]) {
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Typed::Text),
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            self.listens = false;
            return Ok(Typed::Quit);
        }
        let typed = &typed[..read];
        if let Some(at) = typed.iter().position(|byte| self.ends(*byte)) {
            self.listens = false;
            self.forward(&typed[..at]);
            return Ok(Typed::Quit);
        }
        self.forward(typed);
        Ok(Typed::Text)
    }

    /// Follows what is typed; whether this byte ends the run.
    fn ends(&mut self, byte: u8) -> bool {
        match byte {
            END_OF_TRANSMISSION => return self.line.is_empty(),
            b'\r' | b'\n' => {
                let is_quit = self.line.trim_ascii() == QUIT;
                self.line.clear();
                return is_quit;
            }
            // Backspace, as terminals send it.
            8 | 127 => drop(self.line.pop()),
            // Ctrl-U, as terminals send it: the line is gone.
            21 => self.line.clear(),
            byte => {
                self.line.push(byte);
                // Longer than any command: what it was does not matter any more.
                self.line.truncate(CHUNK);
            }
        }
        false
    }

    /// Hands input to the console; what a full pipe does not take is lost, as on a serial line.
    fn forward(&self, typed: &[u8]) {
        let _ = rustix::io::write(&self.writer, typed);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Makes the terminal send each key as it is pressed, not echoed; Ctrl-C still interrupts. The
/// result is how it was before.
fn key_by_key() -> io::Result<Termios> {
    let before = rustix::termios::tcgetattr(io::stdin())?;
    let mut mode = before.clone();
    mode.local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    rustix::termios::tcsetattr(io::stdin(), OptionalActions::Flush, &mode)?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(typed: &[u8]) -> Option<usize> {
        let output = tempfile::tempfile().unwrap();
        let mut console = Console::with_output(output.into()).unwrap();
        typed.iter().position(|byte| console.ends(*byte))
    }

    #[test]
    fn quit_and_end_of_transmission_end_the_run() {
        assert_eq!(ends(b"quit\n"), Some(4));
        assert_eq!(ends(b"grants\r  quit \r"), Some(14));
        assert_eq!(ends(b"quix\x7ft\r"), Some(6));
        assert_eq!(ends(b"\x04"), Some(0));
    }

    #[test]
    fn other_lines_do_not() {
        assert_eq!(ends(b"quit"), None);
        assert_eq!(ends(b"quite\nquit me\n"), None);
        assert_eq!(ends(b"qu\nit\n"), None);
        assert_eq!(ends(b"log\x04"), None, "it belongs to the line");
    }
}

//! The interface `terminal`: text, one way, to the serial line.
//!
//! A component says what it does with [`Terminal::line`] and how far it is with
//! [`Terminal::progress`]. Both are sends: nothing comes back, and a component without the grant
//! says nothing and goes on. The console puts the sender's name, which it has from the manager,
//! before each line, so text does not repeat it.

use core::fmt::{self, Write};

use portcullis_kernel::{Message, Method, Refusal, SendGrant, Signal, Syscalls};
use portcullis_manager_api::{Awaited, Buffer, find_send, find_signal};
use serde::{Deserialize, Serialize};

use crate::text::Denied;

/// Name of the component that serves the interface, in the reference policy.
pub const OBJECT: &str = "console";
/// Name of the interface.
pub const INTERFACE: &str = "terminal";

/// Text, of one line or more: a `&str` of at most [`TEXT_MAX`] bytes.
pub const WRITE: Method = method(0);
/// How far something is: a [`Progress`].
pub const PROGRESS: Method = method(1);

/// Longest text of one message, in bytes. A message carries 950 after its own length; the rest is
/// left for fields that may come.
pub const TEXT_MAX: usize = 900;
/// Longest name of a thing that progresses, in bytes: what fits a line of 80 columns beside the
/// sender, the bar and the figures.
pub const WHAT_MAX: usize = 120;

/// What stands where text was cut off.
pub const ELLIPSIS: &str = "…";

const fn method(number: u8) -> Method {
    match Method::new(number) {
        Some(method) => method,
        None => panic!("method numbers are below 32"),
    }
}

/// How far something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress<'a> {
    /// What is being done, at most [`WHAT_MAX`] bytes.
    pub what: &'a str,
    /// How much of it is done. The unit is the sender's.
    pub done: u64,
    /// How much there is to do, in the same unit.
    pub total: u64,
}

/// The holder's end of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terminal {
    grant: Option<SendGrant>,
}

impl Terminal {
    /// A terminal that takes text and shows it nowhere: what a component has until it found its
    /// grant, or when the policy gives it none.
    pub const SILENT: Terminal = Terminal { grant: None };

    /// The terminal behind a grant.
    pub const fn new(grant: SendGrant) -> Self {
        Self { grant: Some(grant) }
    }

    /// Asks the manager, on the caller's static channel with this id, for the caller's grant.
    pub fn find(kernel: &mut impl Syscalls, channel: u8) -> Result<Self, Refusal> {
        find_send(kernel, channel, OBJECT, INTERFACE).map(Self::new)
    }

    /// As [`find`](Self::find); where there is no grant, the silent terminal.
    pub fn find_or_silent(kernel: &mut impl Syscalls, channel: u8) -> Self {
        Self::find(kernel, channel).unwrap_or(Self::SILENT)
    }

    /// Finds a signal; where there is none, says so, since what waits for it waits for ever.
    pub fn find_signal(
        &self,
        kernel: &mut impl Syscalls,
        channel: u8,
        awaited: &Awaited<'_>,
    ) -> Option<Signal> {
        let found = find_signal(kernel, channel, awaited);
        if let Err(refusal) = found {
            let why = Denied(refusal);
            self.line(
                kernel,
                format_args!("no signal from {}: {why}", awaited.subject),
            );
        }
        found.ok()
    }

    /// Shows `text`, cut at [`TEXT_MAX`] bytes with an ellipsis. Waits until the console takes it.
    pub fn line(&self, kernel: &mut impl Syscalls, text: fmt::Arguments<'_>) {
        let Some(grant) = self.grant else { return };
        let mut cut = Cut::<TEXT_MAX>::new();
        cut.push(text);
        let mut message = Message::default();
        if message.encode(0, &cut.as_str()).is_ok() {
            grant.send(kernel, WRITE, &mut message);
        }
    }

    /// Shows that `done` of `total` is done of `what`, which is cut at [`WHAT_MAX`] bytes.
    pub fn progress(&self, kernel: &mut impl Syscalls, what: &str, done: u64, total: u64) {
        let Some(grant) = self.grant else { return };
        let mut cut = Cut::<WHAT_MAX>::new();
        cut.push(format_args!("{what}"));
        let what = cut.as_str();
        let mut message = Message::default();
        if message.encode(0, &Progress { what, done, total }).is_ok() {
            grant.send(kernel, PROGRESS, &mut message);
        }
    }
}

/// Reads a `write` request.
pub fn read_write<'b>(message: &Message, buffer: &'b mut Buffer) -> Option<&'b str> {
    message.decode(buffer)
}

/// Reads a `progress` request.
pub fn read_progress<'b>(message: &Message, buffer: &'b mut Buffer) -> Option<Progress<'b>> {
    message.decode(buffer)
}

/// Text of at most `N` bytes; what does not fit is cut at a character, and an ellipsis says so.
#[derive(Clone, Debug)]
pub struct Cut<const N: usize> {
    text: heapless::String<N>,
    full: bool,
}

impl<const N: usize> Cut<N> {
    /// No text yet.
    pub const fn new() -> Self {
        Self {
            text: heapless::String::new(),
            full: false,
        }
    }

    /// Appends `text` as far as it fits.
    pub fn push(&mut self, text: fmt::Arguments<'_>) {
        // An error says that a value could not format itself; what it wrote before stands.
        let _ = self.write_fmt(text);
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Forgets the text.
    pub fn clear(&mut self) {
        self.text.clear();
        self.full = false;
    }

    /// Cuts until the ellipsis fits, and appends it.
    fn end(&mut self) {
        self.full = true;
        while self.text.len() + ELLIPSIS.len() > N && self.text.pop().is_some() {}
        let _ = self.text.push_str(ELLIPSIS);
    }
}

impl<const N: usize> Default for Cut<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Write for Cut<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.full {
                break;
            }
            if self.text.push(character).is_err() {
                self.end();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_kernel::MAX_WORDS;

    use super::*;

    #[test]
    fn text_that_fits_is_kept_whole() {
        let mut cut = Cut::<8>::new();
        cut.push(format_args!("{}{}", "abcd", "efgh"));
        assert_eq!(cut.as_str(), "abcdefgh");
    }

    #[test]
    fn text_that_does_not_fit_is_cut_at_a_character() {
        let mut cut = Cut::<8>::new();
        cut.push(format_args!("abcdefghi"));
        assert_eq!(cut.as_str(), "abcde…");
        cut.clear();
        cut.push(format_args!("äöüßä"));
        assert_eq!(cut.as_str(), "äö…");
        cut.push(format_args!("more"));
        assert_eq!(cut.as_str(), "äö…");
    }

    #[test]
    fn no_room_for_the_ellipsis_is_no_panic() {
        let mut cut = Cut::<2>::new();
        cut.push(format_args!("abc"));
        assert_eq!(cut.as_str(), "");
    }

    #[test]
    fn the_longest_requests_fit_a_message() {
        let text = "x".repeat(TEXT_MAX);
        let mut message = Message::default();
        assert!(message.encode(0, &text.as_str()).is_ok());
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        assert_eq!(read_write(&message, &mut buffer), Some(text.as_str()));

        let what = "y".repeat(WHAT_MAX);
        let progress = Progress {
            what: &what,
            done: u64::MAX,
            total: u64::MAX,
        };
        assert!(message.encode(0, &progress).is_ok());
        assert_eq!(read_progress(&message, &mut buffer), Some(progress));
    }
}

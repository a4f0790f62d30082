//! Line editing: bytes of the serial input become lines.
//!
//! Backspace and delete take the last character back, ^U and ^C the whole line; escape sequences
//! (arrow keys and the like) are swallowed. Names in a policy are ASCII, so nothing else is taken.

/// Longest line, in bytes: `why` with three names of 48 bytes.
pub(crate) const LINE_MAX: usize = 160;

const END_OF_TEXT: u8 = 0x03; // ^C
const BACKSPACE: u8 = 0x08;
const CANCEL_LINE: u8 = 0x15; // ^U
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;

/// The line as far as it was typed.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    line: heapless::String<LINE_MAX>,
    state: State,
}

/// What a byte did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Edit {
    /// Nothing that can be seen.
    None,
    /// The line looks different.
    Changed,
    /// The line was given up.
    Cancelled,
    /// The line is complete: it stays until [`Editor::clear`].
    Complete,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum State {
    #[default]
    Text,
    /// After a carriage return: a line feed belongs to it.
    Return,
    /// After an escape.
    Escape,
    /// In a control sequence: up to a final byte (ECMA-48, 5.4).
    Sequence,
}

impl Editor {
    pub(crate) const fn new() -> Self {
        Self {
            line: heapless::String::new(),
            state: State::Text,
        }
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    pub(crate) fn clear(&mut self) {
        self.line.clear();
    }

    /// Takes one byte of input.
    pub(crate) fn take(&mut self, byte: u8) -> Edit {
        let state = core::mem::take(&mut self.state);
        match (state, byte) {
            (State::Return, b'\n') => Edit::None,
            (State::Escape, b'[' | b'O') => self.go(State::Sequence),
            (State::Escape, 0x20..=0x7e) => Edit::None,
            (State::Sequence, 0x20..=0x3f) => self.go(State::Sequence),
            (State::Sequence, 0x40..=0x7e) => Edit::None,
            (_, ESCAPE) => self.go(State::Escape),
            (_, b'\r') => {
                self.state = State::Return;
                Edit::Complete
            }
            (_, b'\n') => Edit::Complete,
            (_, BACKSPACE | DELETE) => match self.line.pop() {
                Some(_) => Edit::Changed,
                None => Edit::None,
            },
            (_, CANCEL_LINE) => {
                self.line.clear();
                Edit::Changed
            }
            (_, END_OF_TEXT) => {
                self.line.clear();
                Edit::Cancelled
            }
            (_, 0x20..=0x7e) if self.line.push(char::from(byte)).is_ok() => Edit::Changed,
            _ => Edit::None,
        }
    }

    const fn go(&mut self, state: State) -> Edit {
        self.state = state;
        Edit::None
    }
}

/// Whether a byte asks to stop what is going on.
pub(crate) const fn interrupts(byte: u8) -> bool {
    byte == END_OF_TEXT
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn lines(input: &[u8]) -> Vec<String> {
        let mut editor = Editor::new();
        let mut lines = Vec::new();
        for byte in input {
            if editor.take(*byte) == Edit::Complete {
                lines.push(editor.line().to_string());
                editor.clear();
            }
        }
        lines
    }

    #[test]
    fn keys_edit_the_line() {
        for (input, expected) in [
            (&b"help\r"[..], &["help"][..]),
            (b"help\n", &["help"]),
            (b"a\r\nb\r\n", &["a", "b"]),
            (b"a\n\nb\n", &["a", "", "b"]),
            (b"helq\x7fp\r", &["help"]),
            (b"\x08x\x08\x08help\r", &["help"]),
            (b"rubbish\x15help\r", &["help"]),
            (b"rubbish\x03help\r", &["help"]),
            (b"\x1b[Ahe\x1b[1;5Clp\x1bOP\r", &["help"]),
            (b"\x1b\x1b[Bhelp\x00\xff\xc3\xa4\r", &["help"]),
        ] {
            assert_eq!(lines(input), expected, "{input:?}");
        }
    }

    #[test]
    fn what_a_key_did_is_told() {
        let mut editor = Editor::new();
        assert_eq!(editor.take(DELETE), Edit::None);
        assert_eq!(editor.take(b'x'), Edit::Changed);
        assert_eq!(editor.take(END_OF_TEXT), Edit::Cancelled);
        assert_eq!(editor.take(b'\r'), Edit::Complete);
    }

    #[test]
    fn a_line_ends_where_its_room_does() {
        let input = [b'x'; LINE_MAX + 9];
        let mut editor = Editor::new();
        for byte in input {
            editor.take(byte);
        }
        assert_eq!(editor.line().len(), LINE_MAX);
    }

    proptest! {
        #[test]
        fn any_input_gives_printable_lines(input in prop::collection::vec(any::<u8>(), 0..500)) {
            for line in lines(&input) {
                prop_assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            }
        }
    }
}

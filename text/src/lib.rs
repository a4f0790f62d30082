//! Text of another's making: how it is shown, and what cannot be a name.
//!
//! Whatever a policy, a description, a path, a record or a component can put on a screen goes through
//! [`Plain`], or where there may be several lines through [`Lines`] or [`Message`]: no character gets through
//! that moves the cursor, changes the terminal, or makes text look like other text. Each is the
//! identity on what it prints, so that text may pass through twice.
//!
//! Nothing here allocates but `identifier`, which only readers on a host use.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "identifiers"))]
extern crate std;

#[cfg(feature = "identifiers")]
pub mod identifier;

use core::fmt::{self, Display, Formatter, Write};

/// A text within a line: every character that misleads is escaped, and so is the end of a line.
#[derive(Clone, Copy, Debug)]
pub struct Plain<T>(pub T);

/// Lines of text: as [`Plain`], but lines may end.
#[derive(Clone, Copy, Debug)]
pub struct Lines<T>(pub T);

/// A message: as [`Lines`], but cut where it gets longer than anybody reads.
#[derive(Clone, Copy, Debug)]
pub struct Message<T>(pub T);

/// Characters by their code points: `U+202E U+0041`.
#[derive(Clone, Copy, Debug)]
pub struct CodePoints<'a>(pub &'a str);

/// Bytes of a message that are shown.
pub const MESSAGE: usize = 4096;
/// What stands where a message was cut.
const CUT: &str = " ...";
/// Columns that a tab takes.
const TAB: &str = "    ";

/// Whether a character could move the cursor, change the terminal, or hide or reorder text:
/// controls, every space but the plain one, and all that Unicode calls `Bidi_Control` or
/// `Default_Ignorable_Code_Point` (UAX #9; UAX #44), with the annotations and tags.
pub fn misleads(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escape(&self.0, f, false, usize::MAX)
    }
}

impl<T: Display> Display for Lines<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escape(&self.0, f, true, usize::MAX)
    }
}

impl<T: Display> Display for Message<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escape(&self.0, f, true, MESSAGE)
    }
}

impl Display for CodePoints<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut space = "";
        self.0.chars().try_for_each(|c| {
            write!(f, "{space}U+{:04X}", u32::from(c))?;
            space = " ";
            Ok(())
        })
    }
}

/// Escapes what is written through it.
struct Escaping<'a, 'f> {
    to: &'a mut Formatter<'f>,
    /// Whether lines may end.
    lines: bool,
    /// Bytes that are still shown.
    left: usize,
}

fn escape(text: &impl Display, to: &mut Formatter<'_>, lines: bool, left: usize) -> fmt::Result {
    let mut escaping = Escaping { to, lines, left };
    match write!(escaping, "{text}") {
        Err(_) if escaping.left == 0 => to.write_str(CUT),
        written => written,
    }
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        self.left = self.left.saturating_sub(c.len_utf8());
        if self.left == 0 {
            // Ends the formatting of what is cut.
            return Err(fmt::Error);
        }
        match c {
            '\n' if self.lines => self.to.write_char(c),
            '\t' => self.to.write_str(TAB),
            c if !misleads(c) => self.to.write_char(c),
            c if c.is_ascii() => write!(self.to, "\\x{:02x}", u32::from(c)),
            c => write!(self.to, "\\u{{{:x}}}", u32::from(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        for (text, shown) in [
            ("plain – ü", "plain – ü"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\x1b[2J\\x1b]0;title\\x07"),
            ("over\rwritten\nby\u{8}", "over\\x0dwritten\\x0aby\\x08"),
            ("c1 \u{9b}2J", "c1 \\u{9b}2J"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("a\tb\u{7f}\u{200b}", "a    b\\x7f\\u{200b}"),
            ("no\u{a0}break\u{2028}", "no\\u{a0}break\\u{2028}"),
            ("\u{e0041}\u{fe0f}\u{34f}", "\\u{e0041}\\u{fe0f}\\u{34f}"),
        ] {
            assert_eq!(Plain(text).to_string(), shown);
        }
        assert_eq!(Lines("one\ntwo\u{1b}").to_string(), "one\ntwo\\x1b");
        assert_eq!(CodePoints("A\u{202e}").to_string(), "U+0041 U+202E");
    }

    #[test]
    fn every_bidirectional_control_and_every_control_misleads() {
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        assert!(bidi.chars().all(misleads));
        let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
        assert!(controls.into_iter().all(misleads));
        assert!((' '..='~').all(|c| !misleads(c)));
    }

    #[test]
    fn a_message_is_cut() {
        let long = "\u{1b}".repeat(1_000_000);
        let shown = Message(&long).to_string();
        assert!(
            shown.ends_with(CUT) && shown.len() <= 4 * MESSAGE,
            "{}",
            shown.len()
        );
        assert_eq!(Message("short").to_string(), "short");
    }

    proptest! {
        #[test]
        fn nothing_that_misleads_gets_through(text: String) {
            let shown = Plain(&text).to_string();
            prop_assert!(!shown.chars().any(misleads), "{shown:?}");
            prop_assert_eq!(Plain(&shown).to_string(), shown);
            let lines = Lines(&text).to_string();
            prop_assert!(!lines.chars().any(|c| misleads(c) && c != '\n'), "{lines:?}");
            prop_assert_eq!(Message(&text).to_string(), lines);
        }
    }
}

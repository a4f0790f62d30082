//! A source text with its lines indexed, so that a place is found in logarithmic time.
//!
//! It is also what messages quote from: [`miette`] scans a plain string from its start for every
//! label, which makes many messages about a large policy slow.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use portcullis_text::{Plain, misleads};

use crate::model::Place;

/// A named text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Offset of the first byte of every line.
    lines: Vec<usize>,
    /// The text as messages quote it, where that differs: see [`quotable`].
    quoted: Option<String>,
}

/// Largest file that is read. A policy of 65,536 grants, the most that badges tell apart, has 256 bytes
/// for each; what is read takes some 20 times its size in memory.
pub const MAX_FILE: u64 = 1 << 24;
/// Bytes of a place that a message marks, and most bytes that it shows on each side of it.
const QUOTED: usize = 512;

impl Source {
    /// A text, called `name` in messages.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let after_newline = |(offset, _)| offset + 1;
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(after_newline))
            .collect();
        Self {
            name: Plain(name.into()).to_string(),
            quoted: quotable(&text),
            text,
            lines,
        }
    }

    /// Reads a file. One that is not UTF-8, or has more than [`MAX_FILE`] bytes, is an error.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let mut text = String::new();
        let mut file = File::open(path)?.take(MAX_FILE + 1);
        let found = file.read_to_string(&mut text)? as u64;
        if found > MAX_FILE {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(Self::new(path.display().to_string(), text))
    }

    /// What messages call it: usually its path, escaped.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of these bytes. Bytes beyond the end count as the end.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        Place {
            span: start..end,
            line: self.line_of(start) as u32 + 1,
        }
    }

    /// Line and column of a place, both from 1; the column counts characters.
    pub fn line_column(&self, place: &Place) -> (u32, u32) {
        let line = self.line_of(place.span.start);
        let before = &self.text.as_bytes()[self.lines[line]..place.span.start];
        // A byte that continues a character (0b10xxxxxx) is not counted.
        let column = before.iter().filter(|b| **b & 0xc0 != 0x80).count() as u32 + 1;
        (line as u32 + 1, column)
    }

    /// The bytes of a place that a message marks: all of a short one, the start of a long one.
    pub fn shown(&self, place: &Place) -> SourceSpan {
        let start = place.span.start;
        let end = place.span.end.min(start + QUOTED);
        SourceSpan::from(start..self.boundary(end))
    }

    /// The last boundary of a character that is not beyond `offset`.
    fn boundary(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let is_boundary = |at: &usize| self.text.is_char_boundary(*at);
        (0..=offset).rev().find(is_boundary).unwrap_or(0)
    }

    /// Index of the line that holds the byte at `offset`.
    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset) - 1
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset().saturating_add(span.len()));
        // What is too long for one excerpt is shown in several.
        if end > self.text.len() || end - start > 2 * QUOTED {
            return Err(MietteError::OutOfBounds);
        }
        let first = self.line_of(start).saturating_sub(lines_before);
        // A span that ends with its line's newline does not reach into the next line.
        let last = self.line_of(end.saturating_sub(1).max(start)) + lines_after;
        let last = last.min(self.lines.len() - 1);
        let until = match self.lines.get(last + 1) {
            Some(next) => *next,
            None => self.text.len(),
        };
        // Without lines before, what is wanted is the span itself and its column.
        let (from, column) = if lines_before == 0 {
            let place = self.place(start..end);
            (start, self.line_column(&place).1 as usize - 1)
        } else {
            (self.lines[first], 0)
        };
        // Of a long line, what stands around the place.
        let from = from.max(self.boundary(start.saturating_sub(QUOTED)));
        let until = until.min(self.boundary(end + QUOTED));
        let first = self.line_of(from);
        let text = self.quoted.as_ref().unwrap_or(&self.text);
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            &text.as_bytes()[from..until],
            SourceSpan::from(from..until),
            first,
            column,
            last + 1 - first,
        )))
    }
}

/// The text with everything replaced that misleads, where there is such a thing. Every character keeps
/// its length, so that every place stays where it is.
fn quotable(text: &str) -> Option<String> {
    let harmless = |c: char| c == '\n' || c == '\t' || !misleads(c);
    if text.replace("\r\n", "\n").chars().all(harmless) {
        return None;
    }
    let replaced = |c: char| match c {
        c if harmless(c) => c.to_string(),
        '\r' => " ".to_owned(),
        c => ["?", "¿", "\u{fffd}", "?\u{fffd}"][c.len_utf8() - 1].to_owned(),
    };
    Some(text.chars().map(replaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_lines_and_columns() {
        let source = Source::new("x", "a = 1\nü = 2\n\nlast");
        for (bytes, line, column) in [(0..1, 1, 1), (4..5, 1, 5), (9..10, 2, 3), (14..18, 4, 1)] {
            let place = source.place(bytes);
            assert_eq!(source.line_column(&place), (line, column));
            assert_eq!(place.line, line);
        }
    }

    #[test]
    fn what_misleads_is_not_quoted_and_keeps_its_place() {
        let text = "a\u{1b}\u{9b}\u{202e}\u{e0041}\r\n\tü = 2\r\n";
        let source = Source::new("x\u{1b}", text);
        assert_eq!(source.name(), "x\\x1b");
        let quoted = source.quoted.unwrap();
        assert_eq!(quoted, "a?¿\u{fffd}?\u{fffd} \n\tü = 2 \n");
        assert_eq!(quoted.len(), text.len());
        assert_eq!(Source::new("x", "a = 1\r\n").quoted, None);
    }

    #[test]
    fn a_quotation_is_short_however_long_the_line() {
        let source = Source::new("x", "ü".repeat(1 << 20));
        let place = source.place(1 << 19..1 << 20);
        let shown = source.shown(&place);
        let span = source.read_span(&shown, 1, 1).unwrap();
        assert!(span.data().len() <= 3 * QUOTED + 8, "{}", span.data().len());
        let all = SourceSpan::from(0..1 << 20);
        assert!(source.read_span(&all, 1, 1).is_err());
    }

    #[test]
    fn a_place_beyond_the_end_is_the_end() {
        let source = Source::new("x", "a\n");
        assert_eq!(source.place(7..9).span, 2..2);
        assert_eq!(Source::new("x", "").place(0..1).line, 1);
    }
}

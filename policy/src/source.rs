//! A source text with its lines indexed, so that a place is found in logarithmic time.
//!
//! It is also what messages quote from: [`miette`] scans a plain string from its start for every
//! label, which makes many messages about a large policy slow.

use std::ops::Range;
use std::path::Path;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::model::Place;

/// A named text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Offset of the first byte of every line.
    lines: Vec<usize>,
}

impl Source {
    /// A text, called `name` in messages.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let after_newline = |(offset, _)| offset + 1;
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(after_newline))
            .collect();
        Self {
            name: name.into(),
            text,
            lines,
        }
    }

    /// Reads a file. A file that is not UTF-8 is an error.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::new(
            path.display().to_string(),
            std::fs::read_to_string(path)?,
        ))
    }

    /// What messages call it: usually its path.
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
        let column = String::from_utf8_lossy(before).chars().count() as u32 + 1;
        (line as u32 + 1, column)
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
        if end > self.text.len() {
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
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            &self.text.as_bytes()[from..until],
            SourceSpan::from(from..until),
            first,
            column,
            last + 1 - first,
        )))
    }
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
    fn a_place_beyond_the_end_is_the_end() {
        let source = Source::new("x", "a\n");
        assert_eq!(source.place(7..9).span, 2..2);
        assert_eq!(Source::new("x", "").place(0..1).line, 1);
    }
}

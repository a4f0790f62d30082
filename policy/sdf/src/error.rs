//! A fault and its place, and the list of all that a description has.

use std::fmt;

use crate::{Fault, Span};

/// One thing that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The offending text: an attribute's value, or an element's start tag.
    pub span: Span,
    /// What it clashes with, where two things clash.
    pub related: Option<Span>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a description, in the order of the text: at most [`MAX_ERRORS`] of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Errors {
    errors: Vec<Error>,
    more: usize,
}

/// Errors that are kept: nobody reads more, and each takes memory.
pub const MAX_ERRORS: usize = 1_000;

/// A place as people count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Error {
    /// What is wrong: names the offending text and the limit it breaks.
    pub fn message(&self) -> String {
        self.fault.to_string()
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        self.fault.help()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.fault, self.fault.help())
    }
}

impl std::error::Error for Error {}

impl Errors {
    /// Adds one, or counts it where there are too many.
    pub(crate) fn push(&mut self, span: Span, related: Option<Span>, fault: Fault) {
        if self.errors.len() == MAX_ERRORS {
            self.more += 1;
            return;
        }
        self.errors.push(Error {
            span,
            related,
            fault,
        });
    }

    /// The errors in the order of the text.
    pub(crate) fn sorted(mut self) -> Self {
        self.errors
            .sort_by_key(|error| (error.span.start, error.span.end));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// A list of one.
    pub(crate) fn one(error: Error) -> Self {
        Self {
            errors: vec![error],
            more: 0,
        }
    }

    /// The errors.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.errors.iter()
    }

    /// How many more there are.
    pub const fn more(&self) -> usize {
        self.more
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Error;
    type IntoIter = std::slice::Iter<'a, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl Position {
    /// The position of the byte at `offset` of `text`; beyond the end, that of the end.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        // A byte that continues a character (0b10xxxxxx) is not counted.
        let characters = before[line_start..].iter().filter(|b| **b & 0xc0 != 0x80);
        Self {
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            column: characters.count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

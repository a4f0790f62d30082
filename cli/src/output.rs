//! Standard output: aligned tables for people, JSON for programs.

use std::io::{Error, ErrorKind, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use portcullis_text::{Lines, Plain, misleads};
use serde::{Serialize, Serializer};

/// Standard output cannot be written to.
#[derive(Debug)]
pub(crate) struct Unwritten(pub(crate) Error);

/// Where a verb's findings go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON, or else what `human` makes of it.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Unwritten> {
        let text = if self.json {
            let json = serde_json::to_string_pretty(value);
            escaped_json(&json.expect("what verbs print has string keys"))
        } else {
            human(value)
        };
        write_line(text.trim_end())
    }

    /// Whether JSON was asked for.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }
}

/// Prints a text and a newline; nothing where the text is empty.
pub(crate) fn write_line(text: &str) -> Result<(), Unwritten> {
    if text.is_empty() {
        return Ok(());
    }
    print_as_is(&Lines(text).to_string())
}

/// Prints what is no text of another's making, as it is, and a newline. A reader that has gone, as
/// `head` does, is told no more: what a verb does, and its exit code, stay what they are.
pub(crate) fn print_as_is(text: &str) -> Result<(), Unwritten> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Unwritten(error)),
        _ => Ok(()),
    }
}

/// JSON with every character escaped that would mislead on a screen: all such stand in strings.
fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !misleads(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped += &format!("\\u{unit:04x}");
        }
    }
    escaped
}

/// A subject of a policy in JSON, where no quotes are needed: `guest linux`.
pub(crate) fn unquoted<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name.replace('`', ""))
}

/// The same of several.
pub(crate) fn all_unquoted<S: Serializer>(
    names: &[String],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(|name| name.replace('`', "")))
}

/// A table without borders. A header that starts with `>` marks a column of numbers.
pub(crate) fn table<R>(headers: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = Vec<String>>,
{
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headers.iter().map(|name| name.trim_start_matches('>')));
    for (column, name) in headers.iter().enumerate() {
        let column = table
            .column_mut(column)
            .expect("the header made this column");
        column.set_padding((0, 2));
        if name.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.add_rows(
        rows.into_iter()
            .map(|row| row.into_iter().map(|cell| Cell::new(Plain(cell)))),
    );
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

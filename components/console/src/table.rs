//! The table of grants in force, aligned, in at most [`WIDTH`] columns.
//!
//! The widths come from a first walk over the grants, the rows from a second: there is no room to
//! keep thousands of them. Only the methods wrap; a name that is too long is cut with an ellipsis.

use core::fmt::{self, Write};

use heapless::String;
use portcullis_kernel::{Grant, MethodSet};
use portcullis_manager_api::GrantView;
use portcullis_policy_format::Policy;

use crate::api::ELLIPSIS;

/// Columns of the widest table: what fits a terminal of 100 columns.
pub(crate) const WIDTH: usize = 96;
/// Columns of the longest name that is not cut.
const NAME_MAX: usize = 16;
/// Fewest columns that the methods get, whatever the others take.
const METHODS_MIN: usize = 24;
/// Columns between two cells.
const GAP: usize = 2;

const TITLES: [&str; 8] = [
    "#",
    "subject",
    "mode",
    "object",
    "interface",
    "methods",
    "slot",
    "line",
];
const METHODS: usize = 5;

/// Most bytes of the names of a grant's methods. Where they would take more, the last of them are left
/// out and `...` stands in their place.
const METHODS_MAX: usize = 768;

/// A grant in force, with its names.
#[derive(Clone, Debug)]
pub(crate) struct Named<'p> {
    view: GrantView,
    pub(crate) subject: &'p str,
    pub(crate) object: &'p str,
    interface: &'p str,
    /// Separated by a comma and a space.
    methods: String<METHODS_MAX>,
}

impl<'p> Named<'p> {
    pub(crate) fn new(policy: &Policy<'p>, view: GrantView) -> Self {
        let name = |number| policy.component_at(number).map_or("", |it| it.name);
        let Grant {
            subject,
            object,
            interface,
            methods,
            ..
        } = view.grant;
        Self {
            view,
            subject: name(subject),
            object: name(object),
            interface: policy
                .interfaces()
                .nth(interface.into())
                .map_or("", |it| it.name),
            methods: method_names(policy, interface, methods),
        }
    }
}

fn method_names(policy: &Policy<'_>, interface: u16, set: MethodSet) -> String<METHODS_MAX> {
    const SEPARATOR: &str = ", ";
    const REST: &str = "...";
    let mut text = String::new();
    let mut included = policy
        .methods()
        .filter(|method| method.interface == interface && set.contains(method.method))
        .peekable();
    while let Some(method) = included.next() {
        let rest = if included.peek().is_some() {
            SEPARATOR.len() + REST.len()
        } else {
            0
        };
        let fits = text.len() + SEPARATOR.len() + method.name.len() + rest <= METHODS_MAX;
        let separator = if text.is_empty() { "" } else { SEPARATOR };
        let name = if fits { method.name } else { REST };
        // What does not fit was left room for.
        let _ = text.push_str(separator).and_then(|()| text.push_str(name));
        if !fits {
            break;
        }
    }
    text
}

/// The widths of the columns, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    widths: [usize; TITLES.len()],
}

impl Table {
    /// A table as wide as its titles.
    pub(crate) fn new() -> Self {
        Self {
            widths: TITLES.map(str::len),
        }
    }

    /// Makes room for a grant.
    pub(crate) fn measure(&mut self, named: &Named<'_>) {
        let name = |text: &str| characters(text).min(NAME_MAX);
        let (view, grant) = (&named.view, &named.view.grant);
        let needed = [
            digits(view.index.into()),
            name(named.subject),
            grant.mode.name().len(),
            name(named.object),
            name(named.interface),
            characters(&named.methods),
            digits(grant.slot.into()),
            digits(view.line),
        ];
        for (width, needed) in self.widths.iter_mut().zip(needed) {
            *width = needed.max(*width);
        }
    }

    /// Narrows the methods until the table fits, and ends the measuring.
    pub(crate) fn fit(mut self) -> Self {
        let all: usize = self.widths.iter().sum::<usize>() + GAP * (TITLES.len() - 1);
        let others = all - self.widths[METHODS];
        let room = WIDTH.saturating_sub(others).max(METHODS_MIN);
        self.widths[METHODS] = self.widths[METHODS].min(room);
        self
    }

    /// The line of titles.
    pub(crate) fn titles(&self) -> Row<'_> {
        Row {
            widths: &self.widths,
            cells: TITLES.map(Cell::Text),
            lease_ms: None,
        }
    }

    /// The first line of a grant.
    pub(crate) fn row<'a>(&'a self, named: &'a Named<'_>) -> Row<'a> {
        let (methods, _) = wrap(&named.methods, self.widths[METHODS]);
        let (view, grant) = (&named.view, &named.view.grant);
        Row {
            widths: &self.widths,
            cells: [
                Cell::Number(view.index.into()),
                Cell::Text(named.subject),
                Cell::Text(grant.mode.name()),
                Cell::Text(named.object),
                Cell::Text(named.interface),
                Cell::Text(methods),
                Cell::Number(grant.slot.into()),
                Cell::Number(view.line),
            ],
            lease_ms: view.lease_ms,
        }
    }

    /// The lines after the first: what is left of the methods.
    pub(crate) fn more<'a>(&'a self, named: &'a Named<'_>) -> impl Iterator<Item = Row<'a>> {
        let (_, mut rest) = wrap(&named.methods, self.widths[METHODS]);
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (methods, left) = wrap(rest, self.widths[METHODS]);
            rest = left;
            let mut cells = [Cell::Text(""); TITLES.len()];
            cells[METHODS] = Cell::Text(methods);
            Some(Row {
                widths: &self.widths,
                cells,
                lease_ms: None,
            })
        })
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    widths: &'a [usize; TITLES.len()],
    cells: [Cell<'a>; TITLES.len()],
    lease_ms: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Cell<'a> {
    Text(&'a str),
    Number(u32),
}

/// Columns whose title stands to the right, over numbers.
const RIGHT: [bool; TITLES.len()] = [true, false, false, false, false, false, true, true];

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = match self.cells[TITLES.len() - 1] {
            Cell::Text("") => METHODS,
            _ => TITLES.len() - 1,
        };
        for (index, cell) in self.cells[..=last].iter().enumerate() {
            let width = self.widths[index];
            if index > 0 {
                write!(f, "{:GAP$}", "")?;
            }
            match *cell {
                Cell::Number(number) => write!(f, "{number:>width$}")?,
                Cell::Text(text) if RIGHT[index] => write!(f, "{text:>width$}")?,
                // No spaces at the end of a line.
                Cell::Text(text) if index == last => f.write_str(text)?,
                Cell::Text(text) => Padded(text, width).fmt(f)?,
            }
        }
        match self.lease_ms {
            Some(lease) => write!(f, "  lease {lease} ms"),
            None => Ok(()),
        }
    }
}

/// Text in exactly this many columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padded<'a>(pub(crate) &'a str, pub(crate) usize);

impl fmt::Display for Padded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Padded(text, width) = *self;
        if characters(text) <= width {
            return write!(f, "{text:<width$}");
        }
        text.chars()
            .take(width.saturating_sub(1))
            .try_for_each(|character| f.write_char(character))?;
        f.write_str(ELLIPSIS)
    }
}

/// The methods that fit `width`, at least one, and those that are left.
fn wrap(methods: &str, width: usize) -> (&str, &str) {
    if characters(methods) <= width {
        return (methods, "");
    }
    let separators = methods.match_indices(", ").map(|(at, _)| at);
    // The comma stays on the line.
    let fits = |at: &usize| characters(&methods[..*at]) < width;
    let Some(at) = separators
        .clone()
        .take_while(fits)
        .last()
        .or(separators.clone().next())
    else {
        return (methods, "");
    };
    (&methods[..=at], &methods[at + 2..])
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn digits(number: u32) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned;
    use std::string::ToString;
    use std::vec::Vec;

    use ed25519_dalek::SigningKey;
    use portcullis_kernel::{Generation, Method, Mode};
    use portcullis_policy_format::testing::Draft;
    use portcullis_policy_format::{Interface, InterfaceMethod};

    use super::*;

    fn grant(index: u16, names: [&'static str; 3], methods: &str) -> Named<'static> {
        let [subject, object, interface] = names;
        Named {
            view: GrantView {
                index,
                generation: Generation::default(),
                grant: Grant {
                    subject: 0,
                    slot: index + 1,
                    object: 0,
                    interface: 0,
                    methods: MethodSet::EMPTY,
                    mode: Mode::Call,
                },
                lease_ms: None,
                line: 170 + u32::from(index),
            },
            subject,
            object,
            interface,
            methods: String::try_from(methods).unwrap(),
        }
    }

    fn render(grants: &[Named<'_>]) -> Vec<std::string::String> {
        let mut table = Table::new();
        for grant in grants {
            table.measure(grant);
        }
        let table = table.fit();
        let mut lines = std::vec![table.titles().to_string()];
        for grant in grants {
            lines.push(table.row(grant).to_string());
            lines.extend(table.more(grant).map(|row| row.to_string()));
        }
        lines
    }

    #[test]
    fn cells_stand_under_their_titles() {
        let mut leased = grant(1000, ["ingest", "publish", "release"], "ready");
        (leased.view.grant.mode, leased.view.lease_ms) = (Mode::Notify, Some(500));
        let grants = [
            grant(
                0,
                ["ingest", "vault", "objects"],
                "create, write, commit, record, stat",
            ),
            grant(1, ["console", "manager", "inspect"], "grants"),
            leased,
        ];
        assert_eq!(
            render(&grants),
            [
                "   #  subject  mode    object   interface  methods                              slot  line",
                "   0  ingest   call    vault    objects    create, write, commit, record, stat     1   170",
                "   1  console  call    manager  inspect    grants                                  2   171",
                "1000  ingest   notify  publish  release    ready                                1001  1170  lease 500 ms",
            ]
        );
    }

    #[test]
    fn methods_wrap_and_the_table_keeps_its_width() {
        let methods = "info, grants_read, grants_append, worm_read, worm_append, flush";
        let grants = [
            grant(0, ["ledger", "blk", "disk"], methods),
            grant(
                1,
                ["a-name-of-twenty-one-", "manager", "a-long-interface-name"],
                "one",
            ),
        ];
        let lines = render(&grants);
        assert_eq!(
            lines,
            [
                "#  subject           mode  object   interface         methods                         slot  line",
                "0  ledger            call  blk      disk              info, grants_read,                 1   170",
                "                                                      grants_append, worm_read,",
                "                                                      worm_append, flush",
                "1  a-name-of-twent…  call  manager  a-long-interfac…  one                                2   171",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn a_method_wider_than_its_column_stands_alone() {
        let long = "a_method_name_as_long_as_a_policy_lets_it_be_xxx";
        assert_eq!(wrap(long, 24), (long, ""));
        assert_eq!(wrap("a, b, c", 4), ("a,", "b, c"));
        assert_eq!(wrap("a, b, c", 5), ("a, b,", "c"));
        assert_eq!(wrap("long_method, b", 3), ("long_method,", "b"));
    }

    #[test]
    fn a_long_list_of_methods_ends_in_an_ellipsis() {
        let name = |number: u8| -> &'static str {
            let name = std::format!("{:m>47}{}", "", char::from(b'a' + number % 26));
            name.leak()
        };
        let names = |count: u8| {
            let draft = Draft {
                name: "long",
                interfaces: [Interface { name: "one" }].into(),
                methods: (0..count)
                    .map(|number| InterfaceMethod {
                        interface: 0,
                        method: Method::new(number).unwrap(),
                        name: name(number),
                    })
                    .collect(),
                ..Draft::default()
            };
            let bytes = draft.sign(&SigningKey::from_bytes(&[1; 32]));
            let policy = Policy::inspect(&bytes).unwrap();
            method_names(&policy, 0, MethodSet(u32::MAX))
                .as_str()
                .to_owned()
        };
        // 15 names of 48 bytes and 14 separators: 748 bytes.
        let all = names(15);
        assert_eq!(all, (0..15).map(name).collect::<Vec<_>>().join(", "));
        let cut = names(32);
        assert_eq!(cut, std::format!("{all}, ..."));
        assert!(cut.len() <= METHODS_MAX);
    }

    #[test]
    fn no_grant_is_a_line_of_titles() {
        assert_eq!(
            render(&[]),
            ["#  subject  mode  object  interface  methods  slot  line"]
        );
    }
}

//! What can be asked at the serial line. Nothing of it changes anything.

use core::fmt;

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command<'a> {
    Help,
    Components,
    /// Grants in force; with a name, those that the component holds or serves.
    Grants(Option<&'a str>),
    /// The last records of this boot's grant log.
    Log(u64),
    Why(Question<'a>),
    Status,
}

/// What `why` asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Question<'a> {
    /// The component that would call.
    pub(crate) subject: &'a str,
    /// The component that would be called.
    pub(crate) object: &'a str,
    /// The method: its name, or `interface.method`.
    pub(crate) method: &'a str,
}

/// Why a line is no command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommandError<'a> {
    /// There is no such command.
    Unknown(&'a str),
    /// The command takes other words; the usage says which.
    Usage(&'static str),
}

/// Records that `log` shows when it is not told how many.
const LOG_DEFAULT: u64 = 10;

/// Each command's usage and what it shows.
pub(crate) const USAGE: [(&str, &str); 6] = [
    ("help", "this list"),
    (
        "components",
        "components, and how many grants each holds and serves",
    ),
    (
        "grants [COMPONENT]",
        "grants in force, of all or of one component",
    ),
    (
        "log [N]",
        "the last N records of this boot's grant log (10)",
    ),
    (
        "why SUBJECT OBJECT METHOD",
        "whether the policy allows it, and which line says so",
    ),
    (
        "status",
        "the policy in force, and the state of the grant log",
    ),
];

impl<'a> Command<'a> {
    /// Reads a line; `None` where it is blank.
    pub(crate) fn parse(line: &'a str) -> Result<Option<Self>, CommandError<'a>> {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else {
            return Ok(None);
        };
        let words = [words.next(), words.next(), words.next(), words.next()];
        let usage = |index: usize| CommandError::Usage(USAGE[index].0);
        match (name, words) {
            ("help" | "?", [None, ..]) => Ok(Command::Help),
            ("help" | "?", _) => Err(usage(0)),
            ("components", [None, ..]) => Ok(Command::Components),
            ("components", _) => Err(usage(1)),
            ("grants", [component, None, ..]) => Ok(Command::Grants(component)),
            ("grants", _) => Err(usage(2)),
            ("log", [None, ..]) => Ok(Command::Log(LOG_DEFAULT)),
            ("log", [Some(count), None, ..]) => {
                count.parse().map(Command::Log).map_err(|_| usage(3))
            }
            ("log", _) => Err(usage(3)),
            ("why", [Some(subject), Some(object), Some(method), None]) => {
                Ok(Command::Why(Question {
                    subject,
                    object,
                    method,
                }))
            }
            ("why", _) => Err(usage(4)),
            ("status", [None, ..]) => Ok(Command::Status),
            ("status", _) => Err(usage(5)),
            _ => Err(CommandError::Unknown(name)),
        }
        .map(Some)
    }
}

impl fmt::Display for CommandError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no command '{name}'. There are:")?;
                USAGE
                    .iter()
                    .enumerate()
                    .try_for_each(|(index, (usage, _))| {
                        let separator = if index == 0 { " " } else { ", " };
                        write!(f, "{separator}{usage}")
                    })
            }
            Self::Usage(usage) => write!(f, "usage: {usage}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_command_is_read() {
        for (line, command) in [
            ("", None),
            ("  \t ", None),
            ("help", Some(Command::Help)),
            (" ? ", Some(Command::Help)),
            ("components", Some(Command::Components)),
            ("grants", Some(Command::Grants(None))),
            ("grants  edge", Some(Command::Grants(Some("edge")))),
            ("log", Some(Command::Log(10))),
            ("log 300", Some(Command::Log(300))),
            ("status", Some(Command::Status)),
            (
                "why edge vault read",
                Some(Command::Why(Question {
                    subject: "edge",
                    object: "vault",
                    method: "read",
                })),
            ),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn wrong_words_get_the_usage() {
        for (line, message) in [
            ("help me", "usage: help"),
            ("components all", "usage: components"),
            ("grants a b", "usage: grants [COMPONENT]"),
            ("log x", "usage: log [N]"),
            ("log -1", "usage: log [N]"),
            ("log 99999999999999999999", "usage: log [N]"),
            ("log 1 2", "usage: log [N]"),
            ("why edge vault", "usage: why SUBJECT OBJECT METHOD"),
            ("why a b c d", "usage: why SUBJECT OBJECT METHOD"),
            ("status now", "usage: status"),
            (
                "revoke 3",
                "there is no command 'revoke'. There are: help, components, grants [COMPONENT], \
                 log [N], why SUBJECT OBJECT METHOD, status",
            ),
        ] {
            assert_eq!(Command::parse(line).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in "[ -~]{0,160}") {
            let _ = Command::parse(&line).map_err(|error| error.to_string());
        }
    }
}

//! Names that cannot pass for others.
//!
//! A name is refused that has a character which misleads, or which is not ASCII and looks like one that
//! is; and so are two different names, not both ASCII, that look the same. What looks the same is
//! what has one skeleton in UTS #39 (Unicode Security Mechanisms, section 4). Spaces are seen least of all
//! that is seen: none stands at an end or beside another, and two names that differ by spaces alone are
//! refused, whatever they are written in.

use core::fmt;
use std::collections::BTreeMap;
use std::string::String;

use unicode_security::skeleton;

use crate::{CodePoints, Plain, misleads};

/// What is wrong with a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A character cannot be seen, or changes how others are seen.
    Misleads(char),
    /// It begins or ends with a space.
    SpaceAtEnd,
    /// It has two spaces together.
    SpacesTogether,
    /// It looks like this other name.
    LooksLike(String),
}

/// What is wrong with a name by itself.
pub fn fault(name: &str) -> Option<Fault> {
    if let Some(c) = name.chars().find(|c| misleads(*c)) {
        return Some(Fault::Misleads(c));
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Some(Fault::SpaceAtEnd);
    }
    if name.contains("  ") {
        return Some(Fault::SpacesTogether);
    }
    if name.is_ascii() {
        return None;
    }
    let looks: String = skeleton(name).collect();
    looks.is_ascii().then_some(Fault::LooksLike(looks))
}

/// Names that must differ to the eye.
#[derive(Default, Debug)]
pub struct Distinct {
    /// The first of those that look the same, spaces aside.
    alike: BTreeMap<String, String>,
    /// The first of those that differ by spaces alone.
    unspaced: BTreeMap<String, String>,
}

impl Distinct {
    /// Adds a name. A fault: another was added that looks the same, and one of them is not ASCII, or that
    /// differs by spaces alone.
    pub fn add(&mut self, name: &str) -> Option<Fault> {
        let unspaced: String = name.split(' ').collect();
        let looks: String = skeleton(&unspaced).collect();
        let alike = self.alike.entry(looks).or_insert_with(|| name.into());
        let same = self.unspaced.entry(unspaced).or_insert_with(|| name.into());
        let mistaken = alike != name && !(alike.is_ascii() && name.is_ascii());
        let other = if same != name {
            same
        } else if mistaken {
            alike
        } else {
            return None;
        };
        Some(Fault::LooksLike(other.clone()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misleads(c) => {
                let mut utf8 = [0; 4];
                let c = CodePoints(c.encode_utf8(&mut utf8));
                write!(f, "has the character {c}, which cannot be seen")
            }
            Self::SpaceAtEnd => f.write_str("begins or ends with a space"),
            Self::SpacesTogether => f.write_str("has two spaces together"),
            Self::LooksLike(other) => {
                write!(f, "looks like `{}` ({})", Plain(other), CodePoints(other))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn names_that_mislead_are_refused_with_their_code_points() {
        for (name, message) in [
            (
                "a\u{202e}b",
                "has the character U+202E, which cannot be seen",
            ),
            (
                "a\u{200b}b",
                "has the character U+200B, which cannot be seen",
            ),
            ("a\u{1b}b", "has the character U+001B, which cannot be seen"),
            (
                "\u{430}\u{440}\u{440}",
                "looks like `app` (U+0061 U+0070 U+0070)",
            ),
            (
                "va\u{443}lt",
                "looks like `vaylt` (U+0076 U+0061 U+0079 U+006C U+0074)",
            ),
        ] {
            assert_eq!(fault(name).unwrap().to_string(), message);
        }
        for name in [" vault", "vault ", " ", "台帳 "] {
            assert_eq!(fault(name), Some(Fault::SpaceAtEnd), "{name:?}");
        }
        assert_eq!(fault("log  keeper"), Some(Fault::SpacesTogether));
        for name in [
            "vault",
            "log keeper",
            "vm1",
            "O0lI",
            "prüfer",
            "журнал",
            "台帳",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_look_alike_are_refused_but_not_among_ascii() {
        let mut names = Distinct::default();
        for name in ["vm1", "vml", "pr\u{fc}fer", "pr\u{fc}fer", "other"] {
            assert_eq!(names.add(name), None, "{name}");
        }
        let decomposed = names.add("pru\u{308}fer");
        assert_eq!(decomposed, Some(Fault::LooksLike("prüfer".into())));
    }

    #[test]
    fn names_that_differ_by_spaces_alone_are_refused() {
        let mut names = Distinct::default();
        for name in ["vm1", "vml", "log keeper", "log keeper"] {
            assert_eq!(names.add(name), None, "{name}");
        }
        for (name, other) in [
            ("logkeeper", "log keeper"),
            ("l ogkeeper", "log keeper"),
            ("vm 1", "vm1"),
            ("v ml", "vml"),
        ] {
            assert_eq!(
                names.add(name),
                Some(Fault::LooksLike(other.into())),
                "{name}"
            );
        }
        assert_eq!(names.add("pr\u{fc}fer 1"), None);
        let both = names.add("pru\u{308}fer1");
        assert_eq!(both, Some(Fault::LooksLike("pr\u{fc}fer 1".into())));
    }
}

//! The path of a document: relative, of plain names, and safe to show.
//!
//! Holding a [`DocumentPath`] proves that the path is UTF-8, has at most [`PATH_MAX`] bytes, names
//! nothing outside its root (no empty name, no `.`, no `..`, no leading `/`), and has no control
//! character. Whatever takes a path from a bundle or a stream takes it through here.

use core::fmt;

/// Longest path, in bytes: the longest name of an object in the vault.
pub const PATH_MAX: usize = 255;

/// A checked path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DocumentPath(heapless::String<PATH_MAX>);

/// Why a path is not a document's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// It has no byte.
    Empty,
    /// It has this many bytes.
    TooLong(usize),
    /// It is not UTF-8 from this byte on.
    NotUtf8(usize),
    /// It starts with `/`.
    Absolute,
    /// The name that starts at this byte is empty.
    EmptyName(usize),
    /// The name that starts at this byte is `.` or `..`.
    Dots(usize),
    /// There is a control character at this byte.
    Control(usize),
}

impl DocumentPath {
    /// Checks `path`.
    pub fn new(path: &str) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.starts_with('/') {
            return Err(PathError::Absolute);
        }
        if let Some((at, _)) = path.char_indices().find(|(_, c)| c.is_control()) {
            return Err(PathError::Control(at));
        }
        check_names(path)?;
        heapless::String::try_from(path)
            .map(Self)
            .map_err(|_| PathError::TooLong(path.len()))
    }

    /// Checks that `bytes` are a path.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        let path = core::str::from_utf8(bytes).map_err(|e| PathError::NotUtf8(e.valid_up_to()))?;
        Self::new(path)
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the document is released: whether it lies in the directory `public`.
    pub fn is_public(&self) -> bool {
        self.0.starts_with("public/")
    }
}

fn check_names(path: &str) -> Result<(), PathError> {
    let mut at = 0;
    for name in path.split('/') {
        match name {
            "" => return Err(PathError::EmptyName(at)),
            "." | ".." => return Err(PathError::Dots(at)),
            _ => at += name.len() + 1,
        }
    }
    Ok(())
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::TooLong(length) => {
                write!(
                    f,
                    "the name has {length} bytes; shorten it to {PATH_MAX} or fewer"
                )
            }
            Self::NotUtf8(at) => write!(f, "the name is not UTF-8 from byte {at} on; rename it"),
            Self::Absolute => f.write_str("the name starts with '/'; it must be relative"),
            Self::EmptyName(at) => write!(f, "the name has nothing between '/' at byte {at}"),
            Self::Dots(at) => write!(f, "the name has '.' or '..' at byte {at}; use plain names"),
            Self::Control(at) => {
                write!(
                    f,
                    "the name has a control character at byte {at}; rename it"
                )
            }
        }
    }
}

impl core::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_paths_are_taken() {
        for path in ["a", "public/report.pdf", "…/ä ö", "a..b/.c", "a\\b"] {
            assert_eq!(DocumentPath::new(path).unwrap().as_str(), path);
        }
        let longest = "x".repeat(PATH_MAX);
        assert_eq!(DocumentPath::new(&longest).unwrap().as_str(), longest);
    }

    #[test]
    fn each_bad_path_is_named() {
        let long = "x".repeat(PATH_MAX + 1);
        for (path, error, message) in [
            ("", PathError::Empty, "the name is empty"),
            (
                &long,
                PathError::TooLong(256),
                "the name has 256 bytes; shorten it to 255 or fewer",
            ),
            (
                "/etc/shadow",
                PathError::Absolute,
                "the name starts with '/'; it must be relative",
            ),
            (
                "a//b",
                PathError::EmptyName(2),
                "the name has nothing between '/' at byte 2",
            ),
            (
                "a/",
                PathError::EmptyName(2),
                "the name has nothing between '/' at byte 2",
            ),
            (
                "a/../b",
                PathError::Dots(2),
                "the name has '.' or '..' at byte 2; use plain names",
            ),
            (
                ".",
                PathError::Dots(0),
                "the name has '.' or '..' at byte 0; use plain names",
            ),
            (
                "a\u{1b}[2J",
                PathError::Control(1),
                "the name has a control character at byte 1; rename it",
            ),
            (
                "ab\u{9b}",
                PathError::Control(2),
                "the name has a control character at byte 2; rename it",
            ),
        ] {
            assert_eq!(DocumentPath::new(path), Err(error), "{path:?}");
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(
            DocumentPath::from_bytes(b"ab\xff"),
            Err(PathError::NotUtf8(2))
        );
    }

    #[test]
    fn only_the_directory_public_is_released() {
        for (path, public) in [
            ("public/a", true),
            ("public", false),
            ("publicity/a", false),
            ("a/public/b", false),
            ("Public/a", false),
        ] {
            assert_eq!(
                DocumentPath::new(path).unwrap().is_public(),
                public,
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_inside_its_root(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(path) = DocumentPath::from_bytes(&bytes) {
                prop_assert!(path.as_str().len() <= PATH_MAX);
                prop_assert!(path.as_str().split('/').all(|n| !["", ".", ".."].contains(&n)));
                prop_assert!(!path.as_str().chars().any(char::is_control));
            }
        }
    }
}

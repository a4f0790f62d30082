//! What the edge serves.

use portcullis_publish::DocumentPath;

/// Most objects that are listed: with paths of at most 255 bytes they take 80 KiB.
pub const LISTED_MAX: usize = 256;

/// An object that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its path.
    pub path: DocumentPath,
    /// Its size, in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// The list: one object a path.
#[derive(Debug, Default)]
pub(crate) struct List(heapless::Vec<Listed, LISTED_MAX>);

impl List {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Adds an object, in place of an earlier one of the same path, and says whether there was room.
    pub(crate) fn add(&mut self, object: &Listed) -> bool {
        match self.0.iter_mut().find(|listed| listed.path == object.path) {
            Some(listed) => {
                *listed = object.clone();
                true
            }
            None => self.0.push(object.clone()).is_ok(),
        }
    }

    pub(crate) fn objects(&self) -> &[Listed] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn object(path: &str, size: u64) -> Listed {
        Listed {
            path: DocumentPath::new(path).unwrap(),
            size,
            sha256: [7; 32],
        }
    }

    #[test]
    fn a_path_is_listed_once_with_what_came_last() {
        let mut list = List::new();
        assert!(list.add(&object("a", 1)));
        assert!(list.add(&object("b", 2)));
        assert!(list.add(&object("a", 3)));
        assert_eq!(list.objects(), [object("a", 3), object("b", 2)]);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut list = List::new();
        for index in 0..LISTED_MAX {
            assert!(list.add(&object(&format!("{index}"), 0)));
        }
        assert!(!list.add(&object("more", 1)));
        assert!(list.add(&object("0", 1)));
    }
}

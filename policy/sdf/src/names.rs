//! The names that a description declares, so that what refers to them can be resolved in one pass.

use std::collections::HashMap;

use roxmltree::Node;

use crate::element::Text;
use crate::{Fault, PdId, RegionId};

/// Names of protection domains and memory regions with their numbers.
pub(crate) struct Names<'x> {
    pds: HashMap<&'x str, usize>,
    regions: HashMap<&'x str, usize>,
    /// How many `<protection_domain>` elements there are.
    pub(crate) pd_count: usize,
}

impl<'x> Names<'x> {
    /// Collects the names below `system`. Where a name stands twice, the first counts; the checks
    /// find the second.
    pub(crate) fn collect(system: Node<'x, 'x>) -> Self {
        let named = |element: &'static str| {
            system
                .descendants()
                .filter(move |node| node.has_tag_name(element))
        };
        Self {
            pds: numbered(named("protection_domain")),
            regions: numbered(named("memory_region")),
            pd_count: named("protection_domain").count(),
        }
    }

    /// The protection domain that an attribute names.
    pub(crate) fn pd(&self, text: Text<'_>) -> Result<PdId, Fault> {
        resolve(&self.pds, "protection domain", text).map(PdId)
    }

    /// The memory region that an attribute names.
    pub(crate) fn region(&self, text: Text<'_>) -> Result<RegionId, Fault> {
        resolve(&self.regions, "memory region", text).map(RegionId)
    }
}

fn numbered<'x>(nodes: impl Iterator<Item = Node<'x, 'x>>) -> HashMap<&'x str, usize> {
    let mut names = HashMap::new();
    for (number, node) in nodes.enumerate() {
        if let Some(name) = node.attribute("name") {
            names.entry(name).or_insert(number);
        }
    }
    names
}

/// Most names that one is compared with, to suggest another.
const COMPARED: usize = 1_000;

/// The number of the name that `text` gives.
pub(crate) fn resolve(
    names: &HashMap<&str, usize>,
    what: &'static str,
    text: Text<'_>,
) -> Result<usize, Fault> {
    let number = names.get(text.value).copied();
    number.ok_or_else(|| Fault::UnknownName {
        what,
        name: text.value.to_owned(),
        nearest: (text.is_early && names.len() <= COMPARED)
            .then(|| nearest(names.keys().copied(), text.value))
            .flatten(),
    })
}

/// The name that differs from `wanted` in the fewest characters, if in at most a third of them.
fn nearest<'n>(names: impl Iterator<Item = &'n str>, wanted: &str) -> Option<String> {
    let limit = wanted.chars().count() / 3;
    names
        // Long names would cost the product of their lengths.
        .filter(|name| name.len() <= 64 && wanted.len() <= 64)
        .map(|name| (distance(name, wanted), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name.to_owned())
}

/// Insertions, deletions and replacements that turn one word into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_name() {
        let names = || ["ledger", "vault", "publish"].into_iter();
        assert_eq!(nearest(names(), "leger").as_deref(), Some("ledger"));
        assert_eq!(nearest(names(), "valut").as_deref(), None);
        assert_eq!(nearest(names(), "publich").as_deref(), Some("publish"));
        assert_eq!(nearest(names(), "edge").as_deref(), None);
    }

    #[test]
    fn distances() {
        for (from, to, steps) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(distance(from, to), steps);
        }
    }
}

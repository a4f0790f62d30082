//! I/O ports: ranges that overlap are judged port by port, in work that grows with the lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use portcullis_policy::diff::diff;
use portcullis_policy::relation::{Kind, Object, Relation};
use portcullis_policy::{Policy, Source, read};
use proptest::collection::vec;
use proptest::prelude::*;

/// Component, first port, how many.
type Line = (usize, u64, u64);

fn policy(components: usize, lines: &[Line]) -> Policy {
    let mut text = String::from("[domains]\none = {}\n");
    for component in 0..components {
        writeln!(text, "[components.c{component}]\ndomain = \"one\"").unwrap();
    }
    for (component, base, size) in lines {
        writeln!(
            text,
            "[[static]]\ncomponent = \"c{component}\"\nioport = {base}\nsize = {size}\n\
             dma = \"unbounded\""
        )
        .unwrap();
    }
    let reading = read::read(Arc::new(Source::new("policy.toml", text)));
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    reading.policy
}

/// Who has which port, by each line in turn.
fn held(lines: &[Line]) -> BTreeSet<(String, u64)> {
    let ports = lines.iter().flat_map(|(component, base, size)| {
        (*base..base + size).map(move |port| (format!("`c{component}`"), port))
    });
    ports.collect()
}

/// Who tells whom something by ports, as often as the relation says so.
fn told(policy: &Policy) -> Vec<(String, String)> {
    let mut told = Vec::new();
    Relation::declared(policy).each_hop(|hop| {
        assert_eq!(hop.fact.kind, Kind::IoPorts);
        told.push((hop.from.to_string(), hop.to.to_string()));
    });
    told
}

proptest! {
    #[test]
    fn two_share_ports_exactly_where_they_have_one_in_common(
        lines in vec((0..4_usize, 0..40_u64, 1..12_u64), 0..16)
    ) {
        let held = held(&lines);
        let mut expected = BTreeSet::new();
        for (one, port) in &held {
            for (other, _) in held.iter().filter(|(other, same)| same == port && other != one) {
                expected.insert((one.clone(), other.clone()));
            }
        }
        let told = told(&policy(4, &lines));
        prop_assert_eq!(told.len(), expected.len());
        prop_assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn what_is_added_are_the_ports_that_were_not_there(
        before in vec((0..3_usize, 0..40_u64, 1..12_u64), 0..10),
        after in vec((0..3_usize, 0..40_u64, 1..12_u64), 0..10),
    ) {
        let [old, new] = [&before, &after].map(|lines| policy(3, lines));
        let (old, new) = (Relation::declared(&old), Relation::declared(&new));
        let mut added: BTreeMap<(String, u64), usize> = BTreeMap::new();
        for fact in new.beyond(&old) {
            let Object::Ports { base, size } = fact.object else { continue };
            for port in base..base + size {
                *added.entry((fact.subject.to_string(), port)).or_default() += 1;
            }
        }
        let expected: BTreeSet<_> = &held(&after) - &held(&before);
        prop_assert!(added.values().all(|times| *times == 1), "{:?}", added);
        prop_assert_eq!(added.into_keys().collect::<BTreeSet<_>>(), expected);
    }
}

const COMPONENTS: usize = 60;
const LINES: u64 = 20_000;

/// Lines that all overlap: each with those of all others.
fn overlapping(size: impl Fn(u64) -> u64) -> Vec<Line> {
    let lines = 0..LINES;
    lines
        .map(|line| (line as usize % COMPONENTS, line, size(line)))
        .collect()
}

#[test]
fn steps_grow_with_components_and_not_with_lines() {
    let told = told(&policy(COMPONENTS, &overlapping(|_| 30_000)));
    assert_eq!(told.len(), COMPONENTS * (COMPONENTS - 1));
}

/// Each range of one policy has a hole for every line of the other, which would make millions of parts.
#[test]
fn a_difference_grows_with_lines() {
    let wide = policy(COMPONENTS, &overlapping(|_| 30_000));
    let combed: Vec<Line> = overlapping(|_| 1)
        .into_iter()
        .map(|(component, base, size)| (component, base * 2, size))
        .collect();
    let difference = diff(&policy(COMPONENTS, &combed), &wide);
    let ports = |it: &&portcullis_policy::diff::Change| it.kind == "ioport";
    let added = difference.added.iter().filter(ports).count();
    assert!(added > 0 && added <= 2 * LINES as usize, "{added}");
}

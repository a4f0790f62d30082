//! What a change of the policy takes from `never` rules, and what it renumbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_policy::diff::{Change, Difference, diff};
use portcullis_policy::{Policy, Source, load};
use proptest::prelude::*;

fn read(text: &str) -> Policy {
    load(Arc::new(Source::new("policy.toml", text)), None).unwrap_or_else(|it| panic!("{it}"))
}

/// A policy whose components are each in a domain, with rules between domains.
fn policy(components: &[(&str, &str)], nevers: &[(&str, &str)]) -> Policy {
    let mut text =
        String::from("name = \"x\"\nversion = 1\n[domains]\nnet = {}\nsafe = {}\nout = {}\n");
    for (name, domain) in components {
        text += &format!("[components.{name}]\ndomain = \"{domain}\"\n");
    }
    for (from, to) in nevers {
        text += &format!("[[never]]\nfrom = \"{from}\"\nto = \"{to}\"\nreason = \"r\"\n");
    }
    read(&text)
}

/// The differences of `never` rules, as "sign, from, to".
fn nevers(difference: &Difference) -> Vec<String> {
    let signs = [("+", &difference.added), ("-", &difference.taken)];
    let changes = signs
        .into_iter()
        .flat_map(|(sign, all)| all.iter().map(move |change| (sign, change)));
    let words = changes.map(|(sign, change)| match change {
        Change::Never { from, to, .. } => format!("{sign}rule {from} {to}"),
        Change::Unguarded { from, to, .. } => format!("{sign}{from} {to}"),
        other => panic!("{other:?}"),
    });
    words.collect()
}

#[test]
fn a_never_rule_counts_by_whom_it_keeps_apart() {
    let rule = [("net", "safe")];
    let old = policy(&[("nic", "net"), ("keys", "safe")], &rule);
    let differences = |components: &[(&str, &str)], rules: &[(&str, &str)]| {
        nevers(&diff(&old, &policy(components, rules)))
    };
    let moved = [("nic", "out"), ("keys", "safe")];
    assert_eq!(differences(&moved, &rule), ["+nic keys"]);
    assert_eq!(
        differences(&[("nic", "net"), ("keys", "out")], &rule),
        ["+nic keys"]
    );
    // The rule moved with the component: nothing is lost.
    assert!(differences(&moved, &[("out", "safe")]).is_empty());
    assert_eq!(
        differences(&[("nic", "net"), ("keys", "safe")], &[]),
        ["+rule net safe"]
    );
    // Who is gone can do nothing; who is new is guarded by no less than before.
    assert!(differences(&[("keys", "safe")], &rule).is_empty());
    let more = [("nic", "net"), ("keys", "safe"), ("new", "out")];
    assert!(differences(&more, &rule).is_empty());
    // The other way round, it is less.
    let back = diff(&policy(&moved, &rule), &old);
    assert_eq!(nevers(&back), ["-nic keys"]);
    // A rule that kept nothing apart is told where it goes, and where it comes.
    let idle = policy(&moved, &rule);
    assert_eq!(
        nevers(&diff(&idle, &policy(&moved, &[]))),
        ["+rule net safe"]
    );
}

#[test]
fn a_method_with_another_number_is_the_same_method() {
    let text = |numbers: &str| {
        let rest = "[components.store]\ndomain = \"in\"\noffers = [\"records\"]\n\
                    [components.web]\ndomain = \"in\"\n[[grants]]\nsubject = \"web\"\nobject = \"store\"\n\
                    interface = \"records\"\nmethods = [\"get\"]\nmode = \"call\"\nwhen = \"boot\"\n\
                    reason = \"r\"\n";
        read(&format!(
            "name = \"x\"\nversion = 1\n[domains]\nin = {{}}\n[interfaces.records]\n{numbers}\n{rest}"
        ))
    };
    let old = text("get = 0\nwipe = 1");
    let difference = diff(&old, &text("get = 1\nwipe = 0"));
    assert!(difference.added.is_empty() && difference.taken.is_empty());
    let told: Vec<_> = difference
        .renumbered
        .iter()
        .map(|it| (it.interface.as_str(), it.method.as_str(), it.old, it.new))
        .collect();
    assert_eq!(told, [("records", "get", 0, 1), ("records", "wipe", 1, 0)]);
    // Another method in its place is a change, and no renumbering.
    let other = diff(&old, &text("get = 0\nerase = 1"));
    assert!(other.is_empty(), "no grant carries it: {other:?}");
}

const DOMAINS: [&str; 3] = ["net", "safe", "out"];
const COMPONENTS: [&str; 4] = ["a", "b", "c", "d"];

/// Which domain each component is in, if it is there, and the rules.
type Shape = (Vec<Option<usize>>, BTreeSet<(usize, usize)>);

fn shape() -> impl Strategy<Value = Shape> {
    let homes = prop::collection::vec(prop::option::weighted(0.8, 0..3_usize), 4);
    let rules = prop::collection::btree_set((0..3_usize, 0..3_usize), 0..5);
    (homes, rules).prop_map(|(homes, rules)| {
        (
            homes,
            rules.into_iter().filter(|(from, to)| from != to).collect(),
        )
    })
}

fn of(shape: &Shape) -> Policy {
    let (homes, rules) = shape;
    let components: Vec<_> = COMPONENTS
        .iter()
        .zip(homes)
        .filter_map(|(name, home)| Some((*name, DOMAINS[(*home)?])))
        .collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|(a, b)| (DOMAINS[*a], DOMAINS[*b]))
        .collect();
    policy(&components, &rules)
}

/// Whether the rules keep two components apart; `None`: one is not there.
fn apart(shape: &Shape, from: usize, to: usize) -> Option<bool> {
    let pair = (shape.0[from]?, shape.0[to]?);
    Some(shape.1.contains(&pair))
}

proptest! {
    /// Something of `never` is added exactly where two components that both policies have are kept
    /// apart by the old one alone, or a rule that kept nothing apart is gone.
    #[test]
    fn nothing_that_was_kept_apart_is_lost_in_silence(old in shape(), new in shape()) {
        let difference = diff(&of(&old), &of(&new));
        let mut pairs = (0..4).flat_map(|a| (0..4).map(move |b| (a, b)));
        let lost = pairs.any(|(a, b)| {
            apart(&old, a, b) == Some(true) && apart(&new, a, b) == Some(false)
        });
        let is_empty = |domain: usize| !old.0.contains(&Some(domain));
        let mut rules = old.1.iter().filter(|rule| !new.1.contains(rule));
        let idle = rules.any(|(from, to)| is_empty(*from) || is_empty(*to));
        prop_assert_eq!(!difference.added.is_empty(), lost || idle);
    }
}

//! What a run has seen: both verdicts, every kind of element, and every rule as the only cause.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_oracle::finding::Kind;
use portcullis_oracle::generate::elements;
use portcullis_policy::relation;

use crate::compare::Disagreement;
use crate::{Said, Verdict};

/// Times that a kind of fact is left out, at most: each is a check of its own.
const ENOUGH: u64 = 5;

/// Rules that another rule of the checker always comes with, each with the reason.
const NEVER_ALONE: &[(&str, &str)] = &[
    (
        "fixed_without_size",
        "such a region is filled, and no case has a board that knows its memory: filled_registers says so too",
    ),
    (
        "public_key",
        "it is a field of the policy itself, which stands before all that a case adds: policy/tests has it",
    ),
    (
        "too_many_grants",
        "the manager's table is smaller: too_many_grants_for_manager says so too",
    ),
    (
        "too_many_grants_of_component",
        "the manager's table is smaller: too_many_grants_for_manager says so too",
    ),
];

/// Kinds of facts without which nothing more holds, each with the reason.
const NEVER_NEEDED: &[(&str, &str)] = &[(
    "receive",
    "who receives what is sent to another may call it, is its child or its guest, and is told as much by it",
)];

#[derive(Default)]
pub(crate) struct Tally {
    holds: u64,
    refused: u64,
    no_system: u64,
    /// Cases that hold of which the oracle read the distribution that the builder emits.
    images: u64,
    /// Kinds of elements: in how many cases that hold, and that are refused.
    elements: BTreeMap<&'static str, [u64; 2]>,
    /// Codes: in how many cases, and in how many alone. Without its rule, these would hold.
    codes: BTreeMap<String, [u64; 2]>,
    /// Cases that are wrong without a kind of fact.
    facts: BTreeMap<&'static str, u64>,
    /// Findings of the oracle by kind.
    findings: BTreeMap<Kind, u64>,
}

impl Tally {
    pub(crate) fn count(&mut self, said: &Said<'_>) {
        let verdict = match &said.checked.verdict {
            Verdict::NoSystem => {
                self.no_system += 1;
                return;
            }
            Verdict::Holds(_) => 0,
            Verdict::Refused(_) => 1,
        };
        *[&mut self.holds, &mut self.refused][verdict] += 1;
        for (element, is_there) in elements(said.case) {
            self.elements.entry(element).or_default()[verdict] += u64::from(is_there);
        }
        self.images += u64::from(said.checked.emitted.is_some());
        let codes = said.checked.verdict.codes();
        for code in &codes {
            let counts = self.codes.entry((*code).to_owned()).or_default();
            counts[0] += 1;
            // Without this rule it holds, and the oracle has a reason why it must not.
            counts[1] += u64::from(codes.len() == 1 && !said.findings.is_empty());
        }
        let mut kinds: Vec<Kind> = said.findings.iter().map(|it| it.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *self.findings.entry(kind).or_default() += 1;
        }
        // Without a kind of fact nothing is said of whose honesty is assumed.
        let is_wrong = |(it, _): &(Disagreement, String)| *it != Disagreement::Assumed;
        for kind in relation::Kind::ALL {
            let seen = self.facts.entry(kind.name()).or_default();
            if *seen < ENOUGH
                && let Some(verdict) = said.checked.without(kind)
                && said.differences(&verdict).iter().any(is_wrong)
            {
                *seen += 1;
            }
        }
    }

    /// What the run should have seen and has not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let all = self.holds + self.refused;
        for (what, count) in [("holds", self.holds), ("refused", self.refused)] {
            if count * 100 < all * 30 {
                missing.push(format!("{what}: {count} of {all} cases are less than 30 %"));
            }
        }
        if self.images < self.holds {
            let (images, holds) = (self.images, self.holds);
            missing.push(format!("{images} distributions of {holds} cases that hold"));
        }
        for (element, counts) in &self.elements {
            for (what, count, of) in [
                ("hold", counts[0], self.holds),
                ("are refused", counts[1], self.refused),
            ] {
                if count * 100 < of {
                    missing.push(format!(
                        "{element}: {count} of {of} that {what} are less than 1 %"
                    ));
                }
            }
        }
        for code in rules() {
            let alone = self.codes.get(&code).map_or(0, |counts| counts[1]);
            let excused = NEVER_ALONE.iter().any(|(it, _)| *it == code);
            if (alone == 0) != excused {
                missing.push(format!("{code}: alone {alone} times"));
            }
        }
        for (kind, count) in &self.facts {
            let excused = NEVER_NEEDED.iter().any(|(it, _)| it == kind);
            // In one case of 100,000 they tell a little more.
            if *count == 0 && !excused {
                missing.push(format!(
                    "facts of kind {kind}: wrong without them {count} times"
                ));
            }
        }
        missing
    }
}

/// The codes of all rules in the checker's sources.
fn rules() -> Vec<String> {
    let mut rules = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../src"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for part in text.split("code(policy::").skip(1) {
                rules.push(part.split(')').next().unwrap_or_default().to_owned());
            }
        }
    }
    rules.sort();
    rules.dedup();
    rules
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            holds,
            refused,
            no_system,
            images,
            ..
        } = self;
        writeln!(
            f,
            "{holds} hold, {refused} are refused, {no_system} are no system description"
        )?;
        writeln!(
            f,
            "of {images} that hold, the oracle read the distribution that the builder emits"
        )?;
        writeln!(f, "\n{:32} {:>8} {:>8}", "element", "holds", "refused")?;
        for (element, [holds, refused]) in &self.elements {
            writeln!(f, "{element:32} {holds:8} {refused:8}")?;
        }
        writeln!(f, "\n{:32} {:>8} {:>8}", "rule", "refuses", "alone")?;
        for (code, [refuses, alone]) in &self.codes {
            writeln!(f, "{code:32} {refuses:8} {alone:8}")?;
        }
        writeln!(
            f,
            "\n{:32} wrong without them (counted to {ENOUGH})",
            "facts of kind"
        )?;
        for (kind, count) in &self.facts {
            writeln!(f, "{kind:32} {count}")?;
        }
        writeln!(f, "\nthe oracle found, in cases")?;
        for (kind, count) in &self.findings {
            writeln!(f, "{count:8}  {}", kind.name())?;
        }
        writeln!(f, "\nstricter on purpose")?;
        for kind in Kind::ALL {
            if let Some(why) = kind.stricter_because() {
                writeln!(f, "  {} ({}): {why}", kind.name(), kind.codes().join(", "))?;
            }
        }
        for (what, why) in NEVER_ALONE.iter().chain(NEVER_NEEDED) {
            writeln!(f, "  {what}: {why}")?;
        }
        Ok(())
    }
}

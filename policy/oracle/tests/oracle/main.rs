//! The checker against the oracle, over random cases.
//!
//! `PORTCULLIS_ORACLE_CASES` says how many (10,000 where nothing is said, which is what CI does), and
//! `PORTCULLIS_ORACLE_SEED` which. Each case follows from the seed and its number. A disagreement is
//! printed as the smallest system and policy that show it.

mod checker;
mod compare;
mod helps;
mod image;
mod tally;

use std::collections::BTreeMap;

use checker::{Checked, Verdict};
use compare::{Disagreement, Said};
use portcullis_oracle::case::Case;
use portcullis_oracle::random::Random;
use portcullis_oracle::shrink::shrink;
use portcullis_oracle::{generate, perturb};
use tally::Tally;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect(name))
}

/// The case of this number.
fn case(seed: u64, number: u64) -> Case {
    let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number));
    let mut case = generate::case(&mut random);
    // The others fit.
    if random.percent(62) {
        perturb::perturb(&mut case, &mut random);
    }
    case
}

#[test]
fn the_checker_says_what_the_oracle_finds() {
    let cases = number("PORTCULLIS_ORACLE_CASES", 10_000);
    let seed = number("PORTCULLIS_ORACLE_SEED", 1);
    println!("PORTCULLIS_ORACLE_SEED={seed} PORTCULLIS_ORACLE_CASES={cases}");
    let random = (0..cases).map(|number| case(seed, number));
    let mut tally = Tally::default();
    let mut wrong: BTreeMap<Disagreement, (u64, Case)> = BTreeMap::new();
    for case in random.chain(generate::large()) {
        let said = Said::about(&case);
        for (disagreement, _) in said.disagreements() {
            wrong
                .entry(disagreement)
                .or_insert_with(|| (0, case.clone()))
                .0 += 1;
        }
        if let Some((followed, disagreement)) = helps::follow(&said) {
            wrong.entry(disagreement).or_insert_with(|| (0, followed)).0 += 1;
        }
        tally.count(&said);
    }
    for (what, (count, case)) in &wrong {
        explain(what, *count, case);
    }
    let missing = tally.missing();
    println!("{tally}\nnot seen enough of: {missing:#?}");
    assert!(
        wrong.is_empty(),
        "checker and oracle disagree: {:?}",
        wrong.keys()
    );
    assert!(missing.is_empty(), "not seen enough of: {missing:?}");
}

/// Prints the smallest case in which the two disagree in this way.
fn explain(what: &Disagreement, count: u64, case: &Case) {
    let shows = |case: &Case| {
        Said::about(case)
            .disagreements()
            .iter()
            .any(|(it, _)| it == what)
    };
    // A case that is too large for somebody is too large to be shrunk.
    let case = match case.policy.toml().len() < 100_000 && shows(case) {
        true => shrink(case, shows),
        false => case.clone(),
    };
    let said = Said::about(&case);
    println!("\n===== {what:?}, {count} times\n{}", case.both());
    for (disagreement, text) in said.disagreements() {
        println!("{disagreement:?}: {text}");
    }
    println!("the checker says: {:#?}", said.checked.verdict);
    let found: Vec<String> = said.findings.iter().map(ToString::to_string).collect();
    println!("the oracle says: {found:#?}");
}

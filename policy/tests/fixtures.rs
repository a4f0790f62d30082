//! One bad policy a fault, each with the exact message that it gives; and good ones.
//!
//! `fixtures/bad/NAME.toml` gives what `NAME.txt` says. Where `NAME.xml` is there, the policy is held
//! against it; names that start with `system_` and have none, against `systems/small.xml`. To take
//! over messages that were changed on purpose: `BLESS=1 cargo test -p portcullis-policy`.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{file, render, source, system};
use portcullis_policy::{Described, Policy, Problems, Source, load};

const FIXTURES: &str = "policy/tests/fixtures";

#[test]
fn every_bad_policy_gives_its_message() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for name in names("bad") {
        let problems = match check_bad(&name) {
            Ok(_) => panic!("{name} holds"),
            Err(problems) => problems,
        };
        let (found, expected) = (
            render(&problems),
            file(&format!("{FIXTURES}/bad/{name}.txt")),
        );
        if bless {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_good_policy_holds() {
    for name in names("good") {
        let path = format!("{FIXTURES}/good/{name}.toml");
        if let Err(problems) = load(source(&path), None) {
            panic!("{}", render(&problems));
        }
    }
}

#[test]
fn an_empty_policy_grants_nothing() {
    let policy = load(source(&format!("{FIXTURES}/good/empty.toml")), None).unwrap();
    assert_eq!(portcullis_policy::Ceiling::of(&policy).count(), 0);
    assert!(policy.statics.is_empty());
}

/// A fault that no test provokes is a message that nobody has read.
#[test]
fn every_fault_has_a_test() {
    let mut declared = BTreeSet::new();
    codes(&file("policy/src"), &mut declared);
    assert!(declared.len() > 40, "the codes are found: {declared:?}");
    let mut provoked: BTreeSet<String> = too_many()
        .into_iter()
        .flat_map(|(_, text)| load(Arc::new(Source::new("x", text)), None).unwrap_err())
        .map(|problem| problem.code_name())
        .collect();
    for name in names("bad") {
        let problems = check_bad(&name).unwrap_err();
        provoked.extend(problems.iter().map(|problem| problem.code_name()));
    }
    let missing: Vec<_> = declared.difference(&provoked).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn limits_name_what_is_over() {
    for (expected, text) in too_many() {
        let problems = load(Arc::new(Source::new("generated", text)), None).unwrap_err();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|it| it == expected), "{found:?}");
    }
}

#[test]
fn at_the_limit_a_policy_holds() {
    let at = [components(62), grants_of_one(4_095)];
    for text in at {
        if let Err(problems) = load(Arc::new(Source::new("generated", text)), None) {
            panic!("{}", problems);
        }
    }
}

/// Policies too long for a file, one over a limit each, and what is said of them.
fn too_many() -> Vec<(&'static str, String)> {
    let mut domains = String::from("[domains]\n");
    for number in 0..65_536 {
        writeln!(domains, "d{number} = {{}}").unwrap();
    }
    vec![
        (
            "the policy has 63 components; a manager serves at most 62",
            components(63),
        ),
        (
            "`a` can hold 4096 grants; a component holds at most 4095",
            grants_of_one(4_096),
        ),
        (
            "the policy allows 65537 grants in all; a badge tells at most 65536 apart",
            grants_in_all(65_537),
        ),
        (
            "the policy has 65536 domains; it can have at most 65535",
            domains,
        ),
    ]
}

fn components(count: usize) -> String {
    let mut text = String::from("[domains]\none = {}\n");
    for number in 0..count {
        write!(text, "[components.c{number}]\ndomain = \"one\"\n").unwrap();
    }
    text
}

/// `a` may ask for each method of enough interfaces of `b`.
fn grants_of_one(count: usize) -> String {
    let mut text = String::from("[domains]\none = {}\n[components.a]\ndomain = \"one\"\n");
    let interfaces = interfaces(&mut text, count);
    write!(
        text,
        "[components.b]\ndomain = \"one\"\noffers = {interfaces}\n"
    )
    .unwrap();
    for number in 0..count {
        rule(&mut text, "a", number);
    }
    text
}

/// Each of 61 components may ask for each method of enough interfaces of `b`.
fn grants_in_all(count: usize) -> String {
    const SUBJECTS: usize = 61;
    let mut text = String::from("[domains]\none = {}\n");
    let interfaces = interfaces(&mut text, count.div_ceil(SUBJECTS));
    write!(
        text,
        "[components.b]\ndomain = \"one\"\noffers = {interfaces}\n"
    )
    .unwrap();
    for subject in 0..SUBJECTS {
        write!(text, "[components.s{subject}]\ndomain = \"one\"\n").unwrap();
    }
    for number in 0..count {
        rule(
            &mut text,
            &format!("s{}", number % SUBJECTS),
            number / SUBJECTS,
        );
    }
    text
}

/// Declares enough interfaces for this many methods; gives the list of their names.
fn interfaces(text: &mut String, methods: usize) -> String {
    let count = methods.div_ceil(32);
    for interface in 0..count {
        writeln!(text, "[interfaces.i{interface}]").unwrap();
        for method in 0..32 {
            writeln!(text, "m{method} = {method}").unwrap();
        }
    }
    let names: Vec<String> = (0..count).map(|it| format!("\"i{it}\"")).collect();
    format!("[{}]", names.join(", "))
}

fn rule(text: &mut String, subject: &str, number: usize) {
    let (interface, method) = (number / 32, number % 32);
    write!(
        text,
        "[[grants]]\nsubject = \"{subject}\"\nobject = \"b\"\ninterface = \"i{interface}\"\n\
         methods = [\"m{method}\"]\nmode = \"send\"\nwhen = \"request\"\n"
    )
    .unwrap();
}

/// The names of the fixtures of one kind, sorted.
fn names(kind: &str) -> Vec<String> {
    let folder = file(&format!("{FIXTURES}/{kind}"));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn check_bad(name: &str) -> Result<Policy, Problems> {
    let policy = source(&format!("{FIXTURES}/bad/{name}.toml"));
    // Messages name the file, and stay the same wherever the tests run.
    let policy = Arc::new(Source::new(format!("{name}.toml"), policy.text()));
    let own = format!("{FIXTURES}/bad/{name}.xml");
    let description = if file(&own).is_file() {
        source(&own)
    } else if name.starts_with("system_") {
        source(&format!("{FIXTURES}/systems/small.xml"))
    } else {
        return load(policy, None);
    };
    let description = Arc::new(Source::new("system.xml", description.text()));
    let system = system(&description);
    let described = Described {
        system: &system,
        source: &description,
    };
    load(policy, Some(described))
}

/// Every `code(policy::...)` of the sources under `folder`.
fn codes(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            self::codes(&path, codes);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for after in text.split("code(policy::").skip(1) {
            let name = after.split(')').next().unwrap();
            codes.insert(format!("policy::{name}"));
        }
    }
}

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
        .flat_map(|(_, text)| refused(text))
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
        let problems = refused(text);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|it| it == expected), "{found:?}");
    }
}

/// What two domains share is one crossing, among those that are only counted too.
#[test]
fn crossings_beyond_the_limit_are_counted_once() {
    let mut text = String::from("[domains]\na = {}\nb = {}\n");
    for (name, domain) in [("one", "a"), ("two", "a"), ("other", "b")] {
        writeln!(text, "[components.{name}]\ndomain = \"{domain}\"").unwrap();
    }
    for region in 0..1_001 {
        for (name, perms) in [("one", "rw"), ("two", "rw"), ("other", "r")] {
            writeln!(
                text,
                "[[static]]\ncomponent = \"{name}\"\nregion = \"r{region}\"\nperms = \"{perms}\""
            )
            .unwrap();
        }
    }
    let problems = load(Arc::new(Source::new("generated", text)), None).unwrap_err();
    assert_eq!(problems.count(), 1_001);
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

/// What is wrong with a policy, for the small system where it has its components.
fn refused(text: String) -> Problems {
    let description = source(&format!("{FIXTURES}/systems/small.xml"));
    let system = system(&description);
    let small = text.len() < 1 << 18;
    let described = small.then(|| Described::new(&system, &description));
    load(Arc::new(Source::new("generated", text)), described).unwrap_err()
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
            "`c0` can hold 4096 grants; a component holds at most 4095",
            grants_of_one(4_096),
        ),
        (
            "the policy allows 1025 grants in all; the manager's table has room for 1024",
            grants_of_one(1_025),
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
    let mut text = String::from("[domains]\none = {}\n[interfaces.i]\n");
    for method in 0..METHODS {
        writeln!(text, "m{method} = {method}").unwrap();
    }
    for number in 0..count {
        write!(
            text,
            "[components.c{number}]\ndomain = \"one\"\noffers = [\"i\"]\n"
        )
        .unwrap();
    }
    text
}

/// Methods that a component can offer, and the modes in which each may be asked for, no component above
/// another.
const METHODS: usize = 32;
const MODES: [&str; 2] = ["send", "notify"];

/// `c0` may ask for this many grants: of each method of each other component, in each mode, and by a call.
fn grants_of_one(count: usize) -> String {
    let mut text = components(61);
    for number in 0..count {
        let (object, left) = (number % 60 + 1, number / 60);
        let mode = *["send", "notify", "call"].get(left / METHODS).unwrap();
        rule(&mut text, 0, object, left % METHODS, mode);
    }
    text
}

/// Each of 62 components may ask for grants of each other.
fn grants_in_all(count: usize) -> String {
    let mut text = components(62);
    for number in 0..count {
        let (subject, left) = (number % 62, number / 62);
        let (object, left) = ((subject + 1 + left % 61) % 62, left / 61);
        rule(
            &mut text,
            subject,
            object,
            left % METHODS,
            MODES[left / METHODS],
        );
    }
    text
}

fn rule(text: &mut String, subject: usize, object: usize, method: usize, mode: &str) {
    write!(
        text,
        "[[grants]]\nsubject = \"c{subject}\"\nobject = \"c{object}\"\ninterface = \"i\"\n\
         methods = [\"m{method}\"]\nmode = \"{mode}\"\nwhen = \"request\"\n"
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
    let described = Described::new(&system, &description);
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

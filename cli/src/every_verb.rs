//! Tests over all verbs at once: their arguments are generated from what clap knows of them, so that a
//! verb that is added is tested too.

use std::fs;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command as Process;
use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::Value;
use tempfile::TempDir;

use crate::Cli;
use crate::options::tests::verbs;

/// Invocations of each verb.
const ROUNDS: u64 = 16;
/// What an argument can be: a path to something or to nothing, a word, a number, a key.
const VALUES: [&str; 11] = [
    "absent",
    "empty",
    "garbage",
    "folder",
    "policy.toml",
    "broken.toml",
    "system.xml",
    "broken.xml",
    "word",
    "1",
    "-1",
];

/// A folder with a file of each kind.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    file("empty", b"");
    file("garbage", b"\0\xff\xfe{<[\x1b[31m");
    file(
        "policy.toml",
        b"name = \"x\"\nversion = 1\n[domains]\na = {}\n[components.a]\ndomain = \"a\"\n",
    );
    file(
        "broken.toml",
        b"name = \"x\"\nversion = 1\n[[never]]\nfrom = \"a\"\nto = \"a\"\n",
    );
    let program = "<program_image path=\"a.elf\" /></protection_domain></system>";
    let system = format!("<system><protection_domain name=\"a\">{program}");
    file("system.xml", system.as_bytes());
    file("broken.xml", b"<system><memory_region /></system>");
    fs::create_dir(folder.path().join("folder")).unwrap();
    folder
}

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// A value for an argument; mostly one that it takes, where only some are.
fn value(argument: &Arg, random: &mut Random) -> String {
    let possible = argument.get_possible_values();
    if !possible.is_empty() && random.below(8) > 0 {
        return possible[random.below(possible.len())].get_name().to_owned();
    }
    VALUES[random.below(VALUES.len())].to_owned()
}

/// Arguments of a verb: those that are required nearly always, the others now and then.
fn arguments(verb: &Command, random: &mut Random) -> Vec<String> {
    let mut arguments = Vec::new();
    for argument in verb.get_arguments() {
        let id = argument.get_id().as_str();
        let wanted = match argument.is_required_set() {
            true => random.below(16) > 0,
            false => random.below(if argument.is_positional() { 2 } else { 8 }) == 0,
        };
        if !wanted || ["help", "json", "version"].contains(&id) {
            continue;
        }
        if let Some(long) = argument.get_long() {
            arguments.push(format!("--{long}"));
        }
        if !matches!(argument.get_action(), ArgAction::SetTrue) {
            arguments.push(value(argument, random));
        }
    }
    arguments
}

fn run(folder: &Path, arguments: &[String]) -> (i32, String, String) {
    let mut process = Process::cargo_bin("portcullis").unwrap();
    process
        .current_dir(folder)
        .args(arguments)
        .timeout(Duration::from_secs(60));
    let output = process.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code();
    let code = code.unwrap_or_else(|| panic!("{arguments:?} did not end"));
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn every_verb_prints_one_json_value_however_it_ends() {
    let all = verbs(&Cli::command(), "");
    let mut random = Random(1);
    let mut ends = [0; 5];
    for (words, verb) in all.iter().flat_map(|verb| (0..ROUNDS).map(move |_| verb)) {
        let folder = folder();
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.extend(arguments(verb, &mut random));
        words.push("--json".to_owned());
        let (code, out, error) = run(folder.path(), &words);
        let value: Value = serde_json::from_str(&out)
            .unwrap_or_else(|why| panic!("{words:?}: {why}:\n{out}\n{error}"));
        ends[usize::try_from(code).unwrap()] += 1;
        let failed = &value["error"];
        if code >= 2 && failed.is_null() {
            assert_eq!(
                words[0], "check",
                "{words:?} fails and says no error: {out}"
            );
        }
        if let Some(kind) = failed.as_str() {
            let codes = ["", "does not hold", "bad input", "could not run", ""];
            assert_eq!(codes[usize::try_from(code).unwrap()], kind, "{words:?}");
            let problems = value["problems"].as_array().unwrap();
            assert!(!problems.is_empty(), "{words:?}: {out}");
            assert!(
                !problems[0]["message"].as_str().unwrap().is_empty(),
                "{out}"
            );
        }
    }
    // That something does not hold (1) is up to chance, since it takes sound input.
    let common = [ends[0], ends[2], ends[3]];
    assert!(common.iter().all(|count| *count > 0), "{ends:?}");
}

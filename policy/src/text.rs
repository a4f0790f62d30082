//! Words for what a policy gives, the same in every message and table.

use portcullis_policy_format::MAX_NAME;

use crate::model::{Authority, Policy};

/// What a static rule gives, without the permissions: "region `uart`", "interrupt 33".
pub fn authority(policy: &Policy, authority: &Authority) -> String {
    let name = |id| policy.component(id).name.as_str();
    match authority {
        Authority::Region { region, .. } => format!("region `{region}`"),
        Authority::Irq(number) => format!("interrupt {number}"),
        Authority::IoPorts { base, size, .. } => format!("{size} I/O ports from {base:#x}"),
        Authority::Child(child) => format!("child `{}`", name(*child)),
        Authority::Channel { peer, .. } => format!("a channel to `{}`", name(*peer)),
        Authority::Cap { kind, of } => format!("the {kind} of `{}`", name(*of)),
        Authority::VirtualMachine(vm) => format!("virtual machine `{vm}`"),
        Authority::Smc => String::from("secure monitor calls"),
    }
}

/// A lease as the policy language writes it.
pub fn lease(milliseconds: u32) -> String {
    match milliseconds {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// "did you mean", or else what there is.
pub fn suggestion<'n>(
    word: &str,
    candidates: impl Iterator<Item = &'n str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match closest(word, candidates) {
        Some(name) => format!("did you mean `{name}`?"),
        None => otherwise(),
    }
}

/// The candidate that was probably meant.
pub(crate) fn closest<'n>(
    word: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    /// Below this similarity (Jaro-Winkler, 0 to 1) a suggestion is more of a riddle than a help.
    const SIMILAR: f64 = 0.75;
    /// Candidates that are compared: a help must not cost more than what it helps with.
    const COMPARED: usize = 1_000;
    let plausible = |name: &&str| name.len() <= MAX_NAME && word.len() <= 2 * MAX_NAME;
    candidates
        .take(COMPARED)
        .filter(plausible)
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .map(|(_, name)| name)
}

/// "`a`, `b` or `c`".
pub(crate) fn one_of(words: &[&str]) -> String {
    joined(words, "or")
}

/// "`a`, `b` and `c`".
pub(crate) fn all_of(words: &[&str]) -> String {
    joined(words, "and")
}

fn joined(words: &[&str], conjunction: &str) -> String {
    match words {
        [] => String::from("nothing"),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} {conjunction} `{last}`", first.join(", "))
        }
    }
}

/// A name as a key of TOML: quoted, where it has more than letters, digits, `_` and `-`.
pub fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name.chars().all(is_bare) && !name.is_empty() {
        true => name.to_owned(),
        false => format!("{name:?}"),
    }
}

//! No help removes a rule: the lines that the helps name are added, and the two asked again.

use portcullis_oracle::case::Case;
use portcullis_oracle::read;

use crate::checker::Refusal;
use crate::{Checked, Disagreement, Said, Verdict};

/// The lines that a remedy names, as policy text.
fn lines(remedy: &str) -> Vec<String> {
    let mut all = Vec::new();
    // Lines are as they are to be pasted.
    if let Some((_, toml)) = remedy.split_once(":\n[[static]]\n") {
        let lines = toml.split("[[static]]\n").map(str::trim_end);
        all.extend(lines.map(|line| format!("\n[[static]]\n{line}\n")));
    }
    for part in remedy.split("`[[flows]]` rule with ").skip(1) {
        let fields = part.split(", or remove").next().unwrap_or(part);
        let mut text = String::from("\n[[flows]]\n");
        for (place, part) in fields.split(", ").enumerate() {
            // What has no sign of equality goes on with a list.
            match part.contains(" = ") {
                _ if place == 0 => text.push_str(part.trim()),
                true => text.push_str(&format!("\n{}", part.trim())),
                false => text.push_str(&format!(", {}", part.trim())),
            }
        }
        all.push(text + "\n");
    }
    let subject = remedy
        .strip_prefix("add [")
        .and_then(|it| it.split_once("] with its domain"));
    all.extend(subject.map(|(name, rest)| {
        let fields = rest.split(" to the policy").next().unwrap_or_default();
        let fields = fields.replace(" and ", "");
        format!("\n[{name}]\ndomain = \"d0\"\n{fields}\n")
    }));
    all
}

/// The policy with the words that remedies add to lines which are there.
fn with_words(policy: &str, refusals: &[Refusal]) -> String {
    let silent = refusals.iter().filter(|it| it.code == "unbounded_dma");
    let silent = silent.filter(|it| it.remedy.contains("add to that line: dma = \"unbounded\""));
    let number = |it: &Refusal| {
        it.text
            .split_once("and line ")?
            .1
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    let numbers: Vec<usize> = silent.filter_map(number).collect();
    let mut text = String::new();
    for (number, line) in (1..).zip(policy.lines()) {
        text.push_str(line);
        text.push('\n');
        if numbers.contains(&number) {
            text.push_str("dma = \"unbounded\"\n");
        }
    }
    text
}

/// Follows all helps of a refused case at once; what comes of it, if the two then disagree.
pub(crate) fn follow(said: &Said<'_>) -> Option<(Case, Disagreement)> {
    let Verdict::Refused(refusals) = &said.checked.verdict else {
        return None;
    };
    if refusals.iter().any(|it| it.is_unreadable()) {
        return None;
    }
    let mut added: Vec<String> = refusals.iter().flat_map(|it| lines(&it.remedy)).collect();
    added.sort();
    added.dedup();
    let policy = &said.checked.policy;
    let text = with_words(policy, refusals) + &added.concat();
    // To a list of inline tables no line is added.
    if text == *policy || said.case.policy.inline {
        return None;
    }
    let policy = read::policy(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let case = Case {
        policy,
        system: said.case.system.clone(),
    };
    let checked = Checked::with_policy(said.case, text);
    let twice = |codes: &[&str]| {
        codes
            .iter()
            .filter(|it| it.starts_with("duplicate_"))
            .count()
    };
    let (before, after) = (said.checked.verdict.codes(), checked.verdict.codes());
    if twice(&after) > twice(&before) {
        let code = after
            .iter()
            .find(|it| it.starts_with("duplicate_") && !before.contains(it));
        return Some((
            case,
            Disagreement::HelpsContradict(code.map_or_else(String::new, |it| (*it).to_owned())),
        ));
    }
    let found = portcullis_oracle::findings(&case);
    match (&checked.verdict, found.first()) {
        (Verdict::Holds(_), Some(finding)) => {
            let kind = finding.kind;
            Some((case, Disagreement::HelpRemovesRule(kind)))
        }
        _ => None,
    }
}

//! The checker, asked with the texts that a case prints.

use std::fmt::Write;
use std::sync::Arc;

use portcullis_oracle::case::Case;
use portcullis_oracle::finding::Kind;
use portcullis_policy::check::{assumed_honest, without};
use portcullis_policy::{Described, Source, read, relation};
use portcullis_sdf::{System, Target};
use serde_json::Value;

use crate::image;

/// What the checker says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The description itself is wrong: there is nothing to judge.
    NoSystem,
    /// Nothing is wrong, if these components are honest.
    Holds(Vec<String>),
    Refused(Vec<Refusal>),
}

/// One problem: its code without `policy::`, all that it says, and its remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) text: String,
    pub(crate) remedy: String,
}

/// A case as the checker sees it.
pub(crate) struct Checked {
    pub(crate) policy: String,
    pub(crate) verdict: Verdict,
    /// What the builder would emit, where the policy holds and the builder makes an image.
    pub(crate) emitted: Option<Value>,
    described: Option<(System, Arc<Source>)>,
}

impl Refusal {
    fn of(problem: &portcullis_policy::Problem) -> Self {
        let mut text = problem.to_string();
        for (_, label) in problem.labels() {
            let _ = write!(text, "; {label}");
        }
        let code = problem.code_name();
        let code = code.strip_prefix("policy::").unwrap_or(&code).to_owned();
        Self {
            code,
            text,
            remedy: problem.remedy(),
        }
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        Kind::Malformed.codes().contains(&self.code.as_str())
    }
}

impl Verdict {
    fn of<'p>(problems: impl Iterator<Item = &'p portcullis_policy::Problem>) -> Self {
        Self::Refused(problems.map(Refusal::of).collect())
    }

    /// The codes, each once.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let Self::Refused(refusals) = self else {
            return Vec::new();
        };
        let mut codes: Vec<&str> = refusals.iter().map(|it| it.code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

impl Checked {
    pub(crate) fn new(case: &Case) -> Self {
        Self::with_policy(case, case.policy.toml())
    }

    /// The case's system with another policy.
    pub(crate) fn with_policy(case: &Case, policy: String) -> Self {
        let source = Arc::new(Source::new("system.xml", case.system.xml()));
        let Ok(system) = portcullis_sdf::parse(source.text(), &Target::ANY) else {
            return Self {
                policy,
                verdict: Verdict::NoSystem,
                emitted: None,
                described: None,
            };
        };
        let text = Arc::new(Source::new("policy.toml", policy.clone()));
        let mut emitted = None;
        let checked = portcullis_policy::Checked::new(text, system.clone(), Arc::clone(&source));
        let verdict = match checked {
            Ok(checked) => {
                emitted = image::emitted(&checked);
                let described = Some(checked.described());
                Verdict::Holds(assumed_honest(checked.policy(), described))
            }
            Err(problems) => Verdict::of(problems.iter()),
        };
        Self {
            policy,
            verdict,
            emitted,
            described: Some((system, source)),
        }
    }

    /// What the checker would say if its relation had no fact of this kind; `None` where the policy
    /// cannot be read.
    pub(crate) fn without(&self, kind: relation::Kind) -> Option<Verdict> {
        let (system, source) = self.described.as_ref()?;
        let read = read::read(Arc::new(Source::new("policy.toml", self.policy.clone())));
        if !read.problems.is_empty() {
            return None;
        }
        let problems = without(&read.policy, Some(Described::new(system, source)), kind);
        Some(match problems.is_empty() {
            true => Verdict::Holds(Vec::new()),
            false => Verdict::of(problems.iter()),
        })
    }
}

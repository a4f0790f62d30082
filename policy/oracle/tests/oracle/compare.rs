//! What the two say of a case, and where they differ.

use portcullis_oracle::case::Case;
use portcullis_oracle::finding::{Finding, Kind};
use portcullis_oracle::{allowed_by_lines, findings, trusted};

use crate::{Checked, Verdict, checker::Refusal, image};

/// A way in which they differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Disagreement {
    /// It holds, and somebody breaks a promise.
    Attack(Kind),
    /// It holds, and the image that the builder makes of it lets somebody break a promise.
    Image(Kind),
    /// The image lets nobody do what the oracle finds in the case.
    NotInImage(Kind),
    /// It is refused for nothing that anybody could do.
    NoReason(String),
    /// It holds, and others must be honest for that than it says.
    Assumed,
    /// Following the helps, lines were added that are refused for being there twice.
    HelpsContradict(String),
    /// Following the helps led to a policy that holds, and somebody breaks a promise.
    HelpRemovesRule(Kind),
}

/// Both answers.
pub(crate) struct Said<'c> {
    pub(crate) case: &'c Case,
    pub(crate) checked: Checked,
    pub(crate) findings: Vec<Finding>,
    wider: Vec<Finding>,
}

impl<'c> Said<'c> {
    pub(crate) fn about(case: &'c Case) -> Self {
        Self {
            case,
            checked: Checked::new(case),
            findings: findings(case),
            wider: allowed_by_lines(case),
        }
    }

    /// Where they differ, each with what it is about.
    pub(crate) fn disagreements(&self) -> Vec<(Disagreement, String)> {
        let mut all = self.differences(&self.checked.verdict);
        if let Some(emitted) = &self.checked.emitted {
            all.extend(image::disagreements(self.case, emitted));
        }
        all
    }

    /// Where another verdict would differ from what the oracle found.
    pub(crate) fn differences(&self, verdict: &Verdict) -> Vec<(Disagreement, String)> {
        match verdict {
            Verdict::NoSystem => Vec::new(),
            Verdict::Holds(assumed) if self.findings.is_empty() => {
                let trusted = trusted(self.case);
                let same = trusted == *assumed;
                let text = format!("{assumed:?} are assumed honest, and {trusted:?} must be");
                (!same)
                    .then_some((Disagreement::Assumed, text))
                    .into_iter()
                    .collect()
            }
            Verdict::Holds(_) => {
                let all = self.findings.iter();
                all.map(|it| (Disagreement::Attack(it.kind), it.to_string()))
                    .collect()
            }
            // Where a policy cannot be read, the rest is about what could be.
            Verdict::Refused(refusals) if refusals.iter().any(Refusal::is_unreadable) => Vec::new(),
            Verdict::Refused(refusals) => {
                let unfounded = refusals.iter().filter(|it| !self.founds(it));
                unfounded
                    .map(|it| (Disagreement::NoReason(it.code.clone()), it.text.clone()))
                    .collect()
            }
        }
    }

    /// Whether something that the oracle found is what a refusal is about.
    fn founds(&self, refusal: &Refusal) -> bool {
        self.findings.iter().chain(&self.wider).any(|finding| {
            finding.kind.codes().contains(&refusal.code.as_str())
                && finding
                    .names
                    .iter()
                    .all(|name| refusal.text.contains(name.as_str()))
        })
    }
}

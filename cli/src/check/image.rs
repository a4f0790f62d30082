//! `portcullis check --image`: whether a finished image keeps the rules.

use std::path::Path;

use portcullis_audit::files::{self, Said};
use portcullis_policy::image::{self, Finding, Image, Rule};
use portcullis_policy::{Checked, compile};
use portcullis_policy_format as format;
use portcullis_text::Plain;
use serde::Serialize;

use crate::failure::Failure;
use crate::load::unread;

/// What was found in an image.
#[derive(Serialize)]
pub(super) struct Report {
    file: String,
    board: String,
    config: String,
    sdk: String,
    capabilities: usize,
    mappings: usize,
    findings: Vec<Found>,
}

/// A finding as JSON shows it.
#[derive(Serialize)]
struct Found {
    rule: &'static str,
    component: String,
    place: String,
    found: String,
    expected: String,
    help: &'static str,
    #[serde(skip)]
    line: String,
}

/// Longest capability distribution that is read, in bytes: that of the reference appliance has 100 KiB.
const DISTRIBUTION_MAX: usize = 256 << 20;

/// Holds the distribution in `path` against a policy and its system.
pub(super) fn check(path: &Path, checked: &Checked) -> Result<Report, Failure> {
    let json =
        files::read(path, Said::Named, DISTRIBUTION_MAX).map_err(|error| unread(path, error))?;
    let image = Image::read(&json).map_err(|error| {
        let path = Plain(path.display());
        Failure::bad_input(format!(
            "{path} is not the distribution of an image: {error}"
        ))
    })?;
    let compiled = compile(checked);
    let compiled = format::Policy::inspect(&compiled).map_err(Failure::bad_input)?;
    let findings = image::check(&compiled, checked.system(), &image);
    let cnodes = image.threads().flat_map(|thread| &thread.cspace);
    let bindings = image.threads().map(|thread| thread.tcb.len());
    Ok(Report {
        file: Plain(path.display()).to_string(),
        capabilities: cnodes.map(|cnode| cnode.slots.len()).sum::<usize>()
            + bindings.sum::<usize>(),
        mappings: image
            .threads()
            .map(|thread| thread.vspace.mappings.len())
            .sum(),
        findings: findings.into_iter().map(Found::of).collect(),
        board: image.board,
        config: image.config,
        sdk: image.sdk,
    })
}

impl Report {
    pub(super) fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// A line that says whether it holds, and one for each finding.
    pub(super) fn human(&self) -> String {
        let Self {
            file,
            board,
            config,
            capabilities,
            mappings,
            findings,
            ..
        } = self;
        let verdict = match findings.len() {
            0 => format!(
                "holds: {capabilities} capabilities and {mappings} mappings keep {} rules",
                Rule::ALL.len()
            ),
            1 => "does not hold: 1 finding".to_owned(),
            count => format!("does not hold: {count} findings"),
        };
        let mut lines = vec![format!("{file} ({board}, {config}) {verdict}")];
        lines.extend(findings.iter().map(|finding| finding.line.clone()));
        lines.join("\n")
    }
}

impl Found {
    fn of(finding: Finding) -> Self {
        Self {
            line: finding.to_string(),
            rule: finding.rule.code(),
            component: finding.component,
            place: finding.place,
            found: finding.found,
            expected: finding.expected,
            help: finding.rule.remedy(),
        }
    }
}

//! `portcullis check`: whether a policy holds, alone and against its system description.

use std::path::PathBuf;

use clap::Args;
use portcullis_policy::{Ceiling, Policy, Problem, Problems};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load;
use crate::output::Output;

const EXAMPLE: &str = "\
Without --system, a `system.xml` beside the policy or in the folder above is taken; where there is
none, the policy is checked alone.

Exit code: 0 it holds; 1 it does not; 2 it cannot be understood, or the system description cannot;
3 a file cannot be read.

JSON: holds, policy {name, version, components, grants, boot_grants} or null, system or null,
problems [{code, message, help, file, line, column, labels [{line, column, text}]}].

Example:
  portcullis check policy/appliance.toml --system system.xml";

/// Check a policy, and hold it against its system description
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Check {
    /// The policy, in TOML
    policy: PathBuf,
    /// The system description
    #[arg(long, value_name = "FILE")]
    system: Option<PathBuf>,
    /// Check the policy alone, whatever system description there is
    #[arg(long, conflicts_with = "system")]
    alone: bool,
}

#[derive(Serialize)]
struct Report {
    holds: bool,
    policy: Option<Summary>,
    system: Option<String>,
    problems: Vec<Found>,
}

#[derive(Serialize)]
struct Summary {
    name: String,
    version: u32,
    components: usize,
    grants: usize,
    boot_grants: usize,
}

/// A problem as JSON shows it.
#[derive(Serialize)]
pub(crate) struct Found {
    code: String,
    message: String,
    help: String,
    file: String,
    line: u32,
    column: u32,
    labels: Vec<Label>,
}

#[derive(Serialize)]
struct Label {
    line: u32,
    column: u32,
    text: String,
}

impl Run for Check {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let system = if self.alone {
            None
        } else {
            load::system_for(&self.policy, self.system.as_deref())?
        };
        let checked = load::check(&self.policy, system.as_ref())?;
        let system = system.map(|file| file.source.name().to_owned());
        let (policy, problems) = match checked {
            Ok(policy) => (Some(Summary::of(&policy)), None),
            Err(problems) => (None, Some(problems)),
        };
        let report = Report {
            holds: problems.is_none(),
            policy,
            system,
            problems: problems
                .iter()
                .flat_map(Problems::iter)
                .map(Found::of)
                .collect(),
        };
        if output.is_json() || report.holds {
            output.print(&report, human)?;
        }
        match problems {
            None => Ok(Verdict::Holds),
            Some(problems) if output.is_json() => Err(Failure::quiet(&problems)),
            Some(problems) => Err(Failure::problems(problems)),
        }
    }
}

fn human(report: &Report) -> String {
    let Some(policy) = &report.policy else {
        return String::new();
    };
    let Summary {
        name,
        version,
        components,
        grants,
        boot_grants,
    } = policy;
    let alone = match &report.system {
        Some(system) => format!("held against {system}"),
        None => String::from("alone: no system description was given or found"),
    };
    format!(
        "{name}, version {version}, holds ({alone})\n{components} components can hold {grants} \
         grants at most, {boot_grants} of them from boot on"
    )
}

impl Summary {
    fn of(policy: &Policy) -> Self {
        let ceiling = Ceiling::of(policy);
        Self {
            name: policy.name.clone(),
            version: policy.version,
            components: policy.components.len(),
            grants: ceiling.count(),
            boot_grants: ceiling.boot_count(),
        }
    }
}

impl Found {
    fn of(problem: &Problem) -> Self {
        let source = problem.source();
        let (line, column) = source.line_column(problem.place());
        let label = |(place, text): &(portcullis_policy::model::Place, String)| {
            let (line, column) = source.line_column(place);
            let text = text.clone();
            Label { line, column, text }
        };
        Self {
            code: problem.code_name(),
            message: problem.to_string(),
            help: problem.remedy(),
            file: source.name().to_owned(),
            line,
            column,
            labels: problem.labels().iter().map(label).collect(),
        }
    }
}

//! `portcullis why`: whether one component may use a method of another, and which line says so.

use clap::Args;
use portcullis_policy::diff::issued;
use portcullis_policy::text;
use portcullis_policy::why::{Verdict as Answer, why};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{self, SystemArguments};
use crate::options::PolicyOption;
use crate::output::{Output, all_unquoted};

const EXAMPLE: &str = "\
The words are those of the grant log: `allowed` (from boot on, or by a static channel, which carries \
any method; its mode is `channel`), `unavailable` (a line allows it, once it is asked for or delegated), \
`forbidden` (no line allows it, and no line could without breaking a `never` rule: the path that it would \
complete is shown), `not permitted` (no line allows it). The running manager knows no paths: it says \
`forbidden` where a rule is of the two domains themselves, and `not permitted` of all else. \
Where two interfaces have a method of that name, write INTERFACE.METHOD.

The policy must hold against its system description, and what that gives by itself (the interrupts of \
devices, the channels to the manager) counts in paths. Where there is none, the policy alone is asked.

Exit code: 0 allowed; 1 any other answer; 2 a name does not resolve, or the policy does not hold; \
3 a file cannot be read.

JSON: verdict, subject, object, method, interface, mode, when, lease, line, reason; what no line \
says is null. path: whom something would pass that is forbidden; notes: what else is to be said; system or null.

Example:
  portcullis why --policy policy/appliance.toml ingest ledger append";

/// Say whether a component may use a method of another, and which line of the policy says so
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Why {
    /// The component that would call
    subject: String,
    /// The component that would be called
    object: String,
    /// The method
    method: String,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    system: SystemArguments,
}

/// The mode of what a static channel allows.
const CHANNEL: &str = "channel";

#[derive(Serialize)]
struct Report {
    verdict: &'static str,
    subject: String,
    object: String,
    method: String,
    interface: Option<String>,
    mode: Option<&'static str>,
    when: Option<String>,
    lease: Option<String>,
    line: Option<u32>,
    reason: Option<String>,
    #[serde(serialize_with = "all_unquoted")]
    path: Vec<String>,
    notes: Vec<String>,
    system: Option<String>,
}

impl Run for Why {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let system = self.system.found(&self.policy.policy)?;
        let policy = load::policy(&self.policy.policy, system.as_ref())?;
        let described = system.as_ref().map(|file| &file.system);
        let (subject, object) = (&self.subject, &self.object);
        let answer = why(&policy, described, subject, object, &self.method);
        let answer = answer.map_err(Failure::bad_input)?;
        let held = match answer {
            Answer::Allowed(held) | Answer::Unavailable(held) => Some(held),
            _ => None,
        };
        let file = policy.source.name();
        let report = Report {
            verdict: answer.word(),
            interface: held.map(|it| policy.interface(it.interface).name.clone()),
            mode: match answer {
                Answer::Channel(_) => Some(CHANNEL),
                _ => held.map(|it| it.mode.name()),
            },
            when: held.map(|it| issued(&policy, it.when)),
            lease: held.and_then(|it| it.lease_ms).map(text::lease),
            line: answer.line(&policy),
            reason: answer.reason(&policy).map(str::to_owned),
            path: match &answer {
                Answer::Forbidden { path, .. } => path.clone(),
                _ => Vec::new(),
            },
            notes: notes(&answer, file),
            system: system.as_ref().map(|file| file.source.name().to_owned()),
            subject: self.subject,
            object: self.object,
            method: self.method,
        };
        output.print(&report, |report| human(report, file))?;
        Ok(match answer {
            Answer::Allowed(_) | Answer::Channel(_) => Verdict::Holds,
            _ => Verdict::DoesNotHold,
        })
    }
}

/// What else is to be said of what no line allows.
fn notes(answer: &Answer<'_>, file: &str) -> Vec<String> {
    let Answer::NotPermitted { notifies, no_call } = answer else {
        return Vec::new();
    };
    let notifies = notifies.map(|rule| {
        let line = rule.place.line;
        format!("the channel of {file}:{line} only notifies, and carries no method")
    });
    let no_call = no_call.map(|rule| {
        let line = rule.place.line;
        format!("{file}:{line} forbids a call, whose reply flows back; what is one way it does not")
    });
    notifies.into_iter().chain(no_call).collect()
}

fn human(report: &Report, file: &str) -> String {
    let Report {
        verdict,
        subject,
        object,
        method,
        ..
    } = report;
    let mut text = format!("{verdict}: {subject} -> {object}, {method}");
    match (report.mode, &report.when) {
        (Some(mode), Some(when)) => text += &format!(", by {mode} ({when})"),
        (Some(_), None) => text += ", by a static channel, which carries any method",
        (None, _) => {}
    }
    match report.line {
        Some(line) => text += &format!("\n{file}:{line}"),
        None => text += "\nno line of the policy allows it",
    }
    if let Some(reason) = &report.reason {
        text += &format!(": {reason}");
    }
    let own = [subject, object].map(|name| format!("`{name}`"));
    if !report.path.is_empty() && report.path != own {
        text += &format!(
            "\na line that allowed it would let something flow {}",
            report.path.join(" -> ")
        );
    }
    for note in &report.notes {
        text += &format!("\nnote: {note}");
    }
    text
}

//! `portcullis reach`: what a component that was taken over can affect and learn, hop by hop.

use std::collections::BTreeSet;

use clap::Args;
use portcullis_policy::Policy;
use portcullis_policy::model::Subject;
use portcullis_policy::relation::{Fact, Hop, Kind, Relation};
use portcullis_policy::text::suggestion;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{self, SystemArguments};
use crate::options::PolicyOption;
use crate::output::{Output, table, unquoted};

const EXAMPLE: &str = "\
Shows what the component holds, whom it can affect and from whom it can learn, each with the shortest path \
and the lines of every hop. NAME is a component, a guest or a device. Who is on a path passes on what it \
gets; the manager does not. A driver of a device that does DMA without an IOMMU reaches all memory, and so \
does who makes secure monitor calls: it affects everybody and learns from everybody once it is taken over.

Where there is no system description, the policy is asked alone, with a note.

JSON: subject, domain, system or null, notes [text], all_memory, holds [{what, kind, line}], affects and \
learns [{subject, domain, path [{from, to, how, kind, lines}]}]. A line is null where the description gives \
it by itself.

Example:
  portcullis reach edge --system system.xml";

/// Show what a component that was taken over can affect and learn, hop by hop
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Reach {
    /// The component, guest or device that was taken over
    #[arg(value_name = "NAME")]
    subject: String,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    system: SystemArguments,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "unquoted")]
    subject: String,
    domain: String,
    system: Option<String>,
    notes: Vec<String>,
    /// Whether it reaches all memory, through a device or the secure monitor.
    all_memory: bool,
    holds: Vec<Held>,
    affects: Vec<Reached>,
    learns: Vec<Reached>,
}

/// Something that the subject can do itself.
#[derive(Serialize)]
struct Held {
    what: String,
    kind: &'static str,
    line: Option<u32>,
}

/// Somebody whom it reaches, or who reaches it.
#[derive(Serialize)]
struct Reached {
    #[serde(serialize_with = "unquoted")]
    subject: String,
    domain: String,
    path: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    #[serde(serialize_with = "unquoted")]
    from: String,
    #[serde(serialize_with = "unquoted")]
    to: String,
    how: String,
    kind: &'static str,
    lines: Vec<u32>,
}

impl Run for Reach {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let (system, note) = self.system.find(&self.policy.policy)?;
        let policy = load::check(&self.policy.policy, system.as_ref())?;
        let policy = policy.map_err(Failure::problems)?;
        let subject = named(&policy, &self.subject)?;
        let given = system.as_ref();
        let given = given.map(|file| Relation::given(&file.system));
        let relation = Relation::declared(&policy).with_fixed(&given.unwrap_or_default());
        let relation = relation.distrusting(subject);
        let report = Report {
            system: system.as_ref().map(|file| file.source.name().to_owned()),
            notes: note.into_iter().chain(honest(&relation, subject)).collect(),
            ..report(&policy, &relation, subject)
        };
        output.print(&report, human)?;
        Ok(Verdict::Holds)
    }
}

/// The others that are taken for honest: whatever they could do beyond is not shown.
fn honest(relation: &Relation<'_>, subject: Subject<'_>) -> Option<String> {
    let others = relation.assumed_honest().into_iter();
    let others = others.filter(|other| *other != subject);
    let others: Vec<String> = others.map(|other| other.to_string()).collect();
    (!others.is_empty()).then(|| {
        format!(
            "taken for honest, as `portcullis check` says: {}",
            others.join(", ")
        )
    })
}

/// The subject of this name; a component, where several have it.
fn named<'p>(policy: &'p Policy, name: &str) -> Result<Subject<'p>, Failure> {
    let mut subjects = policy.subjects().map(|(subject, _)| subject);
    subjects
        .find(|subject| subject.name() == name)
        .ok_or_else(|| {
            let names = policy.subjects().map(|(subject, _)| subject.name());
            let all = || String::from("`portcullis ceiling` lists the components");
            let help = suggestion(name, names, all);
            Failure::bad_input(format!("the policy has no subject `{name}`; {help}"))
        })
}

fn report<'p>(policy: &'p Policy, relation: &Relation<'p>, subject: Subject<'p>) -> Report {
    let own = relation.facts().iter();
    let own = own.filter(|fact| fact.subject == subject);
    let held: Vec<&Fact<'_>> = own
        .filter(|fact| !matches!(fact.kind, Kind::Processor | Kind::Activity))
        .collect();
    let all_memory = relation.reach_all_memory().contains(&subject);
    let reached = |end: Subject<'_>, path: &[Hop<'_>]| Reached {
        subject: end.to_string(),
        domain: domain_of(policy, relation, end),
        path: path.iter().map(Step::of).collect(),
    };
    let flows = relation.flows();
    let paths = flows.reach(subject);
    let affected = paths
        .iter()
        .map(|path| reached(path[path.len() - 1].to, path));
    let affected = affected.collect();
    let others = policy.subjects().map(|(other, _)| other);
    let others: BTreeSet<Subject<'_>> = others.filter(|other| *other != subject).collect();
    let mut learned: Vec<_> = others
        .iter()
        .filter_map(|other| {
            let start = std::iter::once(*other);
            let path = flows.shortest_path(start, |end| end == subject)?;
            Some((*other, path))
        })
        .collect();
    learned.sort_by_key(|(_, path)| path.len());
    let learned = learned.iter().map(|(other, path)| reached(*other, path));
    let learned = learned.collect();
    let everybody = || others.iter().map(|other| reached(*other, &[])).collect();
    Report {
        subject: subject.to_string(),
        domain: domain_of(policy, relation, subject),
        system: None,
        notes: Vec::new(),
        all_memory,
        holds: held.iter().map(|fact| Held::of(fact)).collect(),
        affects: with_all(affected, all_memory.then(everybody)),
        learns: with_all(learned, all_memory.then(everybody)),
    }
}

/// Those that are reached by a path, and then, where all memory is, all others.
fn with_all(mut reached: Vec<Reached>, all: Option<Vec<Reached>>) -> Vec<Reached> {
    let known: BTreeSet<String> = reached.iter().map(|it| it.subject.clone()).collect();
    let all = all.into_iter().flatten();
    reached.extend(all.filter(|it| !known.contains(&it.subject)));
    reached
}

fn domain_of(policy: &Policy, relation: &Relation<'_>, subject: Subject<'_>) -> String {
    let domain = relation.domain_of(subject);
    domain.map_or_else(String::new, |domain| policy.domain(domain).name.clone())
}

impl Held {
    fn of(fact: &Fact<'_>) -> Self {
        Self {
            what: fact.describe(),
            kind: fact.kind.name(),
            line: fact.cause.line(),
        }
    }
}

impl Step {
    fn of(hop: &Hop<'_>) -> Self {
        Self {
            from: hop.from.to_string(),
            to: hop.to.to_string(),
            how: hop.describe(),
            kind: hop.fact.kind.name(),
            lines: hop.lines(),
        }
    }
}

fn human(report: &Report) -> String {
    let Report {
        subject,
        domain,
        affects,
        learns,
        ..
    } = report;
    let mut text = format!("{subject}, in domain `{domain}`, taken over:\n\nit holds\n");
    let line = |line: Option<u32>| line.map_or_else(String::new, |line| line.to_string());
    let holds = report.holds.iter();
    let holds = holds.map(|it| vec![it.what.clone(), it.kind.to_owned(), line(it.line)]);
    text += &table(&["what", "kind", ">line"], holds);
    if report.all_memory {
        text += "\n\nit reaches all memory: it can affect everybody, and learn from everybody";
    }
    for (title, all) in [("it can affect", affects), ("it can learn from", learns)] {
        text += &format!("\n\n{title}\n");
        text += &match all.as_slice() {
            [] => String::from("nobody"),
            all => all.iter().map(path).collect::<Vec<_>>().join("\n"),
        };
    }
    for note in &report.notes {
        text += &format!("\n\nnote: {note}");
    }
    text
}

/// A reached subject with its path, a hop a line.
fn path(reached: &Reached) -> String {
    let Reached {
        subject,
        domain,
        path,
    } = reached;
    let mut text = format!("  {subject}, in domain `{domain}`");
    if path.is_empty() {
        text += ": through all memory";
    }
    for step in path {
        let lines = match step.lines.as_slice() {
            [] => String::from("the system description"),
            [line] => format!("line {line}"),
            lines => {
                let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
                format!("lines {}", lines.join(" and "))
            }
        };
        text += &format!("\n    {} -> {}: {} ({lines})", step.from, step.to, step.how);
    }
    text
}

//! `portcullis check`: whether a policy holds, alone and against its system description, and whether a
//! finished image keeps to both.

mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_policy::check::assumed_honest;
use portcullis_policy::model::{MANAGER, OnFault, Place, Subject};
use portcullis_policy::relation::{Kind, Object};
use portcullis_policy::{Ceiling, Checked, Described, Policy, Problems, Relation};
use portcullis_sdf::System;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict, say};
use crate::load::{self, SystemArguments, SystemFile};
use crate::options::PolicyArgument;
use crate::output::{Output, all_unquoted};
use crate::problem::Found;

const EXAMPLE: &str = "\
Where there is no system description, the policy is checked alone, with a note.

--sdk reads from a Microkit SDK what the board has in that configuration: cores, hypervisor, IOMMU, \
secure monitor calls, scheduling domains, addresses, and where the kernel, memory and devices lie. \
Without it, only what no board accepts is refused. With --search-path, the files that fill memory \
regions are looked for as Microkit's tool does; without it, no such file is looked at.

--image holds the capability distribution that portcullis-image wrote against both: every capability \
accounted for, none wider than stated, every frame mapped only as declared (docs/image-rules.md). \
The system description must be the one that the image was built from. Each finding is a line.

Where a component drives a device that does DMA without an IOMMU, and the line of the device's registers \
accepts that with dma = \"unbounded\", the verdict assumes that the component is honest; so it does of one \
that makes secure monitor calls, and of the keeper of the grant log, with records = \"opaque\". With \
--strict that is exit code 1.

Exit code: 0 it holds; 1 it does not; 2 it cannot be understood, or the system description or the \
distribution cannot; 3 a file cannot be read.

JSON: holds, policy {name, version, components, grants, boot_grants} or null, system or null, \
board or null, \
problems [{code, message, help, file, line, column, labels [{line, column, text}]}], more_problems, \
assuming [name], notes [text], \
image {file, board, config, sdk, capabilities, mappings, findings [{rule, component, place, found, \
expected, help}]} or null.

Example:
  portcullis check policy/appliance.toml --system system.xml
  portcullis check policy/appliance.toml --system system.xml \\
      --sdk microkit-sdk-2.3.0 --board qemu_virt_aarch64 --config release
  portcullis check policy/appliance.toml --image distribution.json";

/// Check a policy, and hold it against its system description, and a finished image against both
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Check {
    #[command(flatten)]
    policy: PolicyArgument,
    #[command(flatten)]
    system: SystemArguments,
    /// Check the policy alone, whatever system description there is
    #[arg(long, conflicts_with_all = ["system", "sdk", "search_path"])]
    alone: bool,
    /// The capability distribution of a finished image, in JSON
    #[arg(long, value_name = "FILE", conflicts_with = "alone")]
    image: Option<PathBuf>,
    /// Exit with 1 where the policy holds only if a component is honest
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct Report {
    holds: bool,
    policy: Option<Summary>,
    system: Option<String>,
    board: Option<String>,
    problems: Vec<Found>,
    /// How many more there are.
    more_problems: usize,
    /// Who must be honest for the policy to hold.
    #[serde(serialize_with = "all_unquoted")]
    assuming: Vec<String>,
    /// How the system description was found; what the policy says, and nothing does yet.
    notes: Vec<String>,
    image: Option<image::Report>,
}

#[derive(Serialize)]
struct Summary {
    name: String,
    version: u32,
    components: usize,
    grants: usize,
    boot_grants: usize,
}

impl Run for Check {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let (system, note) = match self.alone {
            true => (None, None),
            false => self.system.find(self.policy.path())?,
        };
        let system_name = system.as_ref().map(|file| file.source.name().to_owned());
        let held = Held::check(self.policy.path(), system)?;
        let image = match (&self.image, &held) {
            (Some(path), Ok(Held::For(checked))) => Some(image::check(path, checked)?),
            (Some(_), Ok(Held::Alone(_))) => return Err(no_system()),
            // A policy that does not hold is nothing to hold an image against.
            (Some(_), Err(_)) | (None, _) => None,
        };
        let (policy, assuming, notes, problems) = match held {
            Ok(held) => {
                let (policy, described) = (held.policy(), held.described());
                let stock = described
                    .map(|it| stock(policy, it.system))
                    .unwrap_or_default();
                let notes = notes(policy).into_iter().chain(stock).collect();
                let assuming = assumed_honest(policy, described);
                (Some(Summary::of(policy)), assuming, notes, None)
            }
            Err(problems) => (None, Vec::new(), Vec::new(), Some(problems)),
        };
        let notes = note.into_iter().chain(notes).collect();
        let shown: Vec<_> = problems.iter().flat_map(Problems::iter).collect();
        let accepted = !self.strict || assuming.is_empty();
        let image_holds = image.as_ref().is_none_or(image::Report::holds);
        let report = Report {
            holds: problems.is_none() && image_holds && accepted,
            policy,
            board: self.system.board.name().filter(|_| system_name.is_some()),
            system: system_name,
            problems: shown.iter().map(|problem| Found::of(problem)).collect(),
            more_problems: problems.as_ref().map_or(0, Problems::count) - shown.len(),
            assuming,
            notes,
            image,
        };
        if output.is_json() || problems.is_none() {
            output.print(&report, human)?;
        } else {
            report
                .notes
                .iter()
                .for_each(|note| say(format_args!("note: {note}")));
        }
        match problems {
            None => Ok(Verdict::of(report.holds)),
            Some(problems) if output.is_json() => Err(Failure::quiet(&problems)),
            Some(problems) => Err(Failure::problems(problems)),
        }
    }
}

/// A policy that holds.
enum Held {
    /// By itself.
    Alone(Box<Policy>),
    /// For a system.
    For(Box<Checked>),
}

impl Held {
    fn check(path: &Path, system: Option<SystemFile>) -> Result<Result<Self, Problems>, Failure> {
        let source = load::source(path)?;
        Ok(match system {
            Some(file) => Checked::new(source, file.system, file.source)
                .map(|checked| Self::For(Box::new(checked))),
            None => {
                portcullis_policy::load(source, None).map(|policy| Self::Alone(Box::new(policy)))
            }
        })
    }

    fn policy(&self) -> &Policy {
        match self {
            Self::Alone(policy) => policy,
            Self::For(checked) => checked.policy(),
        }
    }

    fn described(&self) -> Option<Described<'_>> {
        match self {
            Self::Alone(_) => None,
            Self::For(checked) => Some(checked.described()),
        }
    }
}

fn no_system() -> Failure {
    Failure::bad_input(
        "an image is held against a system description, and none was given or found: name the one that \
         it was built from with --system",
    )
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
    let alone = match (&report.system, &report.board) {
        (Some(system), Some(board)) => format!("held against {system}, for {board}"),
        (Some(system), None) => format!("held against {system}"),
        (None, _) => String::from("against no system description"),
    };
    let mut text = format!(
        "{name}, version {version}, holds{} ({alone})\n{components} components can hold {grants} \
         grants at most, {boot_grants} of them from boot on",
        assumption(&report.assuming)
    );
    for note in &report.notes {
        text += &format!("\nnote: {note}");
    }
    if let Some(image) = &report.image {
        text += &format!("\n{}", image.human());
    }
    text
}

/// On whose honesty a verdict depends: ", assuming `blk` is honest".
fn assumption(assuming: &[String]) -> String {
    match assuming {
        [] => String::new(),
        [one] => format!(", assuming {one} is honest"),
        [first @ .., last] => {
            format!(", assuming {} and {last} are honest", first.join(", "))
        }
    }
}

/// What the policy says and nothing does: a line for each component that is to be started again after a
/// fault, for each grant that is not simply issued at boot, for each `never` rule of an empty domain, and
/// for each device without a driver.
fn notes(policy: &Policy) -> Vec<String> {
    let at = |place: &Place, what: String| {
        let (line, _) = policy.source.line_column(place);
        format!("{}:{line}: {what}", policy.source.name())
    };
    let components = policy.components.iter();
    let restarted = components.filter(|component| component.on_fault == OnFault::Restart);
    let restarted = restarted.map(|component| {
        let what = format!(
            "on_fault = \"restart\": nothing starts `{}` again yet; it stays stopped, and who calls it \
             then waits. Write \"stop\"",
            component.name
        );
        at(&component.place, what)
    });
    let idle = policy.nevers.iter().flat_map(|never| {
        let domains = [never.from, never.to].into_iter();
        let empty = domains.filter(|domain| policy.members(*domain).next().is_none());
        empty.map(|domain| {
            let name = &policy.domain(domain).name;
            let what =
                format!("never: nothing is in domain `{name}`, so this rule forbids nothing");
            at(&never.place, what)
        })
    });
    let devices = policy.devices.iter().filter(|it| it.registers.is_empty());
    let driverless = devices.map(|device| {
        let what = format!(
            "registers = []: nobody is the driver of device `{}`; where a component maps its registers, \
             name their region, or its line says dma = \"unbounded\"",
            device.name
        );
        at(&device.place, what)
    });
    restarted.chain(idle).chain(driverless).collect()
}

/// What a system without a manager adds to its description: Microkit's own tool builds it. Its capabilities
/// to call carry Read, which `never` counts, and each protection domain has a copy of the one by which its
/// faults reach the monitor, which nothing counts.
fn stock(policy: &Policy, system: &System) -> Vec<String> {
    if system.pd_named(MANAGER).is_some() {
        return Vec::new();
    }
    let relation = Relation::declared(policy);
    let mut receivers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for fact in relation
        .facts()
        .iter()
        .filter(|it| it.kind == Kind::Receive)
    {
        // A guest's faults are received; it holds no capability to receive itself.
        if let (Object::Input(own), Subject::Component(_)) = (fact.object, fact.subject) {
            receivers
                .entry(own)
                .or_default()
                .insert(fact.subject.to_string());
        }
    }
    let of_channels = receivers.into_iter().map(|(own, names)| {
        let names: Vec<String> = names.into_iter().collect();
        format!(
            "Microkit's own tool, which builds a system without `{MANAGER}`, adds Read to a channel's \
             capabilities: what others send to `{own}` can be received by {}",
            names.join(", ")
        )
    });
    let parentless = system.protection_domains.iter();
    let several = parentless.filter(|pd| pd.parent.is_none()).count() > 1;
    let of_monitor = (several && !policy.nevers.is_empty()).then(|| {
        format!(
            "Microkit's own tool, which builds a system without `{MANAGER}`, lets every protection domain \
             send to its monitor, and receive what others send there: no `never` rule is about that"
        )
    });
    of_channels.chain(of_monitor).collect()
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

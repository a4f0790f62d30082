//! What is wrong between the authority that a system description gives and the policy's lines.

use miette::Diagnostic;
use portcullis_sdf::{ExtraCapKind, System};
use thiserror::Error;

use super::cover::{Reason, Uncovered, uncovered, unused};
use super::{Holder, Kind};
use crate::check::Described;
use crate::model::Policy;
use crate::problem::Problem;
use crate::text;

/// An authority and a line that do not fit each other.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum AuthorityFault {
    /// An authority that no line declares.
    #[error("{holder} {does}, and no line of `{policy}` says so")]
    #[diagnostic(code(policy::uncovered), help("{help}"))]
    Uncovered {
        /// Who has it.
        holder: String,
        /// What it allows.
        does: String,
        /// Name of the policy's source.
        policy: String,
        /// The line to add.
        help: String,
    },
    /// A mapping that allows more than its line declares.
    #[error("{holder} {does}, and line {line} of `{policy}` allows \"{declared}\"")]
    #[diagnostic(
        code(policy::mapped_wider),
        help("map it with perms=\"{declared}\", or allow more in that line")
    )]
    Wider {
        /// Who maps it.
        holder: String,
        /// What the mapping allows.
        does: String,
        /// What the line allows.
        declared: String,
        /// The line, from 1.
        line: u32,
        /// Name of the policy's source.
        policy: String,
    },
    /// An extra capability where the image needs the slot.
    #[error("{holder} {does} in slot 1 of its root CNode, where its grants CNode lies")]
    #[diagnostic(
        code(policy::root_slot_taken),
        help("give it a slot from 2 to 63: slots 0 and 1 are Microkit's and Portcullis's")
    )]
    SlotTaken {
        /// Who holds it.
        holder: String,
        /// What it allows.
        does: String,
    },
    /// A line whose component has no such authority.
    #[error("`{component}` does not have {authority} in `{file}`")]
    #[diagnostic(
        code(policy::unused_static),
        help("correct the line or remove it: what the policy allows must be what the system does")
    )]
    Unused {
        /// The component.
        component: String,
        /// What the line declares.
        authority: String,
        /// Name of the system description.
        file: String,
    },
}

/// Holds the system's authorities against the policy's lines, both ways.
///
/// A protection domain that is no component is left to the check of names, and so is a region or
/// virtual machine that the system does not declare.
pub fn check(policy: &Policy, described: Described<'_>) -> Vec<Problem> {
    let Described { system, source } = described;
    let mut problems = Vec::new();
    for one in uncovered(policy, system) {
        let Some(fault) = fault(policy, system, &one) else {
            continue;
        };
        let place = source.place(one.authority.span.clone());
        problems.push(Problem::broken(source, &place, label(&fault), fault));
    }
    for line in unused(policy, system) {
        use crate::model::Authority as Declared;
        let rule = line.rule;
        let component = &policy.component(rule.component).name;
        let is_declared = match &rule.authority {
            Declared::Region { region, .. } => system.region_named(region).is_some(),
            Declared::VirtualMachine(name) => has_machine(system, name),
            _ => true,
        };
        if is_declared && system.pd_named(component).is_some() {
            let fault = AuthorityFault::Unused {
                component: component.clone(),
                authority: text::authority(policy, &rule.authority),
                file: source.name().to_owned(),
            };
            let label = label(&fault);
            problems.push(Problem::broken(&policy.source, &rule.object, label, fault));
        }
    }
    problems
}

fn has_machine(system: &System, name: &str) -> bool {
    let mut machines = system.protection_domains.iter();
    machines.any(|pd| {
        let machine = pd.virtual_machine.as_ref();
        machine.is_some_and(|vm| vm.name.value == name)
    })
}

fn fault(policy: &Policy, system: &System, one: &Uncovered) -> Option<AuthorityFault> {
    let authority = &one.authority;
    let holder = authority.holder.describe(system);
    let does = authority.describe(system).to_string();
    let policy = policy.source.name().to_owned();
    Some(match &one.reason {
        Reason::NoComponent => return None,
        Reason::NoLine => AuthorityFault::Uncovered {
            holder,
            does,
            policy,
            help: remedy(system, one),
        },
        Reason::Wider { declared, line } => AuthorityFault::Wider {
            holder,
            does,
            declared: declared.to_string(),
            line: *line,
            policy,
        },
        Reason::SlotTaken => AuthorityFault::SlotTaken { holder, does },
    })
}

const fn label(fault: &AuthorityFault) -> &'static str {
    match fault {
        AuthorityFault::Uncovered { .. } => "not declared",
        AuthorityFault::Wider { .. } => "more than declared",
        AuthorityFault::SlotTaken { .. } => "slot taken",
        AuthorityFault::Unused { .. } => "not given",
    }
}

/// The line that would cover an authority.
fn remedy(system: &System, one: &Uncovered) -> String {
    let pd = |id| &system.pd(id).name.value;
    let region = |id| &system.region(id).name.value;
    let field = match &one.authority.kind {
        Kind::Call { peer, .. } => format!("channel = \"{}\"", pd(*peer)),
        Kind::Notify { peer, .. } => {
            let peer = pd(*peer);
            return format!(
                "add notify=\"false\" where nothing is notified; otherwise add to the policy: \
                 [[static]] with {}channel = \"{peer}\", mode = \"notify\" and a reason",
                component(system, &one.authority.holder)
            );
        }
        Kind::Region {
            region: id, perms, ..
        } => format!("region = \"{}\", perms = \"{perms}\"", region(*id)),
        Kind::PhysicalAddress { region: id } => {
            format!("region = \"{}\", perms = \"r\"", region(*id))
        }
        Kind::Irq { number, .. } => format!("irq = {number}"),
        Kind::IoPorts { base, size } => format!("ioport = {base:#x}, size = {size}"),
        Kind::Child { child } => format!("child = \"{}\"", pd(*child)),
        Kind::VirtualMachine { name, .. } => format!("vm = \"{name}\""),
        Kind::ExtraCap { kind, of, .. } => format!("cap = \"{} of {}\"", word(*kind), pd(*of)),
        Kind::Smc => "smc = true".to_owned(),
    };
    let component = component(system, &one.authority.holder);
    format!("remove it here, or add to the policy: [[static]] with {component}{field} and a reason")
}

fn component(system: &System, holder: &Holder) -> String {
    match holder {
        Holder::Pd(id) | Holder::Guest(id) => {
            format!("component = \"{}\", ", system.pd(*id).name.value)
        }
        Holder::Device(_) => "the component that drives it, ".to_owned(),
    }
}

/// The word of the policy language for a kind of extra capability.
const fn word(kind: ExtraCapKind) -> &'static str {
    match kind {
        ExtraCapKind::Tcb => "tcb",
        ExtraCapKind::SchedContext => "sc",
        ExtraCapKind::VSpace => "vspace",
    }
}

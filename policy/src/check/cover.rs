//! Whether every authority that a system description gives is declared by a line of the policy, and no
//! line declares what is not given.
//!
//! Two things need no line: that a component calls the manager, and that both ends of a `stream` map its
//! region, the subject to read and write, the object to read.

use std::collections::HashMap;

use miette::Diagnostic;
use portcullis_kernel::cspace;
use portcullis_sdf::{Perms, System};
use thiserror::Error;

use super::{Check, Described, Relations};
use crate::model::{Authority, Place, Policy, Static, Subject};
use crate::problem::Problem;
use crate::relation::{Fact, Kind, Object, Power, Regions, Relation, Rights, of_rule};
use crate::text;

/// An authority and a line that do not fit each other.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum CoverFault {
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
    /// A device that does DMA without an IOMMU.
    #[error("{holder} {does}, and no line of `{policy}` accepts that")]
    #[diagnostic(
        code(policy::unbounded_dma),
        help(
            "put its device behind an IOMMU, with <io_address_space> and an <irq> that names it by \
             pcidev, or add to the policy: [[static]] with component = \"{component}\", dma = \"unbounded\" and a reason; then all verdicts \
             assume that {holder} is honest"
        )
    )]
    UnboundedDma {
        /// Who reaches all memory.
        holder: String,
        /// Its name.
        component: String,
        /// How.
        does: String,
        /// Name of the policy's source.
        policy: String,
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
    /// A guest or a device that the policy does not know.
    #[error("{subject} is no {kind} of the policy")]
    #[diagnostic(
        code(policy::unknown_subject),
        help("add [{kind}s.{name}] with its domain to the policy{lines}")
    )]
    UnknownSubject {
        /// The subject.
        subject: String,
        /// Its name, as a key of TOML.
        name: String,
        /// What it is.
        kind: &'static str,
        /// The lines that it needs beside.
        lines: String,
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
    /// A line whose holder has no such authority.
    #[error("{holder} does not have {authority} in `{file}`")]
    #[diagnostic(
        code(policy::unused_static),
        help("correct the line or remove it: what the policy allows must be what the system does")
    )]
    Unused {
        /// The holder.
        holder: String,
        /// What the line declares.
        authority: String,
        /// Name of the system description.
        file: String,
    },
}

/// Holds what is given against what is declared, both ways. A protection domain that is no component is
/// left to the check of names, and so is a region or virtual machine that the system does not declare.
pub(super) fn check(check: &mut Check<'_>, relations: &Relations<'_>, described: Described<'_>) {
    slots(check, described);
    unknown_subjects(check, relations, described);
    let lines = Index::of(&relations.declared);
    let regions = relations.given.regions();
    for fact in relations
        .given
        .facts()
        .iter()
        .filter(|fact| needs_line(fact))
    {
        let is_declared = || lines.about(fact).any(|it| fact.rights.is_subset(it.rights));
        // A line for what is refused would be refused.
        if relations.declared.domain_of(fact.subject).is_none()
            || relations.is_refused(fact)
            || is_declared()
        {
            continue;
        }
        let does = fact.describe() + &sharers(&regions, fact);
        let (fault, label) = fault(check.policy, &lines, &regions, fact, does);
        let source = described.source;
        let place = fact.cause.of_source(Some(source));
        let problem = Problem::broken(source, &place, label, fault);
        check.problems.push(problem);
    }
    unused(check, relations, described);
}

/// Whether a line must declare it: not a channel to the manager, where a component runs, or that a device
/// raises its interrupt.
fn needs_line(fact: &Fact<'_>) -> bool {
    let fixed = matches!(fact.kind, Kind::ManagerChannel | Kind::Processor);
    let raised = fact.kind == Kind::Interrupt && fact.rights == Rights::SIGNAL;
    !fixed && !raised
}

/// Facts by subject and object.
struct Index<'r, 'a>(HashMap<(Subject<'a>, Object<'a>), Vec<&'r Fact<'a>>>);

impl<'r, 'a> Index<'r, 'a> {
    fn of(relation: &'r Relation<'a>) -> Self {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for fact in relation.facts() {
            let key = (fact.subject, Self::key(fact.object));
            index.entry(key).or_default().push(fact);
        }
        Self(index)
    }

    /// A range of ports can lie in another.
    fn key(object: Object<'a>) -> Object<'a> {
        match object {
            Object::Ports { .. } => Object::Ports { base: 0, size: 0 },
            other => other,
        }
    }

    /// The facts on an object that a subject has.
    fn on(&self, subject: Subject<'a>, object: Object<'a>) -> impl Iterator<Item = &'r Fact<'a>> {
        let key = (subject, Self::key(object));
        self.0.get(&key).into_iter().flatten().copied()
    }

    /// The lines that speak of the same authority as a given fact.
    fn about(&self, given: &Fact<'a>) -> impl Iterator<Item = &'r Fact<'a>> {
        let lines = self.on(given.subject, given.object);
        lines.filter(move |line| speaks_of(line.kind, line.object, given))
    }
}

fn speaks_of<'a>(kind: Kind, object: Object<'a>, given: &Fact<'a>) -> bool {
    let same_kind = match given.kind {
        Kind::Map | Kind::Address => matches!(kind, Kind::Map | Kind::Stream),
        other => kind == other,
    };
    let same_object = match (object, given.object) {
        (
            Object::Ports { base, size },
            Object::Ports {
                base: first,
                size: count,
            },
        ) => base <= first && first.saturating_add(count) <= base.saturating_add(size),
        (line, given) => line == given,
    };
    same_kind && same_object
}

fn fault<'a>(
    policy: &Policy,
    lines: &Index<'_, 'a>,
    regions: &Regions<'_, 'a>,
    fact: &Fact<'a>,
    does: String,
) -> (CoverFault, &'static str) {
    let holder = fact.subject.to_string();
    let file = policy.source.name().to_owned();
    if fact.kind == Kind::Dma {
        let fault = CoverFault::UnboundedDma {
            holder,
            component: fact.subject.name().to_owned(),
            does,
            policy: file,
        };
        return (fault, "reaches all memory");
    }
    let is_mapping = matches!(fact.object, Object::Region(_)) && fact.kind != Kind::Address;
    let lines = lines.about(fact).filter(|_| is_mapping);
    let widest = lines.max_by_key(|line| line.rights);
    match widest {
        Some(line) => (
            CoverFault::Wider {
                holder,
                does,
                declared: line.rights.perms().to_string(),
                line: line.cause.line().unwrap_or_default(),
                policy: file,
            },
            "more than declared",
        ),
        None => (
            CoverFault::Uncovered {
                holder,
                does,
                policy: file,
                help: remedy(fact, regions),
            },
            "not declared",
        ),
    }
}

/// Who shares a region that somebody can write.
fn sharers(regions: &Regions<'_, '_>, fact: &Fact<'_>) -> String {
    let Object::Region(region) = fact.object else {
        return String::new();
    };
    let from = (region, Subject::Component(""));
    let sharing = regions
        .range(from..)
        .take_while(|((name, _), _)| *name == region);
    let writes = |rights: Rights| rights.has(Rights::WRITE);
    let flows = |((_, other), (rights, _)): &(&(&str, Subject<'_>), &(Rights, &Fact<'_>))| {
        *other != fact.subject
            && fact.kind != Kind::Address
            && *rights != Rights::LOCATE
            && (writes(fact.rights) || writes(*rights))
    };
    let shared = sharing.filter(flows);
    let named = shared.map(|((_, other), (rights, _))| format!("{other} \"{}\"", rights.perms()));
    match named.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        named => format!(", shared with {}", named.join(", ")),
    }
}

/// The line that would cover a fact.
fn remedy(fact: &Fact<'_>, regions: &Regions<'_, '_>) -> String {
    let holder = format!(
        "[[static]] with {} = \"{}\"",
        fact.subject.field(),
        fact.subject.name()
    );
    let Some(field) = field(fact, regions) else {
        return "remove it here".to_owned();
    };
    if fact.kind == Kind::Channel && !fact.rights.has(Rights::CALL) {
        return format!(
            "add notify=\"false\" where nothing is notified; otherwise add to the policy: {holder}, \
             {field} and a reason"
        );
    }
    format!("remove it here, or add to the policy: {holder}, {field} and a reason")
}

/// The fields of that line: of a region, with the sum of what its subject may do to it. `None`: no line
/// is about such a thing.
fn field(fact: &Fact<'_>, regions: &Regions<'_, '_>) -> Option<String> {
    Some(match fact.object {
        Object::Region(name) => {
            let sum = regions
                .get(&(name, fact.subject))
                .map(|(rights, _)| rights.perms());
            let none = Perms::default();
            // Whoever only knows where it lies needs a line too.
            let perms = sum.filter(|perms| *perms != none).unwrap_or(Perms::READ);
            format!("region = \"{name}\", perms = \"{perms}\"")
        }
        Object::Component(peer) if fact.rights.has(Rights::CALL) => format!("channel = \"{peer}\""),
        Object::Component(peer) => format!("channel = \"{peer}\", mode = \"notify\""),
        Object::Power(Power::Parent, of) => format!("child = \"{}\"", of.name()),
        Object::Power(Power::Monitor, of) => format!("vm = \"{}\"", of.name()),
        Object::Power(Power::Capability(kind), of) => format!("cap = \"{kind} of {}\"", of.name()),
        Object::Interrupt(number) => format!("irq = {number}"),
        Object::Ports { base, size } => format!("ioport = {base:#x}, size = {size}"),
        Object::Firmware => "smc = true".to_owned(),
        Object::Memory => "dma = \"unbounded\"".to_owned(),
        Object::Activity(_) | Object::Processor { .. } => return None,
    })
}

/// Guests and devices that the policy has no table for, each with the lines that it needs.
fn unknown_subjects(check: &mut Check<'_>, relations: &Relations<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    let regions = relations.given.regions();
    let machines = system.protection_domains.iter();
    let machines = machines.filter_map(|pd| pd.virtual_machine.as_ref());
    let guests = machines.map(|vm| (Subject::Guest(&vm.name.value), &vm.name.span));
    let spaces = system.io_address_spaces.iter();
    let devices = spaces.map(|space| (Subject::Device(&space.name.value), &space.name.span));
    for (subject, span) in guests.chain(devices) {
        if relations.declared.domain_of(subject).is_some() {
            continue;
        }
        let maps = relations.given.facts().iter();
        let maps =
            maps.filter(|fact| fact.subject == subject && matches!(fact.object, Object::Region(_)));
        let lines = maps.filter_map(|fact| {
            let (kind, name, field) = (subject.field(), subject.name(), field(fact, &regions)?);
            Some(format!(
                "; [[static]] with {kind} = \"{name}\", {field} and a reason"
            ))
        });
        let fault = CoverFault::UnknownSubject {
            subject: subject.to_string(),
            name: text::key(subject.name()),
            kind: subject.field(),
            lines: lines.collect(),
        };
        let place = source.place(span.clone());
        let problem = Problem::broken(source, &place, "not in the policy", fault);
        check.problems.push(problem);
    }
}

/// Extra capabilities in the slot that the image needs.
fn slots(check: &mut Check<'_>, described: Described<'_>) {
    for pd in &described.system.protection_domains {
        for cap in &pd.caps {
            if u64::from(cap.slot.value) != cspace::PORTCULLIS_ROOT_SLOT {
                continue;
            }
            let of = &described.system.pd(cap.pd.value).name.value;
            let kind = match cap.kind {
                portcullis_sdf::ExtraCapKind::Tcb => "TCB",
                portcullis_sdf::ExtraCapKind::SchedContext => "scheduling context",
                portcullis_sdf::ExtraCapKind::VSpace => "VSpace",
            };
            let fault = CoverFault::SlotTaken {
                holder: format!("`{}`", pd.name.value),
                does: format!("holds the {kind} of `{of}`"),
            };
            let place = described.source.place(cap.span.clone());
            let problem = Problem::broken(described.source, &place, "slot taken", fault);
            check.problems.push(problem);
        }
    }
}

/// The static rules whose holder does not have what they declare. Interrupts, I/O ports, secure monitor
/// calls and DMA are not among them: another board's description may have them.
fn unused(check: &mut Check<'_>, relations: &Relations<'_>, described: Described<'_>) {
    let (policy, Described { system, source, .. }) = (check.policy, described);
    let given = Index::of(&relations.given);
    for rule in &policy.statics {
        let elsewhere = matches!(
            rule.authority,
            Authority::Irq(_)
                | Authority::IoPorts { .. }
                | Authority::Smc
                | Authority::UnboundedDma
        );
        if elsewhere || !is_declared(policy, system, rule) {
            continue;
        }
        let holder = policy.subject(rule.holder);
        let (_, object, kind) = of_rule(policy, rule);
        let mut given = given.on(holder, object);
        if given.any(|fact| speaks_of(kind, object, fact)) {
            continue;
        }
        let fault = CoverFault::Unused {
            holder: holder.to_string(),
            authority: text::authority(policy, &rule.authority),
            file: source.name().to_owned(),
        };
        let place: &Place = &rule.object;
        check.broken(place, "not given", fault);
    }
}

/// Whether the system declares the holder of a rule, and the region or virtual machine that it names.
fn is_declared(policy: &Policy, system: &System, rule: &Static) -> bool {
    let machine = |name: &str| {
        let machines = system.protection_domains.iter();
        let mut machines = machines.filter_map(|pd| pd.virtual_machine.as_ref());
        machines.any(|vm| vm.name.value == name)
    };
    let holder = match policy.subject(rule.holder) {
        Subject::Component(name) => system.pd_named(name).is_some(),
        Subject::Guest(name) => machine(name),
        Subject::Device(name) => {
            let mut devices = system.io_address_spaces.iter();
            devices.any(|device| device.name.value == name)
        }
    };
    holder
        && match &rule.authority {
            Authority::Region { region, .. } => system.region_named(region).is_some(),
            Authority::VirtualMachine(name) => machine(name),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::{Fact, Kind, Object, Regions, Rights, Subject, remedy};
    use crate::model::Place;
    use crate::relation::Cause;

    /// The line that gives up most is for what it is about, and nothing else.
    #[test]
    fn only_all_memory_asks_for_dma() {
        let place = Place::default();
        let (core, domain) = (0, None);
        let remedies = [
            (Object::Memory, Kind::Dma),
            (Object::Activity("a"), Kind::Activity),
            (Object::Processor { core, domain }, Kind::Processor),
        ]
        .map(|(object, kind)| {
            let fact = Fact {
                subject: Subject::Component("a"),
                rights: Rights::WRITE,
                object,
                kind,
                cause: Cause::Component(&place),
            };
            remedy(&fact, &Regions::new()).contains("dma")
        });
        assert_eq!(remedies, [true, false, false]);
    }
}

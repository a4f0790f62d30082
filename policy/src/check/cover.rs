//! Whether every authority that a system description gives is declared by a line of the policy, and no
//! line declares what is not given.
//!
//! Two things need no line: that a component calls the manager, and that both ends of a `stream` map its
//! region, the subject to read and write, the object to read.

use std::collections::{BTreeSet, HashMap, HashSet};

use miette::Diagnostic;
use portcullis_kernel::cspace;
use portcullis_sdf::{Perms, System};
use thiserror::Error;

use super::custody::{self, PeerPages};
use super::{Check, Described, Relations};
use crate::model::{Authority, Place, Policy, Static, Subject};
use crate::problem::Problem;
use crate::relation::{
    Cause, Fact, Kind, Object, Power, Regions, Registers, Relation, Rights, of_rule,
};
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
    /// A device of which no line says what its DMA can reach.
    #[error(
        "{holder} drives {registers}, which may be a device's, and line {line} of `{policy}` does not say \
         what its DMA can reach"
    )]
    #[diagnostic(
        code(policy::unbounded_dma),
        help(
            "add to that line: dma = \"unbounded\"; then all verdicts assume that {holder} is honest. {UNLESS}"
        )
    )]
    UnboundedDma {
        /// Who drives it.
        holder: String,
        /// By what.
        registers: String,
        /// The line that declares them, from 1.
        line: u32,
        /// Name of the policy's source.
        policy: String,
    },
    /// A device of which the policy says what no IOMMU would make so.
    #[error("region `{region}` is registers of device `{device}`, whose DMA its IOMMU bounds")]
    #[diagnostic(
        code(policy::dma_behind_iommu),
        help(
            "remove `dma` here: behind an IOMMU, the device's own lines say what its DMA can reach"
        )
    )]
    BehindIommu {
        /// The region.
        region: String,
        /// The device.
        device: String,
    },
    /// Registers that lie nowhere.
    #[error(
        "region `{region}` of `{file}` has no `phys_addr`: no registers of device `{device}` lie there"
    )]
    #[diagnostic(
        code(policy::registers_nowhere),
        help(
            "name the region that the device's registers are mapped from, or none: registers = []"
        )
    )]
    Nowhere {
        /// The region.
        region: String,
        /// The device.
        device: String,
        /// Name of the system description.
        file: String,
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
        help("add [{kind}s.{name}] with its domain{fields} to the policy{lines}")
    )]
    UnknownSubject {
        /// The subject.
        subject: String,
        /// Its name, as a key of TOML.
        name: String,
        /// What it is.
        kind: &'static str,
        /// The fields that its table needs beside.
        fields: &'static str,
        /// The lines that it needs beside.
        lines: String,
    },
    /// An extra capability where an image needs the slot.
    #[error("{holder} {does} in slot {slot} of its root CNode, which is for {what}")]
    #[diagnostic(
        code(policy::root_slot_taken),
        help("give it a slot from 3 to 63: slots 0 to 2 are Microkit's and Portcullis's")
    )]
    SlotTaken {
        /// Who holds it.
        holder: String,
        /// What it allows.
        does: String,
        /// The slot.
        slot: u8,
        /// What an image has there.
        what: &'static str,
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

/// When a device needs another word than the one that is always safe.
const UNLESS: &str = "Write dma = \"none\" where it is plain memory, or a device that cannot read or \
                      write memory by itself, as a serial port; where it is behind an IOMMU, name the \
                      region in `registers` of its [devices.NAME], and leave `dma` out";

/// Holds what is given against what is declared, both ways. A protection domain that is no component is
/// left to the check of names, and so is a region or virtual machine that the system does not declare.
pub(super) fn check(
    check: &mut Check<'_>,
    relations: &Relations<'_>,
    described: Described<'_>,
    pages: &PeerPages<'_>,
) {
    slots(check, described);
    registers(check, described);
    let kept = custody::refused(check.policy, &relations.given, described, pages);
    // A line for what is refused would be refused.
    let is_refused =
        |fact: &Fact<'_>| relations.is_refused(fact) || kept.contains(&(fact.subject, fact.object));
    unknown_subjects(check, relations, described, is_refused);
    let lines = Index::of(&relations.declared);
    let given = Given::of(&relations.given);
    let mut said = HashSet::new();
    for fact in relations.given.facts().iter().filter(|it| needs_line(it)) {
        let is_known = relations.declared.domain_of(fact.subject).is_some();
        if !is_known || is_refused(fact) || lines.declare(fact) {
            continue;
        }
        let Some((fault, label)) = fault(check.policy, &lines, &given, fact, &mut said) else {
            continue;
        };
        let source = described.source;
        let place = fact.cause.of_source(Some(source));
        let problem = Problem::broken(source, &place, label, fault);
        check.problems.push(problem);
    }
    unused(check, relations, described);
}

/// Who must be honest: who reaches all memory by a line about what is given, and the log's keeper.
pub(super) fn assumed_honest<'a>(relations: &Relations<'a>) -> BTreeSet<Subject<'a>> {
    let lines = Index::of(&relations.declared);
    let given = relations.given.facts().iter();
    let given = given.filter(|fact| matches!(fact.kind, Kind::Dma | Kind::Smc));
    let reaches = |fact: &&Fact<'a>| lines.about(fact).any(Fact::reaches_all_memory);
    let keeper = relations.declared.opaque_keeper;
    let keeper = keeper.map(Subject::Component);
    let drivers = given.filter(reaches).map(|fact| fact.subject);
    let carriers = relations.declared.carriers();
    let all = drivers.chain(keeper).chain(carriers).collect();
    relations.declared.with_power_over(all)
}

/// Whether a line must declare it: not a channel to the manager, where a component runs, or that a device
/// raises its interrupt.
fn needs_line(fact: &Fact<'_>) -> bool {
    let fixed = matches!(fact.kind, Kind::ManagerChannel | Kind::Processor);
    let raised = fact.kind == Kind::Interrupt && fact.rights == Rights::SIGNAL;
    !fixed && !raised
}

/// Where the registers of devices behind an IOMMU lie.
fn registers(check: &mut Check<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    for device in &check.policy.devices {
        for region in &device.registers {
            let id = system.region_named(&region.name);
            if id.is_none_or(|id| system.region(id).phys_addr.is_some()) {
                continue;
            }
            let fault = CoverFault::Nowhere {
                region: region.name.clone(),
                device: device.name.clone(),
                file: source.name().to_owned(),
            };
            check.broken(&region.place, "no registers", fault);
        }
    }
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
        let (base, size) = (0, 0);
        match object {
            Object::Ports { .. } => Object::Ports { base, size },
            Object::Memory(Registers::Ports { .. }) => {
                Object::Memory(Registers::Ports { base, size })
            }
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

    /// The lines that declare registers.
    fn of_registers(
        &self,
        subject: Subject<'a>,
        registers: Registers<'a>,
    ) -> impl Iterator<Item = &'r Fact<'a>> {
        let object = registers.object();
        let lines = self.on(subject, object);
        lines.filter(move |line| is_within(object, line.object))
    }

    /// Whether one of them allows it. What a device's DMA can reach, a line must only say.
    fn declare(&self, given: &Fact<'a>) -> bool {
        let is_said = given.kind == Kind::Dma;
        let mut lines = self.about(given);
        lines.any(|line| is_said || given.rights.is_subset(line.rights))
    }
}

/// What is given, as far as the help for one fact depends on others.
struct Given<'r, 'a> {
    /// The sum of what each subject may do to each region.
    regions: Regions<'r, 'a>,
    /// Through which registers each reaches all memory.
    dma: HashSet<(Subject<'a>, Registers<'a>)>,
    /// Who calls whom on a channel.
    calls: HashSet<(Subject<'a>, &'a str)>,
}

impl<'r, 'a> Given<'r, 'a> {
    fn of(relation: &'r Relation<'a>) -> Self {
        let dma = relation
            .facts()
            .iter()
            .filter_map(|fact| match fact.object {
                Object::Memory(registers) => Some((fact.subject, registers)),
                _ => None,
            });
        let calls = relation
            .facts()
            .iter()
            .filter_map(|fact| match fact.object {
                Object::Component(peer) if fact.kind == Kind::Channel => {
                    let calls = fact.rights.has(Rights::CALL);
                    calls.then_some((fact.subject, peer))
                }
                _ => None,
            });
        Self {
            regions: relation.regions(),
            dma: dma.collect(),
            calls: calls.collect(),
        }
    }

    /// Whether a fact's line must say what a device's DMA can reach.
    fn is_device(&self, fact: &Fact<'a>) -> bool {
        let registers = match fact.object {
            Object::Region(name) => Registers::Region(name),
            Object::Ports { base, size } => Registers::Ports { base, size },
            Object::Memory(registers) => registers,
            _ => return false,
        };
        self.dma.contains(&(fact.subject, registers))
    }
}

fn speaks_of<'a>(kind: Kind, object: Object<'a>, given: &Fact<'a>) -> bool {
    let same_kind = match given.kind {
        Kind::Map | Kind::Address => matches!(kind, Kind::Map | Kind::Stream),
        other => kind == other,
    };
    same_kind && is_within(given.object, object)
}

/// Whether a line about `line` is about an object: about the same, or about more ports.
fn is_within(object: Object<'_>, line: Object<'_>) -> bool {
    let ports = |object| match object {
        Object::Ports { base, size } => Some((base, size)),
        Object::Memory(Registers::Ports { base, size }) => Some((base, size)),
        _ => None,
    };
    match (ports(object), ports(line)) {
        (Some((first, count)), Some((base, size))) => {
            base <= first && first.saturating_add(count) <= base.saturating_add(size)
        }
        _ => object == line,
    }
}

/// What is wrong with a fact that no line declares; `None`: it is said of another.
fn fault<'a>(
    policy: &Policy,
    lines: &Index<'_, 'a>,
    given: &Given<'_, 'a>,
    fact: &Fact<'a>,
    said: &mut HashSet<String>,
) -> Option<(CoverFault, &'static str)> {
    let holder = fact.subject.to_string();
    let file = policy.source.name().to_owned();
    if let Object::Memory(registers) = fact.object {
        let mut lines = lines.of_registers(fact.subject, registers).peekable();
        // Where no line declares the registers themselves, that is said.
        lines.peek()?;
        let rule = lines.find(|line| matches!(line.cause, Cause::Static(_)));
        let fault = match rule.and_then(|line| line.cause.line()) {
            Some(line) => CoverFault::UnboundedDma {
                holder,
                registers: registers.to_string(),
                line,
                policy: file,
            },
            // A stream's grant has no such word.
            None => CoverFault::Uncovered {
                holder,
                does: fact.describe(),
                policy: file,
                help: remedy(fact, given, said),
            },
        };
        return Some((fault, "what can the device reach?"));
    }
    let does = fact.describe() + &sharers(&given.regions, fact);
    let is_mapping = matches!(fact.object, Object::Region(_)) && fact.kind != Kind::Address;
    let about = lines.about(fact).filter(|_| is_mapping);
    Some(match about.max_by_key(|line| line.rights) {
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
                help: remedy(fact, given, said),
            },
            "not declared",
        ),
    })
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

/// What to do about a fact that no line covers. What a line covers is said once: `said` are the lines that
/// were named.
fn remedy<'a>(fact: &Fact<'a>, given: &Given<'_, 'a>, said: &mut HashSet<String>) -> String {
    let Some(line) = line(fact, given) else {
        return "remove it here".to_owned();
    };
    let only_notifies = fact.kind == Kind::Channel && !fact.rights.has(Rights::CALL);
    let remove = match only_notifies {
        true => "write notify=\"false\" here where nothing is notified",
        false => "remove it here",
    };
    if said.contains(&line) {
        return format!("{remove}, or add the line that another problem names: it covers both");
    }
    let is_first_device = given.is_device(fact) && !said.iter().any(|it| it.contains("\ndma = "));
    let unless = match fact.object {
        Object::Firmware => format!("; then all verdicts assume that {} is honest", fact.subject),
        _ if is_first_device => format!(". {UNLESS}"),
        _ => String::new(),
    };
    let help = format!("{remove}, or add this to the policy, with a reason{unless}:\n{line}");
    said.insert(line);
    help
}

/// The line that would cover a fact, as the policy language writes it: of a region, with the sum of what its
/// subject may do to it; of a channel, for calls where it has any; of a device, with the word for its DMA
/// that is always safe. `None`: no line is about such a thing.
fn line<'a>(fact: &Fact<'a>, given: &Given<'_, 'a>) -> Option<String> {
    let dma = match given.is_device(fact) {
        true => "\ndma = \"unbounded\"",
        false => "",
    };
    let object = match fact.object {
        Object::Memory(registers) => registers.object(),
        object => object,
    };
    let what = match object {
        Object::Region(name) => {
            let sum = given
                .regions
                .get(&(name, fact.subject))
                .map(|(rights, _)| rights.perms());
            let none = Perms::default();
            // Whoever only knows where it lies needs a line too.
            let perms = sum.filter(|perms| *perms != none).unwrap_or(Perms::READ);
            format!("region = {name:?}\nperms = \"{perms}\"{dma}")
        }
        Object::Component(peer) if given.calls.contains(&(fact.subject, peer)) => {
            format!("channel = {peer:?}")
        }
        Object::Component(peer) => format!("channel = {peer:?}\nmode = \"notify\""),
        Object::Power(Power::Parent, of) => format!("child = {:?}", of.name()),
        Object::Power(Power::Monitor, of) => format!("vm = {:?}", of.name()),
        Object::Power(Power::Capability(kind), of) => {
            format!("cap = {:?}", format!("{kind} of {}", of.name()))
        }
        Object::Interrupt(number) => format!("irq = {number}"),
        Object::Ports { base, size } => format!("ioport = {base:#x}\nsize = {size}{dma}"),
        Object::Firmware => "smc = true".to_owned(),
        Object::Power(Power::Driver, _)
        | Object::Input(_)
        | Object::Memory(_)
        | Object::Activity(_)
        | Object::Page(_)
        | Object::Processor { .. } => return None,
    };
    let (kind, name) = (fact.subject.field(), fact.subject.name());
    Some(format!("[[static]]\n{kind} = {name:?}\n{what}"))
}

/// Guests and devices that the policy has no table for, each with the lines that it needs.
fn unknown_subjects(
    check: &mut Check<'_>,
    relations: &Relations<'_>,
    described: Described<'_>,
    is_refused: impl Fn(&Fact<'_>) -> bool,
) {
    let Described { system, source, .. } = described;
    let given = Given::of(&relations.given);
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
        let is_own = |fact: &&Fact<'_>| {
            fact.subject == subject && matches!(fact.object, Object::Region(_)) && !is_refused(fact)
        };
        let maps = maps.filter(is_own);
        let named = match subject {
            Subject::Device(_) => {
                " (in that list, the regions of its registers where any are mapped)"
            }
            _ => "",
        };
        let lines: BTreeSet<String> = maps.filter_map(|fact| line(fact, &given)).collect();
        let lines = match lines.is_empty() {
            true => String::new(),
            false => {
                let lines: Vec<String> = lines.into_iter().collect();
                format!(", and with a reason each:\n{}", lines.join("\n\n"))
            }
        };
        let fault = CoverFault::UnknownSubject {
            subject: subject.to_string(),
            name: text::key(subject.name()),
            kind: subject.field(),
            fields: match subject {
                Subject::Device(_) => " and registers = []",
                _ => "",
            },
            lines: named.to_owned() + &lines,
        };
        let place = source.place(span.clone());
        let problem = Problem::broken(source, &place, "not in the policy", fault);
        check.problems.push(problem);
    }
}

/// Words for the DMA of devices that an IOMMU bounds.
pub(super) fn words(check: &mut Check<'_>) {
    let policy = check.policy;
    let registers = policy.registers();
    for rule in &policy.statics {
        if let Authority::Region { region, dma, .. } = &rule.authority
            && let (Some(_), Some(device)) = (dma, registers.get(region.as_str()))
        {
            let fault = CoverFault::BehindIommu {
                region: region.clone(),
                device: device.name.clone(),
            };
            check.broken(&rule.object, "behind an IOMMU", fault);
        }
    }
}

/// Extra capabilities in the slots that an image needs.
fn slots(check: &mut Check<'_>, described: Described<'_>) {
    for pd in &described.system.protection_domains {
        for cap in &pd.caps {
            let what = match u64::from(cap.slot.value) {
                cspace::PORTCULLIS_ROOT_SLOT => "its grants CNode",
                cspace::REPLIES_ROOT_SLOT => "its pool of reply objects",
                _ => continue,
            };
            let of = &described.system.pd(cap.pd.value).name.value;
            let kind = match cap.kind {
                portcullis_sdf::ExtraCapKind::Tcb => "TCB",
                portcullis_sdf::ExtraCapKind::SchedContext => "scheduling context",
                portcullis_sdf::ExtraCapKind::VSpace => "VSpace",
            };
            let fault = CoverFault::SlotTaken {
                holder: format!("`{}`", pd.name.value),
                does: format!("holds the {kind} of `{of}`"),
                slot: cap.slot.value,
                what,
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
            Authority::Irq(_) | Authority::IoPorts { .. } | Authority::Smc
        );
        if elsewhere {
            continue;
        }
        let holder = policy.subject(rule.holder);
        let (_, object, kind) = of_rule(policy, rule);
        let mut given = given.on(holder, object);
        let authority = text::authority(policy, &rule.authority);
        let authority = match given.any(|fact| speaks_of(kind, object, fact)) {
            false => authority,
            // Another board may have memory there, but nothing that has no address.
            true if says_dma_of_memory(system, rule) => format!("a device at {authority}"),
            true => continue,
        };
        if !is_declared(policy, system, rule) {
            continue;
        }
        let fault = CoverFault::Unused {
            holder: holder.to_string(),
            authority,
            file: source.name().to_owned(),
        };
        let place: &Place = &rule.object;
        check.broken(place, "not given", fault);
    }
}

/// Whether a rule has a word for the DMA of a device, and its region has no fixed address.
fn says_dma_of_memory(system: &System, rule: &Static) -> bool {
    let Authority::Region { region, dma, .. } = &rule.authority else {
        return false;
    };
    let id = dma.and_then(|_| system.region_named(region));
    id.is_some_and(|id| system.region(id).phys_addr.is_none())
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

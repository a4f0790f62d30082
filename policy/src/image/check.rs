//! Holds an image against a policy and a system description, rule by rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use portcullis_kernel::{Mode, Rights};
use portcullis_manager_api::MANAGER;
use portcullis_policy_format::Policy;
use portcullis_sdf::{IrqSource, PdId, RegionId, System, Trigger};

use super::memory::check_memory;
use super::rule::{Finding, Rule};
use super::stated::Stated;
use super::{Binding, Image, MONITOR, ProtectionDomain, SDK};
use crate::check::{custody, roles, symbols};
use crate::distribution::layout::MONITOR_SCHED_CONTEXTS;
use crate::distribution::{CNode, CNodeKind, Capability, Object};
use crate::relation::Relation;

/// Priority of the monitor, above every protection domain's (`MONITOR_PRIORITY` of the tool).
const MONITOR_PRIORITY: u8 = 255;
/// Budget and period of the monitor, in microseconds (`BUDGET_DEFAULT` of the tool).
const MONITOR_BUDGET_US: u64 = 1_000;

/// Everything in which an image does not keep a rule, in the order of the image.
///
/// `policy` and `system` must fit each other: `system` is what `policy` was compiled for.
pub fn check(policy: &Policy<'_>, system: &System, image: &Image) -> Vec<Finding> {
    let benchmark = image.config.ends_with("benchmark");
    let stated = Stated::new(policy, system, benchmark);
    let mut findings = Findings(Vec::new());
    findings.identity(policy, image);
    findings.custody(policy, system, image);
    findings.threads(&stated, image);
    for id in system.pd_ids() {
        let own = image.protection_domains.iter();
        if let Some(pd) = own.into_iter().find(|pd| pd.name == stated.name(id)) {
            findings.settings(&stated, id, pd);
            findings.bindings(&pd.name, &stated.tcb(id), &pd.tcb);
            findings.cspace(&pd.name, &stated.cspace(id), &pd.cspace);
            findings.symbols(&stated.symbols(id, image), pd);
            for (_, fault) in symbols::refused(system, id) {
                let place = "its program";
                findings.note(Rule::Symbols, &pd.name, place, fault, "no such setvar");
            }
        }
    }
    findings.monitor(&stated, &image.monitor);
    findings.irqs(&stated, image);
    check_memory(&mut findings, &stated, image);
    for object in &image.others {
        let found = object.to_string();
        findings.note(Rule::UnknownObject, "image", "objects", found, "nothing");
    }
    findings.0
}

/// What was found so far.
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn note(
        &mut self,
        rule: Rule,
        component: &str,
        place: impl Display,
        found: impl Display,
        expected: impl Display,
    ) {
        self.0.push(Finding {
            rule,
            component: component.to_owned(),
            place: place.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        });
    }

    /// Notes what is not equal to what it should be.
    pub(super) fn equal<T: PartialEq + Display>(
        &mut self,
        rule: Rule,
        (component, place): (&str, &str),
        found: T,
        expected: T,
    ) {
        if found != expected {
            self.note(rule, component, place, found, expected);
        }
    }

    fn identity(&mut self, policy: &Policy<'_>, image: &Image) {
        self.equal(Rule::Sdk, ("image", "SDK"), image.sdk.as_str(), SDK);
        // Without a manager nobody reads a policy.
        if policy.component(MANAGER).is_none() {
            return;
        }
        let this = format!(
            "policy '{}', version {}, SHA-256 {}",
            policy.name(),
            policy.version(),
            hexadecimal(policy.sha256())
        );
        let carried = match &image.policy {
            Some(carried) => format!(
                "policy '{}', version {}, SHA-256 {}",
                carried.name, carried.version, carried.sha256
            ),
            None => "no policy".to_owned(),
        };
        self.equal(Rule::Policy, (MANAGER, "its memory"), carried, this);
    }

    /// Whether the symbols of a program that are set are those that must be, and say what they must.
    fn symbols(&mut self, stated: &BTreeMap<&str, Option<u64>>, pd: &ProtectionDomain) {
        let names = pd.symbols.keys().map(String::as_str);
        let names: BTreeSet<&str> = names.chain(stated.keys().copied()).collect();
        let shown = |value: u64| format!("{value:#x}");
        for symbol in names {
            let found = pd.symbols.get(symbol).copied();
            let expected = match stated.get(symbol) {
                None => String::from("not set"),
                // Not known until the image is built.
                Some(None) if found.is_some() => continue,
                Some(value) => value.map_or_else(|| String::from("a value"), shown),
            };
            let found = found.map_or_else(|| String::from("not set"), shown);
            let place = format!("symbol '{symbol}'");
            self.equal(Rule::Symbols, (&pd.name, &place), found, expected);
        }
    }

    /// Whether manager and keeper find their memory by their symbols, and nobody else writes it.
    fn custody(&mut self, policy: &Policy<'_>, system: &System, image: &Image) {
        let (Some((number, _)), Some(manager)) =
            (policy.component(MANAGER), system.pd_named(MANAGER))
        else {
            return;
        };
        let mut streams = policy
            .grants()
            .map(|it| it.grant)
            .filter(|it| it.subject == number && it.mode == Mode::Stream);
        let stream = streams.next();
        let keeper = stream.and_then(|stream| policy.component_at(stream.object));
        let keeper = keeper.and_then(|keeper| system.pd_named(keeper.name));
        let found = custody::bindings(system, manager, keeper, None);
        // Without a log nothing is granted, and the manager may find nothing.
        if stream.is_some() {
            self.roles(system, &found);
        }
        let region = |id: RegionId| system.region(id).name.value.as_str();
        if let (Some(carried), Some(policy)) = (&image.policy, found.region(custody::POLICY))
            && carried.region != region(policy)
        {
            let found = format!("the policy in region '{}'", carried.region);
            let expected = format!("in region '{}'", region(policy));
            self.note(Rule::Custody, MANAGER, "its memory", found, expected);
        }
        let relation = Relation::given(system);
        let keeper = keeper.map(|keeper| system.pd(keeper).name.value.as_str());
        for fact in relation
            .facts()
            .iter()
            .filter(|it| custody::managers(it).is_some())
        {
            self.note(
                Rule::Custody,
                MANAGER,
                "its authority",
                fact.describe(),
                "nothing",
            );
        }
        for map in custody::surplus(system, manager) {
            let place = format!("region '{}'", region(map.region.value));
            self.note(Rule::Custody, MANAGER, place, map.perms.value, "no mapping");
        }
        for (region, writer, fact) in custody::writers(&relation, keeper, &found.pages) {
            let place = format!("the manager's region '{region}'");
            self.note(
                Rule::Custody,
                writer.name(),
                place,
                fact.describe(),
                "no way to write it",
            );
        }
    }

    /// Whether manager and keeper find each region by its symbol, and it is made of what its role says.
    fn roles(&mut self, system: &System, found: &custody::Bindings<'_>) {
        let place = "its memory";
        for (_, fault) in &found.faults {
            self.note(Rule::Custody, MANAGER, place, fault, "one region a symbol");
        }
        for (_, fault) in roles::faults(system, &found.ends, &found.regions) {
            self.note(Rule::Custody, MANAGER, place, fault, "memory of its own");
        }
    }

    fn threads(&mut self, stated: &Stated<'_>, image: &Image) {
        let names: BTreeSet<&str> = stated.system.pd_ids().map(|id| stated.name(id)).collect();
        let mut seen = BTreeSet::new();
        for pd in &image.protection_domains {
            let name = pd.name.as_str();
            let first = seen.insert(name);
            if !names.contains(name) {
                self.note(Rule::Thread, name, "thread", "a thread", "no such thread");
            } else if !first {
                self.note(Rule::Thread, name, "thread", "another thread", "one");
            }
        }
        for name in names.difference(&seen) {
            self.note(Rule::Thread, name, "thread", "no thread", "one");
        }
    }

    fn settings(&mut self, stated: &Stated<'_>, id: PdId, pd: &ProtectionDomain) {
        let of = stated.system.pd(id);
        let (name, scheduled) = (pd.name.as_str(), (of.budget.value, of.period.value));
        self.scheduling(pd, of.priority.value, scheduled);
        let passive = of.passive.value;
        self.equal(Rule::Passive, (name, "passive"), pd.passive, passive);
        let core = u64::from(of.cpu.value);
        self.equal(Rule::Processor, (name, "core"), pd.cpu, core);
        self.equal(Rule::Processor, (name, "FPU"), pd.fpu, of.fpu.value);
        let schedule = stated.system.domains.as_ref();
        let domain = schedule.zip(of.domain.as_ref()).and_then(|(all, place)| {
            let domain = all.domains.get(place.value)?;
            Some(domain.id.value)
        });
        let shown = |domain: Option<u8>| domain.map_or("none".to_owned(), |id| id.to_string());
        let place = (name, "scheduling domain");
        self.equal(Rule::Processor, place, shown(pd.domain), shown(domain));
        self.equal(Rule::Processor, (name, "started"), pd.starts, true);
    }

    fn scheduling(&mut self, pd: &ProtectionDomain, priority: u8, (budget, period): (u64, u64)) {
        let name = pd.name.as_str();
        self.equal(Rule::Priority, (name, "priority"), pd.priority, priority);
        let place = (name, "maximum controlled priority");
        self.equal(Rule::Priority, place, pd.max_priority, priority);
        let us = |time| format!("{time} µs");
        let (rule, own) = (Rule::Budget, (pd.budget_us, pd.period_us));
        self.equal(rule, (name, "budget"), us(own.0), us(budget));
        self.equal(rule, (name, "period"), us(own.1), us(period));
    }

    fn bindings(
        &mut self,
        name: &str,
        stated: &BTreeMap<Binding, Capability>,
        found: &BTreeMap<Binding, Capability>,
    ) {
        self.table(stated, found, |binding| Place {
            component: name,
            place: format!("{binding} of its TCB"),
            rule: Some(match binding {
                Binding::FaultEndpoint | Binding::TimeoutEndpoint => Rule::FaultEndpoint,
                _ => Rule::Binding,
            }),
        });
    }

    fn cspace(&mut self, name: &str, stated: &[CNode], found: &[CNode]) {
        let mut seen = BTreeSet::new();
        for cnode in found {
            let Some(own) = stated.iter().find(|own| own.kind == cnode.kind) else {
                self.note(Rule::CNode, name, "CSpace", cnode, "no such CNode");
                continue;
            };
            if !seen.insert(cnode.kind) {
                self.note(Rule::CNode, name, "CSpace", cnode, "one such CNode");
            }
            self.cnode(name, own, cnode);
        }
        for own in stated.iter().filter(|own| !seen.contains(&own.kind)) {
            let found = format!("no {}", own.kind);
            self.note(Rule::CNode, name, "CSpace", found, own);
        }
    }

    fn cnode(&mut self, name: &str, stated: &CNode, found: &CNode) {
        let kind = found.kind;
        let bits = |cnode: &CNode| format!("{} bits", cnode.radix);
        let place = kind.to_string();
        self.equal(Rule::Radix, (name, &place), bits(found), bits(stated));
        self.table(&stated.slots, &found.slots, |slot| Place {
            component: name,
            place: format!("slot {slot} of its {kind}"),
            rule: match kind {
                CNodeKind::Grants => Some(Rule::GrantsNotEmpty),
                CNodeKind::Monitor if slot >= MONITOR_SCHED_CONTEXTS => Some(Rule::Passive),
                _ => None,
            },
        });
    }

    fn monitor(&mut self, stated: &Stated<'_>, monitor: &ProtectionDomain) {
        self.equal(
            Rule::Thread,
            (MONITOR, "name"),
            monitor.name.as_str(),
            MONITOR,
        );
        let budget = (MONITOR_BUDGET_US, MONITOR_BUDGET_US);
        self.scheduling(monitor, MONITOR_PRIORITY, budget);
        self.equal(Rule::Processor, (MONITOR, "core"), monitor.cpu, 0);
        self.equal(Rule::Processor, (MONITOR, "started"), monitor.starts, true);
        self.bindings(MONITOR, &stated.monitor_tcb(), &monitor.tcb);
        self.symbols(&BTreeMap::new(), monitor);
        self.cspace(MONITOR, &[stated.monitor()], &monitor.cspace);
    }

    fn irqs(&mut self, stated: &Stated<'_>, image: &Image) {
        let mut owners = BTreeMap::new();
        for id in stated.system.pd_ids() {
            for irq in &stated.system.pd(id).irqs {
                owners.insert(irq.number().value, (stated.name(id), irq));
            }
        }
        for irq in &image.irqs {
            let place = format!("IRQ {}", irq.number);
            let Some((owner, own)) = owners.remove(&irq.number) else {
                let found = "an interrupt that nobody has";
                self.note(Rule::Irq, "image", place, found, "none");
                continue;
            };
            if let IrqSource::Conventional { trigger, .. } = &own.source {
                let word = |edge| if edge { "edge" } else { "level" };
                let expected = word(trigger.value == Trigger::Edge);
                self.equal(Rule::IrqTrigger, (owner, &place), word(irq.edge), expected);
            }
            let notification = Object::Notification(owner.to_owned());
            let signal = Capability::new(notification, Rights::WRITE);
            let signal = signal.with_badge(1 << own.id.value);
            self.table(&[(0, signal)].into(), &irq.slots, |_| Place {
                component: owner,
                place: place.clone(),
                rule: Some(Rule::IrqSignal),
            });
        }
        for (number, (owner, _)) in owners {
            let place = format!("IRQ {number}");
            self.note(Rule::Irq, owner, place, "no interrupt", "one");
        }
    }

    /// Compares the capabilities of a table of slots.
    fn table<'p, S: Copy + Ord>(
        &mut self,
        stated: &BTreeMap<S, Capability>,
        found: &BTreeMap<S, Capability>,
        place: impl Fn(S) -> Place<'p>,
    ) {
        let slots: BTreeSet<&S> = stated.keys().chain(found.keys()).collect();
        for slot in slots {
            self.capability(&place(*slot), stated.get(slot), found.get(slot));
        }
    }

    fn capability(
        &mut self,
        place: &Place<'_>,
        stated: Option<&Capability>,
        found: Option<&Capability>,
    ) {
        let mut note = |rule, found: &dyn Display, expected: &dyn Display| {
            let rule = place.rule.unwrap_or(rule);
            self.note(rule, place.component, &place.place, found, expected);
        };
        let (stated, found) = match (stated, found) {
            (None, None) => return,
            (Some(stated), None) => return note(Rule::Missing, &"empty", stated),
            (None, Some(found)) => return note(unaccounted(&found.object), found, &"empty"),
            (Some(stated), Some(found)) => (stated, found),
        };
        if stated.object != found.object {
            return note(unaccounted(&found.object), found, stated);
        }
        if !found.rights.is_subset(stated.rights) {
            note(Rule::WiderRights, found, stated);
        } else if !stated.rights.is_subset(found.rights) {
            note(Rule::NarrowerRights, found, stated);
        }
        if found.badge != stated.badge {
            note(Rule::Badge, found, stated);
        }
        if (found.guard, found.guard_bits) != (stated.guard, stated.guard_bits) {
            note(Rule::Guard, found, stated);
        }
    }
}

/// A slot, by whom it belongs to.
struct Place<'p> {
    component: &'p str,
    place: String,
    /// The rule that everything in this slot falls under; `None`: it depends on what is there.
    rule: Option<Rule>,
}

/// The rule that a capability breaks for which nothing accounts.
fn unaccounted(object: &Object) -> Rule {
    match object {
        Object::CNode { .. } => Rule::CNodeHeld,
        Object::Tcb(_)
        | Object::SchedContext(_)
        | Object::VSpace(_)
        | Object::Vcpu { .. }
        | Object::VcpuTcb { .. }
        | Object::Frame { .. } => Rule::PowerHeld,
        Object::Other { kind, .. } if is_power(kind) => Rule::PowerHeld,
        Object::IrqHandler(_) => Rule::IrqHeld,
        Object::Other { .. } => Rule::UnknownObject,
        Object::Endpoint(_)
        | Object::Notification(_)
        | Object::Reply(_)
        | Object::PooledReply { .. }
        | Object::MonitorEndpoint
        | Object::MonitorReply
        | Object::IoPorts { .. }
        | Object::ArmSmc => Rule::Unaccounted,
    }
}

/// Kinds of object, in capDL's words, that give power over memory, threads or CSpaces.
fn is_power(kind: &str) -> bool {
    let kinds = [
        "asid_pool",
        "cnode",
        "domain_set",
        "frame",
        "io_page_table",
        "io_space",
        "page_table",
        "sched_context",
        "tcb",
        "untyped",
        "vcpu",
    ];
    kinds.contains(&kind)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

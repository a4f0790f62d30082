//! Names and numbers that must differ.

use std::collections::HashMap;
use std::hash::Hash;

use portcullis_text::identifier::Distinct;

use super::Findings;
use crate::{Fault, PdId, ProtectionDomain, Span, Spanned, System};

/// The name of Microkit's monitor among the protection domains.
const MONITOR: &str = "monitor";

pub(super) fn check(system: &System, found: &mut Findings) {
    names(system, found);
    interrupts(system, found);
    devices(system, found);
    for id in system.pd_ids() {
        channel_ids(system, id, found);
        child_ids(system, id, found);
        symbols(system, id, found);
        let pd = system.pd(id);
        let ports = pd.ioports.iter().map(|ports| &ports.id);
        numbers("I/O port id", ports, &within(pd), found);
        let slots = pd.caps.iter().map(|cap| &cap.slot);
        numbers("capability in slot", slots, &within(pd), found);
    }
}

fn names(system: &System, found: &mut Findings) {
    let pds = &system.protection_domains;
    for pd in pds.iter().filter(|pd| pd.name.value == MONITOR) {
        let name = MONITOR.to_owned();
        found.note(&pd.name.span, Fault::ReservedName { name });
    }
    unique_names("protection domain", pds.iter().map(|pd| &pd.name), found);
    let regions = system.memory_regions.iter().map(|region| &region.name);
    unique_names("memory region", regions, found);
    let machines = pds.iter().filter_map(|pd| pd.virtual_machine.as_ref());
    unique_names("virtual machine", machines.map(|vm| &vm.name), found);
    let domains = system.domains.iter().flat_map(|all| &all.domains);
    unique_names(
        "scheduling domain",
        domains.clone().map(|domain| &domain.name),
        found,
    );
    numbers(
        "scheduling domain id",
        domains.map(|domain| &domain.id),
        "<domains>",
        found,
    );
}

/// The kernel has one handler for each interrupt.
fn interrupts(system: &System, found: &mut Findings) {
    let all = system.protection_domains.iter().flat_map(|pd| &pd.irqs);
    numbers(
        "interrupt",
        all.map(|irq| irq.number()),
        "the system",
        found,
    );
}

fn devices(system: &System, found: &mut Findings) {
    let spaces = &system.io_address_spaces;
    unique_names(
        "I/O address space",
        spaces.iter().map(|space| &space.name),
        found,
    );
    let domains = spaces.iter().map(|space| &space.domain_id);
    numbers("IOMMU domain_id", domains, "the system", found);
    let devices = spaces.iter().map(|space| &space.peripheral_id);
    numbers("I/O address space of device", devices, "the system", found);
}

/// Interrupts and channels share the ids of a protection domain.
fn channel_ids(system: &System, id: PdId, found: &mut Findings) {
    let pd = system.pd(id);
    let interrupts = pd.irqs.iter().map(|irq| &irq.id);
    let ends = system.channels.iter().flat_map(|channel| &channel.ends);
    let channels = ends.filter(|end| end.pd.value == id).map(|end| &end.id);
    numbers("channel id", interrupts.chain(channels), &within(pd), found);
}

/// Children and vCPUs share the ids of their protection domain: a fault's badge is one of them.
fn child_ids(system: &System, id: PdId, found: &mut Findings) {
    let pd = system.pd(id);
    let vcpus = pd.virtual_machine.iter().flat_map(|vm| &vm.vcpus);
    let children = system
        .children(id)
        .filter_map(|child| system.pd(child).parent.as_ref());
    let ids = vcpus
        .map(|vcpu| &vcpu.id)
        .chain(children.map(|parent| &parent.id));
    numbers("child or vCPU id", ids, &within(pd), found);
}

fn symbols(system: &System, id: PdId, found: &mut Findings) {
    let name = &system.pd(id).name.value;
    let symbols = system.symbols(id).map(|(symbol, _)| symbol);
    for_each_second(symbols, |second, first| {
        let fault = Fault::DuplicateSymbol {
            symbol: second.value.clone(),
            pd: name.clone(),
        };
        found.clash(&second.span, first, fault);
    });
}

fn within(pd: &ProtectionDomain) -> String {
    format!("'{}'", pd.name.value)
}

fn unique_names<'s>(
    what: &'static str,
    names: impl Iterator<Item = &'s Spanned<String>> + Clone,
    found: &mut Findings,
) {
    let mut distinct = Distinct::default();
    for name in names.clone() {
        if let Some(fault) = distinct.add(&name.value) {
            let problem = fault.to_string();
            let (span, name) = (&name.span, name.value.clone());
            found.note(
                span,
                Fault::BadName {
                    what,
                    name,
                    problem,
                },
            );
        }
    }
    for_each_second(names, |second, first| {
        let name = second.value.clone();
        found.clash(&second.span, first, Fault::DuplicateName { what, name });
    });
}

fn numbers<'s, T: Eq + Hash + ToString + 's>(
    what: &'static str,
    numbers: impl Iterator<Item = &'s Spanned<T>>,
    within: &str,
    found: &mut Findings,
) {
    for_each_second(numbers, |second, first| {
        let fault = Fault::DuplicateNumber {
            what,
            number: second.value.to_string(),
            within: within.to_owned(),
        };
        found.clash(&second.span, first, fault);
    });
}

/// Calls `clash` for every value that stood before, with the span of its first use in the text.
fn for_each_second<'s, T: Eq + Hash + 's>(
    values: impl Iterator<Item = &'s Spanned<T>>,
    mut clash: impl FnMut(&'s Spanned<T>, &'s Span),
) {
    let mut values: Vec<_> = values.collect();
    values.sort_by_key(|value| value.span.start);
    let mut seen: HashMap<&T, &Span> = HashMap::new();
    for value in values {
        match seen.get(&value.value) {
            Some(first) => clash(value, first),
            None => {
                seen.insert(&value.value, &value.span);
            }
        }
    }
}

//! Who calls whom, I/O ports, schedules, and what x86-64 cannot combine.

use super::Findings;
use crate::{Architecture, DomainSchedule, Fault, IoPorts, ProtectionDomain, System, Target};

pub(super) fn check(system: &System, target: &Target, found: &mut Findings) {
    if system.protection_domains.is_empty() {
        found.note(&(0..0), Fault::NoProtectionDomain);
    }
    calls(system, found);
    ports(system, found);
    if let Some(schedule) = &system.domains {
        domains(schedule, target, found);
    }
    if target.architecture == Some(Architecture::X86_64) {
        virtual_machines_on_x86(system, found);
    }
}

/// A callee's priority is strictly above its caller's.
fn calls(system: &System, found: &mut Findings) {
    for (end, other) in system.ends().filter(|(end, _)| end.pp.value) {
        let (caller, callee) = (system.pd(end.pd.value), system.pd(other.pd.value));
        if caller.priority.value >= callee.priority.value {
            let fault = Fault::CallNotUpwards {
                caller: caller.name.value.clone(),
                caller_priority: caller.priority.value,
                callee: callee.name.value.clone(),
                callee_priority: callee.priority.value,
            };
            found.clash(&end.pp.span, &callee.priority.span, fault);
        }
    }
}

/// No port belongs to two protection domains, nor twice to one.
fn ports(system: &System, found: &mut Findings) {
    let mut all: Vec<(&ProtectionDomain, &IoPorts)> = system
        .protection_domains
        .iter()
        .flat_map(|pd| pd.ioports.iter().map(move |ports| (pd, ports)))
        .collect();
    all.sort_by_key(|(_, ports)| (ports.addr.value, ports.span.start));
    // Both are below 0x10000, so nothing overflows.
    let range = |ports: &IoPorts| (ports.addr.value, ports.addr.value + ports.size.value);
    let mut highest: Option<(&ProtectionDomain, &IoPorts)> = None;
    for one in all {
        let Some(before) = highest.replace(one) else {
            continue;
        };
        if one.1.addr.value < range(before.1).1 {
            let later_first = one.1.span.start > before.1.span.start;
            let (second, first) = if later_first {
                (one, before)
            } else {
                (before, one)
            };
            let fault = Fault::OverlappingPorts {
                range: range(second.1),
                other_range: range(first.1),
                pd: first.0.name.value.clone(),
            };
            found.clash(&second.1.span, &first.1.span, fault);
        }
        if range(before.1).1 > range(one.1).1 {
            highest = Some(before);
        }
    }
}

fn domains(schedule: &DomainSchedule, target: &Target, found: &mut Findings) {
    let length = schedule.schedule.len() as u64;
    let shift = schedule.index_shift.as_ref();
    let taken = shift.map_or(0, |shift| shift.value).saturating_add(length);
    // The kernel keeps the last entry for its own end marker.
    if taken >= target.domain_schedules {
        let span = shift.map_or(&schedule.span, |shift| &shift.span);
        let fault = Fault::ScheduleTooLong {
            found: taken,
            limit: target.domain_schedules,
        };
        found.note(span, fault);
    }
    if schedule.start_index.value >= length {
        let fault = Fault::StartBehindSchedule {
            start: schedule.start_index.value,
            length,
        };
        found.note(&schedule.start_index.span, fault);
    }
}

/// A thread that is in its guest takes notifications, and no message: neither a call nor a child's
/// fault would reach it.
fn virtual_machines_on_x86(system: &System, found: &mut Findings) {
    let mut note = |what, pd: &ProtectionDomain, span| {
        let pd = pd.name.value.clone();
        found.note(span, Fault::NotWithVirtualMachine { what, pd });
    };
    for id in system.pd_ids() {
        let pd = system.pd(id);
        let Some(vm) = &pd.virtual_machine else {
            continue;
        };
        for child in system.children(id) {
            note("a child protection domain of", pd, &system.pd(child).span);
        }
        for (end, _) in system
            .ends()
            .filter(|(end, other)| end.pp.value && other.pd.value == id)
        {
            note("a call to", pd, &end.pp.span);
        }
        for vcpu in vm.vcpus.iter().skip(1) {
            note("a second vCPU of", pd, &vcpu.span);
        }
    }
}

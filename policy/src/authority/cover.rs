//! Which authority a line of the policy declares.
//!
//! Two things need no line: that a component calls the manager, and that both ends of a `stream`
//! map its region, the subject to read and write, the object to read.

use std::collections::HashMap;

use portcullis_kernel::cspace;
use portcullis_sdf::{ExtraCapKind, PdId, Perms, System};

use super::{Authority, Holder, Kind, authorities};
use crate::model::{self, CapKind, ComponentId, MANAGER, Named, Policy, Static};

/// An authority that no line of the policy covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uncovered {
    /// The authority.
    pub authority: Authority,
    /// What is missing.
    pub reason: Reason,
}

/// Why an authority is not covered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The holder is no component of the policy.
    NoComponent,
    /// No line says anything of it.
    NoLine,
    /// A line declares less.
    Wider {
        /// The most that a line declares for this region.
        declared: Perms,
        /// That line, from 1.
        line: u32,
    },
    /// A line could not help: the image keeps its own CNode in this slot of the root.
    SlotTaken,
}

/// A `[[static]]` line that declares what the system description does not give.
#[derive(Clone, Copy, Debug)]
pub struct Unused<'p> {
    /// The line.
    pub rule: &'p Static,
}

/// Every authority of the system that the policy does not cover, by protection domain.
pub fn uncovered(policy: &Policy, system: &System) -> Vec<Uncovered> {
    let lines = Lines::of(policy, system);
    authorities(system)
        .into_iter()
        .filter_map(|authority| {
            let reason = lines.reason(&authority)?;
            Some(Uncovered { authority, reason })
        })
        .collect()
}

/// Every `[[static]]` line whose authority its component does not have. Interrupts, I/O ports and
/// secure monitor calls are not among them: another board's description may have them.
pub fn unused<'p>(policy: &'p Policy, system: &System) -> Vec<Unused<'p>> {
    let lines = Lines::of(policy, system);
    let all = authorities(system);
    let is_used = |rule: &&Static| {
        use model::Authority as Declared;
        let anywhere = matches!(
            rule.authority,
            Declared::Irq(_) | Declared::IoPorts { .. } | Declared::Smc
        );
        anywhere || all.iter().any(|authority| lines.concerns(authority, rule))
    };
    let unused = policy.statics.iter().filter(|rule| !is_used(rule));
    unused.map(|rule| Unused { rule }).collect()
}

/// The policy's lines, with names as numbers of the system.
struct Lines<'p> {
    policy: &'p Policy,
    system: &'p System,
    components: HashMap<PdId, ComponentId>,
    statics: HashMap<ComponentId, Vec<&'p Static>>,
    streams: HashMap<ComponentId, Vec<Stream<'p>>>,
}

/// One end of a stream.
struct Stream<'p> {
    region: &'p Named,
    perms: Perms,
    line: u32,
}

impl<'p> Lines<'p> {
    fn of(policy: &'p Policy, system: &'p System) -> Self {
        let components = policy.component_ids().filter_map(|id| {
            let pd = system.pd_named(&policy.component(id).name)?;
            Some((pd, id))
        });
        let mut statics: HashMap<_, Vec<_>> = HashMap::new();
        for rule in &policy.statics {
            statics.entry(rule.component).or_default().push(rule);
        }
        let mut streams: HashMap<_, Vec<_>> = HashMap::new();
        for grant in &policy.grants {
            let Some(region) = &grant.region else {
                continue;
            };
            for (end, perms) in [
                (grant.subject, Perms::READ_WRITE),
                (grant.object, Perms::READ),
            ] {
                let line = grant.line();
                let stream = Stream {
                    region,
                    perms,
                    line,
                };
                streams.entry(end).or_default().push(stream);
            }
        }
        Self {
            policy,
            system,
            components: components.collect(),
            statics,
            streams,
        }
    }

    /// Why an authority is not covered; `None` where it is.
    fn reason(&self, authority: &Authority) -> Option<Reason> {
        let holder = match authority.holder {
            Holder::Pd(pd) | Holder::Guest(pd) => pd,
            Holder::Device(_) => return self.device_reason(authority),
        };
        let Some(component) = self.components.get(&holder) else {
            return Some(Reason::NoComponent);
        };
        if let Kind::ExtraCap { slot, .. } = authority.kind
            && u64::from(slot) == cspace::PORTCULLIS_ROOT_SLOT
        {
            return Some(Reason::SlotTaken);
        }
        if let Kind::Region { region, perms, .. } = authority.kind {
            let declared = self.declared(*component, &self.system.region(region).name.value);
            return verdict(perms, declared);
        }
        let covered = self.is_call_to_manager(authority)
            || self.knows_covered_address(*component, authority)
            || self
                .rules(*component)
                .any(|rule| self.concerns(authority, rule));
        (!covered).then_some(Reason::NoLine)
    }

    /// A device has no lines of its own. What it can reach is its driver's to answer for: some
    /// component's lines must allow at least as much.
    fn device_reason(&self, authority: &Authority) -> Option<Reason> {
        let Kind::Region { region, perms, .. } = authority.kind else {
            return Some(Reason::NoLine);
        };
        let name = &self.system.region(region).name.value;
        let lines = self.policy.component_ids();
        verdict(perms, lines.flat_map(|id| self.declared(id, name)))
    }

    fn rules(&self, component: ComponentId) -> impl Iterator<Item = &'p Static> {
        self.statics.get(&component).into_iter().flatten().copied()
    }

    /// What the lines of a component declare for a region, with their numbers.
    fn declared(&self, component: ComponentId, region: &str) -> Vec<(Perms, u32)> {
        let statics = self
            .rules(component)
            .filter_map(|rule| match &rule.authority {
                model::Authority::Region { region: own, perms } if own == region => {
                    Some((described(*perms), rule.place.line))
                }
                _ => None,
            });
        let streams = self.streams.get(&component).into_iter().flatten();
        let streams = streams
            .filter(|stream| stream.region.name == region)
            .map(|stream| (stream.perms, stream.line));
        statics.chain(streams).collect()
    }

    fn is_call_to_manager(&self, authority: &Authority) -> bool {
        matches!(authority.kind, Kind::Call { peer, .. }
            if self.system.pd(peer).name.value == MANAGER)
    }

    /// Who may map a region may know where it lies.
    fn knows_covered_address(&self, component: ComponentId, authority: &Authority) -> bool {
        matches!(authority.kind, Kind::PhysicalAddress { region }
            if !self.declared(component, &self.system.region(region).name.value).is_empty())
    }

    /// Whether a line speaks of this authority of this holder.
    fn concerns(&self, authority: &Authority, rule: &Static) -> bool {
        let holder = match authority.holder {
            Holder::Pd(pd) | Holder::Guest(pd) => pd,
            Holder::Device(_) => return false,
        };
        if self.components.get(&holder) != Some(&rule.component) {
            return false;
        }
        let is = |component: ComponentId, pd: PdId| self.components.get(&pd) == Some(&component);
        use model::Authority as Declared;
        match (&authority.kind, &rule.authority) {
            (
                Kind::Region { region, .. } | Kind::PhysicalAddress { region },
                Declared::Region { region: name, .. },
            ) => self.system.region(*region).name.value == *name,
            (Kind::Irq { number, .. }, Declared::Irq(declared)) => *number == u64::from(*declared),
            (
                Kind::IoPorts { base, size },
                Declared::IoPorts {
                    base: from,
                    size: most,
                },
            ) => from <= base && base.saturating_add(*size) <= from.saturating_add(*most),
            (Kind::Child { child }, Declared::Child(component)) => is(*component, *child),
            (Kind::Call { peer, .. }, Declared::Channel { peer: other, calls }) => {
                *calls && is(*other, *peer)
            }
            (Kind::Notify { peer, .. }, Declared::Channel { peer: other, .. }) => is(*other, *peer),
            (
                Kind::ExtraCap { kind, of, .. },
                Declared::Cap {
                    kind: declared,
                    of: other,
                },
            ) => cap_kind(*kind) == *declared && is(*other, *of),
            (Kind::VirtualMachine { name, .. }, Declared::VirtualMachine(declared)) => {
                name == declared
            }
            (Kind::Smc, Declared::Smc) => true,
            _ => false,
        }
    }
}

/// Whether one of the declared permissions allows the mapped ones.
fn verdict(mapped: Perms, declared: impl IntoIterator<Item = (Perms, u32)>) -> Option<Reason> {
    let mut most: Option<(Perms, u32)> = None;
    for (perms, line) in declared {
        if mapped.is_subset(perms) {
            return None;
        }
        if most.is_none_or(|(before, _)| before.is_subset(perms)) {
            most = Some((perms, line));
        }
    }
    Some(match most {
        None => Reason::NoLine,
        Some((declared, line)) => Reason::Wider { declared, line },
    })
}

const fn described(perms: model::Perms) -> Perms {
    Perms {
        read: perms.read,
        write: perms.write,
        execute: perms.execute,
    }
}

const fn cap_kind(kind: ExtraCapKind) -> CapKind {
    match kind {
        ExtraCapKind::Tcb => CapKind::Tcb,
        ExtraCapKind::SchedContext => CapKind::SchedulingContext,
        ExtraCapKind::VSpace => CapKind::Vspace,
    }
}

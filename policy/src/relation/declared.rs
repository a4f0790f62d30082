//! The most that a policy allows: its grants and static rules, and what others learn through the manager.

use std::collections::{BTreeSet, HashSet};

use portcullis_kernel::Mode;
use portcullis_manager_api::INSPECT;

use super::{Cause, Fact, Kind, Object, Power, Registers, Relation, Rights};
use crate::model::{
    Authority, Component, ComponentId, Dma, Grant, MANAGER, Never, Policy, Static, Subject, When,
};

impl<'a> Relation<'a> {
    /// The most that `policy` allows.
    pub fn declared(policy: &'a Policy) -> Self {
        let mut relation = Self {
            domains: policy.subjects().collect(),
            opaque_keeper: opaque_keeper(policy),
            ..Self::default()
        };
        for grant in &policy.grants {
            relation.grant(policy, grant);
        }
        let words = policy.statics.iter().filter_map(dma);
        let unbounded = words.filter(|(_, word)| *word == Dma::Unbounded);
        let unbounded = unbounded.map(|(through, _)| through).collect();
        for rule in &policy.statics {
            relation.rule(policy, rule, &unbounded);
        }
        relation.drivers(policy);
        if policy.manager().is_none() {
            relation.receivers();
        }
        relation.activity(policy);
        relation
    }

    fn grant(&mut self, policy: &'a Policy, grant: &'a Grant) {
        let name = |id: ComponentId| policy.component(id).name.as_str();
        let component = |id| Subject::Component(name(id));
        let object = Object::Component(name(grant.object));
        let rights = match grant.mode {
            Mode::Call => Rights::CALL,
            Mode::Send => Rights::SEND,
            Mode::Notify | Mode::Stream => Rights::SIGNAL,
        };
        let cause = Cause::Grant(grant, None);
        self.add(component(grant.subject), rights, object, Kind::Grant, cause);
        for delegate in &grant.delegate {
            let cause = Cause::Grant(grant, Some(delegate));
            let holder = component(delegate.component);
            self.add(holder, rights, object, Kind::Delegated, cause);
            let told = Object::Component(name(delegate.component));
            let giver = component(grant.subject);
            self.add(giver, Rights::SIGNAL, told, Kind::Delegation, cause);
        }
        if let Some(region) = &grant.region {
            let region = Object::Region(&region.name);
            for (end, write) in [(grant.subject, true), (grant.object, false)] {
                let rights = Rights::of_mapping(true, write, false);
                self.add(component(end), rights, region, Kind::Stream, cause);
            }
        }
    }

    fn rule(&mut self, policy: &'a Policy, rule: &'a Static, unbounded: &HashSet<Registers<'a>>) {
        let holder = policy.subject(rule.holder);
        let (rights, object, kind) = of_rule(policy, rule);
        self.add(holder, rights, object, kind, Cause::Static(rule));
        let Some((through, _)) = dma(rule) else {
            return;
        };
        // One device does what another line says of it, too.
        let rights = match unbounded.contains(&through) {
            false => Rights::default(),
            true => Rights::READ | Rights::WRITE,
        };
        let memory = Object::Memory(through);
        self.add(holder, rights, memory, Kind::Dma, Cause::Static(rule));
    }

    /// Whoever maps the registers of a device behind an IOMMU drives that device, and no other: what it
    /// can reach is what is mapped for the device.
    fn drivers(&mut self, policy: &'a Policy) {
        let registers = policy.registers();
        let driven = self.facts.iter().filter_map(|fact| {
            let Object::Region(region) = fact.object else {
                return None;
            };
            Some((*fact, region, registers.get(region)?))
        });
        let driven: Vec<(Fact<'a>, &str, _)> = driven.collect();
        for (fact, region, device) in driven {
            let (subject, cause) = (fact.subject, fact.cause);
            let memory = Object::Memory(Registers::Region(region));
            self.add(subject, Rights::default(), memory, Kind::Dma, cause);
            let device = Subject::Device(&device.name);
            if subject != device {
                let power = Object::Power(Power::Driver, device);
                self.add(subject, Rights::CONTROL, power, Kind::Driver, cause);
            }
        }
    }

    /// Who receives what is sent to a component, beside itself. Microkit's own tool builds a system without
    /// a manager. Its capabilities to call a component carry Read, and so does a child's copy of the one by
    /// which its faults reach its parent: their holders take each other's messages and faults, and reply. A
    /// guest's faults can be taken, too. A notification is bound to its owner, for whom alone it is.
    fn receivers(&mut self) {
        let taken = self.facts.iter().filter_map(|fact| {
            let (who, of) = match fact.object {
                Object::Component(of)
                    if fact.kind == Kind::Channel && fact.rights.has(Rights::CALL) =>
                {
                    (fact.subject, of)
                }
                Object::Power(Power::Parent | Power::Monitor, of) => (of, fact.subject.name()),
                _ => return None,
            };
            Some((who, Object::Input(of), fact.cause))
        });
        for (who, input, cause) in taken.collect::<Vec<_>>() {
            let rights = Rights::SEND | Rights::RECEIVE;
            self.add(who, rights, input, Kind::Receive, cause);
        }
    }

    /// What the manager learns of each component and reads on pages that others write, and who reads that:
    /// holders of `inspect`, and whoever reads the ring that carries the grant log: its keeper of no component
    /// that is redacted.
    fn activity(&mut self, policy: &'a Policy) {
        let known = policy.components.iter().filter(|it| it.name != MANAGER);
        for component in known.clone() {
            let (name, cause) = (component.name.as_str(), Cause::Component(&component.place));
            let object = Object::Activity(name);
            let itself = Subject::Component(name);
            self.add(itself, Rights::WRITE, object, Kind::Activity, cause);
        }
        let Some(manager) = policy.manager() else {
            return;
        };
        let pages = self.pages();
        // Before anybody learns anything of anybody: what it says of itself is no record.
        let copies = self.opaque_keeper.map(|keeper| self.passed_on(keeper));
        for (reader, cause) in copies.into_iter().flatten() {
            for component in known.clone() {
                let object = Object::Activity(&component.name);
                self.add(reader, Rights::READ, object, Kind::LogCopy, cause);
            }
        }
        let mut readers = Vec::new();
        for grant in policy.grants.iter().filter(|it| it.object == manager) {
            if policy.interface(grant.interface).name == INSPECT {
                let holders = grant.delegate.iter().map(|it| (it.component, Some(it)));
                for (holder, delegate) in holders.chain([(grant.subject, None)]) {
                    let holder = Subject::Component(&policy.component(holder).name);
                    let cause = Cause::Grant(grant, delegate);
                    readers.push((holder, Kind::Inspect, cause, false));
                }
            }
        }
        if let Some((ring, keeper)) = grant_log(policy) {
            let fact_reads =
                |fact: &&Fact<'a>| fact.object == Object::Region(ring) && !fact.is_managers();
            for fact in self.facts.iter().filter(fact_reads) {
                let is_keeper = fact.subject == Subject::Component(&policy.component(keeper).name);
                readers.push((fact.subject, Kind::GrantLog, fact.cause, is_keeper));
            }
        }
        for (reader, kind, cause, is_keeper) in readers {
            for component in known.clone() {
                if !is_keeper || !is_redacted(policy, component) {
                    let object = Object::Activity(&component.name);
                    self.add(reader, Rights::READ, object, kind, cause);
                }
            }
            for (writer, page) in &pages {
                if *writer != reader {
                    self.add(reader, Rights::READ, Object::Page(page), kind, cause);
                }
            }
        }
    }

    /// Who writes what in the manager's memory: the manager puts it into its records and answers, as the
    /// boot's id, UTC, and how many records are durable.
    fn pages(&mut self) -> BTreeSet<(Subject<'a>, &'a str)> {
        let region = |fact: &Fact<'a>| match fact.object {
            Object::Region(region) => Some(region),
            _ => None,
        };
        let managers = self.facts.iter().filter(|fact| fact.is_managers());
        let managers: HashSet<&str> = managers.filter_map(region).collect();
        let others = self.facts.iter().filter(|fact| !fact.is_managers());
        let written = others.filter(|fact| fact.rights.has(Rights::WRITE));
        let written = written.filter_map(|fact| Some((fact.subject, region(fact)?, fact.cause)));
        let written: Vec<_> = written.filter(|it| managers.contains(it.1)).collect();
        for (writer, page, cause) in &written {
            self.add(
                *writer,
                Rights::WRITE,
                Object::Page(page),
                Kind::Page,
                *cause,
            );
        }
        let pages = written.into_iter().map(|(writer, page, _)| (writer, page));
        pages.collect()
    }

    /// To whom the keeper of the grant log tells something of its own accord, and by what: whoever reads
    /// memory that it writes, whom it calls, sends to or notifies, and whoever has power over it. Its replies
    /// depend on no record, where the policy takes it for that.
    fn passed_on(&self, keeper: &'a str) -> Vec<(Subject<'a>, Cause<'a>)> {
        let keeper = Subject::Component(keeper);
        let mut passed = Vec::new();
        self.each_hop(|hop| {
            let is_called = matches!(hop.fact.object, Object::Component(_));
            let replies = is_called && hop.fact.subject != keeper;
            if hop.from == keeper && !replies && hop.to != Subject::Component(MANAGER) {
                passed.push((hop.to, hop.learned.unwrap_or(hop.fact).cause));
            }
        });
        passed
    }
}

/// The manager's first stream, as the manager numbers its grants: it carries the grant log.
pub(crate) fn stream_of_log(policy: &Policy) -> Option<&Grant> {
    let manager = policy.manager()?;
    let held = policy.grants.iter().filter(|it| it.subject == manager);
    let streams = held.filter(|grant| grant.mode == Mode::Stream);
    streams.min_by_key(|grant| grant.when != When::Boot)
}

/// The region that carries the grant log, and the component that keeps it.
pub(crate) fn grant_log(policy: &Policy) -> Option<(&str, ComponentId)> {
    let log = stream_of_log(policy)?;
    Some((&log.region.as_ref()?.name, log.object))
}

/// The keeper of the grant log, where it is taken to act on nothing that a record says.
fn opaque_keeper(policy: &Policy) -> Option<&str> {
    let log = stream_of_log(policy).filter(|grant| grant.is_opaque)?;
    Some(&policy.component(log.object).name)
}

/// Whether the manager writes neither the denials of a component nor the details of its faults into the
/// grant log: where a `never` rule keeps its domain from the keeper's, and the keeper reads records.
pub(crate) fn is_redacted(policy: &Policy, component: &Component) -> bool {
    let Some((_, keeper)) = grant_log(policy) else {
        return false;
    };
    let to = policy.domain_of(keeper);
    let forbids = |never: &Never| (never.from, never.to) == (component.domain, to);
    opaque_keeper(policy).is_none() && policy.nevers.iter().any(forbids)
}

/// What a static rule says of a device's DMA, and by what the device is driven.
fn dma(rule: &Static) -> Option<(Registers<'_>, Dma)> {
    match &rule.authority {
        Authority::Region { region, dma, .. } => Some((Registers::Region(region), (*dma)?)),
        Authority::IoPorts { base, size, dma } => {
            let (base, size) = (*base, *size);
            Some((Registers::Ports { base, size }, (*dma)?))
        }
        _ => None,
    }
}

/// What a static rule declares.
pub(crate) fn of_rule<'a>(policy: &'a Policy, rule: &'a Static) -> (Rights, Object<'a>, Kind) {
    let name = |id: ComponentId| policy.component(id).name.as_str();
    let power = |power, of| Object::Power(power, Subject::Component(name(of)));
    match &rule.authority {
        Authority::Region { region, perms, .. } => (
            Rights::of_mapping(perms.read, perms.write, perms.execute),
            Object::Region(region),
            match policy.subject(rule.holder) {
                Subject::Component(_) => Kind::Map,
                Subject::Guest(_) => Kind::GuestMap,
                Subject::Device(_) => Kind::DeviceMap,
            },
        ),
        Authority::Irq(number) => (
            Rights::RECEIVE,
            Object::Interrupt(u64::from(*number)),
            Kind::Interrupt,
        ),
        Authority::IoPorts { base, size, .. } => {
            let (base, size) = (*base, *size);
            let ports = Object::Ports { base, size };
            (Rights::READ | Rights::WRITE, ports, Kind::IoPorts)
        }
        Authority::Child(child) => (Rights::CONTROL, power(Power::Parent, *child), Kind::Child),
        Authority::Channel { peer, calls } => {
            let calls = if *calls {
                Rights::CALL | Rights::SIGNAL
            } else {
                Rights::SIGNAL
            };
            (calls, Object::Component(name(*peer)), Kind::Channel)
        }
        Authority::Cap { kind, of } => (
            Rights::CONTROL,
            power(Power::Capability(*kind), *of),
            Kind::Capability,
        ),
        Authority::VirtualMachine(guest) => (
            Rights::CONTROL,
            Object::Power(Power::Monitor, Subject::Guest(guest)),
            Kind::VirtualMachine,
        ),
        Authority::Smc => (Rights::CALL, Object::Firmware, Kind::Smc),
    }
}

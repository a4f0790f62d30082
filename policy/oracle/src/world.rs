//! The capability distribution and the memory map: who holds what, and what lies where.
//!
//! From a [`System`] it is what Microkit hands out, as narrowed by the image builder (see
//! `docs/sel4.md`), with every grant that the policy could ever allow already made: the ceiling. From a
//! finished image it is what the image says ([`crate::image`]). What is judged is the same.

use std::collections::BTreeMap;

use crate::case::{CapKind, MANAGER, Mode, Perms, Policy, Region, System, What, Who};

/// Who holds what.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct World {
    /// Whether it is what the policy's lines allow, rather than what a system gives.
    pub is_widest: bool,
    /// Everybody.
    pub everybody: Vec<Who>,
    /// All capabilities but those to memory.
    pub caps: Vec<Cap>,
    /// All memory that somebody sees.
    pub mappings: Vec<Mapping>,
    /// What lies where.
    pub memory: Vec<Memory>,
    /// What runs.
    pub threads: BTreeMap<String, Thread>,
    /// Which device behind the IOMMU raises an interrupt of whom.
    pub raised: Vec<(String, String)>,
    /// Who is told the physical address of a region.
    pub paddrs: Vec<(String, String)>,
    /// Whose faults go to whom; `None`: to the monitor.
    pub faults: BTreeMap<String, Option<String>>,
    /// Who receives what is sent to whom, by what Microkit's own tool adds to a capability.
    pub receivers: Vec<(Who, String)>,
    /// Symbols of protection domains: name and symbol, with the region of which they have the address.
    pub symbols: BTreeMap<(String, String), String>,
}

/// A capability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cap {
    /// Who holds it.
    pub holder: Who,
    /// On what.
    pub on: Object,
    /// Read right, or every right where the object has none.
    pub read: bool,
    /// Write right.
    pub write: bool,
    /// Grant or GrantReply right: who is called can reply.
    pub reply: bool,
    /// What gave it.
    pub by: Source,
}

/// What a capability is on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Object {
    /// The endpoint on which a protection domain receives.
    Endpoint(String),
    /// Its notification.
    Notification(String),
    /// Its thread, time or memory.
    Kernel(CapKind, String),
    /// Its thread as a child's.
    Child(String),
    /// A virtual machine: vCPUs and their threads.
    Vm(String),
    /// An interrupt.
    Irq(u64),
    /// I/O ports: first, how many.
    Ports(u64, u64),
    /// Secure monitor calls.
    Smc,
    /// The registers of a device behind the IOMMU.
    Registers(String),
    /// Something that nobody but the kernel's own set-up should hold.
    Other(String),
}

/// What gave a capability.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// The image.
    Image,
    /// A line of the policy, though no system gives it today.
    Line,
    /// A grant, by its number, held by its subject.
    Grant(usize),
    /// A grant, by its number, held by one to whom it was delegated.
    Delegated(usize),
}

/// Memory that somebody sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Who.
    pub who: Who,
    /// Physical addresses: first, and the one after the last.
    pub bytes: (u64, u64),
    /// What they may do.
    pub perms: Perms,
}

/// A region in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Its name.
    pub region: String,
    /// Physical addresses.
    pub bytes: (u64, u64),
    /// Whether its address is fixed, as a device's is.
    pub fixed: bool,
    /// The file that fills it.
    pub file: Option<String>,
}

/// What the scheduler knows of a thread.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Thread {
    /// Its priority.
    pub priority: u8,
    /// Its core.
    pub core: u8,
    /// Its scheduling domain.
    pub domain: Option<String>,
    /// Whether it has no time of its own.
    pub passive: bool,
    /// Whether its time can be used up.
    pub throttled: bool,
}

impl World {
    /// Of a system, with all that the policy can ever grant.
    pub fn of(system: &System, policy: &Policy) -> Self {
        let mut world = Self::default();
        world.lay_out(system);
        for pd in &system.pds {
            world.everybody.push(Who::pd(&pd.name));
            world.protection_domain(system, &pd.name);
        }
        for device in &system.devices {
            let who = Who::Device(device.name.clone());
            world.everybody.push(who.clone());
            for map in &device.maps {
                world.map(&who, &map.region, map.perms);
            }
        }
        world.channels(system);
        world.grant(policy);
        // Microkit's own tool builds it: who may send to an endpoint can receive there.
        if policy.component(MANAGER).is_none() {
            world.receive();
        }
        world
    }

    /// Lets whoever may send to an endpoint by what the image gives receive there, and children, which hold
    /// the capability by which they fault.
    fn receive(&mut self) {
        self.receivers.clear();
        for cap in &self.caps {
            match (&cap.on, cap.by) {
                (Object::Endpoint(of), Source::Image | Source::Line) if cap.write => {
                    self.receivers.push((cap.holder.clone(), of.clone()));
                }
                (Object::Child(child), _) => {
                    let parent = cap.holder.name().to_owned();
                    self.receivers.push((Who::pd(child), parent));
                }
                _ => {}
            }
        }
    }

    /// The same, with all that the lines of the policy allow besides: the widest system that this policy
    /// would let pass.
    pub fn widest(system: &System, policy: &Policy) -> Self {
        let mut wider = system.clone();
        for line in &policy.statics {
            if let What::Region(name, _) = &line.what
                && wider.region(name).is_none()
            {
                let (name, size) = (name.clone(), Some(0x1000));
                wider.regions.push(Region {
                    name,
                    size,
                    ..Region::default()
                });
            }
        }
        let mut world = Self::of(&wider, policy);
        world.is_widest = true;
        for line in &policy.statics {
            match &line.what {
                What::Region(region, perms) => {
                    world.place(region);
                    world.map(&line.who, region, *perms);
                }
                What::Child(of) => {
                    world.hold(&line.who, Object::Child(of.clone()), "rw", Source::Line)
                }
                What::Channel(of, calls) => {
                    if *calls {
                        world.hold(&line.who, Object::Endpoint(of.clone()), "wg", Source::Line);
                    }
                    world.hold(
                        &line.who,
                        Object::Notification(of.clone()),
                        "w",
                        Source::Line,
                    );
                }
                What::Cap(kind, of) => world.hold(
                    &line.who,
                    Object::Kernel(*kind, of.clone()),
                    "rw",
                    Source::Line,
                ),
                What::Vm(of) => world.hold(&line.who, Object::Vm(of.clone()), "rw", Source::Line),
                What::Smc => world.hold(&line.who, Object::Smc, "rw", Source::Line),
                What::Ports(base, size) => {
                    world.hold(&line.who, Object::Ports(*base, *size), "rw", Source::Line);
                }
                What::Irq(number) => {
                    let irqs = system.pds.iter().flat_map(|pd| &pd.irqs);
                    let raised = irqs.filter(|irq| irq.number == *number);
                    let devices = raised.filter_map(|irq| irq.device.clone());
                    let name = line.who.name();
                    world
                        .raised
                        .extend(devices.map(|device| (device, name.to_owned())));
                }
            }
        }
        for grant in &policy.grants {
            if let Some(region) = &grant.region {
                world.map(&Who::pd(&grant.subject), region, Perms::of("rw"));
                world.map(&Who::pd(&grant.object), region, Perms::of("r"));
            }
        }
        if policy.component(MANAGER).is_none() {
            world.receive();
        }
        let known = policy.components.iter().map(|it| Who::pd(&it.name));
        let known = known.chain(policy.subjects.iter().map(|(who, _)| who.clone()));
        let known: Vec<Who> = known.filter(|who| !world.everybody.contains(who)).collect();
        world.everybody.extend(known);
        world
    }

    /// Puts regions without an address of their own behind all that have one.
    fn lay_out(&mut self, system: &System) {
        let fixed = system
            .regions
            .iter()
            .filter_map(|it| it.phys_addr.map(|start| start + it.size.unwrap_or(0x1000)));
        let mut free = fixed.max().unwrap_or(0).max(1 << 40);
        for region in &system.regions {
            let size = region.size.unwrap_or(0x1000);
            let start = region.phys_addr.unwrap_or(free);
            if region.phys_addr.is_none() {
                free += size;
            }
            self.memory.push(Memory {
                region: region.name.clone(),
                bytes: (start, start + size),
                fixed: region.phys_addr.is_some(),
                file: region.prefill.clone(),
            });
        }
    }

    /// Puts a region that only a line knows behind all others.
    fn place(&mut self, region: &str) {
        if self.memory.iter().any(|it| it.region == region) {
            return;
        }
        let ends = self.memory.iter().map(|it| it.bytes.1);
        let start = ends.max().unwrap_or(0).max(1 << 40);
        self.memory.push(Memory {
            region: region.to_owned(),
            bytes: (start, start + 0x1000),
            fixed: false,
            file: None,
        });
    }

    fn map(&mut self, who: &Who, region: &str, perms: Perms) {
        let memory = self.memory.iter().find(|it| it.region == region);
        if let Some(bytes) = memory.map(|it| it.bytes) {
            let who = who.clone();
            self.mappings.push(Mapping { who, bytes, perms });
        }
    }

    fn hold(&mut self, holder: &Who, on: Object, rights: &str, by: Source) {
        let holder = holder.clone();
        let [read, write, reply] = ['r', 'w', 'g'].map(|letter| rights.contains(letter));
        self.caps.push(Cap {
            holder,
            on,
            read,
            write,
            reply,
            by,
        });
    }

    fn protection_domain(&mut self, system: &System, name: &str) {
        let Some(pd) = system.pd(name) else { return };
        let own = Who::pd(name);
        let thread = Thread {
            priority: pd.priority,
            core: pd.cpu,
            domain: match system.schedule.first() {
                Some(first) => pd.domain.clone().or_else(|| Some(first.clone())),
                None => None,
            },
            passive: pd.passive,
            throttled: pd.throttled,
        };
        self.threads.insert(name.to_owned(), thread);
        let input = |object: fn(String) -> Object| object(name.to_owned());
        self.hold(&own, input(Object::Endpoint), "r", Source::Image);
        self.hold(&own, input(Object::Notification), "r", Source::Image);
        for map in &pd.maps {
            self.map(&own, &map.region, map.perms);
            if let Some(symbol) = &map.symbol {
                let of = (name.to_owned(), symbol.clone());
                self.symbols.insert(of, map.region.clone());
            }
        }
        for irq in &pd.irqs {
            self.hold(&own, Object::Irq(irq.number), "rw", Source::Image);
            let raises = irq
                .device
                .as_ref()
                .filter(|it| system.devices.iter().any(|own| own.name == **it));
            self.raised
                .extend(raises.map(|it| (it.clone(), name.to_owned())));
        }
        for ports in &pd.ports {
            let on = Object::Ports(ports.base, ports.size);
            self.hold(&own, on, "rw", Source::Image);
        }
        if pd.smc {
            self.hold(&own, Object::Smc, "rw", Source::Image);
        }
        for cap in &pd.caps {
            self.hold(
                &own,
                Object::Kernel(cap.kind, cap.of.clone()),
                "rw",
                Source::Image,
            );
        }
        self.paddrs.extend(
            pd.paddrs
                .iter()
                .map(|(_, region)| (name.to_owned(), region.clone())),
        );
        // Microkit's fault endpoint: the parent's; without one, the builder makes it the manager's.
        let manager = system.pd(MANAGER).filter(|_| name != MANAGER);
        let handler = pd
            .parent
            .clone()
            .or_else(|| manager.map(|it| it.name.clone()));
        self.faults.insert(name.to_owned(), handler);
        if let Some(parent) = &pd.parent {
            self.hold(
                &Who::pd(parent),
                Object::Child(name.to_owned()),
                "rw",
                Source::Image,
            );
        }
        if let Some(guest) = &pd.guest {
            self.hold(&own, Object::Vm(guest.name.clone()), "rw", Source::Image);
            let who = Who::Guest(guest.name.clone());
            self.everybody.push(who.clone());
            for map in &guest.maps {
                self.map(&who, &map.region, map.perms);
            }
        }
    }

    fn channels(&mut self, system: &System) {
        for (end, other) in system.ends() {
            let (holder, peer) = (Who::pd(&end.pd), other.pd.clone());
            if end.pp {
                self.hold(&holder, Object::Endpoint(peer.clone()), "wg", Source::Image);
            }
            if end.notify {
                self.hold(&holder, Object::Notification(peer), "w", Source::Image);
            }
        }
    }

    /// Gives everybody every grant that they can ever hold.
    pub fn grant(&mut self, policy: &Policy) {
        for (number, grant) in policy.grants.iter().enumerate() {
            let first = (&grant.subject, Source::Grant(number));
            let delegates = grant
                .delegate
                .iter()
                .map(|it| (it, Source::Delegated(number)));
            for (holder, by) in std::iter::once(first).chain(delegates) {
                let (on, rights) = match grant.mode {
                    Mode::Call => (Object::Endpoint(grant.object.clone()), "wg"),
                    Mode::Send => (Object::Endpoint(grant.object.clone()), "w"),
                    // The memory of a stream is mapped by the system, or is not there.
                    Mode::Notify | Mode::Stream => {
                        (Object::Notification(grant.object.clone()), "w")
                    }
                };
                self.hold(&Who::pd(holder), on, rights, by);
            }
        }
    }

    /// The regions of which a mapping shows a byte.
    pub fn regions_of(&self, mapping: &Mapping) -> impl Iterator<Item = &Memory> {
        self.memory
            .iter()
            .filter(|it| overlap(it.bytes, mapping.bytes))
    }

    /// What somebody may do to a region, by all mappings together.
    pub fn perms(&self, who: &Who, region: &str) -> Perms {
        let Some(memory) = self.memory.iter().find(|it| it.region == region) else {
            return Perms::default();
        };
        let all = self
            .mappings
            .iter()
            .filter(|it| it.who == *who && overlap(it.bytes, memory.bytes));
        all.fold(Perms::default(), |perms, it| perms.or(it.perms))
    }
}

/// Whether two ranges have a byte in common.
pub const fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 < b.1 && b.0 < a.1
}

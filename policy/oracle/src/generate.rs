//! Random systems, each with a policy that fits it exactly.
//!
//! The system and its grants are random; static lines, flows and `never` rules are then what it takes
//! for nothing to be wrong. What is wrong comes from [`perturb`](crate::perturb).

use crate::boot;
use crate::case::{
    CapKind, Case, Component, Device, Dma, End, ExtraCap, Flow, Grant, Irq, MANAGER, Map, Mode, Pd,
    Perms, Policy, Ports, Region, Static, System, What, Who,
};
use crate::judge::{self, crossings};
use crate::random::Random;
use crate::steps::{shortest, steps};
use crate::world::World;

/// Methods of the manager's own interface.
const INSPECT: [&str; 5] = ["grants", "component", "record", "why", "status"];
/// The component that watches the manager's deadline.
pub const CLOCK: &str = "clock";
/// Where device registers begin.
const DEVICES: u64 = 0x900_0000;

/// A random system with a policy that fits it.
pub fn case(random: &mut Random) -> Case {
    let mut make = Make {
        random,
        case: Case::default(),
    };
    make.domains();
    make.components();
    make.interfaces();
    if make.random.percent(75) {
        make.manager();
        make.grants();
    }
    make.memory();
    make.devices();
    make.guests();
    make.families();
    make.channels();
    make.symbols();
    make.case.policy.inline = make.random.percent(15);
    let mut case = make.case;
    complete(&mut case);
    nevers(&mut case, random);
    case
}

/// Adds the lines and flows that are missing for what the system does and the policy grants.
pub fn complete(case: &mut Case) {
    lines(case);
    let world = World::of(&case.system, &case.policy);
    for (from, to, mode) in crossings(&world, &case.policy) {
        flow(&mut case.policy.flows, &from, &to, mode);
    }
}

fn flow(flows: &mut Vec<Flow>, from: &str, to: &str, mode: Mode) {
    match flows.iter_mut().find(|it| it.from == from && it.to == to) {
        Some(flow) if flow.modes.contains(&mode) => {}
        Some(flow) => flow.modes.push(mode),
        None => {
            let (from, to) = (from.to_owned(), to.to_owned());
            flows.push(Flow {
                from,
                to,
                modes: vec![mode],
            });
        }
    }
}

/// Some `never` rules that hold.
fn nevers(case: &mut Case, random: &mut Random) {
    let world = World::of(&case.system, &case.policy);
    for _ in 0..random.below(5) {
        let pick = |random: &mut Random| random.pick(&case.policy.domains).cloned();
        let (Some(from), Some(to)) = (pick(random), pick(random)) else {
            return;
        };
        let rule = (from, to);
        if rule.0 == rule.1 || case.policy.nevers.contains(&rule) {
            continue;
        }
        let is_in = |who: &Who, domain: &String| case.policy.domain_of(who) == Some(domain);
        let starts: Vec<Who> = world
            .everybody
            .iter()
            .filter(|who| is_in(who, &rule.0))
            .cloned()
            .collect();
        let mut with = case.policy.clone();
        with.nevers.push(rule.clone());
        let steps = steps(&world, &with);
        // A rule about a domain that nobody is in says nothing.
        let ends = world.everybody.iter().any(|who| is_in(who, &rule.1));
        if ends
            && !starts.is_empty()
            && shortest(&steps, &starts, |who| is_in(who, &rule.1)).is_none()
        {
            case.policy.nevers.push(rule);
        }
    }
}

/// Lines for all that a system gives and that has none.
fn lines(case: &mut Case) {
    let Case { system, policy } = case;
    let mut wanted: Vec<Static> = Vec::new();
    let mut want = |who: &Who, what| wanted.push(Static::new(who.clone(), what));
    for pd in &system.pds {
        let who = Who::pd(&pd.name);
        maps(&who, &pd.maps, &mut want);
        for (_, region) in &pd.paddrs {
            if !pd.maps.iter().any(|map| map.region == *region) {
                want(&who, What::Region(region.clone(), Perms::of("r")));
            }
        }
        for irq in &pd.irqs {
            want(&who, What::Irq(irq.number));
        }
        for ports in &pd.ports {
            want(&who, What::Ports(ports.base, ports.size));
        }
        for cap in &pd.caps {
            want(&who, What::Cap(cap.kind, cap.of.clone()));
        }
        if pd.smc {
            want(&who, What::Smc);
        }
        if let Some(parent) = &pd.parent {
            want(&Who::pd(parent), What::Child(pd.name.clone()));
        }
        if let Some(guest) = &pd.guest {
            want(&who, What::Vm(guest.name.clone()));
            maps(&Who::Guest(guest.name.clone()), &guest.maps, &mut want);
        }
    }
    for device in &system.devices {
        maps(&Who::Device(device.name.clone()), &device.maps, &mut want);
    }
    for (end, other) in system.ends() {
        let who = Who::pd(&end.pd);
        if end.pp && other.pd != MANAGER {
            want(&who, What::Channel(other.pd.clone(), true));
        } else if end.notify {
            want(&who, What::Channel(other.pd.clone(), false));
        }
    }
    // A line about somebody whom the policy does not know would not be readable.
    let names = |what: &What| match what {
        What::Child(of) | What::Channel(of, _) | What::Cap(_, of) => policy.component(of).is_some(),
        _ => true,
    };
    wanted.retain(|line| policy.domain_of(&line.who).is_some() && names(&line.what));
    wanted.sort();
    wanted.dedup();
    for mut line in wanted {
        line.dma = word(system, policy, &line.what);
        let allowed = match &line.what {
            What::Region(region, _) => judge::allowed(policy, &line.who, region),
            _ => Perms::default(),
        };
        let mut all = policy.statics.iter_mut();
        let same = all.find(|it| it.who == line.who && is_about(&it.what, &line.what));
        match (same, &line.what) {
            (Some(declared), wanted) => {
                declared.dma = declared.dma.or(line.dma);
                if let (What::Region(_, own), What::Region(_, perms)) = (&mut declared.what, wanted)
                    && perms.without(allowed).any()
                {
                    *own = own.or(*perms);
                }
            }
            // The two ends of a stream map it without a line.
            (None, What::Region(_, perms))
                if !perms.without(allowed).any() && line.dma.is_none() => {}
            (None, _) => policy.statics.push(line),
        }
    }
}

/// Whether a line is about what another should say.
fn is_about(line: &What, wanted: &What) -> bool {
    match (line, wanted) {
        (What::Region(name, _), What::Region(region, _)) => name == region,
        (What::Channel(to, true), What::Channel(peer, _)) => to == peer,
        _ => line == wanted,
    }
}

/// What a line must say of a device's DMA: one device in two does none.
fn word(system: &System, policy: &Policy, what: &What) -> Option<Dma> {
    let (is_device, number) = match what {
        What::Region(name, _) => {
            let is_bounded = policy.driven().any(|(_, it)| it == name);
            let is_fixed = system.region(name).is_some_and(|it| it.phys_addr.is_some());
            (is_fixed && !is_bounded, name.bytes().map(u64::from).sum())
        }
        What::Ports(base, _) => (true, base >> 8),
        _ => return None,
    };
    let word = [Dma::None, Dma::Unbounded][number as usize % 2];
    is_device.then_some(word)
}

fn maps(who: &Who, maps: &[Map], want: &mut impl FnMut(&Who, What)) {
    let mut regions: Vec<&String> = maps.iter().map(|map| &map.region).collect();
    regions.sort();
    regions.dedup();
    for region in regions {
        let perms = maps.iter().filter(|map| map.region == *region);
        let perms = perms.fold(Perms::default(), |perms, map| perms.or(map.perms));
        want(who, What::Region(region.clone(), perms));
    }
}

struct Make<'r> {
    random: &'r mut Random,
    case: Case,
}

/// Adds the clock, which the manager tells of its deadline on a page of this name.
fn clock(system: &mut System, policy: &mut Policy, page: &str, domain: String) {
    system.regions.push(Region {
        name: page.to_owned(),
        size: Some(0x1000),
        ..Region::default()
    });
    let map = |perms| Map::new(page, perms).known_as(boot::DEADLINE);
    let manager = system.pds.iter_mut().find(|pd| pd.name == MANAGER);
    manager.expect("it was just added").maps.push(map("rw"));
    let id = system.pds.len() as u8;
    system.pds.push(Pd {
        name: CLOCK.to_owned(),
        priority: 252,
        throttled: true,
        maps: vec![map("r")],
        ..Pd::default()
    });
    let end = |pd: &str, id| End {
        pd: pd.to_owned(),
        id,
        notify: true,
        ..End::default()
    };
    system.channels.push([end(CLOCK, 0), end(MANAGER, id)]);
    policy.components.push(Component {
        name: CLOCK.to_owned(),
        domain,
        offers: Vec::new(),
    });
}

impl Make<'_> {
    fn domains(&mut self) {
        let count = self.random.range(2, 4);
        self.case.policy.domains = (0..count).map(|it| format!("d{it}")).collect();
    }

    fn domain(&mut self) -> String {
        let domains = &self.case.policy.domains;
        domains[self.random.below(domains.len())].clone()
    }

    fn components(&mut self) {
        let count = self.random.range(2, 5);
        for number in 0..count {
            let name = format!("c{number}");
            let priority = 200 - 10 * number as u8;
            let passive = self.random.percent(30);
            self.case.system.pds.push(Pd {
                name: name.clone(),
                priority,
                passive,
                ..Pd::default()
            });
            let domain = self.domain();
            self.case.policy.components.push(Component {
                name,
                domain,
                offers: Vec::new(),
            });
        }
        // One of them apart from the others.
        if self.random.percent(15) {
            self.case.system.pds[count - 1].cpu = 1;
        }
        if self.random.percent(15) {
            self.case.system.schedule = vec!["s0".to_owned(), "s1".to_owned()];
            let apart = self.random.percent(50);
            self.case.system.pds[count - 1].domain = apart.then(|| "s1".to_owned());
        }
    }

    fn is_apart(&self, pd: &Pd) -> bool {
        pd.cpu != 0 || pd.domain.is_some()
    }

    /// Interfaces whose numbers differ, so that any may be offered together.
    fn interfaces(&mut self) {
        for place in 0..self.random.range(1, 4) {
            let interface = format!("i{place}");
            let methods =
                (0..self.random.range(1, 4)).map(|it| (format!("m{it}"), (place * 5 + it) as u8));
            self.case
                .policy
                .interfaces
                .push((interface.clone(), methods.collect()));
            let components = &mut self.case.policy.components;
            for _ in 0..self.random.range(1, 2) {
                let at = self.random.below(components.len());
                if !components[at].offers.contains(&interface) {
                    components[at].offers.push(interface.clone());
                }
            }
        }
    }

    fn manager(&mut self) {
        let Case { system, policy } = &mut self.case;
        policy
            .domains
            .extend(["manager".to_owned(), "ledger".to_owned()]);
        let regions = [
            ("policy", 0x1000, Some("p.policy")),
            ("policy_keys", 0x1000, Some("p.pub")),
            ("grant_log", 0x3000, None),
            ("grant_log_ack", 0x1000, None),
        ];
        let own_names = self.random.percent(30);
        let name = |role: &str| {
            if own_names {
                format!("own_{role}")
            } else {
                role.to_owned()
            }
        };
        for (role, size, prefill) in regions {
            let prefill = prefill.map(str::to_owned);
            system.regions.push(Region {
                name: name(role),
                size: Some(size),
                prefill,
                phys_addr: None,
            });
        }
        let map = |role: &str, perms| Map::new(&name(role), perms).known_as(role);
        let maps = [
            map("policy", "r"),
            map("policy_keys", "r"),
            map("grant_log", "rw"),
            map("grant_log_ack", "r"),
        ];
        system.pds.push(Pd {
            name: MANAGER.to_owned(),
            priority: 250,
            maps: maps.into(),
            ..Pd::default()
        });
        let stated: Vec<&str> = boot::OPTIONAL
            .into_iter()
            .filter(|_| self.random.percent(30))
            .collect();
        for role in &stated {
            system.regions.push(Region {
                name: name(role),
                size: Some(0x1000),
                prefill: None,
                phys_addr: None,
            });
            let manager = system.pds.last_mut().expect("it is the manager");
            manager.maps.push(map(role, "r"));
        }
        let maps = [map("grant_log", "r"), map("grant_log_ack", "rw")];
        let passive = self.random.percent(50);
        system.pds.push(Pd {
            name: "ledger".to_owned(),
            priority: 240,
            passive,
            maps: maps.into(),
            ..Pd::default()
        });
        // They run before the manager, and ask it nothing.
        let mut early = Vec::new();
        for (place, role) in stated.into_iter().enumerate() {
            early.push(Pd {
                name: format!("early{place}"),
                priority: 251 + place as u8,
                passive: self.random.percent(50),
                maps: vec![Map::new(&name(role), "rw")],
                ..Pd::default()
            });
        }
        for (place, pd) in system
            .pds
            .iter()
            .filter(|pd| pd.name != MANAGER)
            .enumerate()
        {
            let end = |pd: &str, id, pp| End {
                pd: pd.to_owned(),
                id,
                pp,
                ..End::default()
            };
            system
                .channels
                .push([end(&pd.name, 0, true), end(MANAGER, place as u8 + 1, false)]);
        }
        for pd in early {
            let domain = policy.domains[self.random.below(policy.domains.len())].clone();
            policy.components.push(Component {
                name: pd.name.clone(),
                domain,
                offers: Vec::new(),
            });
            system.pds.push(pd);
        }
        if self.random.percent(50) {
            let domain = self.random.pick(&policy.domains).cloned();
            let domain = domain.expect("two were just added");
            clock(system, policy, &name(boot::DEADLINE), domain);
        }
        let methods = INSPECT
            .iter()
            .zip(0..)
            .map(|(name, number)| ((*name).to_owned(), number));
        policy
            .interfaces
            .push(("inspect".to_owned(), methods.collect()));
        policy.interfaces.push((
            "worm".to_owned(),
            vec![("append".to_owned(), 20), ("read".to_owned(), 21)],
        ));
        for (name, offers) in [(MANAGER, "inspect"), ("ledger", "worm")] {
            let (name, offers) = (name.to_owned(), vec![offers.to_owned()]);
            policy.components.push(Component {
                domain: name.clone(),
                name,
                offers,
            });
        }
        policy.grants.push(Grant {
            subject: MANAGER.to_owned(),
            object: "ledger".to_owned(),
            interface: "worm".to_owned(),
            methods: vec!["append".to_owned()],
            mode: Mode::Stream,
            region: Some(name("grant_log")),
            on_request: false,
            lease: false,
            delegate: Vec::new(),
        });
        policy.is_opaque = self.random.percent(30);
    }

    fn grants(&mut self) {
        for _ in 0..self.random.below(6) {
            if let Some(grant) = self.grant() {
                let key = |it: &Grant| {
                    (
                        it.subject.clone(),
                        it.object.clone(),
                        it.interface.clone(),
                        it.mode,
                    )
                };
                if !self
                    .case
                    .policy
                    .grants
                    .iter()
                    .any(|it| key(it) == key(&grant))
                {
                    self.case.policy.grants.push(grant);
                }
            }
        }
    }

    /// Subjects are below objects, so that calls go upwards.
    fn grant(&mut self) -> Option<Grant> {
        let Case { system, policy } = &mut self.case;
        let objects: Vec<(&str, &str)> = policy
            .components
            .iter()
            .flat_map(|it| {
                it.offers
                    .iter()
                    .map(|offer| (it.name.as_str(), offer.as_str()))
            })
            .collect();
        let (object, interface) = *self.random.pick(&objects)?;
        let above = system.pd(object)?;
        let below = system.pds.iter().filter(|it| it.priority < above.priority);
        let subjects: Vec<&Pd> = below
            .filter(|it| it.cpu == 0 && it.domain.is_none())
            .collect();
        let subject = self.random.pick(&subjects)?.name.clone();
        let methods = policy.methods(interface);
        let count = self.random.range(1, methods.len());
        let methods: Vec<String> = methods[..count].iter().map(|it| it.0.clone()).collect();
        let is_local = above.cpu == 0 && above.domain.is_none();
        let has_clock = system.pd(CLOCK).is_some();
        let modes: &[Mode] = match (object, is_local, above.passive) {
            (MANAGER, ..) => &[Mode::Call],
            (_, true, true) => &[Mode::Call, Mode::Call, Mode::Notify, Mode::Stream],
            (_, true, false) => &[Mode::Call, Mode::Send, Mode::Notify, Mode::Stream],
            (_, false, true) => &[Mode::Notify, Mode::Stream],
            (_, false, false) => &[Mode::Send, Mode::Notify, Mode::Stream],
        };
        let mode = *self.random.pick(modes)?;
        let mut grant = Grant {
            subject: subject.clone(),
            object: object.to_owned(),
            interface: interface.to_owned(),
            methods,
            mode,
            region: None,
            on_request: mode != Mode::Stream && self.random.percent(25),
            lease: mode != Mode::Stream && has_clock && self.random.percent(30),
            delegate: Vec::new(),
        };
        if mode != Mode::Stream && self.random.percent(15) {
            let to = subjects
                .iter()
                .filter(|it| it.name != subject && it.name != object && it.name != MANAGER);
            let to: Vec<_> = to.map(|it| it.name.clone()).collect();
            grant.delegate.extend(self.random.pick(&to).cloned());
        }
        if mode == Mode::Stream {
            let region = format!("stream{}", system.regions.len());
            system.regions.push(Region {
                name: region.clone(),
                size: Some(0x2000),
                ..Region::default()
            });
            for (end, perms) in [(&grant.subject, "rw"), (&grant.object, "r")] {
                let map = Map::new(&region, perms);
                system
                    .pds
                    .iter_mut()
                    .filter(|pd| pd.name == *end)
                    .for_each(|pd| pd.maps.push(map.clone()));
            }
            grant.region = Some(region);
        }
        Some(grant)
    }

    fn region(&mut self, kind: &str) -> String {
        let regions = &mut self.case.system.regions;
        let name = format!("{kind}{}", regions.len());
        let pages = [1, 2, 4][self.random.below(3)];
        regions.push(Region {
            name: name.clone(),
            size: Some(pages * 0x1000),
            ..Region::default()
        });
        name
    }

    /// A component that is neither the manager nor the log's keeper.
    fn someone(&mut self) -> usize {
        let others = self
            .case
            .system
            .pds
            .iter()
            .filter(|pd| pd.name.starts_with('c'))
            .count();
        self.random.below(others)
    }

    fn map(&mut self, pd: usize, region: &str, perms: &str) {
        let maps = &mut self.case.system.pds[pd].maps;
        if !maps.iter().any(|it| it.region == region) {
            let map = Map::new(region, perms);
            maps.push(match self.random.percent(40) {
                true => map.known_as(&format!("at_{region}")),
                false => map,
            });
        }
    }

    fn memory(&mut self) {
        for _ in 0..self.random.below(4) {
            let region = self.region("mem");
            let writer = self.someone();
            let perms = ["rw", "rw", "r", "rx"][self.random.below(4)];
            self.map(writer, &region, perms);
            if self.random.percent(35) {
                let place = self.case.system.regions.len() - 1;
                self.case.system.regions[place].prefill = Some(format!("{region}.bin"));
                if self.random.percent(20) {
                    self.case.system.regions[place].size = None;
                }
            }
            for _ in 0..self.random.below(3) {
                let reader = self.someone();
                let perms = if perms == "rw" {
                    ["r", "r", "r", "rw"][self.random.below(4)]
                } else {
                    "r"
                };
                self.map(reader, &region, perms);
            }
        }
    }

    fn devices(&mut self) {
        for number in 0..self.random.below(3) {
            let driver = self.someone();
            let region = self.region("dev");
            let place = self.case.system.regions.len() - 1;
            self.case.system.regions[place].phys_addr = Some(DEVICES + 0x10_0000 * number as u64);
            self.map(driver, &region, "rw");
            if self.random.percent(60) {
                let pd = &mut self.case.system.pds[driver];
                pd.irqs.push(Irq {
                    number: 40 + number as u64,
                    id: 50 + number as u8,
                    ..Irq::default()
                });
            }
            if self.random.percent(40) {
                let buffer = self.region("dma");
                self.map(driver, &buffer, "rw");
                let symbol = format!("{buffer}_paddr");
                self.case.system.pds[driver].paddrs.push((symbol, buffer));
            }
        }
        if self.random.percent(12) {
            let driver = self.someone();
            self.case.system.pds[driver].ports.push(Ports {
                base: 0x3f8,
                size: 8,
                ..Ports::default()
            });
        }
        if self.random.percent(12) {
            for _ in 0..self.random.range(1, 2) {
                let caller = self.someone();
                self.case.system.pds[caller].smc = true;
            }
        }
        if self.random.percent(25) {
            self.iommu();
        }
    }

    fn iommu(&mut self) {
        let driver = self.someone();
        let buffer = self.region("io");
        self.map(driver, &buffer, "rw");
        let perms = ["rw", "r", "w"][self.random.below(3)];
        let map = |region: &String| Map::new(region, perms);
        let mut device = Device {
            name: "nic".to_owned(),
            maps: vec![map(&buffer)],
            ..Device::default()
        };
        // What a driver knows the address of is bounded where its device maps it.
        let known = self.case.system.pds[driver].paddrs.clone();
        if self.random.percent(50) {
            device
                .maps
                .extend(known.iter().map(|(_, region)| map(region)));
        }
        self.case.system.devices.push(device);
        self.registers(driver);
        if self.random.percent(40) {
            let device = Some("nic".to_owned());
            self.case.system.pds[driver].irqs.push(Irq {
                number: 20,
                id: 47,
                device,
                ..Irq::default()
            });
        }
        let domain = match self.random.percent(70) {
            true => self.case.policy.components[driver].domain.clone(),
            false => self.domain(),
        };
        self.case
            .policy
            .subjects
            .push((Who::Device("nic".to_owned()), domain));
    }

    /// What the driver of the device behind the IOMMU drives it by: a region, and perhaps another's too.
    fn registers(&mut self, driver: usize) {
        if self.random.percent(30) {
            return;
        }
        let region = self.region("regs");
        let place = self.case.system.regions.len() - 1;
        self.case.system.regions[place].phys_addr = Some(DEVICES + 0x100_0000);
        self.map(driver, &region, "rw");
        if self.random.percent(20) {
            let other = self.someone();
            self.map(other, &region, "r");
        }
        let registers = &mut self.case.policy.registers;
        registers.push(("nic".to_owned(), region));
    }

    fn guests(&mut self) {
        if !self.random.percent(20) {
            return;
        }
        let monitor = self.someone();
        let ram = self.region("ram");
        self.map(monitor, &ram, "rw");
        let mut guest = Device {
            name: "vm".to_owned(),
            maps: vec![Map::new(&ram, "rwx")],
            ..Device::default()
        };
        if self.random.percent(30) {
            let shared = self.region("virtio");
            let peer = self.someone();
            self.map(peer, &shared, "rw");
            guest.maps.push(Map::new(&shared, "rw"));
        }
        self.case.system.pds[monitor].guest = Some(guest);
        let domain = match self.random.percent(50) {
            true => self.case.policy.components[monitor].domain.clone(),
            false => self.domain(),
        };
        self.case
            .policy
            .subjects
            .push((Who::Guest("vm".to_owned()), domain));
    }

    /// Parents, and capabilities to others' threads.
    fn families(&mut self) {
        if self.random.percent(15) {
            let (parent, child) = (self.someone(), self.someone());
            let name = self.case.system.pds[parent].name.clone();
            if parent < child {
                self.case.system.pds[child].parent = Some(name);
            }
        }
        if self.random.percent(15) {
            let (holder, of) = (self.someone(), self.someone());
            let kind = [CapKind::Tcb, CapKind::Sc, CapKind::Vspace][self.random.below(3)];
            if holder != of {
                let of = self.case.system.pds[of].name.clone();
                self.case.system.pds[holder]
                    .caps
                    .push(ExtraCap { kind, of, slot: 3 });
            }
        }
    }

    /// Symbols of which nobody but their program knows anything.
    fn symbols(&mut self) {
        let others = symbols(&mut self.case).into_iter();
        let others = others.filter(|(pd, _)| pd != MANAGER).enumerate();
        for (number, (_, symbol)) in others {
            if self.random.percent(30) {
                *symbol = Some(format!("own_{number}"));
            }
        }
    }

    fn channels(&mut self) {
        for place in 0..self.random.below(3) {
            let (one, other) = (self.someone(), self.someone());
            let pds = &self.case.system.pds;
            if one >= other {
                continue;
            }
            // The one of the lower priority is the second.
            let local = !self.is_apart(&pds[one]) && !self.is_apart(&pds[other]);
            let pp = local && self.random.percent(40);
            let (to, from) = (pds[one].name.clone(), pds[other].name.clone());
            let notify = (!pp || self.random.percent(30), self.random.percent(30));
            let end = |pd, pp, notify| End {
                pd,
                id: 30 + place as u8,
                pp,
                notify,
                ..End::default()
            };
            self.case
                .system
                .channels
                .push([end(from, pp, notify.0), end(to, false, notify.1)]);
        }
    }
}

/// The symbols that get an id, an I/O port or the size of a file, in the programs of others than the
/// manager: of whom, each by its form.
pub fn symbols(case: &mut Case) -> Vec<(String, &mut Option<String>)> {
    let System {
        pds,
        channels,
        regions,
        ..
    } = &mut case.system;
    let mut all = Vec::new();
    let is_filled = |name: &str| {
        let mut own = regions.iter();
        own.any(|it| it.name == name && it.prefill.is_some())
    };
    for end in channels.iter_mut().flatten() {
        all.push((end.pd.clone(), &mut end.symbol));
    }
    for pd in pds {
        let name = || pd.name.clone();
        all.extend(pd.irqs.iter_mut().map(|it| (name(), &mut it.symbol)));
        for ports in &mut pd.ports {
            all.push((name(), &mut ports.symbol));
            all.push((name(), &mut ports.addr_symbol));
        }
        all.extend(pd.guest.iter_mut().map(|it| (name(), &mut it.symbol)));
        let maps = pd.maps.iter_mut().filter(|it| is_filled(&it.region));
        all.extend(maps.map(|it| (name(), &mut it.prefill_size)));
        if let Some(parent) = &pd.parent {
            all.push((parent.clone(), &mut pd.id_symbol));
        }
    }
    all
}

/// Every kind of element, and whether a case has it: what the run must have seen in each verdict.
pub fn elements(case: &Case) -> Vec<(&'static str, bool)> {
    let Case { system, policy } = case;
    let System {
        regions,
        pds,
        channels,
        devices,
        schedule,
    } = system;
    let mut all = Vec::new();
    let mut has = |what, is: bool| all.push((what, is));
    has("grant records opaque", policy.is_opaque);
    has("memory_region", !regions.is_empty());
    has(
        "memory_region phys_addr",
        regions.iter().any(|it| it.phys_addr.is_some()),
    );
    has(
        "memory_region prefill_path",
        regions.iter().any(|it| it.prefill.is_some()),
    );
    has("protection_domain", !pds.is_empty());
    has("protection_domain passive", pds.iter().any(|it| it.passive));
    has("protection_domain cpu", pds.iter().any(|it| it.cpu != 0));
    has("protection_domain smc", pds.iter().any(|it| it.smc));
    has(
        "child protection_domain",
        pds.iter().any(|it| it.parent.is_some()),
    );
    has(
        "map r",
        pds.iter()
            .any(|it| it.maps.iter().any(|it| !it.perms.write)),
    );
    has(
        "map rw",
        pds.iter().any(|it| it.maps.iter().any(|it| it.perms.write)),
    );
    has(
        "map x",
        pds.iter()
            .any(|it| it.maps.iter().any(|it| it.perms.execute)),
    );
    has(
        "map setvar_vaddr",
        pds.iter()
            .any(|it| it.maps.iter().any(|it| it.symbol.is_some())),
    );
    let set = |is: &dyn Fn(&Pd) -> bool| pds.iter().any(is);
    has(
        "map setvar_prefill_size",
        set(&|it| it.maps.iter().any(|it| it.prefill_size.is_some())),
    );
    has(
        "irq setvar_id",
        set(&|it| it.irqs.iter().any(|it| it.symbol.is_some())),
    );
    has(
        "ioport setvar_id",
        set(&|it| it.ports.iter().any(|it| it.symbol.is_some())),
    );
    has(
        "ioport setvar_addr",
        set(&|it| it.ports.iter().any(|it| it.addr_symbol.is_some())),
    );
    has(
        "vcpu setvar_id",
        set(&|it| it.guest.as_ref().is_some_and(|it| it.symbol.is_some())),
    );
    has(
        "child protection_domain setvar_id",
        set(&|it| it.parent.is_some() && it.id_symbol.is_some()),
    );
    has(
        "end setvar_id",
        channels.iter().flatten().any(|it| it.symbol.is_some()),
    );
    has("irq", pds.iter().any(|it| !it.irqs.is_empty()));
    has(
        "irq pcidev",
        pds.iter()
            .any(|it| it.irqs.iter().any(|it| it.device.is_some())),
    );
    has("ioport", pds.iter().any(|it| !it.ports.is_empty()));
    has(
        "setvar region_paddr",
        pds.iter().any(|it| !it.paddrs.is_empty()),
    );
    for (what, kind) in [
        ("cap_tcb", CapKind::Tcb),
        ("cap_sc", CapKind::Sc),
        ("cap_vspace", CapKind::Vspace),
    ] {
        has(
            what,
            pds.iter()
                .any(|it| it.caps.iter().any(|it| it.kind == kind)),
        );
    }
    has("virtual_machine", pds.iter().any(|it| it.guest.is_some()));
    has("io_address_space", !devices.is_empty());
    has("domains", !schedule.is_empty());
    has(
        "protection_domain domain",
        pds.iter().any(|it| it.domain.is_some()),
    );
    has(
        "channel pp",
        channels.iter().any(|it| it.iter().any(|end| end.pp)),
    );
    has(
        "channel notify",
        channels.iter().any(|it| it.iter().any(|end| end.notify)),
    );
    has("[[flows]]", !policy.flows.is_empty());
    has("[[never]]", !policy.nevers.is_empty());
    has(
        "[guests]",
        policy
            .subjects
            .iter()
            .any(|it| matches!(it.0, Who::Guest(_))),
    );
    has(
        "[devices]",
        policy
            .subjects
            .iter()
            .any(|it| matches!(it.0, Who::Device(_))),
    );
    for (what, mode) in [
        ("grant call", Mode::Call),
        ("grant send", Mode::Send),
        ("grant notify", Mode::Notify),
        ("grant stream", Mode::Stream),
    ] {
        has(what, policy.grants.iter().any(|it| it.mode == mode));
    }
    has(
        "grant on request",
        policy.grants.iter().any(|it| it.on_request),
    );
    has("grant lease", policy.grants.iter().any(|it| it.lease));
    has(
        "grant delegate",
        policy.grants.iter().any(|it| !it.delegate.is_empty()),
    );
    has(
        "grant of inspect",
        policy.grants.iter().any(|it| it.interface == "inspect"),
    );
    let line = |is: fn(&Static) -> bool| policy.statics.iter().any(is);
    has(
        "static region",
        line(|it| matches!(it.what, What::Region(..))),
    );
    has("static guest", line(|it| matches!(it.who, Who::Guest(_))));
    has("static device", line(|it| matches!(it.who, Who::Device(_))));
    has("static irq", line(|it| matches!(it.what, What::Irq(_))));
    has(
        "static ioport",
        line(|it| matches!(it.what, What::Ports(..))),
    );
    has("static child", line(|it| matches!(it.what, What::Child(_))));
    has(
        "static channel",
        line(|it| matches!(it.what, What::Channel(..))),
    );
    has("static cap", line(|it| matches!(it.what, What::Cap(..))));
    has("static vm", line(|it| matches!(it.what, What::Vm(_))));
    has("static smc", line(|it| matches!(it.what, What::Smc)));
    for (what, dma) in [
        ("static dma none", Dma::None),
        ("static dma unbounded", Dma::Unbounded),
    ] {
        has(what, policy.statics.iter().any(|it| it.dma == Some(dma)));
    }
    has("static in inline tables", policy.inline);
    has("[devices] registers", !policy.registers.is_empty());
    all
}

/// Policies beyond the limits, each in one way: random ones are too small.
pub fn large() -> Vec<Case> {
    let mut cases = Vec::new();
    let component = |number: usize| Component {
        name: format!("c{number}"),
        domain: "d".to_owned(),
        offers: Vec::new(),
    };
    let mut empty = Case::default();
    empty.policy.domains.push("d".to_owned());
    // More components than the manager has channels for; without grants nobody needs one.
    let mut many = empty.clone();
    many.policy.components = (0..63).map(component).collect();
    many.system.pds = (0..63)
        .map(|it| Pd {
            name: format!("c{it}"),
            ..Pd::default()
        })
        .collect();
    cases.push(many);
    // More interfaces than the policy's format has numbers for.
    let mut items = empty;
    items.system.pds.push(Pd {
        name: "c0".to_owned(),
        ..Pd::default()
    });
    items.policy.components.push(component(0));
    items.policy.interfaces = (0..70_000)
        .map(|it| (format!("i{it}"), Vec::new()))
        .collect();
    cases.push(items);
    cases.push(of_grants(Mode::Call, 50));
    cases.push(of_grants(Mode::Notify, 6));
    cases
}

/// A system in which 25 components hold grants of so many interfaces on one: calls fill the manager's
/// table, notifications the object's bits.
fn of_grants(mode: Mode, interfaces: usize) -> Case {
    let mut case = Case::default();
    let mut random = Random::new(0);
    let mut make = Make {
        random: &mut random,
        case: Case::default(),
    };
    make.case.policy.domains.push("d".to_owned());
    for number in 0..25 {
        let (name, domain) = (format!("c{number}"), "d".to_owned());
        let priority = 200 - number;
        make.case.system.pds.push(Pd {
            name: name.clone(),
            priority,
            ..Pd::default()
        });
        make.case.policy.components.push(Component {
            name,
            domain,
            offers: Vec::new(),
        });
    }
    make.manager();
    std::mem::swap(&mut case, &mut make.case);
    for number in 0..interfaces {
        let interface = format!("i{number}");
        case.policy.interfaces.push((
            interface.clone(),
            vec![("m".to_owned(), (number / 2) as u8)],
        ));
        case.policy.components[number % 2]
            .offers
            .push(interface.clone());
        let object = format!("c{}", number % 2);
        for subject in 2..25 {
            let subject = format!("c{subject}");
            let (object, interface, methods) =
                (object.clone(), interface.clone(), vec!["m".to_owned()]);
            let (region, on_request, lease, delegate) = (None, true, false, Vec::new());
            case.policy.grants.push(Grant {
                subject,
                object,
                interface,
                methods,
                mode,
                region,
                on_request,
                lease,
                delegate,
            });
        }
    }
    complete(&mut case);
    case
}

//! Attacks: which promises somebody can break, by trying everything that can be done.

use std::collections::{BTreeMap, BTreeSet};

use crate::boot::{DEADLINE, OPTIONAL, roles};
use crate::case::{CapKind, MANAGER, Mode, Perms, Policy, What, Who};
use crate::finding::{Finding, Kind};
use crate::steps::{How, Step, shortest, steps};
use crate::world::{Cap, Mapping, Object, Source, World, overlap};

/// Every attack on a world under a policy.
pub fn attacks(world: &World, policy: &Policy) -> Vec<Finding> {
    let judge = Judge {
        world,
        policy,
        steps: steps(world, policy),
    };
    let mut found = Vec::new();
    judge.capabilities(&mut found);
    judge.memory(&mut found);
    judge.contents(&mut found);
    judge.flows(&mut found);
    judge.nevers(&mut found);
    judge.custody(&mut found);
    judge.methods(&mut found);
    judge.cycles(&mut found);
    found.sort();
    found.dedup();
    found
}

/// From which domain to which other something goes, and by which mode it must be allowed to.
pub fn crossings(world: &World, policy: &Policy) -> BTreeSet<(String, String, Mode)> {
    let all = steps(world, policy);
    let needs = all
        .iter()
        .filter_map(|step| needs(step, policy))
        .filter_map(|(from, to, mode)| {
            let [from, to] = [policy.domain_of(from)?, policy.domain_of(to)?].map(str::to_owned);
            (from != to).then_some((from, to, mode))
        });
    needs.collect()
}

/// Between whom a step needs a flow, and by which mode; `None` where it needs none of its own.
fn needs<'s>(step: &'s Step, policy: &Policy) -> Option<(&'s Who, &'s Who, Mode)> {
    let Step { from, to, how } = step;
    let with_manager = from.is_manager() || to.is_manager();
    match how {
        How::Message(Source::Image | Source::Line, _) if with_manager => None,
        // A channel that a line lets call, and none notify, may notify as well: the flow that lets it call
        // lets it do less.
        How::Message(Source::Image | Source::Line, Mode::Notify)
            if [(true, true), (false, false)]
                .iter()
                .all(|(calls, is_there)| {
                    let channel = What::Channel(to.name().to_owned(), *calls);
                    let mut lines = policy.statics.iter();
                    lines.any(|line| line.who == *from && line.what == channel) == *is_there
                }) =>
        {
            Some((from, to, Mode::Call))
        }
        How::Message(_, mode) => Some((from, to, *mode)),
        How::Memory(_) | How::Ports(_) => Some((from, to, Mode::Stream)),
        How::Controls { back: false, .. } | How::Firmware => Some((from, to, Mode::Call)),
        How::Interrupts => Some((from, to, Mode::Notify)),
        // A reply goes with its call. The others are not for a flow to allow.
        How::Reply(_)
        | How::Controls { back: true, .. }
        | How::Code(_)
        | How::Delegates(_)
        | How::Taken(_)
        | How::InPlace(_)
        | How::Inspects
        | How::Records(_)
        | How::Copies { .. }
        | How::Quoted(_) => None,
    }
}

/// What the lines about somebody allow for a region, all together.
pub fn allowed(policy: &Policy, who: &Who, region: &str) -> Perms {
    let lines = policy.statics.iter().filter(|line| line.who == *who);
    let lines = lines.filter_map(|line| match &line.what {
        What::Region(name, perms) if name == region => Some(*perms),
        _ => None,
    });
    let grants = policy
        .grants
        .iter()
        .filter(|it| it.region.as_deref() == Some(region));
    let streams =
        grants.flat_map(|it| [(&it.subject, Perms::of("rw")), (&it.object, Perms::of("r"))]);
    let streams = streams
        .filter(|(end, _)| *who == Who::pd(end))
        .map(|(_, perms)| perms);
    lines.chain(streams).fold(Perms::default(), Perms::or)
}

/// The devices that somebody drives, of which nothing says what they reach: regions, or first ports. To
/// read a register can be enough to set a device going, and where memory begins is no secret.
pub fn undisclosed(world: &World, policy: &Policy, who: &Who) -> BTreeSet<String> {
    let says = |is: &dyn Fn(&What) -> bool| {
        let mut lines = policy.statics.iter().filter(|line| line.who == *who);
        lines.any(|line| line.dma.is_some() && is(&line.what))
    };
    let is_bounded = |region: &str| policy.driven().any(|(_, it)| it == region);
    let own = world.mappings.iter().filter(|it| it.who == *who);
    let regions = own
        .flat_map(|it| world.regions_of(it))
        .filter(|it| it.fixed);
    let regions = regions.map(|it| it.region.clone()).filter(|region| {
        !is_bounded(region) && !says(&|it| matches!(it, What::Region(name, _) if name == region))
    });
    let ports = world.caps.iter().filter(|it| it.holder == *who);
    let ports = ports.filter_map(|it| match it.on {
        Object::Ports(base, size) => Some((base, size)),
        _ => None,
    });
    let ports = ports.filter(|(base, size)| {
        (*base..base + size).any(|port| {
            !says(
                &|it| matches!(it, What::Ports(from, most) if (*from..from + most).contains(&port)),
            )
        })
    });
    regions
        .chain(ports.map(|(base, _)| format!("{base:#x}")))
        .collect()
}

struct Judge<'a> {
    world: &'a World,
    policy: &'a Policy,
    steps: Vec<Step>,
}

impl Judge<'_> {
    /// Whether a line of the policy about `who` says something.
    fn says(&self, who: &Who, says: impl Fn(&What) -> bool) -> bool {
        self.policy
            .statics
            .iter()
            .any(|line| line.who == *who && says(&line.what))
    }

    /// Promise 2: every capability that the image gives is declared.
    fn capabilities(&self, found: &mut Vec<Finding>) {
        for cap in &self.world.caps {
            if let (Object::Kernel(CapKind::Tcb, of), who) = (&cap.on, &cap.holder)
                && *who == Who::pd(of)
            {
                let text = format!(
                    "{who} sets another fault endpoint in its own TCB: its faults are told to nobody"
                );
                found.push(Finding::new(Kind::OwnThread, [who.name()], text));
            }
        }
        for cap in self.world.caps.iter().filter(|cap| cap.by == Source::Image) {
            let who = &cap.holder;
            let own = |name: &String| *who == Who::pd(name);
            let (does, name, declared) = match &cap.on {
                // Everybody receives on their own, and may ask the manager.
                Object::Endpoint(of) | Object::Notification(of) if own(of) && !cap.write => {
                    continue;
                }
                Object::Endpoint(of) if of == MANAGER && !cap.read => continue,
                Object::Endpoint(of) if !cap.read => {
                    let declared = self.says(who, |it| *it == What::Channel(of.clone(), true));
                    ("calls", of.clone(), declared)
                }
                Object::Notification(of) if !cap.read => {
                    let declared =
                        self.says(who, |it| matches!(it, What::Channel(peer, _) if peer == of));
                    ("notifies", of.clone(), declared)
                }
                // Nobody declares that another receives what is sent to its owner.
                Object::Endpoint(of) | Object::Notification(of) => {
                    ("receives for", of.clone(), false)
                }
                Object::Kernel(kind, of) => {
                    let declared = self.says(who, |it| *it == What::Cap(*kind, of.clone()));
                    ("controls", of.clone(), declared)
                }
                Object::Child(of) => (
                    "controls its child",
                    of.clone(),
                    self.says(who, |it| *it == What::Child(of.clone())),
                ),
                Object::Vm(of) => (
                    "runs",
                    of.clone(),
                    self.says(who, |it| *it == What::Vm(of.clone())),
                ),
                Object::Irq(number) => (
                    "takes interrupt",
                    number.to_string(),
                    self.says(who, |it| *it == What::Irq(*number)),
                ),
                Object::Ports(base, size) => {
                    let declared = (*base..base + size).all(|port| {
                        self.says(who, |it| matches!(it, What::Ports(from, most) if (*from..from + most).contains(&port)))
                    });
                    ("drives ports", format!("{base:#x}"), declared)
                }
                Object::Smc => (
                    "makes secure monitor calls",
                    String::new(),
                    self.says(who, |it| *it == What::Smc),
                ),
                // A mapping gives it, and has its own line.
                Object::Registers(_) => continue,
                Object::Other(what) => ("holds", what.clone(), false),
            };
            if !declared {
                let text = format!("{who} {does} {name}, and no line of its own says so");
                found.push(Finding::new(Kind::Undeclared, [who.name(), &name], text));
            }
        }
    }

    fn allowed(&self, who: &Who, region: &str) -> Perms {
        allowed(self.policy, who, region)
    }

    /// Promise 2 for memory, byte by byte.
    fn memory(&self, found: &mut Vec<Finding>) {
        for mapping in &self.world.mappings {
            let who = &mapping.who;
            for memory in self.world.regions_of(mapping) {
                let beyond = mapping.perms.without(self.allowed(who, &memory.region));
                if beyond.any() {
                    let text = format!(
                        "{who} uses `{}` by {beyond}, which no line of its own allows",
                        memory.region
                    );
                    found.push(Finding::new(
                        Kind::Undeclared,
                        [who.name(), &memory.region],
                        text,
                    ));
                }
                if matches!(who, Who::Pd(_)) {
                    let perms = self.world.perms(who, &memory.region);
                    if perms.write && perms.execute {
                        let text = format!(
                            "{who} is sent code, puts it into `{}` and executes it",
                            memory.region
                        );
                        found.push(Finding::new(
                            Kind::SelfModifying,
                            [who.name(), &memory.region],
                            text,
                        ));
                    }
                }
            }
        }
        for step in &self.steps {
            if let (How::Code(region), Who::Pd(_)) = (&step.how, &step.to) {
                let text = format!("{step}: it does what {} wants", step.from);
                let names = [step.from.name(), step.to.name(), region.as_str()];
                found.push(Finding::new(Kind::CodeOfAnother, names, text));
            }
        }
        for (pd, region) in &self.world.paddrs {
            let who = Who::pd(pd);
            let declared = self.allowed(&who, region).any();
            if !declared {
                let text = format!(
                    "{who} tells a device where `{region}` lies, which no line of its own is about"
                );
                found.push(Finding::new(Kind::Undeclared, [pd.as_str(), region], text));
            }
        }
        for who in &self.world.everybody {
            self.dma(who, found);
        }
    }

    /// A device without an IOMMU reads and writes whatever address its driver gives it.
    fn dma(&self, who: &Who, found: &mut Vec<Finding>) {
        for device in undisclosed(self.world, self.policy, who) {
            let text = format!(
                "{who} tells the device behind {device} to read all memory, where no line says so"
            );
            found.push(Finding::new(Kind::Dma, [who.name(), &device], text));
        }
    }

    /// Nobody reads under another name what they may not read.
    fn contents(&self, found: &mut Vec<Finding>) {
        for a in &self.world.memory {
            for b in self
                .world
                .memory
                .iter()
                .filter(|b| b.region != a.region && b.file == a.file)
            {
                let Some(file) = &a.file else { continue };
                let readers = self.world.everybody.iter().filter(|who| {
                    self.world.perms(who, &a.region).any() && !self.allowed(who, &b.region).any()
                });
                let text = format!("`{}` and `{}` are filled from {file}", a.region, b.region);
                found.push(Finding::new(
                    Kind::SharedFile,
                    [a.region.as_str(), &b.region],
                    text,
                ));
                for who in readers {
                    let text = format!(
                        "{who} reads in `{}` what fills `{}`: {file}",
                        a.region, b.region
                    );
                    found.push(Finding::new(
                        Kind::SameContent,
                        [a.region.as_str(), &b.region],
                        text,
                    ));
                }
            }
        }
    }

    /// Promise 4: what crosses a domain boundary has a flow that way.
    fn flows(&self, found: &mut Vec<Finding>) {
        for step in &self.steps {
            let Some((from, to, mode)) = needs(step, self.policy) else {
                continue;
            };
            let [Some(from), Some(to)] = [from, to].map(|who| self.policy.domain_of(who)) else {
                continue;
            };
            // Where two rules are about one boundary, each must allow it.
            let mut rules = self
                .policy
                .flows
                .iter()
                .filter(|it| it.from == from && it.to == to)
                .peekable();
            let allowed = rules.peek().is_some() && rules.all(|it| it.modes.contains(&mode));
            if from != to && !allowed {
                let text = format!("{step}: `{from}` to `{to}`, and no flow allows {mode}");
                found.push(Finding::new(Kind::Crossing, [from, to], text));
            }
        }
    }

    /// Promise 4 over the whole ceiling.
    fn nevers(&self, found: &mut Vec<Finding>) {
        for (from, to) in &self.policy.nevers {
            let is_in = |who: &Who, domain: &String| self.policy.domain_of(who) == Some(domain);
            let everybody = self.world.everybody.iter();
            let starts: Vec<Who> = everybody.filter(|who| is_in(who, from)).cloned().collect();
            if from == to {
                continue;
            }
            if let Some(way) = shortest(&self.steps, &starts, |who| is_in(who, to)) {
                let way: Vec<String> = way.iter().map(ToString::to_string).collect();
                found.push(Finding::new(
                    Kind::Never,
                    [from.as_str(), to],
                    way.join("; "),
                ));
            }
        }
    }

    /// Promise 6, from outside: the manager is nobody's, and nobody is the manager's.
    fn custody(&self, found: &mut Vec<Finding>) {
        let manager = Who::pd(MANAGER);
        for Cap { holder, on, .. } in &self.world.caps {
            match on {
                Object::Kernel(_, of) | Object::Child(of)
                    if of == MANAGER && *holder != manager =>
                {
                    for who in self.masters(holder) {
                        let text = format!("{who} makes the manager do anything");
                        found.push(Finding::new(Kind::ManagerHeld, [who.name()], text));
                    }
                }
                Object::Child(of) | Object::Vm(of) if *holder == manager => {
                    let text =
                        format!("`{of}` faults, and the manager revokes the grants of another");
                    found.push(Finding::new(Kind::ManagerParent, [of.as_str()], text));
                }
                Object::Kernel(_, of) if *holder == manager && of != MANAGER => {
                    self.manager_holds(&format!("{on:?}"), found);
                }
                Object::Irq(_) | Object::Ports(..) | Object::Smc if *holder == manager => {
                    self.manager_holds(&format!("{on:?}"), found);
                }
                _ => {}
            }
        }
        for line in self.policy.statics.iter().filter(|it| it.who == manager) {
            if line.dma.is_some() || matches!(line.what, What::Irq(_) | What::Ports(..) | What::Smc)
            {
                self.manager_holds(&format!("{:?}", line.what), found);
            }
        }
        for (device, region) in self.policy.driven() {
            if self.world.perms(&manager, region).any() {
                self.manager_holds(device, found);
            }
        }
        let keeper = self.policy.keeper().map(Who::pd);
        let symbol = |name: &str| {
            self.world
                .symbols
                .get(&(MANAGER.to_owned(), name.to_owned()))
        };
        let ring = self.policy.log().and_then(|it| it.region.as_ref());
        let others = [
            symbol("policy"),
            symbol("policy_keys"),
            symbol("grant_log"),
            ring,
        ];
        let acknowledgement = symbol("grant_log_ack").filter(|it| !others.contains(&Some(it)));
        let all = &self.world.mappings;
        let symbols: Vec<_> = roles().map(symbol).collect();
        let optional: Vec<_> = OPTIONAL.map(symbol).into_iter().flatten().collect();
        let is_stated = |region: &String| {
            optional.contains(&region)
                && !others.contains(&Some(region))
                && acknowledgement != Some(region)
                && self.is_of_one_component(region)
        };
        for own in all.iter().filter(|it| it.who == manager) {
            for memory in self.world.regions_of(own) {
                let written = [symbol("grant_log"), symbol(DEADLINE)];
                let writes = written.contains(&Some(&memory.region));
                let is_more = own.perms.execute || own.perms.write && !writes;
                if is_more || !symbols.contains(&Some(&memory.region)) {
                    self.manager_holds(&memory.region, found);
                }
            }
        }
        for own in all.iter().filter(|it| it.who == manager) {
            let writes =
                |it: &&Mapping| it.perms.write && it.who != manager && overlap(it.bytes, own.bytes);
            for other in all.iter().filter(writes) {
                for memory in self
                    .world
                    .regions_of(own)
                    .filter(|it| overlap(it.bytes, other.bytes))
                {
                    let masters = self.masters(&other.who);
                    let acknowledges = |who: &Who| {
                        Some(who) == keeper.as_ref() && acknowledgement == Some(&memory.region)
                    };
                    if is_stated(&memory.region) {
                        continue;
                    }
                    for who in masters
                        .iter()
                        .filter(|who| !acknowledges(who) && !who.is_manager())
                    {
                        let text = format!(
                            "{who} writes `{}`, and the manager believes it",
                            memory.region
                        );
                        let names = [who.name(), memory.region.as_str()];
                        found.push(Finding::new(Kind::ManagerWritten, names, text));
                    }
                }
            }
        }
    }

    /// Whether one component alone can write a region, beside the manager.
    fn is_of_one_component(&self, region: &str) -> bool {
        let all = self.world.mappings.iter();
        let writers = all.filter(|it| {
            let mut memory = self.world.regions_of(it);
            it.perms.write && !it.who.is_manager() && memory.any(|of| of.region == region)
        });
        let mut masters: BTreeSet<Who> = writers.flat_map(|it| self.masters(&it.who)).collect();
        masters.retain(|who| !who.is_manager());
        masters.len() == 1 && masters.iter().all(|who| *who == Who::pd(who.name()))
    }

    /// What the manager has is what it can be made to give away: it needs its regions alone.
    fn manager_holds(&self, what: &str, found: &mut Vec<Finding>) {
        let text = format!("the manager holds {what}, and needs it not");
        found.push(Finding::new(Kind::ManagerHolds, [MANAGER], text));
    }

    /// Somebody, and all who can make them do anything.
    fn masters(&self, of: &Who) -> BTreeSet<Who> {
        let mut all = BTreeSet::from([of.clone()]);
        loop {
            let more = self.steps.iter().filter(|step| all.contains(&step.to));
            let more: Vec<Who> = more
                .filter(|step| matches!(step.how, How::Controls { back: false, .. } | How::Code(_)))
                .map(|step| step.from.clone())
                .collect();
            let before = all.len();
            all.extend(more);
            if all.len() == before {
                return all;
            }
        }
    }

    /// Promise 3: an object knows a method by its number alone.
    fn methods(&self, found: &mut Vec<Finding>) {
        for cap in self.world.caps.iter().filter(|cap| cap.write) {
            let (Source::Grant(rule) | Source::Delegated(rule)) = cap.by else {
                continue;
            };
            let grant = &self.policy.grants[rule];
            let Object::Endpoint(object) = &cap.on else {
                continue;
            };
            let Some(component) = self.policy.component(object) else {
                continue;
            };
            let own = self.policy.methods(&grant.interface);
            let numbers: BTreeSet<u8> = own
                .iter()
                .filter(|(name, _)| grant.methods.contains(name))
                .map(|it| it.1)
                .collect();
            for other in component.offers.iter().filter(|it| **it != grant.interface) {
                for (method, _) in self
                    .policy
                    .methods(other)
                    .iter()
                    .filter(|(_, number)| numbers.contains(number))
                {
                    let granted = self.world.caps.iter().any(|it| {
                        let (Source::Grant(rule) | Source::Delegated(rule)) = it.by else {
                            return false;
                        };
                        let grant = &self.policy.grants[rule];
                        it.holder == cap.holder
                            && it.on == cap.on
                            && grant.interface == *other
                            && grant.methods.contains(method)
                    });
                    if !granted {
                        let text = format!(
                            "{} invokes `{other}.{method}` of `{object}` by a grant of `{}`",
                            cap.holder, grant.interface
                        );
                        let names = [object.as_str(), &grant.interface, other];
                        found.push(Finding::new(Kind::OtherMethod, names, text));
                    }
                }
            }
        }
    }

    /// Who waits for whom waits for it: a caller for its reply, a sender for a receiver.
    fn cycles(&self, found: &mut Vec<Finding>) {
        let mut waits: BTreeMap<&Who, BTreeSet<Who>> = BTreeMap::new();
        for cap in self.world.caps.iter().filter(|cap| cap.write) {
            if let Object::Endpoint(of) = &cap.on
                && cap.holder != Who::pd(of)
            {
                waits.entry(&cap.holder).or_default().insert(Who::pd(of));
            }
        }
        for start in waits.keys() {
            let mut reached: BTreeSet<Who> = waits[start].clone();
            loop {
                let more: Vec<Who> = reached
                    .iter()
                    .filter_map(|it| waits.get(it))
                    .flatten()
                    .cloned()
                    .collect();
                let before = reached.len();
                reached.extend(more);
                if reached.len() == before {
                    break;
                }
            }
            if reached.contains(start) {
                let text = format!("{start} waits, and at last somebody waits for {start}");
                found.push(Finding::new(Kind::CallCycle, [], text));
            }
        }
    }
}

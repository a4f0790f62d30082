//! Rules that refuse more than can be exploited, on purpose: each says why in [`Kind`].

use std::collections::BTreeMap;

use crate::case::{Case, MANAGER, Mode, Policy, System, What, Who};
use crate::finding::{Finding, Kind};

/// All that these rules refuse in a case.
pub fn refused(case: &Case) -> Vec<Finding> {
    let mut found = Vec::new();
    let strict = Strict {
        system: &case.system,
        policy: &case.policy,
    };
    strict.names(&mut found);
    strict.unused(&mut found);
    strict.devices(&mut found);
    strict.twice(&mut found);
    strict.grants(&mut found);
    strict.limits(&mut found);
    found.sort();
    found.dedup();
    found
}

struct Strict<'a> {
    system: &'a System,
    policy: &'a Policy,
}

impl Strict<'_> {
    fn subjects(&self) -> impl Iterator<Item = Who> {
        let pds = self.system.pds.iter().map(|it| Who::pd(&it.name));
        let guests = self.system.pds.iter().filter_map(|it| it.guest.as_ref());
        let guests = guests.map(|it| Who::Guest(it.name.clone()));
        let devices = self
            .system
            .devices
            .iter()
            .map(|it| Who::Device(it.name.clone()));
        pds.chain(guests).chain(devices)
    }

    /// Policy and system are about the same things.
    fn names(&self, found: &mut Vec<Finding>) {
        let policy = self.policy;
        let known = policy.components.iter().map(|it| Who::pd(&it.name));
        let known: Vec<Who> = known
            .chain(policy.subjects.iter().map(|(who, _)| who.clone()))
            .collect();
        let there: Vec<Who> = self.subjects().collect();
        for who in there.iter().filter(|who| !known.contains(who)) {
            let text = format!("{who} is no subject of the policy");
            found.push(Finding::new(Kind::NotInPolicy, [who.name()], text));
        }
        for who in known.iter().filter(|who| !there.contains(who)) {
            found.push(Finding::new(
                Kind::NotInSystem,
                [who.name()],
                format!("there is no {who}"),
            ));
        }
        let lines = policy.statics.iter().filter_map(|line| match &line.what {
            What::Region(region, _) => Some(region),
            _ => None,
        });
        let streams = policy.grants.iter().filter_map(|it| it.region.as_ref());
        let registers = policy.driven().map(|(_, region)| region);
        let lines = lines.chain(streams).map(String::as_str);
        for region in lines.chain(registers) {
            if self.system.region(region).is_none() {
                let text = format!("there is no region `{region}`");
                found.push(Finding::new(Kind::NotInSystem, [region], text));
            }
        }
        for line in &policy.statics {
            if let What::Vm(name) = &line.what
                && !there.contains(&Who::Guest(name.clone()))
            {
                found.push(Finding::new(
                    Kind::NotInSystem,
                    [name.as_str()],
                    format!("there is no machine `{name}`"),
                ));
            }
        }
    }

    /// A line allows what somebody has. Interrupts, ports and secure monitor calls are of a board.
    fn unused(&self, found: &mut Vec<Finding>) {
        for line in &self.policy.statics {
            let name = line.who.name();
            let pd = self
                .system
                .pd(name)
                .filter(|_| matches!(line.who, Who::Pd(_)));
            let maps = match &line.who {
                Who::Pd(_) => pd.map(|it| &it.maps),
                Who::Guest(_) => {
                    let mut guests = self.system.pds.iter().filter_map(|it| it.guest.as_ref());
                    guests.find(|it| it.name == name).map(|it| &it.maps)
                }
                Who::Device(_) => self
                    .system
                    .devices
                    .iter()
                    .find(|it| it.name == name)
                    .map(|it| &it.maps),
            };
            let ends = || self.system.ends().filter(|(end, _)| end.pd == name);
            let used = match &line.what {
                What::Region(region, _) => {
                    let told = pd.is_some_and(|it| it.paddrs.iter().any(|(_, to)| to == region));
                    told || maps.is_some_and(|maps| maps.iter().any(|it| it.region == *region))
                }
                What::Irq(_) | What::Ports(..) | What::Smc => true,
                What::Child(child) => self
                    .system
                    .pd(child)
                    .is_some_and(|it| it.parent.as_deref() == Some(name)),
                // To call the manager needs no line.
                What::Channel(peer, _) => ends().any(|(end, other)| {
                    other.pd == *peer && (end.notify || end.pp && peer != MANAGER)
                }),
                What::Cap(kind, of) => pd
                    .is_some_and(|it| it.caps.iter().any(|cap| cap.kind == *kind && cap.of == *of)),
                What::Vm(vm) => {
                    pd.is_some_and(|it| it.guest.as_ref().is_some_and(|guest| guest.name == *vm))
                }
            };
            if !used && (pd.is_some() || !matches!(line.who, Who::Pd(_))) {
                found.push(Finding::new(
                    Kind::UnusedLine,
                    [name],
                    format!("{} has no {:?}", line.who, line.what),
                ));
            }
        }
        let policy = self.policy;
        let flows = policy.flows.iter().map(|it| (&it.from, &it.to));
        for (from, _) in flows
            .chain(policy.nevers.iter().map(|it| (&it.0, &it.1)))
            .filter(|(from, to)| from == to)
        {
            found.push(Finding::new(
                Kind::UnusedFlow,
                [from.as_str()],
                format!("`{from}` to itself"),
            ));
        }
    }

    /// What is said of devices is about devices, and once.
    fn devices(&self, found: &mut Vec<Finding>) {
        let policy = self.policy;
        let mut say = |kind, names: [&str; 1], text: &str| {
            found.push(Finding::new(kind, names, text));
        };
        let is_somewhere = |region: &str| {
            let region = self.system.region(region);
            region.is_none_or(|it| it.phys_addr.is_some())
        };
        for line in policy.statics.iter().filter(|line| line.dma.is_some()) {
            let What::Region(region, _) = &line.what else {
                continue;
            };
            if !is_somewhere(region) {
                say(Kind::UnusedLine, [line.who.name()], "no device lies there");
            }
            if policy.driven().any(|(_, it)| it == region) {
                say(
                    Kind::BehindIommu,
                    [region],
                    "the IOMMU says what it reaches",
                );
            }
        }
        for (place, (_, region)) in policy.driven().enumerate() {
            if !is_somewhere(region) {
                say(Kind::Nowhere, [region], "it has no address");
            }
            if policy.driven().take(place).any(|(_, it)| it == region) {
                say(Kind::Twice, [region], "it drives two devices");
            }
        }
        let regions = self.system.regions.iter();
        for region in regions.filter(|it| it.size.is_none() && it.phys_addr.is_some()) {
            say(
                Kind::EndsUnknown,
                [&region.name],
                "its file may be of any size",
            );
        }
    }

    fn twice(&self, found: &mut Vec<Finding>) {
        let policy = self.policy;
        let mut say = |names: [&str; 2]| {
            found.push(Finding::new(Kind::Twice, names, format!("{names:?}")));
        };
        let pairs = |pairs: Vec<(&str, &str)>, say: &mut dyn FnMut([&str; 2])| {
            for (place, pair) in pairs.iter().enumerate() {
                if pairs[..place].contains(pair) {
                    say([pair.0, pair.1]);
                }
            }
        };
        pairs(
            policy.flows.iter().map(|it| (&*it.from, &*it.to)).collect(),
            &mut say,
        );
        pairs(
            policy.nevers.iter().map(|it| (&*it.0, &*it.1)).collect(),
            &mut say,
        );
        for (place, line) in policy.statics.iter().enumerate() {
            let same = |other: &&crate::case::Static| match (&other.what, &line.what) {
                (What::Region(a, _), What::Region(b, _)) => a == b,
                (a, b) => a == b,
            };
            if policy.statics[..place]
                .iter()
                .filter(|it| it.who == line.who)
                .any(|it| same(&it))
            {
                say([line.who.name(), ""]);
            }
        }
        let mut keys: BTreeMap<_, Vec<&crate::case::Grant>> = BTreeMap::new();
        for grant in &policy.grants {
            let earlier = keys
                .entry((&grant.subject, &grant.object, &grant.interface, grant.mode))
                .or_default();
            let clashes = earlier.iter().any(|other| {
                other.methods.iter().any(|it| grant.methods.contains(it))
                    || !other.on_request && !grant.on_request
            });
            if clashes {
                say([&grant.subject, &grant.object]);
            }
            earlier.push(grant);
        }
    }

    fn grants(&self, found: &mut Vec<Finding>) {
        for grant in &self.policy.grants {
            let (subject, object) = (grant.subject.as_str(), grant.object.as_str());
            let mut say = |kind, names: &[&str], text: &str| {
                found.push(Finding::new(kind, names.iter().copied(), text));
            };
            let offers = self
                .policy
                .component(object)
                .is_some_and(|it| it.offers.contains(&grant.interface));
            if !offers {
                say(
                    Kind::NotOffered,
                    &[object, &grant.interface],
                    "nobody serves it",
                );
            }
            if subject == object {
                say(Kind::ToItself, &[subject], "subject and object are one");
            }
            for delegate in grant
                .delegate
                .iter()
                .filter(|it| *it == subject || *it == object)
            {
                say(Kind::ToItself, &[delegate], "delegated to one of its ends");
            }
            if grant.mode == Mode::Stream
                && (grant.on_request || grant.lease || !grant.delegate.is_empty())
            {
                say(Kind::StreamComesAndGoes, &[], "a stream is static");
            }
        }
        for component in &self.policy.components {
            for (place, one) in component.offers.iter().enumerate() {
                for other in &component.offers[..place] {
                    let numbers = self.policy.methods(one).iter().map(|it| it.1);
                    let mut shared = numbers.filter(|it| {
                        self.policy
                            .methods(other)
                            .iter()
                            .any(|(_, number)| number == it)
                    });
                    if shared.next().is_some() {
                        let names = [component.name.as_str(), one, other];
                        found.push(Finding::new(
                            Kind::SameNumbers,
                            names,
                            "the next grant would carry the other's method",
                        ));
                    }
                }
            }
        }
        self.unresolved(found);
        if !self.policy.raw.is_empty() {
            found.push(Finding::new(Kind::Malformed, [], self.policy.raw.trim()));
        }
    }

    /// What the manager, and the policy's compiled form, have room for (`docs/policy-reference.md`).
    fn limits(&self, found: &mut Vec<Finding>) {
        let policy = self.policy;
        let mut held: BTreeMap<&str, usize> = BTreeMap::new();
        for grant in &policy.grants {
            for holder in std::iter::once(&grant.subject).chain(&grant.delegate) {
                *held.entry(holder).or_default() += 1;
            }
        }
        let methods = policy
            .interfaces
            .iter()
            .map(|(_, methods)| methods.len())
            .sum();
        let counts = [
            policy.domains.len(),
            policy.interfaces.len(),
            methods,
            policy.flows.len(),
            policy.nevers.len(),
        ];
        if policy.components.len() > 62
            || held.values().any(|held| *held > 4_095)
            || held.values().sum::<usize>() > 65_536
            || counts.iter().any(|count| *count > 65_535)
        {
            found.push(Finding::new(
                Kind::TooMany,
                [],
                "more than there is room for",
            ));
        }
    }

    /// Names of the policy that the policy does not declare.
    fn unresolved(&self, found: &mut Vec<Finding>) {
        let policy = self.policy;
        let mut components: Vec<&String> = Vec::new();
        let mut domains: Vec<&String> = Vec::new();
        let mut interfaces: Vec<&String> = Vec::new();
        for grant in &policy.grants {
            components.extend(
                [&grant.subject, &grant.object]
                    .into_iter()
                    .chain(&grant.delegate),
            );
            interfaces.push(&grant.interface);
            for method in &grant.methods {
                if !policy
                    .methods(&grant.interface)
                    .iter()
                    .any(|(name, _)| name == method)
                {
                    found.push(Finding::new(
                        Kind::Malformed,
                        [method.as_str()],
                        "no such method",
                    ));
                }
            }
        }
        for line in &policy.statics {
            match &line.what {
                What::Child(of) | What::Channel(of, _) | What::Cap(_, of) => components.push(of),
                _ => {}
            }
            match &line.who {
                Who::Pd(name) => components.push(name),
                who if policy.domain_of(who).is_none() => {
                    found.push(Finding::new(
                        Kind::Malformed,
                        [who.name()],
                        format!("no {who}"),
                    ));
                }
                _ => {}
            }
        }
        for component in &policy.components {
            domains.push(&component.domain);
            interfaces.extend(&component.offers);
        }
        domains.extend(policy.subjects.iter().map(|(_, domain)| domain));
        domains.extend(policy.flows.iter().flat_map(|it| [&it.from, &it.to]));
        domains.extend(policy.nevers.iter().flat_map(|it| [&it.0, &it.1]));
        let unknown = components
            .into_iter()
            .filter(|it| policy.component(it).is_none());
        let unknown = unknown.chain(
            domains
                .into_iter()
                .filter(|it| !policy.domains.contains(it)),
        );
        let declared = |name: &String| policy.interfaces.iter().any(|(it, _)| it == name);
        let unknown = unknown.chain(interfaces.into_iter().filter(|it| !declared(it)));
        for name in unknown {
            found.push(Finding::new(
                Kind::Malformed,
                [name.as_str()],
                format!("no `{name}`"),
            ));
        }
    }
}

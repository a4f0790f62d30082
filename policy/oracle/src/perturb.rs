//! Random changes to a case that fits: most break something, some break nothing.

use crate::boot::{OPTIONAL, RUNTIME};
use crate::case::{
    CapKind, Case, Component, Device, Dma, End, ExtraCap, Flow, Grant, Irq, MANAGER, Map, Mode, Pd,
    Perms, Ports, Region, Static, What, Who,
};
use crate::generate::{CLOCK, complete, symbols};
use crate::random::Random;

/// Policies that cannot be read, each in one way.
pub const MALFORMED: &[&str] = &[
    "\n[[never]\n",
    "\n[domains.late]\nwhen = \"boot\"\n",
    "\n[[never]]\nfrom = \"d0\"\n",
    "\n[[flows]]\nfrom = \"d0\"\nto = \"d1\"\nmodes = \"call\"\n",
    "\n[[flows]]\nfrom = \"d0\"\nto = \"d1\"\nmodes = [\"shout\"]\n",
    "\n[[flows]]\nfrom = \"d0\"\nto = \"d1\"\nmodes = []\n",
    "\n[[flows]]\nfrom = \"d0\"\nto = \"d1\"\nmodes = [\"call\", \"call\"]\n",
    "\n[[never]]\nfrom = \"d0\"\nto = \"nowhere\"\n",
    "\n[[static]]\ncomponent = \"c0\"\nirq = -1\n",
    "\n[[static]]\ncomponent = \"c0\"\ncap = \"soul of c1\"\n",
    "\n[[static]]\ncomponent = \"c0\"\nirq = 7\nsmc = true\n",
    "\n[[static]]\ncomponent = \"c0\"\nguest = \"vm\"\nregion = \"ram\"\nperms = \"r\"\n",
    "\n[[static]]\ncomponent = \"c0\"\nirq = 7\nperms = \"r\"\n",
    "\n[[static]]\ncomponent = \"c0\"\ndma = \"unbounded\"\n",
    "\n[[static]]\ncomponent = \"c0\"\nregion = \"r\"\nperms = \"r\"\ndma = \"some\"\n",
    "\n[devices.late]\ndomain = \"d0\"\n",
    "\n[interfaces.again]\none = 1\nother = 1\n",
    "\n[interfaces.\"\"]\none = 1\n",
    "\n[domains.\"d0 \"]\n",
    "\n[domains.\"d 0\"]\n",
    "\n[interfaces.late]\none = 1\n\n[[grants]]\nsubject = \"c0\"\nobject = \"c1\"\ninterface = \"late\"\nmethods = [\"one\"]\nmode = \"call\"\nwhen = \"boot\"\nlease = \"soon\"\n",
];

type Change = fn(&mut Case, &mut Random) -> Option<()>;

/// Every change, by its name.
pub const CHANGES: &[(&str, Change)] = &[
    ("a line dropped", |case, random| {
        take(&mut case.policy.statics, random).map(drop)
    }),
    ("a line narrowed or widened", line_perms),
    ("a line moved", line_moved),
    ("a line said twice", |case, random| {
        again(&mut case.policy.statics, random)
    }),
    ("a line about nothing", line_about_nothing),
    ("a line about something else", line_about_something_else),
    ("a domain changed", domain),
    ("a never added", never),
    ("a never added", never),
    ("a never removed", |case, random| {
        take(&mut case.policy.nevers, random).map(drop)
    }),
    ("a never said twice", |case, random| {
        again(&mut case.policy.nevers, random)
    }),
    ("a never to itself", |case, random| {
        let domain = random.pick(&case.policy.domains)?.clone();
        case.policy.nevers.push((domain.clone(), domain));
        Some(())
    }),
    ("a flow dropped", |case, random| {
        take(&mut case.policy.flows, random).map(drop)
    }),
    ("a mode of a flow dropped or changed", flow_mode),
    ("a flow said twice", |case, random| {
        again(&mut case.policy.flows, random)
    }),
    ("a flow to itself", |case, random| {
        let domain = random.pick(&case.policy.domains)?.clone();
        case.policy.flows.push(Flow {
            from: domain.clone(),
            to: domain,
            modes: vec![Mode::Call],
        });
        Some(())
    }),
    ("two symbols swapped", symbols_swapped),
    ("a symbol dropped", |case, random| {
        let map = some_map(case, random, |map| map.symbol.is_some())?;
        match random.below(3) {
            0 => (map.symbol, map.size) = (None, None),
            1 => map.symbol = None,
            _ => map.size = None,
        }
        Some(())
    }),
    ("the rights of a mapping changed", |case, random| {
        let map = some_map(case, random, |_| true)?;
        map.perms = perms(random);
        Some(())
    }),
    ("a mapping added", mapping),
    ("a mapping added", mapping),
    ("a mapping moved to another region", |case, random| {
        let region = random.pick(&case.system.regions)?.name.clone();
        let map = some_map(case, random, |map| map.region != region)?;
        map.region = region;
        Some(())
    }),
    ("a mapping removed", |case, random| {
        let holders: Vec<usize> = (0..case.system.pds.len())
            .filter(|it| !case.system.pds[*it].maps.is_empty())
            .collect();
        let pd = *random.pick(&holders)?;
        take(&mut case.system.pds[pd].maps, random).map(drop)
    }),
    ("method numbers aliased", aliased),
    ("an interface offered", |case, random| {
        let interface = random.pick(&case.policy.interfaces)?.0.clone();
        let at = random.below(case.policy.components.len());
        let offers = &mut case.policy.components[at].offers;
        (!offers.contains(&interface)).then(|| offers.push(interface))
    }),
    ("an interface not offered", |case, random| {
        let at = random.below(case.policy.components.len());
        take(&mut case.policy.components[at].offers, random).map(drop)
    }),
    ("a grant added", grant_added),
    ("a grant added", grant_added),
    ("a grant dropped", |case, random| {
        take(&mut case.policy.grants, random).map(drop)
    }),
    ("a grant changed", grant_changed),
    ("a grant changed", grant_changed),
    ("a grant said twice", |case, random| {
        again(&mut case.policy.grants, random)
    }),
    ("a grant delegated", |case, random| {
        let mut to = random.pick(&case.policy.components)?.name.clone();
        let grant = some(&mut case.policy.grants, random, |it| {
            it.mode != Mode::Stream
        })?;
        match random.below(3) {
            0 => {}
            1 => to = grant.subject.clone(),
            _ => to = grant.object.clone(),
        }
        (!grant.delegate.contains(&to)).then(|| grant.delegate.push(to))
    }),
    ("a priority changed", |case, random| {
        some(&mut case.system.pds, random, |_| true)?.priority = random.range(1, 254) as u8;
        Some(())
    }),
    ("a core changed", |case, random| {
        let pd = some(&mut case.system.pds, random, |_| true)?;
        pd.cpu = 1 - pd.cpu;
        Some(())
    }),
    ("a scheduling domain changed", |case, random| {
        if case.system.schedule.is_empty() {
            case.system.schedule = vec!["s0".to_owned(), "s1".to_owned()];
        }
        some(&mut case.system.pds, random, |_| true)?.domain = Some("s1".to_owned());
        Some(())
    }),
    ("time given or taken", |case, random| {
        let pd = some(&mut case.system.pds, random, |_| true)?;
        pd.passive = !pd.passive;
        Some(())
    }),
    ("a budget that ends", |case, random| {
        some(&mut case.system.pds, random, |pd| !pd.throttled)?.throttled = true;
        Some(())
    }),
    ("a manager without time", |case, _| {
        let mut pds = case.system.pds.iter_mut();
        pds.find(|pd| pd.name == MANAGER)?.passive = true;
        Some(())
    }),
    ("a lease that nobody ends", |case, random| {
        case.system
            .pd(MANAGER)
            .filter(|_| case.system.pd(CLOCK).is_none())?;
        some(&mut case.policy.grants, random, |it| {
            it.mode != Mode::Stream
        })?
        .lease = true;
        Some(())
    }),
    ("a clock that is not told, or tells nothing", clock_untold),
    ("a clock that runs late", |case, random| {
        let clock = some(&mut case.system.pds, random, |pd| pd.name == CLOCK)?;
        match random.percent(50) {
            true => clock.cpu = 1,
            false => clock.priority = 250,
        }
        Some(())
    }),
    ("a clock without time, or with all of it", |case, random| {
        let clock = some(&mut case.system.pds, random, |pd| pd.name == CLOCK)?;
        match random.percent(50) {
            true => clock.throttled = false,
            false => clock.passive = true,
        }
        Some(())
    }),
    ("a clock that does not find its page", |case, random| {
        let clock = some(&mut case.system.pds, random, |pd| pd.name == CLOCK)?;
        let map = clock.maps.first_mut()?;
        match random.percent(50) {
            true => map.perms.write = true,
            false => map.symbol = None,
        }
        complete(case);
        Some(())
    }),
    ("a second channel to the manager", |case, random| {
        case.system.pd(MANAGER)?;
        let name = random.pick(&case.system.pds)?.name.clone();
        let end = |pd: &str, pp| End {
            pd: pd.to_owned(),
            id: 47,
            pp,
            ..End::default()
        };
        let ends = [end(&name, true), end(MANAGER, false)];
        (name != MANAGER).then(|| case.system.channels.push(ends))
    }),
    ("another channel to the manager", |case, random| {
        let to_manager = |ends: &[End; 2]| ends[0].id == 0 && ends[1].pd == MANAGER;
        some(&mut case.system.channels, random, to_manager)?[0].id = 45;
        Some(())
    }),
    ("a role filled otherwise", |case, random| {
        let region = role(case, random)?;
        region.prefill = match region.prefill {
            Some(_) => None,
            None => Some("fresh.bin".to_owned()),
        };
        Some(())
    }),
    ("a role at a device", role_at_device),
    ("a role at a device", role_at_device),
    ("a role past the cache", |case, random| {
        some_map(case, random, |map| map.symbol.is_some())?.uncached = true;
        Some(())
    }),
    ("a channel dropped", |case, random| {
        take(&mut case.system.channels, random).map(drop)
    }),
    ("a channel added", channel),
    ("an end changed", |case, random| {
        let ends = some(&mut case.system.channels, random, |_| true)?;
        let end = &mut ends[random.below(2)];
        match random.percent(30) {
            true => end.pp = !end.pp,
            false => end.notify = !end.notify,
        }
        Some(())
    }),
    ("a capability added", cap),
    ("a capability in another slot", |case, random| {
        let pd = some(&mut case.system.pds, random, |pd| !pd.caps.is_empty())?;
        pd.caps[0].slot = random.range(1, 4) as u8;
        Some(())
    }),
    ("another parent", |case, random| {
        let parent = random.pick(&case.system.pds)?.name.clone();
        let pd = some(&mut case.system.pds, random, |pd| pd.name != parent)?;
        pd.parent = random.percent(80).then_some(parent);
        // Nobody is their own ancestor.
        let is_sound = |case: &Case| {
            case.system.pds.iter().all(|pd| {
                let mut at = Some(pd.name.clone());
                for _ in 0..case.system.pds.len() {
                    at = at.and_then(|it| case.system.pd(&it)?.parent.clone());
                }
                at.is_none()
            })
        };
        is_sound(case).then_some(())
    }),
    ("a monitor's call", |case, random| {
        let pd = some(&mut case.system.pds, random, |_| true)?;
        pd.smc = !pd.smc;
        Some(())
    }),
    ("an interrupt added", |case, random| {
        let pd = some(&mut case.system.pds, random, |pd| pd.irqs.is_empty())?;
        pd.irqs.push(Irq {
            number: 70,
            id: 49,
            ..Irq::default()
        });
        Some(())
    }),
    ("an interrupt of a device", |case, random| {
        let device = Some(random.pick(&case.system.devices)?.name.clone());
        let pd = some(&mut case.system.pds, random, |pd| {
            pd.irqs.iter().all(|it| it.device.is_none())
        })?;
        pd.irqs.push(Irq {
            number: 21,
            id: 46,
            device,
            ..Irq::default()
        });
        Some(())
    }),
    ("symbols of another program", |case, random| {
        let others = random.percent(20);
        let keeper = case.policy.keeper().map(str::to_owned);
        let pd = some(&mut case.system.pds, random, |pd| {
            others || pd.name == MANAGER || Some(&pd.name) == keeper.as_ref()
        })?;
        pd.symbols = Some("other.elf".to_owned());
        Some(())
    }),
    ("a symbol that is not to be set", patched),
    ("a symbol that is not to be set", patched),
    ("a manager that calls", manager_calls),
    ("a log that nobody keeps", |case, _| {
        let log = case.policy.log()?.clone();
        case.policy.grants.retain(|it| *it != log);
        let keeper = case
            .system
            .pds
            .iter_mut()
            .find(|it| it.name == log.object)?;
        keeper.maps.iter_mut().for_each(|it| it.perms.write = false);
        nobody_acknowledges(case);
        complete(case);
        (!case.policy.grants.is_empty()).then_some(())
    }),
    ("a log acknowledged elsewhere", |case, _| {
        let keeper = case.policy.keeper()?.to_owned();
        let region = Region {
            name: "elsewhere".to_owned(),
            size: Some(0x1000),
            ..Region::default()
        };
        let keeper = case.system.pds.iter_mut().find(|it| it.name == keeper)?;
        let page = keeper
            .maps
            .iter_mut()
            .find(|it| it.symbol.as_deref() == Some("grant_log_ack"))?;
        (page.symbol, page.size) = (None, None);
        keeper
            .maps
            .push(Map::new("elsewhere", "rw").known_as("grant_log_ack"));
        case.system.regions.push(region);
        complete(case);
        Some(())
    }),
    ("a never for who writes a page", |case, random| {
        let components = case.policy.components.iter();
        let writers = components.filter(|it| it.name.starts_with("early"));
        let writers: Vec<String> = writers.map(|it| it.domain.clone()).collect();
        let from = random.pick(&writers)?.clone();
        let grants = case.policy.grants.iter();
        let readers = grants
            .filter(|it| it.object == MANAGER)
            .map(|it| it.subject.clone());
        let readers: Vec<String> = readers
            .chain(case.policy.keeper().map(str::to_owned))
            .collect();
        let to = random.pick(&readers)?.clone();
        never_between(case, from, &to)
    }),
    ("a log that is copied", copied),
    ("a log that is copied", copied),
    ("a page that is written late", |case, random| {
        let mut pds = case.system.pds.iter_mut();
        let writer = pds.find(|pd| pd.name.starts_with("early"))?;
        match random.below(3) {
            0 => writer.priority = 3,
            1 => writer.cpu = 1,
            _ => writer.throttled = true,
        }
        Some(())
    }),
    ("a page that two write", |case, random| {
        let is_one = |map: &&Map| {
            map.symbol
                .as_deref()
                .is_some_and(|it| OPTIONAL.contains(&it))
        };
        let manager = case.system.pd(MANAGER)?;
        let pages: Vec<String> = manager
            .maps
            .iter()
            .filter(is_one)
            .map(|it| it.region.clone())
            .collect();
        let page = random.pick(&pages)?.clone();
        let other = some(&mut case.system.pds, random, |pd| {
            pd.name != MANAGER && pd.maps.iter().all(|map| map.region != page)
        })?;
        other.maps.push(Map::new(&page, "rw"));
        complete(case);
        Some(())
    }),
    ("a send to one without time", |case, random| {
        let grant = some(&mut case.policy.grants, random, |it| {
            matches!(it.mode, Mode::Call | Mode::Send) && it.object != MANAGER
        })?;
        grant.mode = Mode::Send;
        let object = grant.object.clone();
        case.system
            .pds
            .iter_mut()
            .find(|it| it.name == object)?
            .passive = true;
        complete(case);
        Some(())
    }),
    ("a send that closes a circle", circle),
    ("a send that closes a circle", circle),
    ("a send delegated to the manager", |case, random| {
        let grant = some(&mut case.policy.grants, random, |it| {
            it.mode == Mode::Send && it.subject != MANAGER
        })?;
        grant.delegate = vec![MANAGER.to_owned()];
        complete(case);
        Some(())
    }),
    ("a stream that is none", stream_broken),
    ("a stream that is none", stream_broken),
    ("a stream that is none", stream_broken),
    ("a word about DMA dropped", |case, random| {
        some(&mut case.policy.statics, random, |it| it.dma.is_some())?.dma = None;
        Some(())
    }),
    ("a word about DMA dropped", |case, random| {
        some(&mut case.policy.statics, random, |it| it.dma.is_some())?.dma = None;
        Some(())
    }),
    ("a word about DMA", |case, random| {
        let is_region = |it: &Static| matches!(it.what, What::Region(..) | What::Ports(..));
        let word = [Dma::None, Dma::Unbounded][random.below(2)];
        some(&mut case.policy.statics, random, is_region)?.dma = Some(word);
        Some(())
    }),
    ("a grant delegated into another domain", delegated_across),
    ("a never for who asks the manager", |case, random| {
        let from = random.pick(&case.policy.components)?.domain.clone();
        never_between(case, from, MANAGER)
    }),
    ("a never for who delegates", delegates),
    ("a never for who delegates", delegates),
    ("a never for who delegates", delegates),
    ("a notification delegated to its object", |case, random| {
        let grant = some(&mut case.policy.grants, random, |it| {
            it.mode == Mode::Notify && it.object != MANAGER && it.delegate.is_empty()
        })?;
        grant.delegate.push(grant.object.clone());
        complete(case);
        Some(())
    }),
    ("a device tied by its registers alone", tied_by_registers),
    ("another's call received", received),
    ("registers forgotten", |case, random| {
        take(&mut case.policy.registers, random).map(drop)
    }),
    ("a word about what an IOMMU bounds", |case, random| {
        let region = random.pick(&case.policy.registers)?.1.clone();
        let is_about = |it: &Static| matches!(&it.what, What::Region(name, _) if *name == region);
        let word = [Dma::None, Dma::Unbounded][random.below(2)];
        some(&mut case.policy.statics, random, is_about)?.dma = Some(word);
        Some(())
    }),
    ("registers that are memory", |case, random| {
        let is_memory = |it: &&Region| it.phys_addr.is_none() && it.name.starts_with("mem");
        let regions: Vec<&Region> = case.system.regions.iter().filter(is_memory).collect();
        let region = random.pick(&regions)?.name.clone();
        let device = random.pick(&case.system.devices)?.name.clone();
        case.policy.registers.push((device, region));
        complete(case);
        Some(())
    }),
    ("registers of another", |case, random| {
        let is_fixed = random.percent(60);
        let regions = case.system.regions.iter();
        let regions = regions.filter(|it| it.phys_addr.is_some() == is_fixed);
        let regions: Vec<String> = regions.map(|it| it.name.clone()).collect();
        let region = random.pick(&regions)?.clone();
        let device = random.pick(&case.system.devices)?.name.clone();
        let own = (device, region);
        let is_new = !case.policy.registers.contains(&own);
        is_new.then(|| case.policy.registers.push(own))
    }),
    ("registers of two devices", |case, random| {
        let region = random.pick(&case.policy.registers)?.1.clone();
        let name = "dev".to_owned();
        if case.system.devices.iter().any(|it| it.name == name) {
            return None;
        }
        case.system.devices.push(Device {
            name: name.clone(),
            ..Device::default()
        });
        let domain = random.pick(&case.policy.domains)?.clone();
        case.policy
            .subjects
            .push((Who::Device(name.clone()), domain));
        case.policy.registers.push((name, region));
        complete(case);
        Some(())
    }),
    ("a file at a fixed address", |case, random| {
        let is_file = |it: &Region| it.prefill.is_some() && it.phys_addr.is_none();
        let region = some(&mut case.system.regions, random, is_file)?;
        region.phys_addr = Some(0x6000_0000);
        if random.percent(70) {
            region.size = None;
        }
        complete(case);
        Some(())
    }),
    ("a device driven through another", |case, random| {
        let region = random.pick(&case.policy.registers)?.1.clone();
        let map = Map {
            region,
            perms: device_perms(random),
            ..Map::default()
        };
        let device = some(&mut case.system.devices, random, |_| true)?;
        device.maps.push(map);
        Some(())
    }),
    ("a grant split", |case, random| {
        let grant = some(&mut case.policy.grants, random, |it| {
            it.methods.len() > 1 && it.mode != Mode::Stream
        })?;
        grant.on_request = false;
        let mut other = grant.clone();
        other.methods = vec![grant.methods.pop()?];
        case.policy.grants.push(other);
        Some(())
    }),
    ("a subject forgotten with its lines", |case, random| {
        let (who, _) = take(&mut case.policy.subjects, random)?;
        case.policy.statics.retain(|it| it.who != who);
        Some(())
    }),
    ("other rights for a role", |case, random| {
        let manager = case.system.pds.iter_mut().find(|it| it.name == MANAGER)?;
        let map = some(&mut manager.maps, random, |it| it.perms == Perms::of("r"))?;
        map.perms = Perms::of("rx");
        complete(case);
        Some(())
    }),
    ("an object elsewhere", |case, random| {
        let holds = |name: &str| {
            case.policy
                .grants
                .iter()
                .any(|it| it.subject == name || it.delegate.iter().any(|to| to == name))
        };
        let mut all = case
            .policy
            .grants
            .iter()
            .filter(|it| it.mode == Mode::Call && !holds(&it.object));
        let object = all.next()?.object.clone();
        case.system
            .pds
            .iter_mut()
            .find(|it| it.name == object && object != MANAGER)?
            .cpu = 1 + random.below(2) as u8;
        Some(())
    }),
    ("a grant of the manager", |case, random| {
        let grant = some(&mut case.policy.grants, random, |it| {
            it.mode == Mode::Send && it.delegate.is_empty()
        })?;
        grant.subject = MANAGER.to_owned();
        complete(case);
        Some(())
    }),
    ("a guest of the manager", |case, random| {
        if case.system.pds.iter().any(|it| it.guest.is_some()) {
            return None;
        }
        let region = Region {
            name: "ram".to_owned(),
            size: Some(0x1000),
            ..Region::default()
        };
        let manager = case.system.pds.iter_mut().find(|it| it.name == MANAGER)?;
        manager.guest = Some(Device {
            name: "vm".to_owned(),
            maps: vec![Map::new("ram", "rwx")],
            ..Device::default()
        });
        case.system.regions.push(region);
        let domain = random.pick(&case.policy.domains)?.clone();
        case.policy
            .subjects
            .push((Who::Guest("vm".to_owned()), domain));
        complete(case);
        Some(())
    }),
    ("its own thread", |case, random| {
        let pd = some(&mut case.system.pds, random, |pd| pd.caps.is_empty())?;
        pd.caps.push(ExtraCap {
            kind: CapKind::Tcb,
            of: pd.name.clone(),
            slot: 4,
        });
        Some(())
    }),
    ("the first of all", |case, random| {
        // Only who holds grants is early, and only if it calls nobody below it.
        let grant = random.pick(&case.policy.grants)?;
        let name = grant.subject.clone();
        let pd = case
            .system
            .pds
            .iter_mut()
            .find(|it| it.name == name && name != MANAGER)?;
        pd.priority = 249;
        Some(())
    }),
    ("ports added", |case, random| {
        let pd = some(&mut case.system.pds, random, |pd| pd.ports.is_empty())?;
        pd.ports.push(Ports {
            base: 0x2f8 + random.below(2) as u64,
            size: 8,
            ..Ports::default()
        });
        Some(())
    }),
    ("ports of another", |case, random| {
        let pds = case.system.pds.iter();
        let all: Vec<&Ports> = pds.flat_map(|pd| &pd.ports).collect();
        let ports = *random.pick(&all)?;
        let who = Who::pd(&random.pick(&case.policy.components)?.name);
        let what = What::Ports(ports.base + random.below(2) as u64, ports.size);
        let dma = Some(Dma::None);
        case.policy.statics.push(Static { who, what, dma });
        complete(case);
        Some(())
    }),
    ("ports widened", |case, random| {
        let pd = some(&mut case.system.pds, random, |pd| !pd.ports.is_empty())?;
        pd.ports[0].size += 8;
        Some(())
    }),
    ("an address told", |case, random| {
        let region = random.pick(&case.system.regions)?.name.clone();
        let pd = some(&mut case.system.pds, random, |_| true)?;
        let symbol = format!("told_{region}");
        let is_told = pd.paddrs.iter().any(|it| it.0 == symbol);
        (!is_told).then(|| pd.paddrs.push((symbol, region)))
    }),
    ("a file used twice", |case, random| {
        let files: Vec<String> = case
            .system
            .regions
            .iter()
            .filter_map(|it| it.prefill.clone())
            .collect();
        let file = random.pick(&files)?.clone();
        let region = some(&mut case.system.regions, random, |it| {
            it.prefill.is_none() && it.phys_addr.is_none()
        })?;
        region.prefill = Some(file);
        Some(())
    }),
    ("a device that maps more", device_maps),
    ("a device added", |case, random| {
        let region = random.pick(&case.system.regions)?.name.clone();
        let map = Map {
            region,
            perms: device_perms(random),
            ..Map::default()
        };
        let name = "dev".to_owned();
        if case.system.devices.iter().any(|it| it.name == name) {
            return None;
        }
        case.system.devices.push(Device {
            name: name.clone(),
            maps: vec![map],
            ..Device::default()
        });
        let domain = random.pick(&case.policy.domains)?.clone();
        case.policy.subjects.push((Who::Device(name), domain));
        Some(())
    }),
    ("a subject forgotten", |case, random| {
        take(&mut case.policy.subjects, random).map(drop)
    }),
    ("a component forgotten", |case, random| {
        let forgotten = take(&mut case.policy.components, random)?.name;
        // What names it would not resolve.
        case.policy
            .statics
            .retain(|it| it.who != Who::pd(&forgotten) && !names(&it.what, &forgotten));
        case.policy.grants.retain(|it| {
            it.subject != forgotten && it.object != forgotten && !it.delegate.contains(&forgotten)
        });
        Some(())
    }),
    ("a component that is not there", |case, random| {
        let domain = random.pick(&case.policy.domains)?.clone();
        case.policy.components.push(Component {
            name: "ghost".to_owned(),
            domain,
            offers: Vec::new(),
        });
        Some(())
    }),
    ("a protection domain that nobody knows", |case, _| {
        case.system.pds.push(Pd {
            name: "stranger".to_owned(),
            priority: 3,
            ..Pd::default()
        });
        Some(())
    }),
    ("a stream over another's memory", stream_over),
    ("a stream over another's memory", stream_over),
    ("a ring of another size", |case, random| {
        let ring = case.policy.log()?.region.clone()?;
        let region = case.system.regions.iter_mut().find(|it| it.name == ring)?;
        region.size = Some(0x1000 * random.range(1, 2) as u64);
        Some(())
    }),
    ("not readable", not_readable),
    ("not readable", not_readable),
    ("not readable", not_readable),
    ("everything on another core", |case, random| {
        let pd = random.below(case.system.pds.len());
        case.system
            .pds
            .iter_mut()
            .skip(pd)
            .for_each(|it| it.cpu = 1);
        Some(())
    }),
    ("a device's registers for another", |case, random| {
        let region = Region {
            name: "regs".to_owned(),
            size: Some(0x1000),
            phys_addr: Some(0x4000_0000),
            prefill: None,
        };
        if case.system.region("regs").is_some() {
            return None;
        }
        case.system.regions.push(region);
        let map = Map {
            region: "regs".to_owned(),
            perms: perms(random),
            ..Map::default()
        };
        some(&mut case.system.pds, random, |_| true)?.maps.push(map);
        Some(())
    }),
];

/// Makes one to three changes; returns their names.
pub fn perturb(case: &mut Case, random: &mut Random) -> Vec<&'static str> {
    let count = match random.below(10) {
        0..7 => 1,
        7..9 => 2,
        _ => 3,
    };
    let mut made = Vec::new();
    while made.len() < count {
        let (name, change) = CHANGES[random.below(CHANGES.len())];
        let mut changed = case.clone();
        if change(&mut changed, random).is_some() {
            *case = changed;
            made.push(name);
        }
    }
    // What a change lacks lines for is declared as often as not, so that nothing but the deeper
    // promises stands in its way.
    if random.percent(50) && case.policy.raw.is_empty() {
        complete(case);
        made.push("all declared");
    }
    made
}

/// A region that the manager finds by a symbol.
fn role<'c>(case: &'c mut Case, random: &mut Random) -> Option<&'c mut Region> {
    let maps = &case.system.pd(MANAGER)?.maps;
    let roles: Vec<&Map> = maps.iter().filter(|map| map.symbol.is_some()).collect();
    let name = random.pick(&roles)?.region.clone();
    let mut regions = case.system.regions.iter_mut();
    regions.find(|region| region.name == name)
}

/// A role's region where a device may lie, with all lines for it but the manager's, which there can be none of.
fn role_at_device(case: &mut Case, random: &mut Random) -> Option<()> {
    let region = role(case, random)?;
    region.phys_addr = Some(0x400_0000);
    let region = region.name.clone();
    complete(case);
    let is_about = |line: &Static| matches!(&line.what, What::Region(name, _) if *name == region);
    let lines = case.policy.statics.iter_mut();
    let managers = lines.filter(|line| line.who == Who::pd(MANAGER) && is_about(line));
    managers.for_each(|line| line.dma = None);
    Some(())
}

fn not_readable(case: &mut Case, random: &mut Random) -> Option<()> {
    case.policy.raw = (*random.pick(MALFORMED)?).to_owned();
    Some(())
}

fn names(what: &What, name: &str) -> bool {
    match what {
        What::Child(other) | What::Channel(other, _) | What::Cap(_, other) => other == name,
        _ => false,
    }
}

fn some<'t, T>(
    items: &'t mut [T],
    random: &mut Random,
    is: impl Fn(&T) -> bool,
) -> Option<&'t mut T> {
    let all: Vec<usize> = (0..items.len()).filter(|it| is(&items[*it])).collect();
    let at = *random.pick(&all)?;
    Some(&mut items[at])
}

fn take<T>(items: &mut Vec<T>, random: &mut Random) -> Option<T> {
    (!items.is_empty()).then(|| items.remove(random.below(items.len())))
}

fn again<T: Clone>(items: &mut Vec<T>, random: &mut Random) -> Option<()> {
    let item = random.pick(items)?.clone();
    items.push(item);
    Some(())
}

fn perms(random: &mut Random) -> Perms {
    Perms::of(["r", "r", "rw", "rw", "rw", "rx", "rwx", "x"][random.below(8)])
}

fn device_perms(random: &mut Random) -> Perms {
    Perms::of(["r", "w", "rw"][random.below(3)])
}

fn some_map<'c>(
    case: &'c mut Case,
    random: &mut Random,
    is: impl Fn(&Map) -> bool,
) -> Option<&'c mut Map> {
    let pds = case.system.pds.iter_mut();
    let mut maps: Vec<&mut Map> = pds
        .flat_map(|pd| {
            let guest = pd.guest.iter_mut().flat_map(|it| &mut it.maps);
            pd.maps.iter_mut().chain(guest)
        })
        .filter(|map| is(map))
        .collect();
    if maps.is_empty() {
        return None;
    }
    let at = random.below(maps.len());
    Some(maps.remove(at))
}

fn somebody(case: &Case, random: &mut Random) -> Option<Who> {
    let pds = case.system.pds.iter().map(|it| Who::pd(&it.name));
    let all: Vec<Who> = pds
        .chain(case.policy.subjects.iter().map(|it| it.0.clone()))
        .collect();
    random.pick(&all).cloned()
}

fn clock_untold(case: &mut Case, random: &mut Random) -> Option<()> {
    let is_its = |ends: &[End; 2]| ends.iter().any(|end| end.pd == CLOCK && end.notify);
    let ends = some(&mut case.system.channels, random, is_its)?;
    if random.percent(50) {
        ends.reverse();
    }
    ends[0].notify = false;
    // Nor is there a line for it.
    let (who, peer) = (Who::pd(&ends[0].pd), ends[1].pd.clone());
    let is_line = |line: &Static| {
        line.who == who && matches!(&line.what, What::Channel(to, _) if *to == peer)
    };
    case.policy.statics.retain(|line| !is_line(line));
    Some(())
}

fn line_perms(case: &mut Case, random: &mut Random) -> Option<()> {
    let is_region = |line: &Static| matches!(line.what, What::Region(..));
    let line = some(&mut case.policy.statics, random, is_region)?;
    let new = match line.who {
        Who::Device(_) => Perms::of(["r", "rw"][random.below(2)]),
        _ => perms(random),
    };
    if let What::Region(_, perms) = &mut line.what {
        *perms = new;
    }
    Some(())
}

fn line_moved(case: &mut Case, random: &mut Random) -> Option<()> {
    let who = somebody(case, random)?;
    let is_pd = matches!(who, Who::Pd(_));
    let may = |line: &Static| is_pd || matches!(line.what, What::Region(..));
    some(&mut case.policy.statics, random, may)?.who = who;
    Some(())
}

fn line_about_nothing(case: &mut Case, random: &mut Random) -> Option<()> {
    let who = Who::pd(&random.pick(&case.policy.components)?.name);
    let what = match random.below(3) {
        0 => What::Vm("nowhere".to_owned()),
        1 => What::Region("nowhere".to_owned(), Perms::of("r")),
        _ => What::Irq(99),
    };
    case.policy.statics.push(Static::new(who, what));
    Some(())
}

fn line_about_something_else(case: &mut Case, random: &mut Random) -> Option<()> {
    let who = random.pick(&case.policy.components)?.name.clone();
    let other = random.pick(&case.policy.components)?.name.clone();
    let kind = [CapKind::Tcb, CapKind::Sc, CapKind::Vspace][random.below(3)];
    let what = match random.below(5) {
        0 => What::Region(
            random.pick(&case.system.regions)?.name.clone(),
            perms(random),
        ),
        1 => What::Channel(other, random.percent(50)),
        2 => What::Child(other),
        3 => What::Cap(kind, other),
        _ => What::Smc,
    };
    case.policy.statics.push(Static::new(Who::pd(&who), what));
    Some(())
}

/// A delegate from whose domain no flow leads to the grant's object.
fn delegated_across(case: &mut Case, random: &mut Random) -> Option<()> {
    let policy = &mut case.policy;
    let grant = some(&mut policy.grants, random, |it| {
        it.mode != Mode::Stream && ![&*it.subject, &*it.object].contains(&MANAGER)
    })?;
    let (subject, object) = (grant.subject.clone(), grant.object.clone());
    let domain = |name: &str| {
        let mut all = policy.components.iter();
        all.find(|it| it.name == name).map(|it| it.domain.clone())
    };
    let (from, to) = (domain(&subject)?, domain(&object)?);
    let others = policy.components.iter();
    let others = others.filter(|it| ![&from, &to].contains(&&it.domain) && it.name != MANAGER);
    let others: Vec<_> = others
        .map(|it| (it.name.clone(), it.domain.clone()))
        .collect();
    let (name, own) = random.pick(&others)?.clone();
    grant.delegate = vec![name];
    policy
        .flows
        .retain(|flow| (&flow.from, &flow.to) != (&own, &to));
    Some(())
}

/// Who may hand a grant on tells whom it is handed to nothing else, where it is one way.
fn delegates(case: &mut Case, random: &mut Random) -> Option<()> {
    let to = random.pick(&case.policy.components)?.name.clone();
    let grant = some(&mut case.policy.grants, random, |it| {
        let is_one_way = matches!(it.mode, Mode::Send | Mode::Notify);
        is_one_way || !it.delegate.is_empty()
    })?;
    let ends = [&*grant.subject, &*grant.object, MANAGER];
    if grant.delegate.is_empty() && !ends.contains(&&*to) {
        grant.delegate.push(to);
    }
    let ends = [grant.subject.clone(), grant.delegate.first()?.clone()];
    // Each in a domain of its own, so that nobody else tells one of them something for the other.
    for (name, domain) in ends.iter().zip(["giver", "taker"]) {
        if case.policy.domains.iter().any(|it| it == domain) {
            return None;
        }
        case.policy.domains.push(domain.to_owned());
        let mut components = case.policy.components.iter_mut();
        components.find(|it| it.name == *name)?.domain = domain.to_owned();
    }
    complete(case);
    never_between(case, "giver".to_owned(), &ends[1])
}

/// Without a manager, two who share whom they call, and a rule that keeps their domains apart.
fn received(case: &mut Case, random: &mut Random) -> Option<()> {
    if case.system.pd(MANAGER).is_some() {
        return None;
    }
    let pds = &case.system.pds;
    let mut three: Vec<&Pd> = Vec::new();
    while three.len() < 3.min(pds.len()) {
        let pd = random.pick(pds)?;
        if !three.iter().any(|it| it.name == pd.name) {
            three.push(pd);
        }
    }
    three.sort_by_key(|pd| pd.priority);
    let [one, other, server] = three.as_slice() else {
        return None;
    };
    let domain = |pd: &Pd| Some(case.policy.component(&pd.name)?.domain.clone());
    let (from, to) = (domain(one)?, other.name.clone());
    let end = |pd: &Pd, id, pp| End {
        pd: pd.name.clone(),
        id,
        pp,
        ..End::default()
    };
    let channels = [one, other].map(|pd| [end(pd, 44, true), end(server, 0, false)]);
    for (mut ends, id) in channels.into_iter().zip([44, 45]) {
        ends[1].id = id;
        case.system.channels.push(ends);
    }
    complete(case);
    never_between(case, from, &to)
}

/// A device in any domain that shares nothing with its driver but its registers.
fn tied_by_registers(case: &mut Case, random: &mut Random) -> Option<()> {
    let device = random.pick(&case.policy.registers)?.0.clone();
    let who = Who::Device(device.clone());
    let mut raised = Vec::new();
    for pd in &mut case.system.pds {
        pd.irqs.retain(|irq| {
            let is_its = irq.device.as_ref() == Some(&device);
            raised.extend(is_its.then_some(irq.number));
            !is_its
        });
    }
    let devices = case.system.devices.iter_mut();
    for own in devices.filter(|it| it.name == device) {
        own.maps.clear();
    }
    let is_raised = |what: &What| matches!(what, What::Irq(number) if raised.contains(number));
    let statics = &mut case.policy.statics;
    statics.retain(|line| line.who != who && !is_raised(&line.what));
    let domain = random.pick(&case.policy.domains)?.clone();
    some(&mut case.policy.subjects, random, |it| it.0 == who)?.1 = domain;
    Some(())
}

fn domain(case: &mut Case, random: &mut Random) -> Option<()> {
    let domain = random.pick(&case.policy.domains)?.clone();
    if random.percent(25) {
        some(&mut case.policy.subjects, random, |_| true)?.1 = domain;
    } else {
        some(&mut case.policy.components, random, |_| true)?.domain = domain;
    }
    Some(())
}

/// Who is called sends something to its caller, which waits for its reply.
fn circle(case: &mut Case, random: &mut Random) -> Option<()> {
    let is_active = |name: &str| case.system.pd(name).is_some_and(|pd| !pd.passive);
    let calls = case.policy.grants.iter();
    let calls = calls.filter(|it| it.mode == Mode::Call && it.object != MANAGER);
    let calls: Vec<&Grant> = calls.filter(|it| is_active(&it.subject)).collect();
    let call = (*random.pick(&calls)?).clone();
    let mut components = case.policy.components.iter_mut();
    let offers = &mut components.find(|it| it.name == call.subject)?.offers;
    if !offers.contains(&call.interface) {
        offers.push(call.interface.clone());
    }
    case.policy.grants.push(Grant {
        subject: call.object,
        object: call.subject,
        mode: Mode::Send,
        on_request: false,
        lease: false,
        delegate: Vec::new(),
        ..call
    });
    complete(case);
    Some(())
}

/// The log's keeper writes memory that another reads, which may be honest or not.
fn copied(case: &mut Case, random: &mut Random) -> Option<()> {
    let keeper = case.policy.keeper()?.to_owned();
    case.policy.is_opaque = true;
    let reader = random.pick(&case.policy.components)?.name.clone();
    if reader == keeper || case.system.region("copy").is_some() {
        return None;
    }
    let pds = &mut case.system.pds;
    let [writes, reads] = [&keeper, &reader].map(|name| pds.iter().position(|pd| pd.name == *name));
    pds[writes?].maps.push(Map::new("copy", "rw"));
    pds[reads?].maps.push(Map::new("copy", "r"));
    case.system.regions.push(Region {
        name: "copy".to_owned(),
        size: Some(0x1000),
        ..Region::default()
    });
    complete(case);
    let denied = random.pick(&case.policy.components)?.domain.clone();
    let to = match random.percent(50) {
        true => reader,
        false => random.pick(&case.policy.components)?.name.clone(),
    };
    never_between(case, denied, &to)
}

fn never(case: &mut Case, random: &mut Random) -> Option<()> {
    let from = random.pick(&case.policy.domains)?.clone();
    let to = random.pick(&case.policy.components)?.name.clone();
    never_between(case, from, &to)
}

fn never_between(case: &mut Case, from: String, to: &str) -> Option<()> {
    let rule = (from, case.policy.component(to)?.domain.clone());
    if rule.0 == rule.1 || case.policy.nevers.contains(&rule) {
        return None;
    }
    case.policy.nevers.push(rule);
    Some(())
}

fn flow_mode(case: &mut Case, random: &mut Random) -> Option<()> {
    let mode = [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream][random.below(4)];
    let flow = some(&mut case.policy.flows, random, |_| true)?;
    flow.modes = vec![mode];
    Some(())
}

fn symbols_swapped(case: &mut Case, random: &mut Random) -> Option<()> {
    let pd = some(&mut case.system.pds, random, |pd| {
        pd.maps.iter().filter(|it| it.symbol.is_some()).count() > 1
    })?;
    let places: Vec<usize> = (0..pd.maps.len())
        .filter(|it| pd.maps[*it].symbol.is_some())
        .collect();
    let (one, other) = (*random.pick(&places)?, *random.pick(&places)?);
    let (first, second) = (pd.maps[one].clone(), pd.maps[other].clone());
    // One of the two alone splits address from size.
    let both = random.below(3);
    if both != 1 {
        (pd.maps[one].symbol, pd.maps[other].symbol) = (second.symbol, first.symbol);
    }
    if both != 2 {
        (pd.maps[one].size, pd.maps[other].size) = (second.size, first.size);
    }
    (one != other).then_some(())
}

/// Sets a symbol by any form: of the manager, or one that a runtime has.
fn patched(case: &mut Case, random: &mut Random) -> Option<()> {
    let of_manager = random.percent(40);
    let symbol = match random.percent(if of_manager { 50 } else { 85 }) {
        true => (*random.pick(&RUNTIME)?).to_owned(),
        false => (*random.pick(&["grant_log_size", "policy", "generation", "table"])?).to_owned(),
    };
    let region = random.pick(&case.system.regions)?.name.clone();
    let name = case.system.pds[random.below(case.system.pds.len())]
        .name
        .clone();
    let name = if of_manager { MANAGER.to_owned() } else { name };
    let taken = case.system.symbols(&name).contains(&symbol.as_str());
    if random.percent(20) {
        let pd = case.system.pds.iter_mut().find(|it| it.name == name)?;
        if random.percent(50) {
            pd.paddrs.push((symbol, region));
        } else {
            some(&mut pd.maps, random, |it| it.symbol.is_none())?.symbol = Some(symbol);
        }
    } else {
        let mut places: Vec<_> = symbols(case)
            .into_iter()
            .filter(|it| it.0 == name)
            .collect();
        let place = random.below(places.len().max(1));
        *places.get_mut(place)?.1 = Some(symbol);
    }
    (!taken).then_some(())
}

fn mapping(case: &mut Case, random: &mut Random) -> Option<()> {
    let region = random.pick(&case.system.regions)?.name.clone();
    let map = Map {
        region,
        perms: perms(random),
        ..Map::default()
    };
    if random.percent(15) {
        let pd = some(&mut case.system.pds, random, |pd| pd.guest.is_some())?;
        pd.guest.as_mut()?.maps.push(map);
    } else {
        some(&mut case.system.pds, random, |_| true)?.maps.push(map);
    }
    Some(())
}

fn aliased(case: &mut Case, random: &mut Random) -> Option<()> {
    let number = random.pick(&case.policy.interfaces)?.1.first()?.1;
    let interface = some(&mut case.policy.interfaces, random, |_| true)?;
    if interface.1.iter().any(|it| it.1 == number) {
        return None;
    }
    interface.1[0].1 = number;
    Some(())
}

fn grant_added(case: &mut Case, random: &mut Random) -> Option<()> {
    let subject = random.pick(&case.policy.components)?.name.clone();
    let object = random.pick(&case.policy.components)?;
    let interface = match random.percent(85) {
        true => random.pick(&object.offers)?.clone(),
        false => random.pick(&case.policy.interfaces)?.0.clone(),
    };
    let method = random.pick(case.policy.methods(&interface))?.0.clone();
    let mode = [Mode::Call, Mode::Call, Mode::Send, Mode::Notify][random.below(4)];
    case.policy.grants.push(Grant {
        subject,
        object: object.name.clone(),
        interface,
        methods: vec![method],
        mode,
        region: None,
        on_request: random.percent(20),
        lease: false,
        delegate: Vec::new(),
    });
    Some(())
}

fn grant_changed(case: &mut Case, random: &mut Random) -> Option<()> {
    let name = random.pick(&case.policy.components)?.name.clone();
    let region = random.pick(&case.system.regions)?.name.clone();
    let grant = some(&mut case.policy.grants, random, |_| true)?;
    match random.below(5) {
        0 => grant.subject = name,
        1 => grant.object = name,
        2 => {
            grant.mode = [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream][random.below(4)];
            grant.region = (grant.mode == Mode::Stream).then_some(region);
        }
        3 => grant.on_request = !grant.on_request,
        _ => grant.lease = !grant.lease,
    }
    Some(())
}

fn channel(case: &mut Case, random: &mut Random) -> Option<()> {
    let one = random.pick(&case.system.pds)?;
    let other = random.pick(&case.system.pds)?;
    // A call goes to a higher priority, or the description itself is wrong.
    let pp = one.priority < other.priority && random.percent(60);
    let end = |pd: &Pd, pp, notify| End {
        pd: pd.name.clone(),
        id: 48,
        pp,
        notify,
        ..End::default()
    };
    let ends = [
        end(one, pp, !pp || random.percent(30)),
        end(other, false, random.percent(40)),
    ];
    case.system.channels.push(ends);
    Some(())
}

fn cap(case: &mut Case, random: &mut Random) -> Option<()> {
    let of = random.pick(&case.system.pds)?.name.clone();
    let kind = [CapKind::Tcb, CapKind::Sc, CapKind::Vspace][random.below(3)];
    let pd = some(&mut case.system.pds, random, |pd| pd.caps.is_empty())?;
    pd.caps.push(ExtraCap {
        kind,
        of,
        slot: if random.percent(30) { 1 } else { 3 },
    });
    Some(())
}

fn device_maps(case: &mut Case, random: &mut Random) -> Option<()> {
    let region = random.pick(&case.system.regions)?.name.clone();
    let map = Map {
        region,
        perms: device_perms(random),
        ..Map::default()
    };
    some(&mut case.system.devices, random, |_| true)?
        .maps
        .push(map);
    Some(())
}

/// Without grants nobody has to ask the manager, which may then be below others.
fn manager_calls(case: &mut Case, random: &mut Random) -> Option<()> {
    case.policy.grants.clear();
    let callee = some(&mut case.system.pds, random, |pd| pd.name != MANAGER)?;
    callee.priority = 252;
    let name = callee.name.clone();
    case.system.pd(MANAGER)?;
    case.system
        .channels
        .retain(|ends| ends.iter().all(|end| end.pd != name));
    let end = |pd: &str, pp| End {
        pd: pd.to_owned(),
        id: 59,
        pp,
        ..End::default()
    };
    case.system
        .channels
        .push([end(MANAGER, true), end(&name, false)]);
    for pd in case.system.pds.iter_mut().filter(|it| it.name != MANAGER) {
        pd.maps
            .iter_mut()
            .filter(|it| it.region.contains("grant_log"))
            .for_each(|it| it.perms.write = false);
    }
    nobody_acknowledges(case);
    complete(case);
    Some(())
}

fn nobody_acknowledges(case: &mut Case) {
    for line in case
        .policy
        .statics
        .iter_mut()
        .filter(|it| it.who != Who::pd(MANAGER))
    {
        if let What::Region(region, perms) = &mut line.what
            && region.contains("grant_log")
        {
            perms.write = false;
        }
    }
}

/// One end of a stream, but not the grant log's, maps it in another way.
fn stream_broken(case: &mut Case, random: &mut Random) -> Option<()> {
    let is_own =
        |it: &Grant| it.mode == Mode::Stream && it.subject != MANAGER && it.subject != it.object;
    let streams: Vec<&Grant> = case.policy.grants.iter().filter(|it| is_own(it)).collect();
    let grant = (*random.pick(&streams)?).clone();
    let region = grant.region?;
    let of_subject = random.percent(40);
    let end = if of_subject {
        grant.subject
    } else {
        grant.object
    };
    let pd = case.system.pds.iter_mut().find(|it| it.name == end)?;
    let place = pd.maps.iter().position(|it| it.region == region)?;
    match (of_subject, random.percent(50)) {
        (_, true) => drop(pd.maps.remove(place)),
        (true, false) => pd.maps[place].perms = Perms::of("r"),
        (false, false) => pd.maps[place].perms = Perms::of("rw"),
    }
    complete(case);
    Some(())
}

/// A stream whose memory is another's already: what its mappings were declared by goes.
fn stream_over(case: &mut Case, random: &mut Random) -> Option<()> {
    let region = random.pick(&case.system.regions)?.name.clone();
    let object = random.pick(&case.policy.components)?.clone();
    let subject = random.pick(&case.policy.components)?.name.clone();
    let interface = random.pick(&object.offers)?.clone();
    let method = random.pick(case.policy.methods(&interface))?.0.clone();
    for (name, perms) in [(&subject, "rw"), (&object.name, "r")] {
        let pd = case.system.pds.iter_mut().find(|it| it.name == *name)?;
        if !pd.maps.iter().any(|it| it.region == region) {
            pd.maps.push(Map::new(&region, perms));
        }
    }
    let of = |line: &Static| matches!(&line.what, What::Region(it, _) if *it == region);
    case.policy.statics.retain(|line| {
        !(of(line) && [&subject, &object.name].contains(&&line.who.name().to_owned()))
    });
    case.policy.grants.push(Grant {
        subject,
        object: object.name,
        interface,
        methods: vec![method],
        mode: Mode::Stream,
        region: Some(region),
        on_request: false,
        lease: false,
        delegate: Vec::new(),
    });
    Some(())
}

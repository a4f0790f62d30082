//! Attacks of a system on its own promises: what is never granted, and who runs when.
//!
//! The manager's start is played through, from its symbols to the first record, and the scheduler's
//! choices are compared, thread by thread.

use std::collections::BTreeSet;

use crate::case::{CapKind, Case, End, MANAGER, Map, Mode, Pd, Perms, Policy, System, Who};
use crate::finding::{Finding, Kind};
use crate::world::{Cap, Object, Source, Thread, World};

/// Bytes before the first slot of the ring, and bytes of a slot (`docs/formats.md`).
const RING: (u64, u64) = (4096, 128);
/// What the manager finds by its symbols, and how it maps it; and the log's keeper.
const MANAGERS: [(&str, &str); 4] = [
    ("policy", "r"),
    ("policy_keys", "r"),
    ("grant_log", "rw"),
    ("grant_log_ack", "r"),
];
/// Pages that it may do without: it only reads them.
pub const OPTIONAL: [&str; 2] = ["boot_seed", "utc_offset"];
/// The page that it writes for the clock, which only reads it.
pub const DEADLINE: &str = "lease_deadline";
const KEEPERS: [(&str, &str); 2] = [("grant_log", "r"), ("grant_log_ack", "rw")];

/// The symbols that may be set in the manager, as addresses.
pub fn roles() -> impl Iterator<Item = &'static str> {
    let managers = MANAGERS.iter().map(|(symbol, _)| *symbol);
    managers.chain(OPTIONAL).chain([DEADLINE])
}

/// Symbols that libmicrokit and rust-sel4 have in every program: Microkit sets the first ones, and then
/// whatever the description sets, so that the description has the last word.
pub const RUNTIME: [&str; 14] = [
    "microkit_name",
    "microkit_passive",
    "microkit_irqs",
    "microkit_notifications",
    "microkit_pps",
    "microkit_ioports",
    "microkit_have_signal",
    "microkit_signal_cap",
    "microkit_signal_msg",
    "__sel4_ipc_buffer",
    "__sel4_ipc_buffer_obj",
    "__sel4_runtime_common__stack_bottom",
    "_start",
    "protected",
];
/// Grants that the manager's table has room for.
const MAX_GRANTS: usize = 1024;
/// Bits of a notification that Microkit leaves to ids.
const BITS: usize = 62;

/// Every promise that the system breaks by itself.
pub fn failures(case: &Case, world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    let boot = Boot {
        system: &case.system,
        policy: &case.policy,
    };
    boot.manager(&mut found);
    boot.clock(&mut found);
    boot.slots(&mut found);
    boot.patched(&mut found);
    boot.filled(&mut found);
    found.extend(runs(world, &case.policy));
    found.sort();
    found.dedup();
    found
}

/// What a world breaks by itself, whatever it was made from.
pub fn runs(world: &World, policy: &Policy) -> Vec<Finding> {
    let running = Running { policy, world };
    let mut found = Vec::new();
    running.streams(&mut found);
    running.waits(&mut found);
    running.scheduler(&mut found);
    running.pages(&mut found);
    found
}

struct Running<'a> {
    policy: &'a Policy,
    world: &'a World,
}

struct Boot<'a> {
    system: &'a System,
    policy: &'a Policy,
}

impl Boot<'_> {
    /// The manager starts: it finds its memory, verifies the policy, and writes a record for each grant.
    fn manager(&self, found: &mut Vec<Finding>) {
        let policy = self.policy;
        if policy.grants.is_empty() {
            return;
        }
        if self.system.pd(MANAGER).is_none() {
            found.push(Finding::new(Kind::NoManager, [], "nobody mints anything"));
            return;
        }
        let held = policy.grants.iter().map(|it| 1 + it.delegate.len());
        if held.sum::<usize>() > MAX_GRANTS {
            found.push(Finding::new(
                Kind::TooMany,
                [],
                "the manager's table is full",
            ));
        }
        for pd in self.system.pds.iter().filter(|pd| pd.name != MANAGER) {
            let asks = self.system.ends();
            let asks =
                asks.filter(|(end, other)| end.pd == pd.name && end.pp && other.pd == MANAGER);
            let (asks, is_known) = (asks.count(), policy.component(&pd.name).is_some());
            if asks > 1 && is_known {
                let text = format!("`{}` is known by one of its {asks} endpoints", pd.name);
                found.push(Finding::new(Kind::Unheard, [pd.name.as_str()], text));
            }
            let mut ends = self.system.ends();
            let has_own = ends.any(|(end, other)| {
                end.pd == pd.name && end.pp && end.id == 0 && other.pd == MANAGER
            });
            if asks > 0 && !has_own && is_known && self.has_to_ask(&pd.name) {
                let text = format!("`{}` calls slot 0 of its channels, which is empty", pd.name);
                found.push(Finding::new(Kind::AsksElsewhere, [pd.name.as_str()], text));
            }
            if asks == 0 && self.has_to_ask(&pd.name) {
                let text = format!(
                    "`{}` has no endpoint on which the manager receives",
                    pd.name
                );
                found.push(Finding::new(Kind::Mute, [pd.name.as_str()], text));
            }
        }
        if self.system.pd(MANAGER).is_some_and(|it| it.passive) {
            let text = "the manager runs while somebody asks it, and no longer";
            found.push(Finding::new(Kind::Asleep, [MANAGER], text));
        }
        self.log(found);
        self.roles(found);
    }

    /// What the regions are made of in which manager and keeper believe each other.
    fn roles(&self, found: &mut Vec<Finding>) {
        let log = self.policy.log();
        let clock = self.clocks().map(|it| it.name.as_str());
        let ends = [Some(MANAGER), log.map(|it| it.object.as_str()), clock];
        let mut regions: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (end, symbol) in ends
            .into_iter()
            .flatten()
            .flat_map(|end| roles().map(move |symbol| (end, symbol)))
        {
            let map = self.map_of(end, symbol);
            regions.extend(map.map(|map| (symbol, map.region.as_str())));
        }
        let ring = log.and_then(|it| it.region.as_deref());
        regions.extend(ring.map(|ring| ("grant_log", ring)));
        for (symbol, region) in regions {
            let mut say = |text: String| {
                found.push(Finding::new(Kind::RoleMemory, [region], text));
            };
            let Some(of) = self.system.region(region) else {
                continue;
            };
            if of.phys_addr.is_some() {
                say(format!(
                    "a device writes `{region}`, where `{symbol}` points"
                ));
            }
            if of.prefill.is_some() != symbol.starts_with("policy") {
                say(format!(
                    "`{symbol}` points to what the boot leaves in `{region}`"
                ));
            }
            let ends = ends
                .into_iter()
                .flatten()
                .filter_map(|end| self.system.pd(end));
            for map in ends.flat_map(|pd| &pd.maps) {
                if map.region == region && map.uncached {
                    say(format!(
                        "one end of `{region}` reads what the cache has not written"
                    ));
                }
            }
        }
    }

    /// Who is woken by the manager and wakes it, and sees its deadline.
    fn clocks(&self) -> Option<&Pd> {
        let page = self.map_of(MANAGER, DEADLINE)?;
        let tells = |end: &End| end.notify && !end.pp;
        let mut ends = self.system.ends();
        ends.find_map(|(own, other)| {
            let pd = self.system.pd(&other.pd)?;
            let sees = pd.maps.iter().any(|map| map.region == page.region);
            (own.pd == MANAGER && pd.name != MANAGER && tells(own) && tells(other) && sees)
                .then_some(pd)
        })
    }

    /// A lease ends: the manager is woken, whatever else runs.
    fn clock(&self, found: &mut Vec<Finding>) {
        let Some(manager) = self.system.pd(MANAGER) else {
            return;
        };
        let Some(page) = self.map_of(MANAGER, DEADLINE) else {
            if self.policy.grants.iter().any(|it| it.lease) {
                let text = "the manager is never woken when a lease ends";
                found.push(Finding::new(Kind::NoClock, [], text));
            }
            return;
        };
        let Some(clock) = self.clocks() else {
            let text = "the manager is never woken at its deadline";
            let names = [page.region.as_str()];
            found.push(Finding::new(Kind::Unwatched, names, text));
            return;
        };
        let mut say = |kind, text: &str| {
            found.push(Finding::new(kind, [clock.name.as_str()], text));
        };
        // Where there is a schedule, everybody is in some domain of it.
        let first = self.system.schedule.first();
        let place = |pd: &Pd| {
            let domain = first.map(|first| pd.domain.as_ref().unwrap_or(first).clone());
            (pd.cpu, domain)
        };
        if place(clock) != place(manager) || clock.priority <= manager.priority {
            say(Kind::ClockLate, "others run when it should");
        }
        if clock.passive {
            say(Kind::ClockTime, "it never runs by itself");
        } else if !clock.throttled {
            say(Kind::ClockTime, "while it waits, nobody else runs");
        }
    }

    /// What the boot writes where a device may be.
    fn filled(&self, found: &mut Vec<Finding>) {
        let regions = self.system.regions.iter();
        for region in regions.filter(|it| it.phys_addr.is_some() && it.prefill.is_some()) {
            let text = format!("the loader copies a file to `{}`", region.name);
            found.push(Finding::new(
                Kind::FilledRegisters,
                [region.name.as_str()],
                text,
            ));
        }
    }

    /// Whether a component is ever granted something, or told something by a bit.
    fn has_to_ask(&self, name: &str) -> bool {
        let is_told = |mode| matches!(mode, Mode::Notify | Mode::Stream);
        self.policy.grants.iter().any(|it| {
            it.subject == name
                || it.delegate.iter().any(|holder| holder == name)
                || it.object == name && is_told(it.mode)
        })
    }

    fn log(&self, found: &mut Vec<Finding>) {
        let Some((stream, ring)) = self
            .policy
            .log()
            .and_then(|it| Some((it, it.region.as_ref()?)))
        else {
            found.push(Finding::new(
                Kind::NoRing,
                [],
                "there is no ring that the manager writes",
            ));
            self.symbols(None, found);
            return;
        };
        self.symbols(Some((&stream.object, ring)), found);
        let boot = self
            .policy
            .grants
            .iter()
            .filter(|it| !it.on_request)
            .count() as u64;
        let size = self.system.region(ring).and_then(|it| it.size);
        if size.is_some_and(|size| RING.0 + (boot + 2) * RING.1 > size) {
            let text = format!("{boot} grants and two records do not fit `{ring}`");
            found.push(Finding::new(Kind::SmallRing, [ring.as_str()], text));
        }
    }

    /// What manager and keeper find where their symbols point.
    fn symbols(&self, log: Option<(&String, &String)>, found: &mut Vec<Finding>) {
        let ring = log
            .map(|(_, ring)| ring)
            .filter(|ring| self.system.region(ring).is_some());
        let mut own = BTreeSet::new();
        for (symbol, perms) in MANAGERS {
            match self.bound(MANAGER, symbol, perms) {
                Some(map)
                    if symbol == "grant_log" && ring.is_some_and(|ring| map.region != *ring) =>
                {
                    symbol_fails(MANAGER, symbol, "its records go where nobody looks", found);
                }
                Some(map) if symbol != "grant_log" && Some(&map.region) == ring => {
                    symbol_fails(MANAGER, symbol, "it finds its own records", found);
                }
                Some(map) if !own.insert(map.region.clone()) => {
                    symbol_fails(MANAGER, symbol, "it finds two things in one place", found);
                }
                Some(_) => {}
                None => symbol_fails(
                    MANAGER,
                    symbol,
                    "it finds nothing, or faults on its first access",
                    found,
                ),
            }
        }
        let optional = OPTIONAL.map(|symbol| (symbol, "r"));
        for (symbol, perms) in optional.into_iter().chain([(DEADLINE, "rw")]) {
            let size = format!("{symbol}_size");
            let manager = self.system.pd(MANAGER);
            let mut maps = manager.into_iter().flat_map(|it| &it.maps);
            let is = |set: &Option<String>, name: &str| set.as_deref() == Some(name);
            if !maps.any(|map| is(&map.symbol, symbol) || is(&map.size, &size)) {
                continue;
            }
            let bound = self.bound(MANAGER, symbol, perms);
            if !bound.is_some_and(|map| Some(&map.region) != ring && own.insert(map.region.clone()))
            {
                symbol_fails(
                    MANAGER,
                    symbol,
                    "it reads what is no page of its own",
                    found,
                );
            }
        }
        let keeper = log
            .filter(|_| ring.is_some())
            .and_then(|(keeper, _)| self.system.pd(keeper));
        let keeper = keeper.map(|it| it.name.as_str());
        for (keeper, (symbol, perms)) in keeper
            .into_iter()
            .flat_map(|it| KEEPERS.map(|role| (it, role)))
        {
            if let Some(map) = self.map_of(keeper, symbol) {
                let mut managers = roles().filter(|other| *other != symbol);
                let is_ring = symbol != "grant_log" && Some(&map.region) == ring;
                if is_ring
                    || managers.any(|other| {
                        self.map_of(MANAGER, other)
                            .is_some_and(|it| it.region == map.region)
                    })
                {
                    symbol_fails(
                        keeper,
                        symbol,
                        "the manager takes it for something else",
                        found,
                    );
                }
            }
            let both = (
                self.bound(keeper, symbol, perms),
                self.map_of(MANAGER, symbol),
            );
            match both {
                (Some(map), _)
                    if symbol == "grant_log" && ring.is_some_and(|ring| map.region != *ring) =>
                {
                    symbol_fails(keeper, symbol, "no record is written there", found);
                }
                (Some(map), Some(managers)) if map.region != managers.region => {
                    symbol_fails(keeper, symbol, "it is not where the manager is", found);
                }
                (Some(_), _) => {}
                (None, _) => symbol_fails(keeper, symbol, "no record is ever acknowledged", found),
            }
        }
        let clock = self.clocks().map(|it| it.name.as_str());
        if let Some(clock) = clock
            && self.bound(clock, DEADLINE, "r").is_none_or(|map| {
                let managers = self.map_of(MANAGER, DEADLINE);
                managers.is_none_or(|managers| managers.region != map.region)
            })
        {
            symbol_fails(clock, DEADLINE, "it never sees the deadline", found);
        }
        for pd in [MANAGER].into_iter().chain(keeper).chain(clock) {
            if self.system.pd(pd).is_some_and(|it| it.symbols.is_some()) {
                let text = format!("`{pd}` looks where another program has its symbols");
                found.push(Finding::new(Kind::Symbol, [pd], text));
            }
        }
    }

    /// A program that starts with another value than its own, or Microkit's, where nobody expects one.
    fn patched(&self, found: &mut Vec<Finding>) {
        for pd in &self.system.pds {
            let name = pd.name.as_str();
            // By the mapping of one of its regions, and as what it is: address or size.
            let is_size = |symbol: &String| {
                let role = symbol.strip_suffix("_size");
                roles().any(|own| Some(own) == role)
            };
            let is_address = |symbol: &String| roles().any(|own| own == symbol);
            let addresses = pd.maps.iter().filter_map(|map| map.symbol.as_ref());
            let sizes = pd.maps.iter().filter_map(|map| map.size.as_ref());
            let needed: Vec<&String> = addresses
                .filter(|it| is_address(it))
                .chain(sizes.filter(|it| is_size(it)))
                .collect();
            for symbol in self.system.symbols(name) {
                let is_found = match name == MANAGER {
                    true => !needed.iter().any(|own| *own == symbol),
                    false => RUNTIME.contains(&symbol),
                };
                if is_found {
                    let text = format!("`{name}` starts with another `{symbol}` than it has");
                    found.push(Finding::new(Kind::Patched, [name, symbol], text));
                }
            }
        }
    }

    /// The mapping of which a symbol has the address.
    fn map_of(&self, pd: &str, symbol: &str) -> Option<&Map> {
        let mut maps = self.system.pd(pd)?.maps.iter();
        maps.find(|map| map.symbol.as_deref() == Some(symbol))
    }

    /// The same, if it allows exactly this, and its size is found too.
    fn bound(&self, pd: &str, symbol: &str, perms: &str) -> Option<&Map> {
        let map = self.map_of(pd, symbol)?;
        let is_sized = map
            .size
            .as_ref()
            .is_some_and(|it| *it == format!("{symbol}_size"));
        (is_sized && map.perms == Perms::of(perms)).then_some(map)
    }

    /// What does not fit into slots and bits.
    fn slots(&self, found: &mut Vec<Finding>) {
        for pd in &self.system.pds {
            for cap in pd.caps.iter().filter(|cap| [1, 2].contains(&cap.slot)) {
                let kind = match cap.kind {
                    CapKind::Tcb => "TCB",
                    CapKind::Sc => "time",
                    CapKind::Vspace => "memory",
                };
                let text = format!(
                    "the {kind} of `{}` lies where the grants or reply objects of `{}` should",
                    cap.of, pd.name
                );
                found.push(Finding::new(Kind::SlotTaken, [pd.name.as_str()], text));
            }
            let ids = self
                .system
                .ends()
                .filter(|(end, _)| end.pd == pd.name)
                .count()
                + pd.irqs.len();
            let tells = |it: &&crate::case::Grant| {
                it.object == pd.name && matches!(it.mode, Mode::Notify | Mode::Stream)
            };
            let grants = self
                .policy
                .grants
                .iter()
                .filter(tells)
                .map(|it| 1 + it.delegate.len());
            if ids + grants.sum::<usize>() > BITS {
                let text = format!("two tell `{}` something by the same bit", pd.name);
                found.push(Finding::new(Kind::NoBit, [pd.name.as_str()], text));
            }
        }
    }
}

impl Running<'_> {
    /// What a stream promises of its memory.
    fn streams(&self, found: &mut Vec<Finding>) {
        for grant in &self.policy.grants {
            let Some(region) = grant.region.as_ref().filter(|_| grant.mode == Mode::Stream) else {
                continue;
            };
            if !self.world.memory.iter().any(|it| it.region == *region) {
                continue;
            }
            let perms = |name: &str| self.world.perms(&Who::pd(name), region);
            let mut say = |kind, name: &str| {
                let text = format!("`{name}` maps `{region}` \"{}\"", perms(name));
                found.push(Finding::new(kind, [name], text));
            };
            let (subject, object) = (grant.subject.as_str(), grant.object.as_str());
            if !perms(subject).write {
                say(Kind::NotWritten, subject);
            }
            if perms(object).write {
                say(Kind::WrittenBack, object);
            } else if !perms(object).read {
                say(Kind::NotRead, object);
            }
        }
    }

    /// Who waits in vain.
    fn waits(&self, found: &mut Vec<Finding>) {
        for grant in self.policy.grants.iter().filter(|it| it.mode == Mode::Send) {
            if self
                .world
                .threads
                .get(&grant.object)
                .is_some_and(|it| it.passive)
            {
                let text = format!(
                    "`{}` has no time of its own, and a send gives it none",
                    grant.object
                );
                found.push(Finding::new(
                    Kind::SendToPassive,
                    [grant.object.as_str()],
                    text,
                ));
            }
        }
        for cap in self
            .world
            .caps
            .iter()
            .filter(|it| it.holder.is_manager() && it.write && it.reply)
        {
            if let Object::Endpoint(of) = &cap.on {
                let text = format!("`{of}` does not reply, and nobody is granted anything");
                found.push(Finding::new(Kind::ManagerWaits, [], text));
            }
        }
        for grant in self
            .policy
            .grants
            .iter()
            .filter(|it| it.subject == MANAGER || it.delegate.iter().any(|it| it == MANAGER))
        {
            if matches!(grant.mode, Mode::Call | Mode::Send) {
                let text = format!(
                    "`{}` does not receive, and nobody is granted anything",
                    grant.object
                );
                found.push(Finding::new(Kind::ManagerWaits, [], text));
            }
        }
    }

    /// The manager starts when nobody above it is ready, and reads its pages.
    fn pages(&self, found: &mut Vec<Finding>) {
        let threads = &self.world.threads;
        let symbols = OPTIONAL.map(|symbol| (MANAGER.to_owned(), symbol.to_owned()));
        for (symbol, page) in symbols
            .iter()
            .filter_map(|it| Some((&it.1, self.world.symbols.get(it)?)))
        {
            for (name, writer) in threads.iter().filter(|(name, _)| *name != MANAGER) {
                let is_first = threads
                    .get(MANAGER)
                    .is_none_or(|manager| runs_first(writer, manager));
                let is_whole = symbol == "utc_offset" || !writer.throttled;
                if self.world.perms(&Who::pd(name), page).write && !(is_first && is_whole) {
                    let text =
                        format!("`{name}` has not written `{page}` when the manager reads it");
                    found.push(Finding::new(Kind::PageLate, [name, page.as_str()], text));
                }
            }
        }
    }

    /// Compares who runs when.
    fn scheduler(&self, found: &mut Vec<Finding>) {
        let thread = |name: &str| self.world.threads.get(name);
        let granted = |cap: &&Cap| matches!(cap.by, Source::Grant(_) | Source::Delegated(_));
        // Whoever may ask the manager without a grant waits for it alone.
        let asks = |cap: &Cap| !granted(&cap) && cap.on == Object::Endpoint(MANAGER.to_owned());
        let all = self.world.caps.iter();
        for cap in all.filter(|it| it.write && it.reply && !asks(it)) {
            let Object::Endpoint(callee) = &cap.on else {
                continue;
            };
            if let (Some(above), Some(below)) = (thread(callee), thread(cap.holder.name()))
                && !runs_first(above, below)
            {
                let text = format!(
                    "{} is ready, and `{callee}`, which it called, does not run",
                    cap.holder
                );
                found.push(Finding::new(
                    Kind::Inversion,
                    [cap.holder.name(), callee],
                    text,
                ));
            }
        }
        if self.policy.component(MANAGER).is_none() {
            return;
        }
        let mut needed: BTreeSet<&str> = self.policy.keeper().into_iter().collect();
        loop {
            let waits = |cap: &&Cap| cap.write && !asks(cap) && needed.contains(cap.holder.name());
            let more: Vec<&str> = self
                .world
                .caps
                .iter()
                .filter(waits)
                .filter_map(|cap| match &cap.on {
                    Object::Endpoint(of) => Some(of.as_str()),
                    _ => None,
                })
                .collect();
            let before = needed.len();
            needed.extend(more);
            if needed.len() == before {
                break;
            }
        }
        needed.insert(MANAGER);
        let holders: BTreeSet<&str> = self
            .world
            .caps
            .iter()
            .filter(granted)
            .map(|it| it.holder.name())
            .collect();
        for early in holders.into_iter().filter(|it| !needed.contains(it)) {
            for late in &needed {
                if thread(late).is_some_and(|it| it.throttled) {
                    let text = format!("`{late}` has used its time up, and `{early}` runs");
                    found.push(Finding::new(Kind::Early, [*late], text));
                }
                if let (Some(above), Some(below)) = (thread(late), thread(early))
                    && !runs_first(above, below)
                {
                    let text = format!(
                        "`{early}` looks for its grants before `{late}` has made them durable"
                    );
                    found.push(Finding::new(Kind::Early, [early], text));
                }
            }
        }
    }
}

/// Whether a thread that is ready always runs before another that is.
fn runs_first(one: &Thread, other: &Thread) -> bool {
    one.core == other.core && one.domain == other.domain && one.priority > other.priority
}

fn symbol_fails(pd: &str, symbol: &str, why: &str, found: &mut Vec<Finding>) {
    let text = format!("`{pd}` looks where `{symbol}` points: {why}");
    found.push(Finding::new(Kind::Symbol, [pd, symbol], text));
}

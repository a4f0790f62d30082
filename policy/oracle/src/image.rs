//! Reads the capability distribution of a finished image, and judges it.
//!
//! The builder emits it as JSON (`docs/image-rules.md`). Nothing of the system description is needed:
//! what is in the image counts, whatever it was built from. What a distribution does not tell is not
//! judged: which physical addresses a driver knows; what guests and devices map; and by which of two lines a
//! parent has its child's TCB.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::boot::{self, roles};
use crate::case::{CapKind, MANAGER, Perms, Policy, What, Who};
use crate::finding::{Finding, Kind};
use crate::judge;
use crate::world::{Cap, Mapping, Memory, Object, Source, Thread, World};

/// Attacks that a finished image allows, under its policy.
pub fn findings(distribution: &str, policy: &Policy) -> Result<Vec<Finding>, String> {
    let json: Value = serde_json::from_str(distribution).map_err(|error| error.to_string())?;
    let mut reader = Reader {
        policy,
        world: World::default(),
        frames: Vec::new(),
        found: Vec::new(),
    };
    reader.read(&json).ok_or("it is no distribution")?;
    let Reader {
        mut world,
        mut found,
        ..
    } = reader;
    world.grant(policy);
    found.extend(judge::attacks(&world, policy));
    found.extend(boot::runs(&world, policy));
    found.sort();
    found.dedup();
    Ok(found)
}

struct Reader<'p> {
    policy: &'p Policy,
    world: World,
    /// Every piece of memory: whose, first page, pages, size of a page, where.
    frames: Vec<(String, u64, u64, u64, u64)>,
    found: Vec<Finding>,
}

/// Where Microkit's CNode has the capabilities of channels (to notify, to call), interrupts and I/O ports,
/// each by its id (Microkit's manual, "Internals").
const SLOTS: [u64; 4] = [10, 74, 138, 394];

/// Somebody's own memory, which nobody else sees.
const PRIVATE: [&str; 3] = ["program", "stack", "ipc_buffer"];

impl Reader<'_> {
    fn read(&mut self, json: &Value) -> Option<()> {
        self.memory(json)?;
        let pds = json["protection_domains"].as_array()?;
        let by_name: BTreeMap<&str, &Value> = pds
            .iter()
            .map(|pd| Some((pd["name"].as_str()?, pd)))
            .collect::<Option<_>>()?;
        for (name, pd) in &by_name {
            let who = Who::pd(name);
            self.world.everybody.push(who.clone());
            self.world.threads.insert((*name).to_owned(), thread(pd)?);
            self.bindings(name, pd)?;
            self.told(name, pd)?;
            // It sees what its thread is bound to, whoever it was made for.
            let bound = |kind: &str| {
                let object = &pd["tcb"][kind]["object"];
                object["vspace"]
                    .as_str()
                    .or_else(|| object["cnode"]["pd"].as_str())
            };
            for cnode in by_name.get(bound("cspace")?)?["cspace"].as_array()? {
                self.cnode(&who, cnode)?;
            }
            for mapping in by_name.get(bound("vspace")?)?["vspace"]["mappings"].as_array()? {
                self.mapping(name, mapping)?;
            }
        }
        for irq in json["irqs"].as_array()? {
            let on = Object::Irq(irq["number"].as_u64()?);
            for cap in irq["slots"].as_object()?.values() {
                let owner = Who::pd(cap["object"]["notification"].as_str()?);
                self.hold(&owner, on.clone(), [true; 3]);
            }
        }
        self.taken_for_another(pds);
        if let Some(manager) = by_name.get(MANAGER) {
            self.statements(manager)?;
        }
        self.managers_memory();
        Some(())
    }

    fn memory(&mut self, json: &Value) -> Option<()> {
        let untyped = json["initialiser"]["untyped"].as_array()?.iter();
        let ram = untyped.filter(|it| it["device"] == Value::Bool(false));
        let mut ram: Vec<(u64, u64)> = ram
            .map(|it| {
                let start = hex(&it["phys_addr"])?;
                Some((start, start + hex(&it["size"])?))
            })
            .collect::<Option<_>>()?;
        // Memory may lie across untypeds that join.
        ram.sort_unstable();
        ram.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            before.1 = if joins {
                before.1.max(next.1)
            } else {
                before.1
            };
            joins
        });
        let mut free = 1 << 48;
        for frames in json["memory"].as_array()? {
            let size = hex(&frames["page_size"])?;
            let pages = frames["pages"].as_u64()?;
            let fixed = hex(&frames["phys_addr"]);
            let start = fixed.unwrap_or(free);
            if fixed.is_none() {
                free += pages * size;
            }
            let (_, region) = owner(&frames["of"])?;
            let bytes = (start, start + pages * size);
            let is_ram =
                fixed.is_none() || ram.iter().any(|ram| ram.0 <= bytes.0 && bytes.1 <= ram.1);
            self.frames.push((
                region.clone(),
                frames["first_page"].as_u64()?,
                pages,
                size,
                start,
            ));
            self.world.memory.push(Memory {
                region,
                bytes,
                fixed: !is_ram,
                file: None,
            });
        }
        Some(())
    }

    fn mapping(&mut self, name: &str, mapping: &Value) -> Option<()> {
        let (owner, region) = owner(&mapping["of"])?;
        let is = |what: &str| mapping[what].as_bool();
        let perms = Perms {
            read: is("read")?,
            write: is("write")?,
            execute: is("execute")?,
        };
        if owner == Some(name) && !(perms.write && perms.execute) {
            return Some(());
        }
        let (first, pages) = (mapping["first_page"].as_u64()?, mapping["pages"].as_u64()?);
        let mut seen = 0;
        for (of, at, count, size, start) in &self.frames {
            let (low, high) = (first.max(*at), (first + pages).min(at + count));
            if *of == region && low < high {
                let bytes = (start + (low - at) * size, start + (high - at) * size);
                self.world.mappings.push(Mapping {
                    who: Who::pd(name),
                    bytes,
                    perms,
                });
                seen += high - low;
            }
        }
        (seen == pages).then_some(())
    }

    fn hold(&mut self, holder: &Who, on: Object, [read, write, reply]: [bool; 3]) {
        let holder = holder.clone();
        self.world.caps.push(Cap {
            holder,
            on,
            read,
            write,
            reply,
            by: Source::Image,
        });
    }

    fn cnode(&mut self, who: &Who, cnode: &Value) -> Option<()> {
        let kind = cnode["kind"].as_str()?;
        for cap in cnode["slots"].as_object()?.values() {
            self.capability(who, kind, cap)?;
        }
        Some(())
    }

    fn capability(&mut self, who: &Who, cnode: &str, cap: &Value) -> Option<()> {
        let right = |name: &str| cap["rights"][name].as_bool();
        let (read, write, grant) = (right("read")?, right("write")?, right("grant")?);
        let rights = [read, write, grant || right("grant_reply")?];
        let object = &cap["object"];
        let (kind, of) = match object {
            Value::String(kind) => (kind.as_str(), &Value::Null),
            _ => object
                .as_object()?
                .iter()
                .next()
                .map(|(kind, of)| (kind.as_str(), of))?,
        };
        let name = of.as_str().unwrap_or_default().to_owned();
        let is_own = *who == Who::pd(&name);
        let other = || Object::Other(format!("{kind} {of}"));
        // Before the manager has written a record, nobody is granted anything.
        if cnode == "grants" {
            self.hold(who, other(), rights);
            return Some(());
        }
        // The manager connects those between whom something can be granted, and answers for them.
        if cnode == "authority" {
            let is_object = self.policy.grants.iter().any(|it| it.object == name);
            let is_served = who.is_manager()
                && match kind {
                    "cnode" => {
                        of["kind"] == "grants" || of["pd"] == MANAGER && of["kind"] == "authority"
                    }
                    "endpoint" | "notification" | "reply" => is_object,
                    _ => false,
                };
            if !is_served {
                self.hold(who, other(), rights);
            }
            return Some(());
        }
        let on = match kind {
            "reply" if is_own => return Some(()),
            // The manager answers late.
            "pooled_reply" if cnode == "replies" && who.is_manager() && of["pd"] == MANAGER => {
                return Some(());
            }
            // A passive one says so to the monitor.
            "monitor_endpoint" if !read && !grant => return Some(()),
            "cnode"
                if cnode == "root"
                    && Who::pd(of["pd"].as_str()?) == *who
                    && of["kind"] != "root" =>
            {
                return Some(());
            }
            "endpoint" if grant => Object::Other(format!("Grant on the endpoint of {name}")),
            "endpoint" => Object::Endpoint(name),
            "notification" => Object::Notification(name),
            "tcb"
                if self
                    .policy
                    .statics
                    .iter()
                    .any(|it| it.who == *who && it.what == What::Child(name.clone())) =>
            {
                Object::Child(name)
            }
            "tcb" => Object::Kernel(CapKind::Tcb, name),
            "sched_context" => Object::Kernel(CapKind::Sc, name),
            "vspace" => Object::Kernel(CapKind::Vspace, name),
            "vcpu" | "vcpu_tcb" => Object::Vm(of["vm"].as_str()?.to_owned()),
            "irq_handler" => Object::Irq(of.as_u64()?),
            "io_ports" => Object::Ports(of["base"].as_u64()?, of["size"].as_u64()?),
            "arm_smc" => Object::Smc,
            _ => other(),
        };
        self.hold(who, on, rights);
        Some(())
    }

    /// Who is told when it faults, and on whose time it runs.
    fn bindings(&mut self, name: &str, pd: &Value) -> Option<()> {
        let fault = &pd["tcb"]["fault_endpoint"]["object"];
        let handler = fault["endpoint"].as_str();
        self.world
            .faults
            .insert(name.to_owned(), handler.map(str::to_owned));
        let is_parent = |who: &str| {
            self.policy
                .statics
                .iter()
                .any(|it| it.who == Who::pd(who) && it.what == What::Child(name.to_owned()))
        };
        let managed = self.policy.component(MANAGER).is_some() && name != MANAGER;
        let is_told = handler == Some(MANAGER) || handler.is_some_and(is_parent);
        if managed && self.policy.component(name).is_some() && !is_told {
            let text = format!("`{name}` faults, keeps its grants, and nobody writes a record");
            self.found.push(Finding::new(Kind::OwnThread, [name], text));
        }
        for (kind, object) in [
            ("sched_context", "sched_context"),
            ("notification", "notification"),
            ("vspace", "vspace"),
        ] {
            let bound = &pd["tcb"][kind]["object"][object];
            if !bound.is_null() && bound != name {
                self.hold(
                    &Who::pd(name),
                    Object::Other(format!("{kind} {bound}")),
                    [true; 3],
                );
            }
        }
        Some(())
    }

    /// What a program is told of itself is so, and the manager's is told of its memory besides.
    fn told(&mut self, name: &str, pd: &Value) -> Option<()> {
        let symbols = pd["symbols"].as_object()?;
        let cnodes = pd["cspace"].as_array()?.iter();
        let slots = cnodes.filter(|it| it["kind"] == "microkit");
        let slots = slots.filter_map(|it| it["slots"].as_object()).flatten();
        let slots: Vec<u64> = slots.filter_map(|(slot, _)| slot.parse().ok()).collect();
        let ids = |base: u64| {
            let own = slots.iter().filter_map(|slot| slot.checked_sub(base));
            own.filter(|id| *id < 64).fold(0, |bits, id| bits | 1 << id)
        };
        let is_so = |symbol: &str, value: &Value| {
            let stated = match symbol {
                "microkit_passive" => u64::from(pd["passive"].as_bool()?),
                "microkit_notifications" => ids(SLOTS[0]),
                "microkit_pps" => ids(SLOTS[1]),
                "microkit_irqs" => ids(SLOTS[2]),
                "microkit_ioports" => ids(SLOTS[3]),
                _ => {
                    let role = symbol.strip_suffix("_size").unwrap_or(symbol);
                    return Some(name != MANAGER || roles().any(|it| it == role));
                }
            };
            Some(hex(value)? == stated)
        };
        for (symbol, value) in symbols {
            if !is_so(symbol, value)? {
                let text = format!("`{name}` is told {value} by `{symbol}`");
                self.found
                    .push(Finding::new(Kind::Patched, [name, symbol], text));
            }
        }
        Some(())
    }

    /// A receiver knows a sender by its badge alone.
    fn taken_for_another(&mut self, pds: &[Value]) {
        let mut known: BTreeMap<(String, String), String> = BTreeMap::new();
        for pd in pds {
            let name = pd["name"].as_str().unwrap_or_default();
            let cnodes = pd["cspace"].as_array().into_iter().flatten();
            let slots = cnodes
                .filter(|it| it["kind"] == "microkit")
                .flat_map(|it| it["slots"].as_object())
                .flatten();
            let sends = |cap: &&Value| {
                cap["rights"]["write"] == Value::Bool(true)
                    && cap["object"].get("endpoint").is_some()
            };
            let caps = slots.map(|(_, cap)| cap).filter(sends);
            for cap in caps.chain([&pd["tcb"]["fault_endpoint"]]) {
                let endpoint = cap["object"].to_string();
                let before = known.insert(
                    (endpoint.clone(), cap["badge"].to_string()),
                    name.to_owned(),
                );
                if let Some(other) = before {
                    let text = format!("`{name}` is taken for `{other}` at {endpoint}");
                    self.found
                        .push(Finding::new(Kind::Impersonates, [name], text));
                }
            }
        }
    }

    /// Whatever the symbols say: the manager's memory is the ring of its policy, the one region that the
    /// log's keeper writes for it, and two that nobody else writes. A page of a statement may have no writer.
    fn managers_memory(&mut self) {
        let ring = self.policy.log().and_then(|it| it.region.clone());
        let regions = self.world.memory.iter().map(|it| &it.region);
        let kept = regions.filter(|region| {
            let mut all = self.world.mappings.iter();
            let writes = |it: &Mapping| {
                it.perms.write
                    && it.who != Who::pd(MANAGER)
                    && self.world.regions_of(it).any(|of| of.region == **region)
            };
            let managers = self.world.perms(&Who::pd(MANAGER), region);
            managers.read
                && !managers.write
                && Some(*region) != ring.as_ref()
                && !self.world.symbols.values().any(|own| own == *region)
                && !all.any(writes)
        });
        let kept = ["policy", "policy_keys"].into_iter().zip(kept.cloned());
        let mut all: Vec<_> = kept.collect();
        all.extend(ring.map(|it| ("grant_log", it)));
        for (symbol, region) in all {
            let symbol = (MANAGER.to_owned(), symbol.to_owned());
            self.world.symbols.insert(symbol, region);
        }
        self.acknowledgement();
    }

    /// The pages on which one component each states something are where their symbols point.
    fn statements(&mut self, manager: &Value) -> Option<()> {
        let mappings = manager["vspace"]["mappings"].as_array()?;
        for symbol in boot::OPTIONAL.into_iter().chain([boot::DEADLINE]) {
            let address = &manager["symbols"][symbol];
            let Some(mapping) = mappings.iter().find(|it| it["vaddr"] == *address) else {
                continue;
            };
            let (_, region) = owner(&mapping["of"])?;
            let symbol = (MANAGER.to_owned(), symbol.to_owned());
            self.world.symbols.insert(symbol, region);
        }
        Some(())
    }

    fn acknowledgement(&mut self) {
        let Some(keeper) = self.policy.keeper() else {
            return;
        };
        let regions = self.world.memory.iter().map(|it| &it.region);
        let between = regions.filter(|region| {
            let managers = self.world.perms(&Who::pd(MANAGER), region);
            managers.read
                && !managers.write
                && self.world.perms(&Who::pd(keeper), region).write
                && !self.world.symbols.values().any(|own| own == *region)
        });
        let between: Vec<String> = between.cloned().collect();
        if let [region] = between.as_slice() {
            let symbol = (MANAGER.to_owned(), "grant_log_ack".to_owned());
            self.world.symbols.insert(symbol, region.clone());
        }
    }
}

fn hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// Whose memory it is, if it is somebody's own, and its name.
fn owner(of: &Value) -> Option<(Option<&str>, String)> {
    let (kind, name) = of.as_object()?.iter().next()?;
    let name = name.as_str()?;
    let own = PRIVATE.contains(&kind.as_str()).then_some(name);
    Some((
        own,
        if kind == "region" {
            name.to_owned()
        } else {
            format!("{kind} of {name}")
        },
    ))
}

fn thread(pd: &Value) -> Option<Thread> {
    Some(Thread {
        priority: pd["priority"].as_u64()? as u8,
        core: pd["cpu"].as_u64()? as u8,
        domain: pd["domain"].as_u64().map(|it| it.to_string()),
        passive: pd["passive"].as_bool()?,
        throttled: pd["budget_us"].as_u64()? < pd["period_us"].as_u64()?,
    })
}

//! Reads a capability distribution back out of a capDL specification.
//!
//! This is the check on [`impose`](crate::impose): it starts from the threads of the specification,
//! follows their CSpaces and page tables, and says what it finds there. It shares nothing with the
//! code that wrote it but the names of objects. What an image does not carry (component numbers,
//! file names) is taken from the expected distribution.

use std::collections::{BTreeMap, BTreeSet};

use microkit_tool::capdl::CapDLSpecContainer;
use microkit_tool::sdf::{SysMemoryRegionPaddr, SystemDescription};
use microkit_tool::sel4::Config;
use miette::{Result, miette};
use portcullis_kernel::Rights;
use portcullis_policy::distribution::{
    AddressSpace, CNode, CNodeKind, Capability, Distribution, Irq, Mapping, Object,
    ProtectionDomain, Region, TcbBindings,
};
use sel4_capdl_initializer_types::{Cap, CapTableEntry, Object as CapDl, ObjectId, object};

use crate::names::MONITOR;

/// Slots of a capDL TCB.
const TCB_CSPACE: u32 = 0;
const TCB_VSPACE: u32 = 1;
const TCB_FAULT_ENDPOINT: u32 = 5;
const TCB_SCHED_CONTEXT: u32 = 6;
const TCB_NOTIFICATION: u32 = 8;
/// Where the monitor holds the scheduling contexts of passive protection domains.
const MONITOR_SCHED_CONTEXTS: u32 = 10 + 64 + 64;

/// What the specification in an image hands out.
pub fn found(
    spec: &CapDLSpecContainer,
    config: &Config,
    system: &SystemDescription,
    expected: &Distribution,
) -> Result<Distribution> {
    let reader = Reader { spec, config };
    let monitor = reader.cnode(reader.cspace(MONITOR)?, CNodeKind::Monitor)?;
    let mut distribution = Distribution {
        monitor,
        ..Distribution::default()
    };
    let mut frames = BTreeMap::new();
    for (place, pd) in system.protection_domains.iter().enumerate() {
        let passive = MONITOR_SCHED_CONTEXTS + place as u32;
        let passive = distribution.monitor.slots.contains_key(&passive);
        let component = expected
            .protection_domain(&pd.name)
            .and_then(|pd| pd.component);
        let program = pd.program_image.display().to_string();
        let pd = reader.protection_domain(&pd.name, component, program, passive)?;
        reader.frames(&pd.name, &mut frames)?;
        distribution.protection_domains.push(pd);
    }
    reader.frames(MONITOR, &mut frames)?;
    distribution.irqs = reader.irqs()?;
    distribution.regions = reader.regions(frames, system, expected)?;
    Ok(distribution)
}

struct Reader<'a> {
    spec: &'a CapDLSpecContainer,
    config: &'a Config,
}

/// Every place where a frame is mapped.
type Frames = BTreeMap<u32, BTreeSet<Mapping>>;

impl Reader<'_> {
    fn object(&self, id: ObjectId) -> Result<(&str, &CapDl<microkit_tool::capdl::FrameFill>)> {
        let named = self.spec.get_root_object(id);
        let named = named.ok_or_else(|| miette!("a capability names object {} of none", id.0))?;
        Ok((named.name.as_deref().unwrap_or_default(), &named.object))
    }

    fn tcb(&self, pd: &str) -> Result<&object::Tcb> {
        let wanted = format!("tcb_{pd}");
        let mut all = self.spec.spec.objects.iter();
        let found = all.find(|named| named.name.as_deref() == Some(&wanted));
        match found.map(|named| &named.object) {
            Some(CapDl::Tcb(tcb)) => Ok(tcb),
            _ => Err(miette!("the specification has no thread '{wanted}'")),
        }
    }

    fn bound(&self, pd: &str, slot: u32) -> Result<&Cap> {
        at(&self.tcb(pd)?.slots, slot)
            .ok_or_else(|| miette!("the thread of '{pd}' has nothing bound at {slot}"))
    }

    fn cspace(&self, pd: &str) -> Result<ObjectId> {
        self.bound(pd, TCB_CSPACE).map(Cap::obj)
    }

    fn protection_domain(
        &self,
        name: &str,
        component: Option<u16>,
        program: String,
        passive: bool,
    ) -> Result<ProtectionDomain> {
        let tcb = self.tcb(name)?;
        let fault_endpoint = self.capability(self.bound(name, TCB_FAULT_ENDPOINT)?)?;
        let parent = match &fault_endpoint.object {
            Object::Endpoint(parent) => Some(parent.clone()),
            _ => None,
        };
        let context = self.bound(name, TCB_SCHED_CONTEXT)?.obj();
        let CapDl::SchedContext(context) = self.object(context)?.1 else {
            return Err(miette!("'{name}' has no scheduling context"));
        };
        let root = self.cspace(name)?;
        let mut cspace = vec![self.cnode(root, CNodeKind::Root)?];
        for capability in cspace[0].slots.values().cloned().collect::<Vec<_>>() {
            if let Object::CNode { pd, kind } = &capability.object
                && pd == name
            {
                let cap = self.id(&crate::names::cnode_name(pd, *kind))?;
                cspace.push(self.cnode(cap, *kind)?);
            }
        }
        Ok(ProtectionDomain {
            name: name.to_owned(),
            component,
            parent,
            program,
            priority: tcb.extra.prio.max(tcb.extra.max_prio),
            budget_us: context.extra.budget,
            period_us: context.extra.period,
            passive,
            cpu: u64::from(tcb.extra.affinity) as u8,
            fpu: !tcb.extra.fpu_disabled,
            tcb: TcbBindings {
                cspace: self.capability(self.bound(name, TCB_CSPACE)?)?,
                notification: self.capability(self.bound(name, TCB_NOTIFICATION)?)?,
                fault_endpoint,
            },
            cspace,
        })
    }

    fn id(&self, name: &str) -> Result<ObjectId> {
        let mut all = self.spec.spec.objects.iter();
        let place = all.position(|named| named.name.as_deref() == Some(name));
        place
            .map(ObjectId::from)
            .ok_or_else(|| miette!("the specification has no '{name}'"))
    }

    fn cnode(&self, id: ObjectId, kind: CNodeKind) -> Result<CNode> {
        let (name, object) = self.object(id)?;
        let CapDl::CNode(cnode) = object else {
            return Err(miette!("'{name}' is not a CNode"));
        };
        let mut slots = BTreeMap::new();
        for entry in &cnode.slots {
            if slots
                .insert(entry.slot.0, self.capability(&entry.cap)?)
                .is_some()
            {
                return Err(miette!("slot {} of '{name}' is filled twice", entry.slot.0));
            }
        }
        Ok(CNode {
            kind,
            radix: cnode.size_bits,
            slots,
        })
    }

    fn capability(&self, cap: &Cap) -> Result<Capability> {
        let mut found = Capability::new(self.named(cap)?, Rights::ALL);
        match cap {
            Cap::Endpoint(cap) => {
                found.badge = cap.badge.into();
                found.rights = rights(cap.rights);
            }
            Cap::Notification(cap) => {
                found.badge = cap.badge.into();
                found.rights = rights(cap.rights);
            }
            Cap::CNode(cap) if u64::from(cap.guard) == 0 => found.guard_bits = cap.guard_size,
            Cap::CNode(_) => return Err(miette!("{} has a guard other than zero", found.object)),
            _ => {}
        }
        Ok(found)
    }

    /// The object that a capability is to, by whom it belongs to.
    fn named(&self, cap: &Cap) -> Result<Object> {
        let (name, object) = self.object(cap.obj())?;
        let after = |prefix| name.strip_prefix(prefix).map(str::to_owned);
        let named = match object {
            CapDl::Endpoint if name == format!("ep_fault_{MONITOR}") => {
                Some(Object::MonitorEndpoint)
            }
            CapDl::Endpoint => after("ep_").map(Object::Endpoint),
            CapDl::Notification => after("ntfn_").map(Object::Notification),
            CapDl::Reply if name == format!("reply_{MONITOR}") => Some(Object::MonitorReply),
            CapDl::Reply => after("reply_").map(Object::Reply),
            CapDl::CNode(_) => after("cnode_").map(cnode),
            CapDl::Tcb(_) => after("tcb_").map(Object::Tcb),
            CapDl::SchedContext(_) => after("sched_context_").map(Object::SchedContext),
            CapDl::PageTable(table) if table.is_root => self.vspace(cap.obj()).map(Object::VSpace),
            CapDl::ArmIrq(_) | CapDl::RiscvIrq(_) => {
                let mut all = self.spec.spec.irqs.iter();
                let irq = all.find(|irq| irq.handler == cap.obj());
                irq.map(|irq| Object::IrqHandler(irq.irq.into()))
            }
            CapDl::ArmSmc => Some(Object::ArmSmc),
            _ => None,
        };
        named.ok_or_else(|| miette!("a CSpace holds a capability to '{name}', which none should"))
    }

    fn vspace(&self, id: ObjectId) -> Option<String> {
        self.spec.spec.objects.iter().find_map(|named| {
            let CapDl::Tcb(tcb) = &named.object else {
                return None;
            };
            let own = at(&tcb.slots, TCB_VSPACE)?.obj() == id;
            let pd = named.name.as_deref()?.strip_prefix("tcb_")?;
            own.then(|| pd.to_owned())
        })
    }

    fn irqs(&self) -> Result<Vec<Irq>> {
        let mut irqs = Vec::new();
        for irq in &self.spec.spec.irqs {
            let (name, object) = self.object(irq.handler)?;
            let [only] = object.slots().unwrap_or_default() else {
                return Err(miette!("'{name}' does not signal exactly one notification"));
            };
            let notification = self.capability(&only.cap)?;
            irqs.push(Irq {
                number: irq.irq.into(),
                notification,
            });
        }
        irqs.sort_by_key(|irq| irq.number);
        Ok(irqs)
    }

    /// Adds every mapping in the VSpace of a thread.
    fn frames(&self, pd: &str, frames: &mut Frames) -> Result<()> {
        let root = self.bound(pd, TCB_VSPACE)?.obj();
        self.table(pd, root, self.config.vspace_root_level(), 0, frames)
    }

    fn table(
        &self,
        pd: &str,
        table: ObjectId,
        level: usize,
        base: u64,
        frames: &mut Frames,
    ) -> Result<()> {
        let (name, object) = self.object(table)?;
        let levels = self.config.num_page_table_levels();
        if level >= levels {
            return Err(miette!("'{name}' lies below the last level of page tables"));
        }
        let below: u64 = (level + 1..levels)
            .map(|level| self.config.vspace_level_index_bits(level))
            .sum();
        for entry in object.slots().unwrap_or_default() {
            let vaddr = base + (u64::from(entry.slot.0) << (12 + below));
            match &entry.cap {
                Cap::PageTable(next) => self.table(pd, next.object, level + 1, vaddr, frames)?,
                Cap::Frame(frame) => {
                    let mapping = Mapping {
                        space: AddressSpace::Pd(pd.to_owned()),
                        vaddr,
                        read: frame.rights.read,
                        write: frame.rights.write,
                        execute: frame.executable,
                        cached: frame.cached,
                    };
                    frames.entry(frame.object.0).or_default().insert(mapping);
                }
                _ => return Err(miette!("'{name}' maps what is neither a table nor a frame")),
            }
        }
        Ok(())
    }

    /// The memory regions, from their frames. A frame of private memory (a program, a stack, an IPC
    /// buffer) belongs to no region and may be mapped once; mapped again it is a region of its own
    /// name here, which no description has.
    fn regions(
        &self,
        mut frames: Frames,
        system: &SystemDescription,
        expected: &Distribution,
    ) -> Result<Vec<Region>> {
        let mut regions = Vec::new();
        for region in &system.memory_regions {
            let described = expected.region(&region.name);
            let mut mappings: Option<BTreeSet<Mapping>> = None;
            let mut first_address = None;
            for page in 0..region.page_count {
                let id = self.id(&format!("frame_mr_{}_{page:09}", region.name))?;
                if page == 0 {
                    first_address = self.object(id)?.1.paddr().map(u64::from);
                }
                let here = frames.remove(&id.0).unwrap_or_default();
                let at_start: BTreeSet<Mapping> = here
                    .into_iter()
                    .map(|mapping| Mapping {
                        vaddr: mapping.vaddr.wrapping_sub(page * region.page_size_bytes()),
                        ..mapping
                    })
                    .collect();
                if *mappings.get_or_insert_with(|| at_start.clone()) != at_start {
                    return Err(miette!(
                        "page {page} of '{}' is mapped otherwise",
                        region.name
                    ));
                }
            }
            let chosen = matches!(region.phys_addr, SysMemoryRegionPaddr::ToolAllocated(_));
            regions.push(Region {
                name: region.name.clone(),
                size: described
                    .and_then(|described| described.size)
                    .map(|_| region.size),
                phys_addr: first_address.filter(|_| !chosen),
                prefill: described.and_then(|described| described.prefill.clone()),
                mappings: mappings.unwrap_or_default().into_iter().collect(),
            });
        }
        for (id, mappings) in frames {
            if mappings.len() > 1 {
                let name = self.object(ObjectId(id))?.0.to_owned();
                let mappings = mappings.into_iter().collect();
                regions.push(Region {
                    name,
                    size: None,
                    phys_addr: None,
                    prefill: None,
                    mappings,
                });
            }
        }
        regions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(regions)
    }
}

fn at(slots: &[CapTableEntry], slot: u32) -> Option<&Cap> {
    slots
        .iter()
        .find(|entry| entry.slot.0 == slot)
        .map(|entry| &entry.cap)
}

fn rights(rights: sel4_capdl_initializer_types::Rights) -> Rights {
    Rights {
        read: rights.read,
        write: rights.write,
        grant: rights.grant,
        grant_reply: rights.grant_reply,
    }
}

/// Reads the part of a CNode's name after `cnode_`.
fn cnode(name: String) -> Object {
    let kinds = [
        ("_root", CNodeKind::Root),
        ("_grants", CNodeKind::Grants),
        ("_authority", CNodeKind::Authority),
    ];
    for (suffix, kind) in kinds {
        if let Some(pd) = name.strip_suffix(suffix) {
            return Object::CNode {
                pd: pd.to_owned(),
                kind,
            };
        }
    }
    Object::CNode {
        pd: name,
        kind: CNodeKind::Microkit,
    }
}

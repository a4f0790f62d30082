//! Reads what an image hands out back from the payload that its initialiser boots from.
//!
//! This is the first half of the check on [`impose`](crate::impose): it takes the finished payload,
//! follows its threads, CNodes and page tables, and says what it finds there; the second half is
//! [`image::check`]. It judges nothing and leaves nothing out: what has no name that the Microkit tool
//! gives is [`Object::Other`]. Objects are numbers in a payload; their names are those of the
//! specification that it was made from.

use std::collections::{BTreeMap, BTreeSet};

use microkit_tool::UntypedObject;
use microkit_tool::capdl::CapDLSpecContainer;
use microkit_tool::capdl::spec::FillContent;
use microkit_tool::elf::ElfFile;
use microkit_tool::sdf::{ProtectionDomain as PdDescription, SystemDescription};
use microkit_tool::sel4::Config;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_kernel::Rights;
use portcullis_manager_api::MANAGER;
use portcullis_policy::distribution::{CNode, Capability, Memory, Object};
use portcullis_policy::image::{
    Binding, Carried, FORMAT, Image, Initialiser, Irq, MONITOR, ProtectionDomain, RUNTIME_SYMBOLS,
    Untyped,
};
use portcullis_policy_format::Policy;
use sel4_capdl_initializer_types::{
    ArchivedCap, ArchivedCapTableEntry, ArchivedObject, ArchivedSpec, FrameInit, Object as CapDl,
    SpecForInitializer, cap, object,
};

use crate::names::Names;
use crate::sdk::Board;

/// Where an image comes from.
pub struct Source<'a> {
    /// The SDK's files for the board.
    pub board: &'a Board,
    /// What the tool knows of the kernel.
    pub config: &'a Config,
    /// The system description.
    pub system: &'a SystemDescription,
    /// The specification that the payload was made from: it has the names.
    pub spec: &'a CapDLSpecContainer,
    /// The programs as they are packed, in the order of their protection domains.
    pub programs: &'a [ElfFile],
    /// The memory that the kernel gives the initialiser.
    pub untyped: &'a [UntypedObject],
}

impl Source<'_> {
    /// What the payload hands out.
    pub fn found(&self, payload: &[u8]) -> Result<Image> {
        let system = self.system;
        let pds = system.protection_domains.iter().map(|pd| pd.name.as_str());
        let regions = system.memory_regions.iter();
        let regions = regions.map(|region| region.name.as_str());
        let mut reader = Reader {
            payload: self.read(payload)?,
            source: self,
            names: Names::of(pds.clone(), regions),
            tables: BTreeSet::new(),
        };
        let mut protection_domains = Vec::new();
        for (pd, program) in system.protection_domains.iter().zip(self.programs) {
            let symbols = symbols(pd, program)?;
            let thread = reader.thread(&pd.name)?;
            protection_domains.extend(thread.map(|thread| ProtectionDomain { symbols, ..thread }));
        }
        let monitor = reader.thread(MONITOR)?;
        let monitor = monitor.ok_or_else(|| miette!("the payload has no monitor"))?;
        for pd in &mut protection_domains {
            let context = Object::SchedContext(pd.name.clone());
            let mut held = monitor.cspace.iter().flat_map(|cnode| cnode.slots.values());
            pd.passive = held.any(|capability| capability.object == context);
        }
        Ok(Image {
            format: FORMAT,
            board: self.board.name().to_owned(),
            config: self.board.configuration().to_owned(),
            sdk: self.board.sdk()?,
            policy: self.policy(&reader.names)?,
            protection_domains,
            monitor,
            irqs: reader.irqs()?,
            memory: reader.memory(),
            initialiser: self.initialiser(),
            others: reader.others(),
        })
    }

    /// Reads a payload that was made from the specification.
    fn read<'p>(&self, payload: &'p [u8]) -> Result<&'p ArchivedSpec<FrameInit>> {
        let payload = SpecForInitializer::access(payload)
            .map_err(|error| miette!("the initialiser's payload cannot be read: {error}"))?;
        if payload.objects.len() != self.spec.spec.objects.len() {
            return Err(miette!(
                "the initialiser's payload is not the specification's"
            ));
        }
        if !payload.asid_slots.is_empty() || !payload.untyped_covers.is_empty() {
            return Err(miette!(
                "the payload has what the Microkit tool never makes"
            ));
        }
        Ok(payload)
    }

    /// The compiled policy in the manager's memory.
    fn policy(&self, names: &Names) -> Result<Option<Carried>> {
        let mut pds = self.system.protection_domains.iter();
        let maps = pds.find(|pd| pd.name == MANAGER).map(|pd| &pd.maps);
        for map in maps.into_iter().flatten() {
            let content = self.content(names, &map.mr);
            if content.starts_with(&portcullis_policy_format::MAGIC) {
                let policy = Policy::inspect(&content)
                    .into_diagnostic()
                    .wrap_err_with(|| format!("memory region '{}'", map.mr))?;
                return Ok(Some(Carried {
                    region: map.mr.clone(),
                    name: policy.name().to_owned(),
                    version: policy.version(),
                    sha256: policy
                        .sha256()
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect(),
                }));
            }
        }
        Ok(None)
    }

    /// What a region is filled with.
    fn content(&self, names: &Names, region: &str) -> Vec<u8> {
        let region = Memory::Region(region.to_owned());
        let mut pages = BTreeMap::new();
        for named in &self.spec.spec.objects {
            let (of, page) = names.frame(named.name.as_deref().unwrap_or_default());
            if let (true, CapDl::Frame(frame)) = (of == region, &named.object) {
                pages.insert(page, frame);
            }
        }
        let entries = pages.values().flat_map(|frame| &frame.init.entries);
        let data = entries.filter_map(|entry| match entry.content.as_data()? {
            FillContent::BytesContent(content) => Some(content.bytes.as_slice()),
            FillContent::ElfContent(_) => None,
        });
        data.flatten().copied().collect()
    }

    fn initialiser(&self) -> Initialiser {
        let untyped = self.untyped.iter().map(|untyped| Untyped {
            phys_addr: untyped.base(),
            size: untyped.end() - untyped.base(),
            device: untyped.is_device,
        });
        Initialiser {
            objects: self.spec.spec.objects.len() as u64,
            untyped: untyped.collect(),
        }
    }
}

pub(crate) struct Reader<'a> {
    pub(crate) payload: &'a ArchivedSpec<FrameInit>,
    source: &'a Source<'a>,
    pub(crate) names: Names,
    /// The page tables that were reached.
    pub(crate) tables: BTreeSet<usize>,
}

type Archived = ArchivedObject<FrameInit>;

impl Reader<'_> {
    pub(crate) fn config(&self) -> &Config {
        self.source.config
    }

    pub(crate) fn name(&self, id: usize) -> &str {
        let named = self.source.spec.spec.objects.get(id);
        named
            .and_then(|named| named.name.as_deref())
            .unwrap_or("unnamed")
    }

    pub(crate) fn object(&self, id: usize) -> Result<&Archived> {
        let named = self.payload.objects.get(id);
        let object = named.map(|named| &named.object);
        object.ok_or_else(|| miette!("a capability is to object {id}, which is none"))
    }

    /// The place of the object that is this.
    pub(crate) fn find(&self, wanted: &Object) -> Option<usize> {
        (0..self.payload.objects.len()).find(|id| self.identity(*id) == *wanted)
    }

    /// The object by whom it belongs to.
    fn identity(&self, id: usize) -> Object {
        let name = self.name(id);
        let Some(named) = self.payload.objects.get(id) else {
            return other("object", name);
        };
        let known = self.names.object(name);
        match (&named.object, known) {
            (ArchivedObject::Endpoint, Some(Object::Endpoint(_) | Object::MonitorEndpoint))
            | (ArchivedObject::Notification, Some(Object::Notification(_)))
            | (
                ArchivedObject::Reply,
                Some(Object::Reply(_) | Object::PooledReply { .. } | Object::MonitorReply),
            )
            | (ArchivedObject::CNode(_), Some(Object::CNode { .. }))
            | (ArchivedObject::Tcb(_), Some(Object::Tcb(_)))
            | (ArchivedObject::SchedContext(_), Some(Object::SchedContext(_)))
            | (
                ArchivedObject::PageTable(object::ArchivedPageTable { is_root: true, .. }),
                Some(Object::VSpace(_)),
            )
            | (ArchivedObject::ArmSmc, Some(Object::ArmSmc)) => {
                known.cloned().expect("it was matched")
            }
            (ArchivedObject::Frame(_), _) => {
                let (of, page) = self.names.frame(name);
                Object::Frame { of, page }
            }
            (ArchivedObject::ArmIrq(_) | ArchivedObject::RiscvIrq(_), _) => {
                let mut all = self.payload.irqs.iter();
                match all.find(|irq| usize::from(irq.handler) == id) {
                    Some(irq) => Object::IrqHandler(irq.irq.0.to_native()),
                    None => other("irq", name),
                }
            }
            (object, _) => other(kind(object), name),
        }
    }

    fn capability(&self, cap: &ArchivedCap) -> Capability {
        let id = usize::from(cap.obj());
        let mut found = Capability::whole(self.identity(id));
        match cap {
            ArchivedCap::Endpoint(cap::ArchivedEndpoint { badge, rights, .. })
            | ArchivedCap::Notification(cap::ArchivedNotification { badge, rights, .. }) => {
                found.badge = badge.0.to_native();
                found.rights = self::rights(rights);
            }
            ArchivedCap::Frame(cap) => found.rights = rights(&cap.rights),
            ArchivedCap::CNode(cap) => {
                found.guard = cap.guard.0.to_native();
                found.guard_bits = cap.guard_size;
            }
            _ => {}
        }
        found
    }

    fn slots(&self, id: usize) -> Result<BTreeMap<u32, Capability>> {
        let mut found = BTreeMap::new();
        for entry in slots(self.object(id)?) {
            let slot = entry.slot.0.to_native();
            if found.insert(slot, self.capability(&entry.cap)).is_some() {
                return Err(miette!(
                    "slot {slot} of '{}' is filled twice",
                    self.name(id)
                ));
            }
        }
        Ok(found)
    }

    /// A thread with all that belongs to it; `None`: there is none of this name.
    fn thread(&mut self, name: &str) -> Result<Option<ProtectionDomain>> {
        let Some(id) = self.find(&Object::Tcb(name.to_owned())) else {
            return Ok(None);
        };
        let vspace = self.vspace(name)?;
        let ArchivedObject::Tcb(tcb) = self.object(id)? else {
            return Ok(None);
        };
        let (budget_us, period_us) = self.scheduling(tcb)?;
        Ok(Some(ProtectionDomain {
            name: name.to_owned(),
            priority: tcb.extra.prio,
            max_priority: tcb.extra.max_prio,
            budget_us,
            period_us,
            passive: false,
            cpu: tcb.extra.affinity.0.to_native(),
            fpu: !tcb.extra.fpu_disabled,
            domain: tcb.extra.domain.as_ref().copied(),
            starts: tcb.extra.resume,
            tcb: self.bindings(id)?,
            cspace: self.cspace(name)?,
            symbols: BTreeMap::new(),
            vspace,
        }))
    }

    /// What is bound to a TCB.
    fn bindings(&self, id: usize) -> Result<BTreeMap<Binding, Capability>> {
        let bound = self.slots(id)?.into_iter().map(|(slot, capability)| {
            let binding = Binding::of_slot(slot);
            let binding = binding.ok_or_else(|| miette!("a TCB has no slot {slot}"))?;
            Ok((binding, capability))
        });
        bound.collect()
    }

    /// Budget and period of the scheduling context that is bound to a TCB.
    fn scheduling(&self, tcb: &object::ArchivedTcb) -> Result<(u64, u64)> {
        let mut slots = tcb.slots.iter();
        let bound = slots.find(|entry| entry.slot.0.to_native() == Binding::SchedContext as u32);
        let Some(bound) = bound else {
            return Ok((0, 0));
        };
        match self.object(bound.cap.obj().into())? {
            ArchivedObject::SchedContext(context) => {
                let extra = &context.extra;
                Ok((extra.budget.to_native(), extra.period.to_native()))
            }
            _ => Ok((0, 0)),
        }
    }

    /// The CNodes that are a protection domain's.
    fn cspace(&self, name: &str) -> Result<Vec<CNode>> {
        let mut cspace = Vec::new();
        for (id, named) in self.payload.objects.iter().enumerate() {
            let ArchivedObject::CNode(cnode) = &named.object else {
                continue;
            };
            match self.identity(id) {
                Object::CNode { pd, kind } if pd == name => cspace.push(CNode {
                    kind,
                    radix: cnode.size_bits,
                    slots: self.slots(id)?,
                }),
                _ => {}
            }
        }
        cspace.sort_by_key(|cnode| cnode.kind);
        Ok(cspace)
    }

    fn irqs(&self) -> Result<Vec<Irq>> {
        let mut irqs = Vec::new();
        for entry in self.payload.irqs.iter() {
            let handler = usize::from(entry.handler);
            let trigger = match self.object(handler)? {
                ArchivedObject::ArmIrq(irq) => irq.extra.trigger,
                ArchivedObject::RiscvIrq(irq) => irq.extra.trigger,
                _ => return Err(miette!("'{}' is not an interrupt", self.name(handler))),
            };
            irqs.push(Irq {
                number: entry.irq.0.to_native(),
                edge: trigger != 0,
                slots: self.slots(handler)?,
            });
        }
        irqs.sort_by_key(|irq| irq.number);
        Ok(irqs)
    }

    /// What belongs to nobody.
    fn others(&self) -> Vec<Object> {
        let ids = 0..self.payload.objects.len();
        let others = ids
            .filter(|id| !self.tables.contains(id))
            .map(|id| self.identity(id));
        others
            .filter(|object| matches!(object, Object::Other { .. }))
            .collect()
    }
}

/// What the tool wrote into a program: its runtime's symbols, and those that the description sets.
fn symbols(pd: &PdDescription, program: &ElfFile) -> Result<BTreeMap<String, u64>> {
    let set = pd.setvars.iter().map(|setvar| setvar.symbol.as_str());
    let value = |symbol: &str| {
        let (vaddr, size) = program
            .find_symbol(symbol)
            .map_err(|error| miette!("{error}"))?;
        let bytes = program
            .get_data(vaddr, size)
            .filter(|bytes| bytes.len() <= 8);
        let bytes = bytes.ok_or_else(|| miette!("'{}': '{symbol}' is no word in it", pd.name))?;
        let value = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        Ok((symbol.to_owned(), value))
    };
    RUNTIME_SYMBOLS.into_iter().chain(set).map(value).collect()
}

pub(crate) fn slots(object: &Archived) -> &[ArchivedCapTableEntry] {
    match object {
        ArchivedObject::CNode(object) => &object.slots,
        ArchivedObject::Tcb(object) => &object.slots,
        ArchivedObject::PageTable(object) => &object.slots,
        ArchivedObject::ArmIrq(object) => &object.slots,
        ArchivedObject::RiscvIrq(object) => &object.slots,
        _ => &[],
    }
}

fn other(kind: &str, name: &str) -> Object {
    Object::Other {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// The kind of an object in capDL's words.
fn kind(object: &Archived) -> &'static str {
    match object {
        ArchivedObject::Untyped(_) => "untyped",
        ArchivedObject::Endpoint => "endpoint",
        ArchivedObject::Notification => "notification",
        ArchivedObject::CNode(_) => "cnode",
        ArchivedObject::Tcb(_) => "tcb",
        ArchivedObject::VCpu => "vcpu",
        ArchivedObject::Frame(_) => "frame",
        ArchivedObject::PageTable(_) => "page_table",
        ArchivedObject::AsidPool(_) => "asid_pool",
        ArchivedObject::IOSpace(_) => "io_space",
        ArchivedObject::IOPageTable(_) => "io_page_table",
        ArchivedObject::Irq(_)
        | ArchivedObject::ArmIrq(_)
        | ArchivedObject::IrqMsi(_)
        | ArchivedObject::IrqIOApic(_)
        | ArchivedObject::RiscvIrq(_) => "irq",
        ArchivedObject::IOPorts(_) => "io_ports",
        ArchivedObject::SchedContext(_) => "sched_context",
        ArchivedObject::Reply => "reply",
        ArchivedObject::ArmSmc => "arm_smc",
        ArchivedObject::DomainSet => "domain_set",
    }
}

pub(crate) fn rights(rights: &sel4_capdl_initializer_types::ArchivedRights) -> Rights {
    Rights {
        read: rights.read,
        write: rights.write,
        grant: rights.grant,
        grant_reply: rights.grant_reply,
    }
}

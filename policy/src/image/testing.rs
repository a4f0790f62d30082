//! Images for tests, where no SDK is at hand: what the builder would read back from an image that it
//! made from a distribution.

use std::collections::BTreeMap;

use portcullis_kernel::{Rights, cspace};
use portcullis_policy_format::Policy;
use portcullis_sdf::{IrqSource, MemoryRegion, PdId, SymbolValue, System, Trigger};

use super::{
    Binding, Carried, FORMAT, Frames, Image, Initialiser, Irq, MONITOR, Mapping, ProtectionDomain,
    RUNTIME_SYMBOLS, SDK, Untyped, VSpace,
};
use crate::distribution::{
    self, AddressSpace, CNodeKind, Capability, Distribution, Memory, Object,
};

const PAGE: u64 = 0x1000;
/// Where a protection domain's IPC buffer and the end of its stack lie on AArch64.
const IPC_BUFFER: u64 = 0xff_ffff_f000;
const STACK_TOP: u64 = IPC_BUFFER - PAGE;
/// Where its program lies: two pages of code, two of data.
const CODE: u64 = 0x20_0000;
const DATA: u64 = CODE + 2 * PAGE;
/// Pages of a region whose size is that of a file.
const FILE_PAGES: u64 = 3;

/// What an image hands out that was made from `distribution`, for QEMU's AArch64 board.
pub fn finished(distribution: &Distribution, policy: &Policy<'_>, system: &System) -> Image {
    let of = Finished {
        distribution,
        system,
    };
    let mut memory: Vec<Frames> = system.memory_regions.iter().map(region_frames).collect();
    for id in system.pd_ids() {
        let pd = system.pd(id);
        memory.extend(private_frames(&pd.name.value, pd.stack_size.value / PAGE));
    }
    memory.extend(private_frames(MONITOR, 1));
    memory.sort();
    Image {
        format: FORMAT,
        board: "qemu_virt_aarch64".to_owned(),
        config: "release".to_owned(),
        sdk: SDK.to_owned(),
        policy: Some(Carried {
            region: "policy".to_owned(),
            name: policy.name().to_owned(),
            version: policy.version(),
            sha256: policy
                .sha256()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }),
        protection_domains: system.pd_ids().map(|id| of.protection_domain(id)).collect(),
        monitor: of.monitor(),
        irqs: of.irqs(),
        memory,
        initialiser: Initialiser {
            objects: 1_000,
            untyped: vec![Untyped {
                phys_addr: 0x4000_0000,
                size: 0x4000_0000,
                device: false,
            }],
        },
        others: Vec::new(),
    }
}

struct Finished<'a> {
    distribution: &'a Distribution,
    system: &'a System,
}

impl Finished<'_> {
    fn protection_domain(&self, id: PdId) -> ProtectionDomain {
        let own = &self.distribution.protection_domains[id.0];
        let pd = self.system.pd(id);
        let mut tcb = bindings(&own.name, own.tcb.cspace.clone());
        tcb.insert(Binding::FaultEndpoint, own.tcb.fault_endpoint.clone());
        tcb.insert(Binding::Notification, own.tcb.notification.clone());
        let mut vspace = private(&own.name, pd.stack_size.value / PAGE);
        for region in &self.distribution.regions {
            let mappings = region.mappings.iter();
            vspace.mappings.extend(mappings.filter_map(|mapping| {
                let is_own = mapping.space == AddressSpace::Pd(own.name.clone());
                is_own.then(|| self.mapping(region, mapping))
            }));
        }
        vspace.mappings.sort();
        ProtectionDomain {
            name: own.name.clone(),
            priority: own.priority,
            max_priority: own.priority,
            budget_us: pd.budget.value,
            period_us: pd.period.value,
            passive: own.passive,
            cpu: pd.cpu.value.into(),
            fpu: pd.fpu.value,
            domain: None,
            starts: true,
            tcb,
            cspace: own.cspace.clone(),
            symbols: self.symbols(id),
            vspace,
        }
    }

    /// What the tool writes into a program: its runtime's symbols, and then what the description sets.
    fn symbols(&self, id: PdId) -> BTreeMap<String, u64> {
        let pd = self.system.pd(id);
        let mut runtime = [u64::from(pd.passive.value), 0, 0, 0, 0];
        let mut set = |place: usize, bit: u8| runtime[place] |= 1 << bit;
        pd.irqs.iter().for_each(|irq| set(1, irq.id.value));
        for end in self.system.channels.iter().flat_map(|it| &it.ends) {
            if end.pd.value == id {
                end.notify.value.then(|| set(2, end.id.value));
                end.pp.value.then(|| set(3, end.id.value));
            }
        }
        pd.ioports.iter().for_each(|ports| set(4, ports.id.value));
        let mut symbols: BTreeMap<String, u64> = RUNTIME_SYMBOLS
            .iter()
            .map(|symbol| (*symbol).to_owned())
            .zip(runtime)
            .collect();
        for (symbol, value) in self.system.symbols(id) {
            let frames = |region| region_frames(self.system.region(region));
            let value = match value {
                SymbolValue::Number(number) => number,
                SymbolValue::Size(region) => frames(region).pages * PAGE,
                SymbolValue::PrefillSize(_) => FILE_PAGES * PAGE,
                SymbolValue::PhysicalAddress(region) => frames(region).phys_addr.unwrap_or(0),
            };
            symbols.insert(symbol.value.clone(), value);
        }
        symbols
    }

    fn mapping(&self, region: &distribution::Region, own: &distribution::Mapping) -> Mapping {
        let id = self.system.region_named(&region.name);
        let id = id.expect("the regions of a distribution are the system's");
        let frames = region_frames(self.system.region(id));
        Mapping {
            vaddr: own.vaddr,
            pages: frames.pages,
            page_size: frames.page_size,
            of: frames.of,
            first_page: 0,
            read: own.read,
            write: own.write,
            execute: own.execute,
            cached: own.cached,
        }
    }

    fn monitor(&self) -> ProtectionDomain {
        let object = Object::CNode {
            pd: MONITOR.to_owned(),
            kind: CNodeKind::Monitor,
        };
        let root = Capability {
            guard_bits: 64 - cspace::MICROKIT_RADIX,
            ..Capability::whole(object)
        };
        ProtectionDomain {
            name: MONITOR.to_owned(),
            priority: 255,
            max_priority: 255,
            budget_us: 1_000,
            period_us: 1_000,
            passive: false,
            cpu: 0,
            fpu: true,
            domain: Some(0),
            starts: true,
            tcb: bindings(MONITOR, root),
            cspace: vec![self.distribution.monitor.clone()],
            symbols: BTreeMap::new(),
            vspace: private(MONITOR, 1),
        }
    }

    fn irqs(&self) -> Vec<Irq> {
        let described = |number| {
            let mut all = self
                .system
                .protection_domains
                .iter()
                .flat_map(|pd| &pd.irqs);
            all.find(|irq| irq.number().value == number)
        };
        let irqs = self.distribution.irqs.iter().map(|irq| Irq {
            number: irq.number,
            edge: matches!(
                described(irq.number).map(|irq| &irq.source),
                Some(IrqSource::Conventional { trigger, .. }) if trigger.value == Trigger::Edge
            ),
            slots: [(0, irq.notification.clone())].into(),
        });
        irqs.collect()
    }
}

fn bindings(name: &str, root: Capability) -> BTreeMap<Binding, Capability> {
    let of = || name.to_owned();
    let buffer = Object::Frame {
        of: Memory::IpcBuffer(of()),
        page: 0,
    };
    let data = Rights {
        read: true,
        ..Rights::WRITE
    };
    [
        (Binding::Cspace, root),
        (Binding::Vspace, Capability::whole(Object::VSpace(of()))),
        (Binding::IpcBuffer, Capability::new(buffer, data)),
        (
            Binding::SchedContext,
            Capability::whole(Object::SchedContext(of())),
        ),
    ]
    .into()
}

/// The address space of a program that maps nothing.
fn private(name: &str, stack_pages: u64) -> VSpace {
    let mapping = |of, vaddr, first_page, pages, write, execute| Mapping {
        vaddr,
        pages,
        page_size: PAGE,
        of,
        first_page,
        read: true,
        write,
        execute,
        cached: true,
    };
    let of = || name.to_owned();
    let stack = STACK_TOP - stack_pages * PAGE;
    VSpace {
        tables: vec![format!("pgd_{name}"), format!("pt_{name}")],
        mappings: vec![
            mapping(Memory::Program(of()), CODE, 0, 2, false, true),
            mapping(Memory::Program(of()), DATA, 2, 2, true, false),
            mapping(Memory::Stack(of()), stack, 0, stack_pages, true, false),
            mapping(Memory::IpcBuffer(of()), IPC_BUFFER, 0, 1, true, false),
        ],
    }
}

fn private_frames(name: &str, stack_pages: u64) -> [Frames; 3] {
    let frames = |of, pages| Frames {
        of,
        first_page: 0,
        pages,
        page_size: PAGE,
        phys_addr: None,
    };
    [
        frames(Memory::Program(name.to_owned()), 4),
        frames(Memory::Stack(name.to_owned()), stack_pages),
        frames(Memory::IpcBuffer(name.to_owned()), 1),
    ]
}

fn region_frames(region: &MemoryRegion) -> Frames {
    let size = region.size.as_ref().map(|size| size.value);
    Frames {
        of: Memory::Region(region.name.value.clone()),
        first_page: 0,
        pages: size.unwrap_or(FILE_PAGES * PAGE) / PAGE,
        page_size: PAGE,
        phys_addr: region.phys_addr.as_ref().map(|address| address.value),
    }
}

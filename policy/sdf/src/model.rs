//! A system description as data, with the place of everything in it.
//!
//! Names are resolved: a mapping has the number of its region, a channel end that of its protection
//! domain. Defaults are those of the stock tool. Nothing here depends on a board or on a file's
//! content. Holding a [`System`] that [`parse`](crate::parse) returned proves that its numbers
//! resolve and that the checks in [`Fault`](crate::Fault) found nothing.

mod device;
mod memory;
mod schedule;

pub use device::{IoPorts, Irq, IrqSource, PciAddress, Polarity, Trigger};
pub use memory::{
    BootInfo, FileId, IoAddressSpace, IoMap, Map, MemoryRegion, PAGE_SIZES, Perms, Prefill,
};
pub use schedule::{Domain, DomainSchedule, Duration, Unit};

use std::ops::Range;

/// Bytes of the text that something was read from.
pub type Span = Range<usize>;

/// A value and its place.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// The attribute's value in the text; for a default, the start tag of the element that says
    /// nothing else.
    pub span: Span,
}

/// Number of a protection domain: its place in [`System::protection_domains`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PdId(pub usize);

/// Number of a memory region: its place in [`System::memory_regions`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegionId(pub usize);

/// A system description.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct System {
    /// The protection domains in the order of the text, children right after their parent: the
    /// order in which the stock tool numbers them.
    pub protection_domains: Vec<ProtectionDomain>,
    /// The memory regions in the order of the text.
    pub memory_regions: Vec<MemoryRegion>,
    /// The channels in the order of the text.
    pub channels: Vec<Channel>,
    /// The devices' address spaces in the order of the text.
    pub io_address_spaces: Vec<IoAddressSpace>,
    /// The schedule of domains, where there is one.
    pub domains: Option<DomainSchedule>,
}

/// `<protection_domain>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtectionDomain {
    /// Its start tag.
    pub span: Span,
    /// Its name.
    pub name: Spanned<String>,
    /// Its parent, where it is nested in another.
    pub parent: Option<Parent>,
    /// Its priority, 0 to 254. Default 0.
    pub priority: Spanned<u8>,
    /// Its budget in microseconds. Default 1000.
    pub budget: Spanned<u64>,
    /// Its period in microseconds. Default: its budget.
    pub period: Spanned<u64>,
    /// Whether it gives up its scheduling context after `init`. Default false.
    pub passive: Spanned<bool>,
    /// Size of its stack in bytes. Default 8 KiB.
    pub stack_size: Spanned<u64>,
    /// The core it runs on. Default 0.
    pub cpu: Spanned<u8>,
    /// Whether it may make secure monitor calls (Arm). Default false.
    pub smc: Spanned<bool>,
    /// Whether it may use the FPU. Default true.
    pub fpu: Spanned<bool>,
    /// Its scheduling domain's place in [`DomainSchedule::domains`]; present exactly where the
    /// system has a schedule of domains.
    pub domain: Option<Spanned<usize>>,
    /// Its program.
    pub program: Program,
    /// Its memory.
    pub maps: Vec<Map>,
    /// Its interrupts.
    pub irqs: Vec<Irq>,
    /// Its I/O ports (x86-64).
    pub ioports: Vec<IoPorts>,
    /// The physical addresses that it is told.
    pub setvars: Vec<SetVar>,
    /// The extra capabilities in its root CNode.
    pub caps: Vec<ExtraCap>,
    /// The virtual machine that it monitors.
    pub virtual_machine: Option<VirtualMachine>,
}

/// What ties a child protection domain to its parent, which handles its faults and holds its TCB.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parent {
    /// The parent.
    pub pd: PdId,
    /// The child's id in the parent, 0 to 61.
    pub id: Spanned<u8>,
    /// Symbol of the parent's program that is set to the id.
    pub setvar_id: Option<Spanned<String>>,
}

/// `<program_image>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Its start tag.
    pub span: Span,
    /// Path of the ELF file.
    pub path: Spanned<String>,
    /// Path of another ELF file, in which symbols are looked up.
    pub path_for_symbols: Option<Spanned<String>>,
}

/// `<setvar>`: a symbol that is set to the physical address of a memory region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetVar {
    /// Its start tag.
    pub span: Span,
    /// The symbol.
    pub symbol: Spanned<String>,
    /// The region.
    pub region: Spanned<RegionId>,
}

/// What the description sets a symbol to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SymbolValue {
    /// A number that the description says: an address, an id, the first I/O port.
    Number(u64),
    /// The size of a memory region, in bytes.
    Size(RegionId),
    /// The size of the file that fills a memory region, in bytes.
    PrefillSize(RegionId),
    /// The physical address of a memory region.
    PhysicalAddress(RegionId),
}

/// A child of `<cspace>`: a capability in a slot of the root CNode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtraCap {
    /// Its start tag.
    pub span: Span,
    /// What it is a capability to.
    pub kind: ExtraCapKind,
    /// The protection domain whose object it is.
    pub pd: Spanned<PdId>,
    /// Slot of the root CNode, 1 to 63 (slot 0 is Microkit's CNode).
    pub slot: Spanned<u8>,
}

/// The kinds of capability that `<cspace>` offers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ExtraCapKind {
    /// `<cap_tcb>`: the TCB.
    Tcb,
    /// `<cap_sc>`: the scheduling context.
    SchedContext,
    /// `<cap_vspace>`: the VSpace.
    VSpace,
}

/// `<virtual_machine>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualMachine {
    /// Its start tag.
    pub span: Span,
    /// Its name.
    pub name: Spanned<String>,
    /// Priority of its vCPUs, 0 to 254 (Arm). Default 0.
    pub priority: Spanned<u8>,
    /// Budget of each vCPU in microseconds (Arm). Default 1000.
    pub budget: Spanned<u64>,
    /// Period of each vCPU in microseconds (Arm). Default: the budget.
    pub period: Spanned<u64>,
    /// Its vCPUs; at least one.
    pub vcpus: Vec<Vcpu>,
    /// Its memory, at guest-physical addresses.
    pub maps: Vec<Map>,
}

/// `<vcpu>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vcpu {
    /// Its start tag.
    pub span: Span,
    /// Its id, 0 to 61.
    pub id: Spanned<u8>,
    /// The core it runs on. Default: its owner's.
    pub cpu: Option<Spanned<u8>>,
    /// Symbol of the owner's program that is set to the id.
    pub setvar_id: Option<Spanned<String>>,
}

/// `<channel>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its start tag.
    pub span: Span,
    /// Its two ends in the order of the text.
    pub ends: [End; 2],
}

/// `<end>`: what one protection domain may do on a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Its start tag.
    pub span: Span,
    /// The protection domain at this end.
    pub pd: Spanned<PdId>,
    /// The channel's id there, 0 to 61.
    pub id: Spanned<u8>,
    /// Whether this end may call the other. Default false.
    pub pp: Spanned<bool>,
    /// Whether this end may notify the other. Default true.
    pub notify: Spanned<bool>,
    /// Symbol of this end's program that is set to the id.
    pub setvar_id: Option<Spanned<String>>,
}

impl System {
    /// A protection domain by its number.
    pub fn pd(&self, id: PdId) -> &ProtectionDomain {
        &self.protection_domains[id.0]
    }

    /// A memory region by its number.
    pub fn region(&self, id: RegionId) -> &MemoryRegion {
        &self.memory_regions[id.0]
    }

    /// The protection domain with this name.
    pub fn pd_named(&self, name: &str) -> Option<PdId> {
        self.protection_domains
            .iter()
            .position(|pd| pd.name.value == name)
            .map(PdId)
    }

    /// The memory region with this name.
    pub fn region_named(&self, name: &str) -> Option<RegionId> {
        self.memory_regions
            .iter()
            .position(|region| region.name.value == name)
            .map(RegionId)
    }

    /// The numbers of all protection domains.
    pub fn pd_ids(&self) -> impl Iterator<Item = PdId> + use<> {
        (0..self.protection_domains.len()).map(PdId)
    }

    /// The children of a protection domain.
    pub fn children(&self, parent: PdId) -> impl Iterator<Item = PdId> + '_ {
        self.pd_ids().filter(move |id| {
            let child = &self.pd(*id).parent;
            child.as_ref().is_some_and(|child| child.pd == parent)
        })
    }

    /// Every channel twice: each end with the end opposite.
    pub fn ends(&self) -> impl Iterator<Item = (&End, &End)> {
        self.channels.iter().flat_map(|channel| {
            let [a, b] = &channel.ends;
            [(a, b), (b, a)]
        })
    }

    /// The symbols of a protection domain's program that the description sets, each with what to: by
    /// `<setvar>`, and by every `setvar_` attribute of its mappings, interrupts, I/O ports, vCPUs, children
    /// and channel ends.
    pub fn symbols(&self, id: PdId) -> impl Iterator<Item = (&Spanned<String>, SymbolValue)> {
        let pd = self.pd(id);
        let maps = pd.maps.iter().flat_map(|map| {
            let region = map.region.value;
            [
                (&map.setvar_vaddr, SymbolValue::Number(map.vaddr.value)),
                (&map.setvar_size, SymbolValue::Size(region)),
                (&map.setvar_prefill_size, SymbolValue::PrefillSize(region)),
            ]
        });
        let number = |id: &Spanned<u8>| SymbolValue::Number(id.value.into());
        let irqs = pd.irqs.iter();
        let irqs = irqs.map(move |irq| (&irq.setvar_id, number(&irq.id)));
        let ports = pd.ioports.iter().flat_map(move |ports| {
            let first = SymbolValue::Number(ports.addr.value);
            [
                (&ports.setvar_id, number(&ports.id)),
                (&ports.setvar_addr, first),
            ]
        });
        let vcpus = pd.virtual_machine.iter().flat_map(|vm| &vm.vcpus);
        let vcpus = vcpus.map(move |vcpu| (&vcpu.setvar_id, number(&vcpu.id)));
        let children = self.children(id);
        let children = children.filter_map(|child| self.pd(child).parent.as_ref());
        let children = children.map(move |own| (&own.setvar_id, number(&own.id)));
        let ends = self.channels.iter().flat_map(|channel| &channel.ends);
        let ends = ends.filter(move |end| end.pd.value == id);
        let ends = ends.map(move |end| (&end.setvar_id, number(&end.id)));
        let attributes = maps.chain(irqs).chain(ports).chain(vcpus);
        let attributes = attributes.chain(children).chain(ends);
        let attributes = attributes.filter_map(|(symbol, value)| Some((symbol.as_ref()?, value)));
        attributes.chain(pd.setvars.iter().map(|setvar| {
            let address = SymbolValue::PhysicalAddress(setvar.region.value);
            (&setvar.symbol, address)
        }))
    }

    /// Whether the stock tool gives this protection domain an endpoint: something can call it, or
    /// its faults are this domain's to handle.
    pub fn has_endpoint(&self, id: PdId) -> bool {
        self.children(id).next().is_some()
            || self.pd(id).virtual_machine.is_some()
            || self
                .ends()
                .any(|(end, other)| end.pp.value && other.pd.value == id)
    }
}

impl<T> Spanned<T> {
    /// A value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl ExtraCapKind {
    /// The element's name.
    pub const fn element(self) -> &'static str {
        match self {
            Self::Tcb => "cap_tcb",
            Self::SchedContext => "cap_sc",
            Self::VSpace => "cap_vspace",
        }
    }
}

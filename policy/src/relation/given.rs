//! What a system description gives.

use std::collections::BTreeSet;

use portcullis_sdf::{
    ExtraCapKind, IoAddressSpace, Irq, IrqSource, Map, MemoryRegion, PdId, PhysicalMemory, Prefill,
    ProtectionDomain, RegionId, System,
};

use super::{Cause, Kind, Object, Power, Relation, Rights};
use crate::model::{CapKind, MANAGER, Subject};

impl<'a> Relation<'a> {
    /// What `system` gives; it knows no security domains. `memory` is the board's, where it is known.
    pub fn given(system: &'a System, memory: Option<&PhysicalMemory>) -> Self {
        let mut relation = Self::default();
        for id in system.pd_ids() {
            let pd = system.pd(id);
            relation.channels(system, id);
            relation.maps(system, component(system, id), &pd.maps, Kind::Map);
            relation.devices(system, pd);
            relation.powers(system, id);
            relation.dma(system, id, memory);
        }
        for device in &system.io_address_spaces {
            let subject = Subject::Device(&device.name.value);
            for map in &device.maps {
                let object = region(system, map.region.value);
                let perms = map.perms.value;
                let rights = Rights::of_mapping(perms.read, perms.write, perms.execute);
                let cause = Cause::Element(&map.span);
                relation.add(subject, rights, object, Kind::DeviceMap, cause);
            }
        }
        relation
    }

    fn channels(&mut self, system: &'a System, id: PdId) {
        for (end, other) in system.ends().filter(|(end, _)| end.pd.value == id) {
            let peer = system.pd(other.pd.value).name.value.as_str();
            let subject = component(system, id);
            for (allowed, rights) in [(&end.pp, Rights::CALL), (&end.notify, Rights::SIGNAL)] {
                let kind = match peer == MANAGER && rights == Rights::CALL {
                    true => Kind::ManagerChannel,
                    false => Kind::Channel,
                };
                if allowed.value {
                    let cause = Cause::Element(&end.span);
                    self.add(subject, rights, Object::Component(peer), kind, cause);
                }
            }
        }
    }

    fn maps(&mut self, system: &'a System, subject: Subject<'a>, maps: &'a [Map], kind: Kind) {
        for map in maps {
            let perms = map.perms.value;
            let rights = Rights::of_mapping(perms.read, perms.write, perms.execute);
            let cause = Cause::Element(&map.span);
            self.add(
                subject,
                rights,
                region(system, map.region.value),
                kind,
                cause,
            );
        }
    }

    fn devices(&mut self, system: &'a System, pd: &'a ProtectionDomain) {
        let subject = Subject::Component(&pd.name.value);
        for irq in &pd.irqs {
            let (object, cause) = (
                Object::Interrupt(irq.number().value),
                Cause::Element(&irq.span),
            );
            self.add(subject, Rights::RECEIVE, object, Kind::Interrupt, cause);
            if let Some(device) = raises(system, irq) {
                let device = Subject::Device(&device.name.value);
                self.add(device, Rights::SIGNAL, object, Kind::Interrupt, cause);
            }
        }
        for ports in &pd.ioports {
            let (base, size) = (ports.addr.value, ports.size.value);
            let rights = Rights::READ | Rights::WRITE;
            let object = Object::Ports { base, size };
            let cause = Cause::Element(&ports.span);
            self.add(subject, rights, object, Kind::IoPorts, cause);
        }
        for setvar in &pd.setvars {
            let object = region(system, setvar.region.value);
            let cause = Cause::Element(&setvar.span);
            self.add(subject, Rights::LOCATE, object, Kind::Address, cause);
        }
        if pd.smc.value {
            let cause = Cause::Element(&pd.smc.span);
            self.add(subject, Rights::CALL, Object::Firmware, Kind::Smc, cause);
        }
        let object = Object::Processor {
            core: pd.cpu.value,
            domain: pd.domain.as_ref().map(|domain| domain.value),
        };
        let cause = Cause::Element(&pd.cpu.span);
        self.add(subject, Rights::RUN, object, Kind::Processor, cause);
    }

    fn powers(&mut self, system: &'a System, id: PdId) {
        let pd = system.pd(id);
        let subject = component(system, id);
        for child in system.children(id) {
            let object = Object::Power(Power::Parent, component(system, child));
            let cause = Cause::Element(&system.pd(child).span);
            self.add(subject, Rights::CONTROL, object, Kind::Child, cause);
        }
        for cap in &pd.caps {
            let kind = match cap.kind {
                ExtraCapKind::Tcb => CapKind::Tcb,
                ExtraCapKind::SchedContext => CapKind::SchedulingContext,
                ExtraCapKind::VSpace => CapKind::Vspace,
            };
            let of = component(system, cap.pd.value);
            let object = Object::Power(Power::Capability(kind), of);
            let cause = Cause::Element(&cap.span);
            self.add(subject, Rights::CONTROL, object, Kind::Capability, cause);
        }
        if let Some(vm) = &pd.virtual_machine {
            let guest = Subject::Guest(&vm.name.value);
            let object = Object::Power(Power::Monitor, guest);
            let cause = Cause::Element(&vm.span);
            self.add(
                subject,
                Rights::CONTROL,
                object,
                Kind::VirtualMachine,
                cause,
            );
            self.maps(system, guest, &vm.maps, Kind::GuestMap);
        }
    }

    /// Whether a component reaches all memory: it drives a device, by registers or ports, and knows
    /// where other memory lies, of which some is not mapped for a device behind the IOMMU whose interrupt
    /// it handles: nothing else says which device it drives. A device can be told any address, not only
    /// the one that is known: knowing one is the sign that it takes addresses.
    fn dma(&mut self, system: &'a System, id: PdId, memory: Option<&PhysicalMemory>) {
        let pd = system.pd(id);
        let mapped: BTreeSet<RegionId> = pd.maps.iter().map(|map| map.region.value).collect();
        let named = pd.setvars.iter().map(|setvar| setvar.region.value);
        let fixed = mapped.iter().copied();
        let fixed = fixed.filter(|id| system.region(*id).phys_addr.is_some());
        let located = named.chain(fixed);
        let located = located.filter(|id| may_be_memory(system.region(*id), memory));
        let bounded = |id: &RegionId| {
            let devices = pd.irqs.iter().filter_map(|irq| raises(system, irq));
            let mut maps = devices.flat_map(|device| &device.maps);
            maps.any(|map| map.region.value == *id)
        };
        let mut unbounded = located.filter(|id| !bounded(id));
        let registers: Vec<RegionId> = mapped
            .iter()
            .copied()
            .filter(|id| may_be_registers(system.region(*id), memory))
            .collect();
        let reaches = unbounded.any(|located| {
            !pd.ioports.is_empty() || registers.iter().any(|registers| *registers != located)
        });
        if reaches {
            let rights = Rights::READ | Rights::WRITE;
            let cause = Cause::Element(&pd.span);
            let subject = component(system, id);
            self.add(subject, rights, Object::Memory, Kind::Dma, cause);
        }
    }
}

/// The device behind the IOMMU that raises an interrupt.
fn raises<'a>(system: &'a System, irq: &Irq) -> Option<&'a IoAddressSpace> {
    let IrqSource::Msi { device, .. } = &irq.source else {
        return None;
    };
    let mut behind = system.io_address_spaces.iter();
    behind.find(|own| own.peripheral_id.value == device.value)
}

fn component(system: &System, id: PdId) -> Subject<'_> {
    Subject::Component(&system.pd(id).name.value)
}

fn region(system: &System, id: RegionId) -> Object<'_> {
    Object::Region(&system.region(id).name.value)
}

/// Whether a region can be a device's registers: it has a fixed address, is not filled, and is not known
/// to be ordinary memory.
fn may_be_registers(region: &MemoryRegion, memory: Option<&PhysicalMemory>) -> bool {
    let is_filled = matches!(region.prefill, Some(Prefill::Path(_)));
    region.phys_addr.is_some() && !is_filled && is_ram(region, memory) != Some(true)
}

/// Whether a region can be ordinary memory: it is not known to be a device's registers.
fn may_be_memory(region: &MemoryRegion, memory: Option<&PhysicalMemory>) -> bool {
    region.phys_addr.is_none() || is_ram(region, memory) != Some(false)
}

/// Whether a region at a fixed address is ordinary memory; `None`: nothing is known of the board.
fn is_ram(region: &MemoryRegion, memory: Option<&PhysicalMemory>) -> Option<bool> {
    let start = region.phys_addr.as_ref()?.value;
    let end = start.saturating_add(region.least_size());
    let mut ram = memory?.ram.iter();
    Some(ram.any(|ram| ram.start < end && start < ram.end))
}

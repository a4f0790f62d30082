//! What a system description gives.

use portcullis_sdf::{
    ExtraCapKind, IoAddressSpace, Irq, IrqSource, Map, MemoryRegion, PdId, Perms, PhysicalPlace,
    ProtectionDomain, RegionId, Span, System,
};

use super::{Cause, Kind, Object, Power, Registers, Relation, Rights};
use crate::model::{CapKind, MANAGER, Subject};

impl<'a> Relation<'a> {
    /// What `system` gives; it knows no security domains.
    pub fn given(system: &'a System) -> Self {
        let mut relation = Self::default();
        for id in system.pd_ids() {
            let pd = system.pd(id);
            relation.channels(system, id);
            relation.maps(system, component(system, id), &pd.maps, Kind::Map);
            relation.devices(system, pd);
            relation.powers(system, id);
        }
        for device in &system.io_address_spaces {
            let subject = Subject::Device(&device.name.value);
            for map in &device.maps {
                let mapped = (system.region(map.region.value), map.perms.value, &map.span);
                relation.map(subject, mapped, Kind::DeviceMap);
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
            let mapped = (system.region(map.region.value), map.perms.value, &map.span);
            self.map(subject, mapped, kind);
        }
    }

    /// A mapping, and the device that may be behind it. To read a register can be enough to set a device
    /// going, and no address need be told: where ordinary memory lies is no secret.
    fn map(
        &mut self,
        subject: Subject<'a>,
        (region, perms, span): (&'a MemoryRegion, Perms, &'a Span),
        kind: Kind,
    ) {
        let (name, cause) = (region.name.value.as_str(), Cause::Element(span));
        let rights = Rights::of_mapping(perms.read, perms.write, perms.execute);
        self.add(subject, rights, Object::Region(name), kind, cause);
        if may_be_registers(region) {
            self.device(subject, Registers::Region(name), cause);
        }
    }

    /// A device that no IOMMU is known to bound.
    fn device(&mut self, subject: Subject<'a>, registers: Registers<'a>, cause: Cause<'a>) {
        let (rights, memory) = (Rights::READ | Rights::WRITE, Object::Memory(registers));
        self.add(subject, rights, memory, Kind::Dma, cause);
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
            self.device(subject, Registers::Ports { base, size }, cause);
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

/// Whether a region can be a device's registers: it has a fixed address, and it is not known that nothing
/// but ordinary memory lies there.
pub(crate) fn may_be_registers(region: &MemoryRegion) -> bool {
    region.phys_addr.is_some() && region.places != [PhysicalPlace::Ram]
}

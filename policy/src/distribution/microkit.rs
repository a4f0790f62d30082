//! The CNode that Microkit fills: a protection domain's own objects, channels, devices and children.

use portcullis_kernel::{Badge, CPtr, Rights, cspace};
use portcullis_sdf::PdId;

use super::build::Builder;
use super::cnode::put;
use super::{CNode, CNodeKind, Capability, Mismatch, Object, layout};

impl Builder<'_> {
    pub(super) fn microkit_cnode(&self, id: PdId) -> Result<CNode, Mismatch> {
        let name = self.name(id);
        let pd = self.system.pd(id);
        let mut cnode = CNode::new(CNodeKind::Microkit, cspace::MICROKIT_RADIX);
        let mut fill = |at: CPtr, capability| put(&mut cnode, &name, at.bits() as u32, capability);
        let input = match self.has_endpoint(id) {
            true => Object::Endpoint(name.clone()),
            false => Object::Notification(name.clone()),
        };
        fill(cspace::INPUT, Capability::new(input, Rights::READ))?;
        fill(
            cspace::REPLY,
            Capability::whole(Object::Reply(name.clone())),
        )?;
        if pd.passive.value {
            let monitor = Capability::new(Object::MonitorEndpoint, Rights::WRITE);
            let badge = layout::monitor_badge(id);
            fill(cspace::MONITOR_ENDPOINT, monitor.with_badge(badge))?;
        }
        if self.configuration.benchmark {
            fill(cspace::TCB, Capability::whole(Object::Tcb(name.clone())))?;
        }
        if pd.smc.value {
            fill(layout::ARM_SMC, Capability::whole(Object::ArmSmc))?;
        }
        for (at, capability) in self.channels(id).chain(self.devices(id)) {
            fill(at, capability)?;
        }
        for (at, capability) in self.children(id).chain(self.guest(id)) {
            fill(at, capability)?;
        }
        Ok(cnode)
    }

    fn channels(&self, id: PdId) -> impl Iterator<Item = (CPtr, Capability)> {
        let ends = self.system.ends();
        let own = ends.filter(move |(end, _)| end.pd.value == id);
        own.flat_map(|(end, other)| {
            let peer = || self.name(other.pd.value);
            let notify = end.notify.value.then(|| {
                let notification = Object::Notification(peer());
                let capability = Capability::new(notification, Rights::WRITE);
                let at = cspace::channel_notification(end.id.value);
                (at, capability.with_badge(1 << other.id.value))
            });
            let call = end.pp.value.then(|| {
                let capability = Capability::new(Object::Endpoint(peer()), Rights::CALL);
                let at = cspace::channel_endpoint(end.id.value);
                let badge = Badge::channel(other.id.value);
                (at, capability.with_badge(badge.0))
            });
            notify.into_iter().chain(call)
        })
    }

    fn devices(&self, id: PdId) -> impl Iterator<Item = (CPtr, Capability)> {
        let pd = self.system.pd(id);
        let irqs = pd.irqs.iter().map(|irq| {
            let handler = Object::IrqHandler(irq.number().value);
            (cspace::irq_handler(irq.id.value), handler)
        });
        let ports = pd.ioports.iter().map(|ports| {
            let object = Object::IoPorts {
                base: ports.addr.value,
                size: ports.size.value,
            };
            (layout::io_ports(ports.id.value), object)
        });
        irqs.chain(ports)
            .map(|(at, object)| (at, Capability::whole(object)))
    }

    fn children(&self, id: PdId) -> impl Iterator<Item = (CPtr, Capability)> {
        self.system.children(id).filter_map(|child| {
            let parent = self.system.pd(child).parent.as_ref()?;
            let tcb = Object::Tcb(self.name(child));
            Some((layout::child_tcb(parent.id.value), Capability::whole(tcb)))
        })
    }

    /// The vCPUs of its virtual machine. On x86-64 they have no thread of their own.
    pub(super) fn guest(&self, id: PdId) -> impl Iterator<Item = (CPtr, Capability)> {
        let on_x86 = self.on_x86();
        let vm = self.system.pd(id).virtual_machine.iter();
        let vcpus = vm.flat_map(|vm| vm.vcpus.iter().map(move |vcpu| (vm, vcpu.id.value)));
        vcpus.flat_map(move |(vm, id)| {
            let vm = vm.name.value.clone();
            let thread = Object::VcpuTcb { vm: vm.clone(), id };
            let vcpu = Object::Vcpu { vm, id };
            let thread = (!on_x86).then_some((layout::vcpu_tcb(id), thread));
            [(layout::vcpu(id), vcpu)]
                .into_iter()
                .chain(thread)
                .map(|(at, object)| (at, Capability::whole(object)))
        })
    }
}

//! The CNodes of those who may do more: the manager's sources of grants and its pool of reply objects, and
//! Microkit's monitor.

use std::collections::BTreeMap;

use portcullis_kernel::cspace;
use portcullis_manager_api::{Authority, grants_radix};
use portcullis_sdf::PdId;

use super::build::Builder;
use super::cnode::to_cnode;
use super::{CNode, CNodeKind, Capability, Object, layout};

impl Builder<'_> {
    /// The manager's sources of all grants, and the reply objects of those who serve calls: who is
    /// being served when its server faults is answered through it.
    pub(super) fn authority_cnode(&self, manager: PdId) -> CNode {
        let authority = self.ceiling.layout();
        let radix = authority.radix(self.ceiling.grants);
        let mut cnode = CNode::new(CNodeKind::Authority, radix);
        let itself = to_cnode(&self.name(manager), &cnode);
        cnode.slots.insert(Authority::ITSELF, itself);
        for (number, pd) in (0..).zip(&self.ceiling.components) {
            let name = self.name(*pd);
            if *pd != manager {
                let held = self.ceiling.held[usize::from(number)];
                let grants = CNode::new(CNodeKind::Grants, grants_radix(held));
                let capability = to_cnode(&name, &grants);
                cnode
                    .slots
                    .insert(authority.grants_cnode(number), capability);
            }
            if self.ceiling.objects.contains(&number) {
                let endpoint = Capability::whole(Object::Endpoint(name.clone()));
                cnode.slots.insert(authority.endpoint(number), endpoint);
                let notification = Object::Notification(name.clone());
                let notification = Capability::new(notification, layout::NOTIFICATION);
                cnode
                    .slots
                    .insert(authority.notification(number), notification);
            }
            if self.ceiling.servers.contains(&number) && *pd != manager {
                let reply = Capability::whole(Object::Reply(name));
                cnode.slots.insert(authority.reply(number), reply);
            }
        }
        cnode
    }

    /// A reply object for each component that may wait for the manager.
    pub(super) fn replies_cnode(&self, manager: PdId) -> CNode {
        let mut cnode = CNode::new(CNodeKind::Replies, cspace::REPLIES_RADIX);
        let pd = self.name(manager);
        let numbers = 1..=self.ceiling.callers;
        cnode.slots.extend(numbers.map(|number| {
            let pd = pd.clone();
            let reply = Capability::whole(Object::PooledReply { pd, number });
            (number.into(), reply)
        }));
        cnode
    }

    /// The monitor as the stock tool makes it: it takes faults, names threads, and puts passive
    /// protection domains to rest.
    pub(super) fn monitor(&self) -> CNode {
        let mut slots = BTreeMap::new();
        let endpoint = Capability::new(Object::MonitorEndpoint, layout::MONITOR);
        slots.insert(layout::MONITOR_FAULT_ENDPOINT, endpoint);
        slots.insert(
            layout::MONITOR_REPLY,
            Capability::whole(Object::MonitorReply),
        );
        let mut vcpu_tcbs = layout::MONITOR_VCPU_TCBS..;
        for (id, place) in self.system.pd_ids().zip(0..) {
            let name = self.name(id);
            let pd = self.system.pd(id);
            let tcb = Capability::whole(Object::Tcb(name.clone()));
            slots.insert(layout::MONITOR_TCBS + place, tcb);
            if pd.passive.value {
                let context = Capability::whole(Object::SchedContext(name.clone()));
                slots.insert(layout::MONITOR_SCHED_CONTEXTS + place, context);
                let notification = Object::Notification(name);
                let notification = Capability::new(notification, layout::NOTIFICATION);
                slots.insert(layout::MONITOR_NOTIFICATIONS + place, notification);
            }
            for (_, capability) in self.guest(id) {
                if let Object::VcpuTcb { .. } = capability.object {
                    slots.extend(vcpu_tcbs.next().map(|slot| (slot, capability)));
                }
            }
        }
        CNode {
            kind: CNodeKind::Monitor,
            radix: cspace::MICROKIT_RADIX,
            slots,
        }
    }
}

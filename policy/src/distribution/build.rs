//! From a compiled policy and a system description to who holds what.
//!
//! What the stock tool would hand out, narrowed: a client capability is Write and GrantReply, a
//! notification Write, a protection domain's own input Read, and its VSpace and its copy of the fault
//! endpoint are left out. Added are the grants CNodes, and the manager's authority CNode and pool of reply
//! objects.

use portcullis_kernel::{Badge, Rights, cspace};
use portcullis_manager_api::grants_radix;
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, ExtraCapKind, PdId, System};

use super::ceiling::Ceiling;
use super::cnode::{put, to_cnode};
use super::{CNode, CNodeKind, Capability, Distribution, Irq, Object};
use super::{ProtectionDomain, TcbBindings, layout, memory};

/// What an image depends on beside policy and system description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// The architecture.
    pub architecture: Architecture,
    /// Whether the kernel is the `benchmark` one: each protection domain then holds its own TCB.
    pub benchmark: bool,
}

/// Why a policy does not fit a system description.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mismatch {
    /// The policy knows a component that the system lacks.
    #[error(
        "the system has no protection domain '{0}', which the policy has as a component; add it, or \
         remove the component"
    )]
    NoProtectionDomain(String),
    /// The policy was compiled for a system with other channels.
    #[error(
        "the policy was compiled for another system: it has '{component}' reach the manager on its \
         channel {compiled:?}, where the system has {described:?}; compile it again"
    )]
    OtherChannel {
        /// The component.
        component: String,
        /// The manager's id of the channel in the policy.
        compiled: Option<u8>,
        /// The manager's id of the channel in the system.
        described: Option<u8>,
    },
    /// The policy was compiled for a system with another clock.
    #[error(
        "the policy was compiled for another system: it has {compiled} watch the manager's deadline, where \
         the system has {described}; compile it again"
    )]
    OtherClock {
        /// Who does in the policy.
        compiled: String,
        /// Who does in the system.
        described: String,
    },
    /// Two capabilities would lie in one slot.
    #[error(
        "slot {slot} of the {kind} of '{pd}' would hold {first}, and {second}; give the <cspace> \
         capability another slot"
    )]
    SlotTaken {
        /// The protection domain.
        pd: String,
        /// Which of its CNodes.
        kind: CNodeKind,
        /// The slot.
        slot: u32,
        /// What lies there.
        first: Box<Object>,
        /// What would lie there too.
        second: Box<Object>,
    },
}

impl Distribution {
    /// Who holds what in the image of this system under this policy.
    pub fn new(
        policy: &Policy<'_>,
        system: &System,
        configuration: &Configuration,
    ) -> Result<Self, Mismatch> {
        let builder = Builder {
            system,
            configuration,
            ceiling: Ceiling::read(policy, system)?,
        };
        let protection_domains = system.pd_ids().map(|id| builder.protection_domain(id));
        Ok(Self {
            protection_domains: protection_domains.collect::<Result<_, _>>()?,
            monitor: builder.monitor(),
            irqs: builder.irqs(),
            regions: memory::regions(system),
        })
    }
}

/// What a distribution is computed from.
pub(super) struct Builder<'a> {
    pub(super) system: &'a System,
    pub(super) configuration: &'a Configuration,
    pub(super) ceiling: Ceiling,
}

impl Builder<'_> {
    pub(super) fn name(&self, id: PdId) -> String {
        self.system.pd(id).name.value.clone()
    }

    /// Whether messages can reach it: Microkit's reasons, a grant of which it is the object, or the
    /// faults that the manager takes.
    pub(super) fn has_endpoint(&self, id: PdId) -> bool {
        let number = self.ceiling.number(id);
        self.system.has_endpoint(id)
            || number.is_some_and(|number| self.ceiling.objects.contains(&number))
            || number.is_some() && number == self.ceiling.manager
    }

    fn protection_domain(&self, id: PdId) -> Result<ProtectionDomain, Mismatch> {
        let pd = self.system.pd(id);
        let name = self.name(id);
        let component = self.ceiling.number(id);
        let mut cspace = vec![CNode::new(CNodeKind::Root, cspace::ROOT_RADIX)];
        for (slot, cnode) in self.leaves(id, component)? {
            let capability = to_cnode(&name, &cnode);
            put(&mut cspace[0], &name, slot, capability)?;
            cspace.push(cnode);
        }
        for cap in &pd.caps {
            let of = self.name(cap.pd.value);
            let object = match cap.kind {
                ExtraCapKind::Tcb => Object::Tcb(of),
                ExtraCapKind::SchedContext => Object::SchedContext(of),
                ExtraCapKind::VSpace => Object::VSpace(of),
            };
            let slot = cap.slot.value.into();
            put(&mut cspace[0], &name, slot, Capability::whole(object))?;
        }
        let parent = pd.parent.as_ref();
        Ok(ProtectionDomain {
            component,
            parent: parent.map(|parent| self.name(parent.pd)),
            priority: pd.priority.value,
            passive: pd.passive.value,
            tcb: TcbBindings {
                cspace: to_cnode(&name, &cspace[0]),
                notification: Capability::new(Object::Notification(name.clone()), Rights::READ),
                fault_endpoint: self.fault_endpoint(id),
            },
            cspace,
            name,
        })
    }

    /// The CNodes in the slots of the root.
    fn leaves(&self, id: PdId, component: Option<u16>) -> Result<Vec<(u32, CNode)>, Mismatch> {
        let mut leaves = vec![(cspace::MICROKIT_ROOT_SLOT as u32, self.microkit_cnode(id)?)];
        // Without a manager nobody could fill a grants CNode.
        if let (Some(number), Some(manager)) = (component, self.ceiling.manager) {
            let own = if number == manager {
                self.authority_cnode(id)
            } else {
                let held = self.ceiling.held[usize::from(number)];
                CNode::new(CNodeKind::Grants, grants_radix(held))
            };
            leaves.push((cspace::PORTCULLIS_ROOT_SLOT as u32, own));
            if number == manager {
                leaves.push((cspace::REPLIES_ROOT_SLOT as u32, self.replies_cnode(id)));
            }
        }
        Ok(leaves)
    }

    /// Where faults go: to the parent, else, for a component, to the manager, which knows it by its
    /// number; for the manager itself, and whom the policy does not know, to the monitor. Without
    /// GrantReply, or Grant, the kernel takes no capability as a fault endpoint.
    fn fault_endpoint(&self, id: PdId) -> Capability {
        let number = self.ceiling.number(id);
        let manager = self.ceiling.manager;
        let (endpoint, badge) = match (&self.system.pd(id).parent, number, manager) {
            (Some(parent), ..) => {
                let badge = Badge::fault(parent.id.value);
                (Object::Endpoint(self.name(parent.pd)), badge.0)
            }
            // Components are at most 62: the policy's format says so.
            (None, Some(number), Some(manager)) if number != manager => {
                let manager = self.ceiling.components[usize::from(manager)];
                let badge = Badge::fault(number as u8);
                (Object::Endpoint(self.name(manager)), badge.0)
            }
            _ => (Object::MonitorEndpoint, layout::monitor_badge(id)),
        };
        Capability::new(endpoint, Rights::CALL).with_badge(badge)
    }

    pub(super) fn on_x86(&self) -> bool {
        self.configuration.architecture == Architecture::X86_64
    }

    fn irqs(&self) -> Vec<Irq> {
        let mut irqs: Vec<Irq> = Vec::new();
        for id in self.system.pd_ids() {
            irqs.extend(self.system.pd(id).irqs.iter().map(|irq| {
                let notification = Object::Notification(self.name(id));
                let capability = Capability::new(notification, Rights::WRITE);
                Irq {
                    number: irq.number().value,
                    notification: capability.with_badge(1 << irq.id.value),
                }
            }));
        }
        irqs.sort_by_key(|irq| irq.number);
        irqs
    }
}

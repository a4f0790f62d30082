//! Makes a capDL specification hand out what the distribution says, and nothing else.
//!
//! The Microkit tool has built the specification as for any image. This adds the endpoints, CNodes and
//! reply objects that the distribution has and the specification lacks, and then replaces the content of
//! every CNode by the distribution's. Nothing that the tool put into a CNode survives unless the
//! distribution lists it too.

use std::collections::BTreeMap;

use microkit_tool::capdl::spec::capdl_obj_physical_size_bits;
use microkit_tool::capdl::{CapDLNamedObject, CapDLSpecContainer};
use microkit_tool::sel4::Config;
use miette::{Result, miette};
use portcullis_policy::distribution::{CNode, Capability, Distribution, Object, ProtectionDomain};
use portcullis_policy::image::MONITOR;
use sel4_capdl_initializer_types::{
    Cap, CapSlot, CapTableEntry, Object as CapDlObject, ObjectId, Rights, Word, cap, object,
};

use crate::names::{capdl_name, cnode_name};

/// Makes `spec` hand out what `distribution` says.
pub fn impose(
    spec: &mut CapDLSpecContainer,
    distribution: &Distribution,
    config: &Config,
) -> Result<()> {
    add_missing(spec, distribution);
    let ids = Ids::of(spec);
    for pd in &distribution.protection_domains {
        for cnode in &pd.cspace {
            fill(spec, &ids, &pd.name, cnode)?;
        }
        bind(spec, &ids, pd)?;
    }
    fill(spec, &ids, MONITOR, &distribution.monitor)?;
    for irq in &distribution.irqs {
        let handler = ids.object(&Object::IrqHandler(irq.number))?;
        let notification = ids.capability(&irq.notification)?;
        if let Some([only]) = slots(spec, handler).map(Vec::as_mut_slice) {
            only.cap = notification;
        }
    }
    sort(spec, config);
    Ok(())
}

/// Adds the endpoints, CNodes and reply objects that the tool had no reason to make.
fn add_missing(spec: &mut CapDLSpecContainer, distribution: &Distribution) {
    let mut wanted = BTreeMap::new();
    for pd in &distribution.protection_domains {
        for cnode in &pd.cspace {
            let empty = object::CNode {
                size_bits: cnode.radix,
                slots: Vec::new(),
            };
            wanted.insert(cnode_name(&pd.name, cnode.kind), CapDlObject::CNode(empty));
            for capability in cnode.slots.values() {
                let object = match capability.object {
                    Object::Endpoint(_) => CapDlObject::Endpoint,
                    Object::PooledReply { .. } => CapDlObject::Reply,
                    _ => continue,
                };
                wanted.extend(capdl_name(&capability.object).map(|name| (name, object)));
            }
        }
    }
    for there in &spec.spec.objects {
        wanted.remove(there.name.as_deref().unwrap_or_default());
    }
    for (name, object) in wanted {
        spec.add_root_object(CapDLNamedObject {
            name: Some(name),
            object,
        });
    }
}

/// Replaces the content of a CNode.
fn fill(spec: &mut CapDLSpecContainer, ids: &Ids, pd: &str, cnode: &CNode) -> Result<()> {
    let name = cnode_name(pd, cnode.kind);
    let id = ids.named(&name)?;
    let entries = cnode.slots.iter().map(|(slot, capability)| {
        Ok(CapTableEntry {
            slot: CapSlot(*slot),
            cap: ids.capability(capability)?,
        })
    });
    let entries = entries.collect::<Result<Vec<_>>>()?;
    *slots(spec, id).ok_or_else(|| miette!("'{name}' is not a CNode"))? = entries;
    Ok(())
}

/// The notification and fault endpoint bound to a TCB get the rights that the distribution says; its
/// other bindings (CSpace, VSpace, IPC buffer, scheduling context) are the tool's.
fn bind(spec: &mut CapDLSpecContainer, ids: &Ids, pd: &ProtectionDomain) -> Result<()> {
    let notification = ids.capability(&pd.tcb.notification)?;
    let fault_endpoint = ids.capability(&pd.tcb.fault_endpoint)?;
    let tcb = ids.object(&Object::Tcb(pd.name.clone()))?;
    for entry in slots(spec, tcb).into_iter().flatten() {
        match entry.cap {
            Cap::Notification(_) => entry.cap = notification.clone(),
            Cap::Endpoint(_) => entry.cap = fault_endpoint.clone(),
            _ => {}
        }
    }
    Ok(())
}

fn slots(spec: &mut CapDLSpecContainer, id: ObjectId) -> Option<&mut Vec<CapTableEntry>> {
    spec.get_root_object_mut(id)?.object.slots_mut()
}

/// Object ids: by name, interrupt handlers by number, VSpaces by their protection domain.
struct Ids {
    by_name: BTreeMap<String, ObjectId>,
    vspaces: BTreeMap<String, ObjectId>,
    handlers: BTreeMap<u64, (ObjectId, Handler)>,
}

#[derive(Clone, Copy)]
enum Handler {
    Arm,
    Riscv,
}

impl Ids {
    fn of(spec: &CapDLSpecContainer) -> Self {
        let names = spec
            .spec
            .objects
            .iter()
            .enumerate()
            .filter_map(|(id, object)| object.name.clone().map(|name| (name, ObjectId::from(id))));
        let handlers = spec.spec.irqs.iter().filter_map(|irq| {
            let kind = match spec.get_root_object(irq.handler)?.object {
                CapDlObject::ArmIrq(_) => Handler::Arm,
                CapDlObject::RiscvIrq(_) => Handler::Riscv,
                _ => return None,
            };
            Some((u64::from(irq.irq), (irq.handler, kind)))
        });
        let vspaces = spec.spec.objects.iter().filter_map(|named| {
            let pd = named.name.as_deref()?.strip_prefix("tcb_")?;
            let slots = named.object.slots()?;
            let vspace = slots
                .iter()
                .find(|entry| matches!(entry.cap, Cap::PageTable(_)))?;
            Some((pd.to_owned(), vspace.cap.obj()))
        });
        Self {
            by_name: names.collect(),
            vspaces: vspaces.collect(),
            handlers: handlers.collect(),
        }
    }

    fn named(&self, name: &str) -> Result<ObjectId> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| miette!("the specification has no object '{name}'"))
    }

    fn object(&self, object: &Object) -> Result<ObjectId> {
        match object {
            Object::IrqHandler(number) => self.handler(*number).map(|(id, _)| id),
            Object::VSpace(pd) => self
                .vspaces
                .get(pd)
                .copied()
                .ok_or_else(|| miette!("the specification has no VSpace of '{pd}'")),
            _ => self.named(&capdl_name(object).ok_or_else(|| {
                miette!("{object}: images with this kind of capability are not supported yet")
            })?),
        }
    }

    fn handler(&self, number: u64) -> Result<(ObjectId, Handler)> {
        let found = self.handlers.get(&number).copied();
        found.ok_or_else(|| miette!("the specification has no handler of IRQ {number}"))
    }

    fn capability(&self, capability: &Capability) -> Result<Cap> {
        let object = self.object(&capability.object)?;
        let badge = Word(capability.badge);
        let rights = Rights {
            read: capability.rights.read,
            write: capability.rights.write,
            grant: capability.rights.grant,
            grant_reply: capability.rights.grant_reply,
        };
        Ok(match &capability.object {
            Object::Endpoint(_) | Object::MonitorEndpoint => Cap::Endpoint(cap::Endpoint {
                object,
                badge,
                rights,
            }),
            Object::Notification(_) => Cap::Notification(cap::Notification {
                object,
                badge,
                rights,
            }),
            Object::Reply(_) | Object::PooledReply { .. } | Object::MonitorReply => {
                Cap::Reply(cap::Reply { object })
            }
            Object::CNode { .. } => Cap::CNode(cap::CNode {
                object,
                guard: Word(capability.guard),
                guard_size: capability.guard_bits,
            }),
            Object::Tcb(_) | Object::VcpuTcb { .. } => Cap::Tcb(cap::Tcb { object }),
            Object::SchedContext(_) => Cap::SchedContext(cap::SchedContext { object }),
            Object::VSpace(_) => Cap::PageTable(cap::PageTable { object }),
            Object::IrqHandler(number) => match self.handler(*number)?.1 {
                Handler::Arm => Cap::ArmIrqHandler(cap::ArmIrqHandler { object }),
                Handler::Riscv => Cap::RiscvIrqHandler(cap::RiscvIrqHandler { object }),
            },
            Object::IoPorts { .. } => Cap::IOPorts(cap::IOPorts { object }),
            Object::Vcpu { .. } => Cap::VCpu(cap::VCpu { object }),
            Object::ArmSmc => Cap::ArmSmc(cap::ArmSmc { object }),
            Object::Frame { .. } | Object::Other { .. } => {
                return Err(miette!(
                    "{}: no distribution hands this out",
                    capability.object
                ));
            }
        })
    }
}

/// Sorts the objects as the initialiser expects them (fixed physical address first, then by size,
/// largest first, then by name) and renumbers every capability.
fn sort(spec: &mut CapDLSpecContainer, config: &Config) {
    let mut order: Vec<usize> = (0..spec.spec.objects.len()).collect();
    order.sort_by_cached_key(|id| {
        let named = &spec.spec.objects[*id];
        let paddr = named.object.paddr().map(u64::from);
        let size = capdl_obj_physical_size_bits(&named.object, config);
        (
            paddr.is_none(),
            paddr,
            std::cmp::Reverse(size),
            named.name.clone(),
        )
    });
    let mut new_ids = vec![ObjectId::from(0); order.len()];
    for (new, old) in order.iter().enumerate() {
        new_ids[*old] = ObjectId::from(new);
    }
    let mut objects: Vec<_> = std::mem::take(&mut spec.spec.objects)
        .into_iter()
        .map(Some)
        .collect();
    spec.spec.objects = order
        .iter()
        .map(|old| objects[*old].take().expect("each object is moved once"))
        .collect();
    let renumber = |id: ObjectId| new_ids[usize::from(id)];
    for object in &mut spec.spec.objects {
        for entry in object.object.slots_mut().into_iter().flatten() {
            entry.cap.set_obj(renumber(entry.cap.obj()));
        }
    }
    for irq in &mut spec.spec.irqs {
        irq.handler = renumber(irq.handler);
    }
}

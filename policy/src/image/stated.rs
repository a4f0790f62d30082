//! What each slot of an image is for: the question that [`check`](super::check) asks of it.
//!
//! Slots are those of Microkit 2.3.0 (`capdl/builder.rs`) and of
//! [`Authority`]. What the stock tool hands out and a component of ours never uses (the copy of the
//! fault endpoint, the VSpace) is stated nowhere, so that it is found. Nor are virtual machines, which
//! the builder does not support.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_kernel::{Badge, Mode, Rights, cspace};
use portcullis_manager_api::{Authority, MANAGER, grants_radix, guard_bits};
use portcullis_policy_format::Policy;
use portcullis_sdf::{ExtraCapKind, PdId, SymbolValue, System};

use super::{Binding, Image, MONITOR, RUNTIME_SYMBOLS};
use crate::distribution::layout::{
    ARM_SMC, MONITOR as MONITOR_RIGHTS, MONITOR_FAULT_ENDPOINT, MONITOR_NOTIFICATIONS,
    MONITOR_REPLY, MONITOR_SCHED_CONTEXTS, MONITOR_TCBS, NOTIFICATION,
};
use crate::distribution::{CNode, CNodeKind, Capability, Memory, Object};

/// First of the slots that Microkit numbers by ids, and how many each kind has.
const BY_ID: u32 = 10;
const IDS: u32 = 64;

/// What policy and system description say of an image.
pub(super) struct Stated<'a> {
    pub(super) system: &'a System,
    /// Whether protection domains hold their own TCB, to read the kernel's counters.
    benchmark: bool,
    /// Names of the components, by number.
    components: Vec<&'a str>,
    /// How many grants each component can hold, by number.
    held: Vec<u32>,
    /// The components that are the object of a grant.
    objects: BTreeSet<u16>,
    /// Of these, the ones that reply.
    servers: BTreeSet<u16>,
    grants: u32,
    /// How many components have a channel to the manager.
    callers: u32,
}

impl<'a> Stated<'a> {
    pub(super) fn new(policy: &Policy<'a>, system: &'a System, benchmark: bool) -> Self {
        let components: Vec<&str> = policy
            .components()
            .map(|component| component.name)
            .collect();
        let mut held = vec![0; components.len()];
        let grants = || policy.grants().map(|it| it.grant);
        for grant in grants() {
            held[usize::from(grant.subject)] += 1;
        }
        let calls = grants().filter(|grant| grant.mode == Mode::Call);
        Self {
            system,
            benchmark,
            components,
            held,
            objects: grants().map(|grant| grant.object).collect(),
            servers: calls.map(|grant| grant.object).collect(),
            grants: policy.counts().grants,
            callers: policy
                .components()
                .map(|component| u32::from(component.channel.is_some()))
                .sum(),
        }
    }

    pub(super) fn name(&self, id: PdId) -> &'a str {
        &self.system.pd(id).name.value
    }

    fn component(&self, name: &str) -> Option<u16> {
        let mut numbered = (0..).zip(&self.components);
        let own = numbered.find(|(_, component)| **component == name);
        own.map(|(number, _)| number)
    }

    /// Whether something can send it messages: a channel, a child's or guest's faults, a grant; to
    /// the manager, the components' faults.
    fn has_endpoint(&self, id: PdId) -> bool {
        let granted = self.component(self.name(id));
        self.system.has_endpoint(id)
            || granted.is_some_and(|it| self.objects.contains(&it) || self.name(id) == MANAGER)
    }

    /// The CNodes of a protection domain.
    pub(super) fn cspace(&self, id: PdId) -> Vec<CNode> {
        let name = self.name(id);
        let microkit = CNode {
            kind: CNodeKind::Microkit,
            radix: cspace::MICROKIT_RADIX,
            slots: filled(1 << cspace::MICROKIT_RADIX, |slot| self.microkit(id, slot)),
        };
        let mut cspace = vec![microkit];
        cspace.extend(self.second_cnode(name));
        cspace.extend(self.third_cnode(name));
        let root = |slot: u32| match cspace.get(slot as usize) {
            Some(cnode) => Some(to_cnode(name, cnode)),
            None => self.extra(id, slot),
        };
        let root = CNode {
            kind: CNodeKind::Root,
            radix: cspace::ROOT_RADIX,
            slots: filled(1 << cspace::ROOT_RADIX, root),
        };
        cspace.insert(0, root);
        cspace
    }

    /// What the manager fills, or fills others from. Without a manager there is nothing to fill.
    fn second_cnode(&self, name: &str) -> Option<CNode> {
        let (number, _) = (self.component(name)?, self.component(MANAGER)?);
        Some(match name == MANAGER {
            true => self.authority(),
            false => self.grants(number),
        })
    }

    /// A reply object for each component that may wait for the manager.
    fn third_cnode(&self, name: &str) -> Option<CNode> {
        self.component(name).filter(|_| name == MANAGER)?;
        let mut replies = CNode::new(CNodeKind::Replies, cspace::REPLIES_RADIX);
        replies.slots = filled(1 + self.callers, |slot| {
            let (pd, number) = (MANAGER.to_owned(), slot as u8);
            (slot > 0).then(|| Capability::whole(Object::PooledReply { pd, number }))
        });
        Some(replies)
    }

    /// Empty: what is granted at boot is granted by the manager, and logged.
    fn grants(&self, number: u16) -> CNode {
        CNode::new(
            CNodeKind::Grants,
            grants_radix(self.held[usize::from(number)]),
        )
    }

    fn authority(&self) -> CNode {
        let count = self.components.len() as u16;
        let layout = Authority::new(count);
        let mut authority = CNode::new(CNodeKind::Authority, layout.radix(self.grants));
        let (itself, own) = (Authority::ITSELF, to_cnode(MANAGER, &authority));
        let source = |slot: u32| {
            let place = slot.checked_sub(layout.grants_cnode(0))?;
            let number = (place % u32::from(count)) as u16;
            let name = *self.components.get(usize::from(number))?;
            let is_object = self.objects.contains(&number);
            match place / u32::from(count) {
                0 if name != MANAGER => Some(to_cnode(name, &self.grants(number))),
                1 if is_object => Some(Capability::whole(Object::Endpoint(name.into()))),
                2 if is_object => Some(Capability::new(
                    Object::Notification(name.into()),
                    NOTIFICATION,
                )),
                3 if name != MANAGER && self.servers.contains(&number) => {
                    Some(Capability::whole(Object::Reply(name.into())))
                }
                _ => None,
            }
        };
        authority.slots = filled(layout.root(0), source);
        authority.slots.insert(itself, own);
        authority
    }

    /// `<cspace>`.
    fn extra(&self, id: PdId, slot: u32) -> Option<Capability> {
        let mut caps = self.system.pd(id).caps.iter();
        let cap = caps.find(|cap| u32::from(cap.slot.value) == slot)?;
        let of = self.name(cap.pd.value).to_owned();
        Some(Capability::whole(match cap.kind {
            ExtraCapKind::Tcb => Object::Tcb(of),
            ExtraCapKind::SchedContext => Object::SchedContext(of),
            ExtraCapKind::VSpace => Object::VSpace(of),
        }))
    }

    /// A slot of the CNode that Microkit fills.
    fn microkit(&self, id: PdId, slot: u32) -> Option<Capability> {
        let pd = self.system.pd(id);
        let name = || self.name(id).to_owned();
        if let Some(place) = slot.checked_sub(BY_ID) {
            return self.by_id(id, place / IDS, (place % IDS) as u8);
        }
        let at = |cptr: portcullis_kernel::CPtr| cptr.bits() == u64::from(slot);
        if at(cspace::INPUT) {
            let input = match self.has_endpoint(id) {
                true => Object::Endpoint(name()),
                false => Object::Notification(name()),
            };
            Some(Capability::new(input, Rights::READ))
        } else if at(cspace::REPLY) {
            Some(Capability::whole(Object::Reply(name())))
        } else if at(cspace::MONITOR_ENDPOINT) && pd.passive.value {
            let monitor = Capability::new(Object::MonitorEndpoint, Rights::WRITE);
            Some(monitor.with_badge(id.0 as u64 + 1))
        } else if at(cspace::TCB) && self.benchmark {
            Some(Capability::whole(Object::Tcb(name())))
        } else if at(ARM_SMC) && pd.smc.value {
            Some(Capability::whole(Object::ArmSmc))
        } else {
            None
        }
    }

    /// A slot for what has an id: the kinds in the stock tool's order.
    fn by_id(&self, holder: PdId, kind: u32, id: u8) -> Option<Capability> {
        let pd = self.system.pd(holder);
        let whole = Capability::whole;
        match kind {
            0 | 1 => {
                let mut ends = self.system.ends();
                let (end, peer) =
                    ends.find(|(end, _)| end.pd.value == holder && end.id.value == id)?;
                let (name, peer_id) = (self.name(peer.pd.value).to_owned(), peer.id.value);
                match kind {
                    0 => end.notify.value.then(|| {
                        let bit = 1 << peer_id;
                        Capability::new(Object::Notification(name), Rights::WRITE).with_badge(bit)
                    }),
                    _ => end.pp.value.then(|| {
                        let badge = Badge::channel(peer_id).0;
                        Capability::new(Object::Endpoint(name), Rights::CALL).with_badge(badge)
                    }),
                }
            }
            2 => {
                let irq = pd.irqs.iter().find(|irq| irq.id.value == id)?;
                Some(whole(Object::IrqHandler(irq.number().value)))
            }
            3 => {
                let mut children = self.system.children(holder);
                let child = children.find(|child| {
                    let parent = &self.system.pd(*child).parent;
                    parent.as_ref().is_some_and(|parent| parent.id.value == id)
                })?;
                Some(whole(Object::Tcb(self.name(child).to_owned())))
            }
            6 => {
                let ports = pd.ioports.iter().find(|ports| ports.id.value == id)?;
                let (base, size) = (ports.addr.value, ports.size.value);
                Some(whole(Object::IoPorts { base, size }))
            }
            _ => None,
        }
    }

    /// The symbols that are set in a program, each with its value; `None`: that is the size of a file.
    pub(super) fn symbols(&self, id: PdId, image: &Image) -> BTreeMap<&'a str, Option<u64>> {
        let of = |region| Memory::Region(self.system.region(region).name.value.clone());
        let frames = |region| {
            let of = of(region);
            image.memory.iter().filter(move |frames| frames.of == of)
        };
        let value = |value| match value {
            SymbolValue::Number(number) => Some(number),
            SymbolValue::Size(region) => match &self.system.region(region).size {
                Some(size) => Some(size.value),
                None => Some(frames(region).fold(0_u64, |size, frames| {
                    size.saturating_add(frames.pages.saturating_mul(frames.page_size))
                })),
            },
            SymbolValue::PhysicalAddress(region) => {
                let first = frames(region).find(|frames| frames.first_page == 0);
                Some(first.and_then(|frames| frames.phys_addr).unwrap_or(0))
            }
            SymbolValue::PrefillSize(_) => None,
        };
        let set = self.system.symbols(id);
        let set = set.map(|(symbol, to)| (symbol.value.as_str(), value(to)));
        let runtime = RUNTIME_SYMBOLS.into_iter().zip(self.runtime(id));
        // What the description sets wins, in the tool; here its own values must.
        set.chain(runtime.map(|(symbol, value)| (symbol, Some(value))))
            .collect()
    }

    /// The values of [`RUNTIME_SYMBOLS`]: a bit for each id.
    fn runtime(&self, id: PdId) -> [u64; 5] {
        let pd = self.system.pd(id);
        let bits = |ids: &mut dyn Iterator<Item = u8>| ids.fold(0, |bits, id| bits | 1_u64 << id);
        let ends = || self.system.ends().filter(|(end, _)| end.pd.value == id);
        let notifies = ends().filter(|(end, _)| end.notify.value);
        let calls = ends().filter(|(end, _)| end.pp.value);
        [
            pd.passive.value.into(),
            bits(&mut pd.irqs.iter().map(|irq| irq.id.value)),
            bits(&mut notifies.map(|(end, _)| end.id.value)),
            bits(&mut calls.map(|(end, _)| end.id.value)),
            bits(&mut pd.ioports.iter().map(|ports| ports.id.value)),
        ]
    }

    /// What is bound to the TCB of a protection domain.
    pub(super) fn tcb(&self, id: PdId) -> BTreeMap<Binding, Capability> {
        let name = self.name(id);
        let root = CNode::new(CNodeKind::Root, cspace::ROOT_RADIX);
        let handler = |name: &str, number: u8| {
            let endpoint = Capability::new(Object::Endpoint(name.to_owned()), Rights::CALL);
            endpoint.with_badge(Badge::fault(number).0)
        };
        let number = self.component(name).filter(|_| name != MANAGER);
        let managed = number.filter(|_| self.component(MANAGER).is_some());
        let fault = match (&self.system.pd(id).parent, managed) {
            (Some(parent), _) => handler(self.name(parent.pd), parent.id.value),
            (None, Some(number)) => handler(MANAGER, number as u8),
            (None, None) => {
                Capability::new(Object::MonitorEndpoint, Rights::CALL).with_badge(id.0 as u64 + 1)
            }
        };
        let notification = Object::Notification(name.to_owned());
        let mut tcb = own_bindings(name, to_cnode(name, &root));
        tcb.insert(Binding::FaultEndpoint, fault);
        tcb.insert(
            Binding::Notification,
            Capability::new(notification, Rights::READ),
        );
        tcb
    }

    /// What is bound to the monitor's TCB: it has no fault handler and no notification.
    pub(super) fn monitor_tcb(&self) -> BTreeMap<Binding, Capability> {
        let cnode = CNode::new(CNodeKind::Monitor, cspace::MICROKIT_RADIX);
        let mut root = to_cnode(MONITOR, &cnode);
        // It is the root, addressed with all 64 bits.
        root.guard_bits = 64 - cspace::MICROKIT_RADIX;
        own_bindings(MONITOR, root)
    }

    /// The monitor's CNode: it takes faults, names threads, and puts the passive ones to rest.
    pub(super) fn monitor(&self) -> CNode {
        let mut cnode = CNode::new(CNodeKind::Monitor, cspace::MICROKIT_RADIX);
        cnode.slots = filled(1 << cspace::MICROKIT_RADIX, |slot| self.monitor_slot(slot));
        cnode
    }

    fn monitor_slot(&self, slot: u32) -> Option<Capability> {
        // The place of the protection domain that a slot after `base` is for.
        let pd = |base: u32| {
            let place = slot.checked_sub(base).filter(|place| *place < IDS)? as usize;
            (place < self.system.protection_domains.len()).then_some(PdId(place))
        };
        let passive = |base| pd(base).filter(|id| self.system.pd(*id).passive.value);
        let name = |id| self.name(id).to_owned();
        if slot == MONITOR_FAULT_ENDPOINT {
            Some(Capability::new(Object::MonitorEndpoint, MONITOR_RIGHTS))
        } else if slot == MONITOR_REPLY {
            Some(Capability::whole(Object::MonitorReply))
        } else if let Some(id) = pd(MONITOR_TCBS) {
            Some(Capability::whole(Object::Tcb(name(id))))
        } else if let Some(id) = passive(MONITOR_SCHED_CONTEXTS) {
            Some(Capability::whole(Object::SchedContext(name(id))))
        } else {
            let id = passive(MONITOR_NOTIFICATIONS)?;
            Some(Capability::new(
                Object::Notification(name(id)),
                NOTIFICATION,
            ))
        }
    }
}

fn own_bindings(name: &str, root: Capability) -> BTreeMap<Binding, Capability> {
    let whole = Capability::whole;
    let of = Memory::IpcBuffer(name.to_owned());
    let buffer = Object::Frame { of, page: 0 };
    [
        (Binding::Cspace, root),
        (Binding::Vspace, whole(Object::VSpace(name.to_owned()))),
        (Binding::IpcBuffer, Capability::new(buffer, NOTIFICATION)),
        (
            Binding::SchedContext,
            whole(Object::SchedContext(name.to_owned())),
        ),
    ]
    .into()
}

fn to_cnode(pd: &str, cnode: &CNode) -> Capability {
    let object = Object::CNode {
        pd: pd.to_owned(),
        kind: cnode.kind,
    };
    // The root resolves the first bits of a pointer; the guard of the others fills up the rest.
    let guard_bits = match cnode.kind {
        CNodeKind::Root => 0,
        _ => guard_bits(cnode.radix),
    };
    Capability {
        guard_bits,
        ..Capability::whole(object)
    }
}

fn filled(slots: u32, stated: impl Fn(u32) -> Option<Capability>) -> BTreeMap<u32, Capability> {
    let stated = (0..slots).filter_map(|slot| Some((slot, stated(slot)?)));
    stated.collect()
}

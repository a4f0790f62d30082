//! Holds every slot of a kernel against a distribution.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_audit::capscan::{Held, Place, Scan, Scanned, To, root_index};
use portcullis_policy::distribution::{self, CNode, CNodeKind, Distribution, Object};
use portcullis_policy::image::MONITOR;
use portcullis_policy_format::Policy;

use super::kernel::{Capability, Kind, SLOT};
use super::slots::{HolderKind, Slots, TCB_CSPACE, TCB_FAULT_ENDPOINT};
use crate::Error;

/// Every slot, and how it compares.
pub(super) struct Account<'a> {
    distribution: &'a Distribution,
    policy: &'a Policy<'a>,
    slots: &'a Slots,
    /// Where the distribution's objects are, each found by way of a capability to it.
    objects: BTreeMap<Object, u64>,
    names: BTreeMap<u64, Object>,
    /// Of these, those whose slots were not looked at yet.
    open: Vec<Object>,
    /// Objects and badges that the distribution binds to threads and interrupts.
    bound: BTreeSet<(u64, u64)>,
    /// The threads that no capability of the distribution leads to: the monitor's and the first task's.
    given: BTreeSet<u64>,
    grants: Vec<(Place, Capability)>,
    differing: Vec<Differing>,
    unknown: Vec<u64>,
}

/// A slot that differs from the distribution.
struct Differing {
    address: u64,
    live: Option<Capability>,
    expected: Option<distribution::Capability>,
}

impl<'a> Account<'a> {
    /// Looks at every slot.
    pub(super) fn of(
        slots: &'a Slots,
        distribution: &'a Distribution,
        policy: &'a Policy<'a>,
    ) -> Result<Self, Error> {
        let mut account = Self {
            distribution,
            policy,
            slots,
            objects: BTreeMap::new(),
            names: BTreeMap::new(),
            open: Vec::new(),
            bound: BTreeSet::new(),
            given: BTreeSet::new(),
            grants: Vec::new(),
            differing: Vec::new(),
            unknown: Vec::new(),
        };
        account.components()?;
        account.interrupts();
        account.rest();
        Ok(account)
    }

    /// Follows the monitor's capabilities to the threads, and theirs.
    fn components(&mut self) -> Result<(), Error> {
        let faults_go_nowhere =
            |(start, _): &(u64, u64)| self.at(*start, TCB_FAULT_ENDPOINT).is_none();
        let threads = self.threads().filter(faults_go_nowhere);
        let (first, others): (Vec<_>, Vec<_>) =
            threads.partition(|(_, cspace)| *cspace == self.slots.first_cnode);
        let ([(first, _)], [(monitor, cspace)]) = (&first[..], &others[..]) else {
            return Err(Error::Capscan(format!(
                "in the board's memory {} threads could be the first task, and {} the monitor",
                first.len(),
                others.len()
            )));
        };
        self.given.extend([*first, *monitor]);
        let cspace = *cspace;
        let monitor = Object::CNode {
            pd: MONITOR.to_owned(),
            kind: CNodeKind::Monitor,
        };
        self.learn(&monitor, cspace);
        while let Some(object) = self.open.pop() {
            match &object {
                Object::CNode { pd, kind } => self.cnode(pd, *kind, self.objects[&object]),
                Object::Tcb(pd) => self.thread(pd, self.objects[&object]),
                _ => {}
            }
        }
        Ok(())
    }

    /// The slots of every thread, and its root CNode.
    fn threads(&self) -> impl Iterator<Item = (u64, u64)> {
        let threads = self.slots.holders.iter();
        let threads = threads.filter(|(_, holder)| holder.kind == HolderKind::Tcb);
        threads.filter_map(|(start, _)| Some((*start, self.at(*start, TCB_CSPACE)?.object)))
    }

    fn at(&self, start: u64, number: u64) -> Option<Capability> {
        let mut slots = self.slots.of(start);
        let found = slots.find(|(at, _)| *at == number);
        found.map(|(_, capability)| *capability)
    }

    /// Looks at each slot of a CNode of the distribution.
    fn cnode(&mut self, pd: &str, kind: CNodeKind, start: u64) {
        let distribution = self.distribution;
        let Some(expected) = described(distribution, pd, kind) else {
            return;
        };
        let live: BTreeMap<u64, Capability> =
            self.slots.of(start).map(|(at, it)| (at, *it)).collect();
        let numbers = expected.slots.keys().map(|number| u64::from(*number));
        for number in numbers.chain(live.keys().copied()).collect::<BTreeSet<_>>() {
            let expected = u32::try_from(number)
                .ok()
                .and_then(|it| expected.slots.get(&it));
            let live = live.get(&number).copied();
            match (self.place_of_grant(pd, kind, number), live) {
                (Some(place), Some(live)) if expected.is_none() => self.grants.push((place, live)),
                _ => self.hold(start + number * SLOT, live, expected),
            }
        }
    }

    /// Where in the scan a slot goes; `None`: no grant lies there.
    fn place_of_grant(&self, pd: &str, kind: CNodeKind, number: u64) -> Option<Place> {
        match kind {
            CNodeKind::Grants => Some(Place::Grants {
                component: pd.to_owned(),
                slot: number as u32,
            }),
            CNodeKind::Authority => {
                let index = root_index(self.policy, number)?;
                Some(Place::Root { index })
            }
            _ => None,
        }
    }

    /// Looks at the slots of a thread of the distribution.
    fn thread(&mut self, pd: &str, start: u64) {
        let distribution = self.distribution;
        let Some(bound) = distribution.protection_domain(pd).map(|pd| &pd.tcb) else {
            return;
        };
        for (number, expected) in [
            (TCB_CSPACE, &bound.cspace),
            (TCB_FAULT_ENDPOINT, &bound.fault_endpoint),
        ] {
            self.bind(start + number * SLOT, self.at(start, number), expected);
        }
    }

    fn interrupts(&mut self) {
        let distribution = self.distribution;
        let mut holders = self.slots.holders.iter();
        let kernel = holders.find(|(_, holder)| holder.kind == HolderKind::Interrupts);
        let Some((start, _)) = kernel else { return };
        let mut live: BTreeMap<u64, Capability> =
            self.slots.of(*start).map(|(at, it)| (at, *it)).collect();
        for irq in &distribution.irqs {
            let live = live.remove(&irq.number).map(|live| Capability {
                // The first task binds what it has. Only the kernel uses it, and only to signal.
                rights: irq.notification.rights,
                ..live
            });
            self.bind(start + irq.number * SLOT, live, &irq.notification);
        }
        for (number, live) in live {
            self.hold(start + number * SLOT, Some(live), None);
        }
    }

    /// Holds a slot of a thread or interrupt against the distribution.
    fn bind(
        &mut self,
        address: u64,
        live: Option<Capability>,
        expected: &distribution::Capability,
    ) {
        let bound = live.map(|live| (live.object, live.badge));
        self.bound.extend(bound);
        self.hold(address, live, Some(expected));
    }

    /// Holds a slot against the distribution.
    fn hold(
        &mut self,
        address: u64,
        live: Option<Capability>,
        expected: Option<&distribution::Capability>,
    ) {
        let same = match (live, expected) {
            (Some(live), Some(expected)) => self.agree(&live, expected),
            (live, expected) => live.is_none() && expected.is_none(),
        };
        if !same {
            self.differing.push(Differing {
                address,
                live,
                expected: expected.cloned(),
            });
        }
    }

    fn agree(&mut self, live: &Capability, expected: &distribution::Capability) -> bool {
        let alike = match (&expected.object, live.kind) {
            (Object::Endpoint(_) | Object::MonitorEndpoint, Kind::Endpoint)
            | (Object::Notification(_), Kind::Notification)
            | (Object::Reply(_) | Object::PooledReply { .. } | Object::MonitorReply, Kind::Reply)
            | (Object::Tcb(_) | Object::VcpuTcb { .. }, Kind::Tcb)
            | (Object::SchedContext(_), Kind::SchedContext) => true,
            (
                Object::CNode { pd, kind },
                Kind::CNode {
                    radix,
                    guard_bits,
                    guard,
                },
            ) => {
                let own = described(self.distribution, pd, *kind).map(|cnode| cnode.radix);
                own == Some(radix) && (guard_bits, guard) == (expected.guard_bits, expected.guard)
            }
            (Object::IrqHandler(number), Kind::IrqHandler(live)) => return live == *number,
            (Object::VSpace(_) | Object::Vcpu { .. } | Object::ArmSmc, Kind::Other(_)) => {
                return true;
            }
            _ => false,
        };
        alike
            && (live.badge, live.rights) == (expected.badge, expected.rights)
            && self.learn(&expected.object, live.object)
    }

    /// Takes an object to be at an address; `false`: it is elsewhere, or another one is there.
    fn learn(&mut self, object: &Object, address: u64) -> bool {
        match (self.objects.get(object), self.names.get(&address)) {
            (None, None) => {
                self.objects.insert(object.clone(), address);
                self.names.insert(address, object.clone());
                self.open.push(object.clone());
                true
            }
            (there, _) => there == Some(&address),
        }
    }

    /// Looks at what is left: what the threads and the first task keep, and what nobody should have.
    fn rest(&mut self) {
        for (start, holder) in &self.slots.holders {
            let is_first = *start == self.slots.first_cnode;
            let is_known = match holder.kind {
                HolderKind::Interrupts => continue,
                HolderKind::CNode if self.names.contains_key(start) => continue,
                HolderKind::CNode => is_first,
                HolderKind::Tcb => self.names.contains_key(start) || self.given.contains(start),
            };
            if !is_known {
                self.unknown.push(*start);
                continue;
            }
            for (number, live) in self.slots.of(*start) {
                let is_sent_to = matches!(live.kind, Kind::Endpoint | Kind::Notification);
                let is_original = is_first && live.badge == 0;
                if is_sent_to && !is_original && !self.bound.contains(&(live.object, live.badge)) {
                    let address = start + number * SLOT;
                    let (live, expected) = (Some(*live), None);
                    self.differing.push(Differing {
                        address,
                        live,
                        expected,
                    });
                }
            }
        }
    }

    /// What lies in the slots for grants.
    pub(super) fn scan(&self) -> Scan {
        let grants = self.grants.iter().map(|(place, capability)| Scanned {
            place: place.clone(),
            held: self.held(capability),
        });
        let mut slots: Vec<_> = grants.collect();
        slots.sort();
        Scan { slots }
    }

    /// How everything else differs from the distribution, in words.
    pub(super) fn differences(&self) -> Vec<String> {
        let differing = self.differing.iter().map(|it| {
            let live = it.live.map(|live| self.held(&live).to_string());
            let expected = it.expected.as_ref().map(|it| shown(it).to_string());
            let [live, expected] = [live, expected].map(|it| it.unwrap_or("nothing".to_owned()));
            let place = self.place(it.address);
            format!("{place} holds {live}, and {expected} in the distribution")
        });
        let unknown = self.unknown.iter();
        let unknown = unknown.map(|start| format!("{} is in no distribution", self.holder(*start)));
        differing.chain(unknown).collect()
    }

    fn held(&self, live: &Capability) -> Held {
        let name = self.names.get(&live.object);
        let to = |pd: &str| To::new(pd, live.badge, live.rights);
        match (live.kind, name) {
            (Kind::Endpoint, Some(Object::Endpoint(pd))) => Held::Endpoint(to(pd)),
            (Kind::Notification, Some(Object::Notification(pd))) => Held::Notification(to(pd)),
            (kind, Some(name)) => Held::Other(format!("{kind}, the {name}")),
            (kind, None) => Held::Other(kind.to_string()),
        }
    }

    /// Where a slot is, in words.
    pub(super) fn place(&self, address: u64) -> String {
        match self.slots.place(address) {
            Some((start, number)) => format!("slot {number} of {}", self.holder(start)),
            None => format!("the slot at {address:#x}"),
        }
    }

    /// An object with slots, in words.
    fn holder(&self, start: u64) -> String {
        let kind = self.slots.holders.get(&start).map(|holder| holder.kind);
        match (self.names.get(&start), kind) {
            (Some(name), _) => format!("the {name}"),
            (None, Some(HolderKind::Interrupts)) => "the interrupts".to_owned(),
            (None, Some(HolderKind::Tcb)) => format!("the thread at {start:#x}"),
            (None, _) if start == self.slots.first_cnode => "the first task's CNode".to_owned(),
            (None, _) => format!("the CNode at {start:#x}"),
        }
    }
}

/// A CNode of the distribution.
fn described<'a>(distribution: &'a Distribution, pd: &str, kind: CNodeKind) -> Option<&'a CNode> {
    match kind {
        CNodeKind::Monitor => Some(&distribution.monitor),
        _ => distribution.protection_domain(pd)?.cnode(kind),
    }
}

/// A capability of the distribution, as a scan would show it.
fn shown(capability: &distribution::Capability) -> Held {
    let to = |pd: &str| To::new(pd, capability.badge, capability.rights);
    match &capability.object {
        Object::Endpoint(pd) => Held::Endpoint(to(pd)),
        Object::Notification(pd) => Held::Notification(to(pd)),
        _ => Held::Other(format!("the {capability}")),
    }
}

//! Holds the distribution that an image has against the one that it should have.
//!
//! Nothing is passed over: what one of the two has and the other lacks is a difference, as is each
//! right, badge, guard, binding, priority and mapping that is not the same. An image without a
//! difference gives its protection domains what the policy and the system description say, and no
//! more.

use std::collections::BTreeMap;
use std::fmt;

use super::difference::{Difference, Fault, Place};
use super::{CNode, Capability, Distribution, Mapping, ProtectionDomain, Region, VirtualCpu};

/// Everything in which `found` is not `expected`, by place; nothing where the two agree.
pub fn verify(expected: &Distribution, found: &Distribution) -> Vec<Difference> {
    let mut differences = Differences(Vec::new());
    differences.order(expected, found);
    differences.each(
        by(&expected.protection_domains, |pd| {
            Place::ProtectionDomain(pd.name.clone())
        }),
        by(&found.protection_domains, |pd| {
            Place::ProtectionDomain(pd.name.clone())
        }),
        |pd| format!("protection domain with program '{}'", pd.program),
        Differences::protection_domain,
    );
    let vcpu = |vcpu: &VirtualCpu| Place::Vcpu {
        vm: vcpu.vm.clone(),
        id: vcpu.id,
    };
    differences.each(
        by(&expected.vcpus, vcpu),
        by(&found.vcpus, vcpu),
        |vcpu| format!("vCPU of '{}'", vcpu.owner),
        Differences::vcpu,
    );
    differences.cnodes(
        "monitor",
        std::slice::from_ref(&expected.monitor),
        std::slice::from_ref(&found.monitor),
    );
    differences.each(
        by(&expected.irqs, |irq| Place::Irq(irq.number)),
        by(&found.irqs, |irq| Place::Irq(irq.number)),
        |irq| irq.notification.to_string(),
        |all, place, expected, found| {
            all.capability(place, &expected.notification, &found.notification);
        },
    );
    differences.each(
        by(&expected.regions, |region| {
            Place::Region(region.name.clone())
        }),
        by(&found.regions, |region| Place::Region(region.name.clone())),
        |_| "memory region".to_owned(),
        Differences::region,
    );
    differences.0.sort_by(|a, b| a.place.cmp(&b.place));
    differences.0
}

/// The items by their place. Of two at one place the second has one that no item can have expected,
/// so that it is found to be too many.
fn by<T>(items: &[T], place: impl Fn(&T) -> Place) -> BTreeMap<(Place, usize), &T> {
    let mut map = BTreeMap::new();
    for item in items {
        let place = place(item);
        let mut again = 0;
        while map.contains_key(&(place.clone(), again)) {
            again += 1;
        }
        map.insert((place, again), item);
    }
    map
}

struct Differences(Vec<Difference>);

impl Differences {
    fn note(&mut self, place: &Place, fault: Fault) {
        self.0.push(Difference {
            place: place.clone(),
            fault,
        });
    }

    /// Compares what lies at the same place, and notes what lies at a place in one of the two only.
    fn each<T>(
        &mut self,
        expected: BTreeMap<(Place, usize), &T>,
        mut found: BTreeMap<(Place, usize), &T>,
        name: impl Fn(&T) -> String,
        mut compare: impl FnMut(&mut Self, &Place, &T, &T),
    ) {
        for (key, expected) in expected {
            match found.remove(&key) {
                Some(found) => compare(self, &key.0, expected, found),
                None => self.note(&key.0, Fault::Missing(name(expected))),
            }
        }
        for ((place, _), found) in found {
            self.note(&place, Fault::Unexpected(name(found)));
        }
    }

    fn property<T: PartialEq + fmt::Debug>(
        &mut self,
        place: &Place,
        property: &'static str,
        expected: &T,
        found: &T,
    ) {
        if expected != found {
            let fault = Fault::Other {
                property,
                expected: format!("{expected:?}"),
                found: format!("{found:?}"),
            };
            self.note(place, fault);
        }
    }

    /// The order is part of the image: the monitor knows protection domains by their places.
    fn order(&mut self, expected: &Distribution, found: &Distribution) {
        let places = |all: &Distribution| -> BTreeMap<String, usize> {
            let names = all.protection_domains.iter().map(|pd| pd.name.clone());
            names.zip(0..).collect()
        };
        let found = places(found);
        for (name, expected) in places(expected) {
            if let Some(found) = found.get(&name) {
                let place = Place::ProtectionDomain(name);
                self.property(&place, "place", &expected, found);
            }
        }
    }

    fn protection_domain(
        &mut self,
        place: &Place,
        expected: &ProtectionDomain,
        found: &ProtectionDomain,
    ) {
        self.property(place, "component", &expected.component, &found.component);
        self.property(place, "parent", &expected.parent, &found.parent);
        self.property(place, "program", &expected.program, &found.program);
        self.property(place, "priority", &expected.priority, &found.priority);
        self.property(place, "budget", &expected.budget_us, &found.budget_us);
        self.property(place, "period", &expected.period_us, &found.period_us);
        self.property(place, "passive", &expected.passive, &found.passive);
        self.property(place, "cpu", &expected.cpu, &found.cpu);
        self.property(place, "fpu", &expected.fpu, &found.fpu);
        let (own, other) = (&expected.tcb, &found.tcb);
        for (binding, expected, found) in [
            ("CSpace", &own.cspace, &other.cspace),
            ("notification", &own.notification, &other.notification),
            ("fault endpoint", &own.fault_endpoint, &other.fault_endpoint),
        ] {
            let place = Place::Binding {
                holder: self::holder(place),
                binding,
            };
            self.capability(&place, expected, found);
        }
        self.cnodes(&expected.name, &expected.cspace, &found.cspace);
    }

    fn vcpu(&mut self, place: &Place, expected: &VirtualCpu, found: &VirtualCpu) {
        self.property(place, "owner", &expected.owner, &found.owner);
        self.property(place, "priority", &expected.priority, &found.priority);
        let place = Place::Binding {
            holder: holder(place),
            binding: "fault endpoint",
        };
        match (&expected.fault_endpoint, &found.fault_endpoint) {
            (Some(expected), Some(found)) => self.capability(&place, expected, found),
            (Some(expected), None) => self.note(&place, Fault::Missing(expected.to_string())),
            (None, Some(found)) => self.note(&place, Fault::Unexpected(found.to_string())),
            (None, None) => {}
        }
    }

    fn cnodes(&mut self, holder: &str, expected: &[CNode], found: &[CNode]) {
        let place = |cnode: &CNode| Place::CNode {
            holder: holder.to_owned(),
            kind: cnode.kind,
        };
        self.each(
            by(expected, place),
            by(found, place),
            |cnode| format!("{} of {} bits", cnode.kind, cnode.radix),
            |all, place, expected, found| {
                all.property(place, "radix", &expected.radix, &found.radix);
                all.slots(holder, expected, found);
            },
        );
    }

    fn slots(&mut self, holder: &str, expected: &CNode, found: &CNode) {
        let slots = |cnode: &'_ CNode| -> Vec<u32> { cnode.slots.keys().copied().collect() };
        let mut all = slots(expected);
        all.extend(slots(found));
        all.sort_unstable();
        all.dedup();
        for slot in all {
            let place = Place::Slot {
                holder: holder.to_owned(),
                kind: expected.kind,
                slot,
            };
            match (expected.slots.get(&slot), found.slots.get(&slot)) {
                (Some(expected), Some(found)) => self.capability(&place, expected, found),
                (Some(expected), None) => self.note(&place, Fault::Missing(expected.to_string())),
                (None, Some(found)) => self.note(&place, Fault::Unexpected(found.to_string())),
                (None, None) => {}
            }
        }
    }

    fn capability(&mut self, place: &Place, expected: &Capability, found: &Capability) {
        if expected.object != found.object {
            let fault = Fault::OtherObject {
                expected: expected.clone(),
                found: found.clone(),
            };
            return self.note(place, fault);
        }
        self.property(place, "badge", &expected.badge, &found.badge);
        self.property(place, "guard", &expected.guard_bits, &found.guard_bits);
        let (stated, held) = (expected.rights, found.rights);
        let widths = (held.is_subset(stated), stated.is_subset(held));
        self.width(place, widths, expected, found);
    }

    /// Notes rights that are not the same; `widths`: found in expected, expected in found.
    fn width(
        &mut self,
        place: &Place,
        widths: (bool, bool),
        expected: &impl ToString,
        found: &impl ToString,
    ) {
        let (expected, found) = (expected.to_string(), found.to_string());
        match widths {
            (true, true) => {}
            (true, false) => self.note(place, Fault::Narrower { expected, found }),
            (false, _) => self.note(place, Fault::Wider { expected, found }),
        }
    }

    fn region(&mut self, place: &Place, expected: &Region, found: &Region) {
        self.property(place, "size", &expected.size, &found.size);
        self.property(place, "phys_addr", &expected.phys_addr, &found.phys_addr);
        self.property(place, "prefill", &expected.prefill, &found.prefill);
        let region = &expected.name;
        let place = |mapping: &Mapping| Place::Mapping {
            region: region.clone(),
            space: mapping.space.clone(),
            vaddr: mapping.vaddr,
        };
        self.each(
            by(&expected.mappings, place),
            by(&found.mappings, place),
            Mapping::to_string,
            |all, place, expected, found| {
                all.property(place, "cached", &expected.cached, &found.cached);
                let widths = (
                    found.allows_at_most(expected),
                    expected.allows_at_most(found),
                );
                all.width(place, widths, expected, found);
            },
        );
    }
}

impl Mapping {
    fn allows_at_most(&self, other: &Self) -> bool {
        (!self.read || other.read)
            && (!self.write || other.write)
            && (!self.execute || other.execute)
    }
}

fn holder(place: &Place) -> String {
    match place {
        Place::ProtectionDomain(name) => format!("'{name}'"),
        other => other.to_string(),
    }
}

//! Every authority that a system description gives, and which of them the policy does not declare.
//!
//! Not listed, because each protection domain has it and cannot lose it: its own program, stack, IPC
//! buffer, reply object and input, and where its faults go. What else Microkit hands out by itself is
//! not handed out in images of Portcullis (see `distribution`). Grants are not here: they are given
//! at run time, and the policy is their only source.

mod cover;
mod fault;

pub use cover::{Uncovered, Unused, uncovered, unused};
pub use fault::{AuthorityFault, check};

use std::fmt;

use portcullis_sdf::{
    ExtraCapKind, Map, PdId, Perms, ProtectionDomain, RegionId, Span, System, VirtualMachine,
};

/// One thing that a protection domain can do because the system description says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// Who can do it.
    pub holder: Holder,
    /// What.
    pub kind: Kind,
    /// The element, or attribute, of the system description that gives it.
    pub span: Span,
}

/// Who has an authority.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// A protection domain.
    Pd(PdId),
    /// A guest of this protection domain, which can see what its virtual machine maps.
    Guest(PdId),
    /// The device of this number of [`System::io_address_spaces`], behind the IOMMU.
    Device(usize),
}

/// A kind of authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// To call another protection domain on a channel.
    Call {
        /// Who is called.
        peer: PdId,
        /// The channel's id for the holder.
        id: u8,
    },
    /// To notify another protection domain on a channel.
    Notify {
        /// Who is notified.
        peer: PdId,
        /// The channel's id for the holder.
        id: u8,
    },
    /// To see a memory region.
    Region {
        /// The region.
        region: RegionId,
        /// What may be done to it.
        perms: Perms,
        /// Its physical address, where the description fixes it: a device's registers, usually.
        phys_addr: Option<u64>,
        /// Who else sees it, with what they may do to it.
        others: Vec<(Holder, Perms)>,
    },
    /// To know the physical address of a memory region, and so to tell a device of it.
    PhysicalAddress {
        /// The region.
        region: RegionId,
    },
    /// To be notified of an interrupt, and acknowledge it.
    Irq {
        /// Its number (on x86-64, its vector).
        number: u64,
        /// The id under which it arrives.
        id: u8,
    },
    /// To read and write x86 I/O ports.
    IoPorts {
        /// The first port.
        base: u64,
        /// How many.
        size: u64,
    },
    /// To hold a child's TCB and handle its faults.
    Child {
        /// The child.
        child: PdId,
    },
    /// To run a virtual machine: its vCPUs, their threads and their faults.
    VirtualMachine {
        /// Its name.
        name: String,
        /// Its vCPUs.
        vcpus: Vec<u8>,
    },
    /// To use a kernel object of a protection domain, possibly its own.
    ExtraCap {
        /// The kind of object.
        kind: ExtraCapKind,
        /// Whose it is.
        of: PdId,
        /// Slot of the holder's root CNode.
        slot: u8,
    },
    /// To make secure monitor calls (Arm).
    Smc,
}

/// Every authority in the system, by protection domain; devices last.
pub fn authorities(system: &System) -> Vec<Authority> {
    let mut all = Vec::new();
    let sharing = Sharing::of(system);
    for id in system.pd_ids() {
        let pd = system.pd(id);
        channels(system, id, &mut all);
        regions(system, Holder::Pd(id), &pd.maps, &sharing, &mut all);
        devices(id, pd, &mut all);
        others(system, id, pd, &mut all);
        if let Some(vm) = &pd.virtual_machine {
            all.push(virtual_machine(id, vm));
            regions(system, Holder::Guest(id), &vm.maps, &sharing, &mut all);
        }
    }
    for (number, device) in system.io_address_spaces.iter().enumerate() {
        let holder = Holder::Device(number);
        all.extend(device.maps.iter().map(|map| Authority {
            kind: sharing.kind(system, &holder, map.region.value, map.perms.value),
            holder: holder.clone(),
            span: map.span.clone(),
        }));
    }
    all
}

/// Who sees each region.
struct Sharing(Vec<Vec<(Holder, Perms)>>);

impl Sharing {
    fn of(system: &System) -> Self {
        let mut seen = vec![Vec::new(); system.memory_regions.len()];
        let mut see = |region: RegionId, holder, perms| seen[region.0].push((holder, perms));
        for id in system.pd_ids() {
            let pd = system.pd(id);
            for map in &pd.maps {
                see(map.region.value, Holder::Pd(id), map.perms.value);
            }
            for map in pd.virtual_machine.iter().flat_map(|vm| &vm.maps) {
                see(map.region.value, Holder::Guest(id), map.perms.value);
            }
        }
        for (number, device) in system.io_address_spaces.iter().enumerate() {
            for map in &device.maps {
                see(map.region.value, Holder::Device(number), map.perms.value);
            }
        }
        Self(seen)
    }

    fn kind(&self, system: &System, holder: &Holder, region: RegionId, perms: Perms) -> Kind {
        let phys_addr = system.region(region).phys_addr.as_ref();
        let seen = self.0[region.0].iter();
        Kind::Region {
            region,
            perms,
            phys_addr: phys_addr.map(|address| address.value),
            others: seen.filter(|(other, _)| other != holder).cloned().collect(),
        }
    }
}

fn channels(system: &System, id: PdId, all: &mut Vec<Authority>) {
    for (end, other) in system.ends().filter(|(end, _)| end.pd.value == id) {
        let (peer, id) = (other.pd.value, end.id.value);
        let gives = [
            (&end.pp, Kind::Call { peer, id }),
            (&end.notify, Kind::Notify { peer, id }),
        ];
        for (allowed, kind) in gives {
            if allowed.value {
                all.push(Authority {
                    holder: Holder::Pd(end.pd.value),
                    kind,
                    span: end.span.clone(),
                });
            }
        }
    }
}

fn regions(
    system: &System,
    holder: Holder,
    maps: &[Map],
    sharing: &Sharing,
    all: &mut Vec<Authority>,
) {
    all.extend(maps.iter().map(|map| Authority {
        kind: sharing.kind(system, &holder, map.region.value, map.perms.value),
        holder: holder.clone(),
        span: map.span.clone(),
    }));
}

fn devices(id: PdId, pd: &ProtectionDomain, all: &mut Vec<Authority>) {
    let irqs = pd.irqs.iter().map(|irq| {
        let kind = Kind::Irq {
            number: irq.number().value,
            id: irq.id.value,
        };
        (kind, &irq.span)
    });
    let ports = pd.ioports.iter().map(|ports| {
        let kind = Kind::IoPorts {
            base: ports.addr.value,
            size: ports.size.value,
        };
        (kind, &ports.span)
    });
    let addresses = pd.setvars.iter().map(|setvar| {
        let region = setvar.region.value;
        (Kind::PhysicalAddress { region }, &setvar.span)
    });
    let found = irqs.chain(ports).chain(addresses);
    all.extend(found.map(|(kind, span)| Authority {
        holder: Holder::Pd(id),
        kind,
        span: span.clone(),
    }));
}

fn others(system: &System, id: PdId, pd: &ProtectionDomain, all: &mut Vec<Authority>) {
    let children = system.children(id).map(|child| {
        let span = &system.pd(child).span;
        (Kind::Child { child }, span)
    });
    let caps = pd.caps.iter().map(|cap| {
        let kind = Kind::ExtraCap {
            kind: cap.kind,
            of: cap.pd.value,
            slot: cap.slot.value,
        };
        (kind, &cap.span)
    });
    let smc = pd.smc.value.then_some((Kind::Smc, &pd.smc.span));
    let found = children.chain(caps).chain(smc);
    all.extend(found.map(|(kind, span)| Authority {
        holder: Holder::Pd(id),
        kind,
        span: span.clone(),
    }));
}

fn virtual_machine(id: PdId, vm: &VirtualMachine) -> Authority {
    Authority {
        holder: Holder::Pd(id),
        kind: Kind::VirtualMachine {
            name: vm.name.value.clone(),
            vcpus: vm.vcpus.iter().map(|vcpu| vcpu.id.value).collect(),
        },
        span: vm.span.clone(),
    }
}

impl Holder {
    /// The holder as messages name it.
    pub fn describe(&self, system: &System) -> String {
        let pd = |id: PdId| &system.pd(id).name.value;
        match self {
            Self::Pd(id) => format!("`{}`", pd(*id)),
            Self::Guest(id) => match &system.pd(*id).virtual_machine {
                Some(vm) => format!("the guest of virtual machine `{}`", vm.name.value),
                None => format!("a guest of `{}`", pd(*id)),
            },
            Self::Device(number) => {
                format!("device `{}`", system.io_address_spaces[*number].name.value)
            }
        }
    }
}

impl Authority {
    /// What the authority allows, as a phrase: "map region `uart` \"rw\"".
    pub fn describe<'s>(&'s self, system: &'s System) -> impl fmt::Display + 's {
        Described {
            kind: &self.kind,
            system,
        }
    }
}

struct Described<'s> {
    kind: &'s Kind,
    system: &'s System,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pd = |id: PdId| &self.system.pd(id).name.value;
        let region = |id: RegionId| &self.system.region(id).name.value;
        match self.kind {
            Kind::Call { peer, .. } => write!(f, "can call `{}`", pd(*peer)),
            Kind::Notify { peer, .. } => write!(f, "can notify `{}`", pd(*peer)),
            Kind::Region {
                region: id,
                perms,
                others,
                ..
            } => {
                write!(f, "maps region `{}` \"{perms}\"", region(*id))?;
                Sharers {
                    perms: *perms,
                    others,
                    system: self.system,
                }
                .fmt(f)
            }
            Kind::PhysicalAddress { region: id } => {
                write!(f, "knows the physical address of region `{}`", region(*id))
            }
            Kind::Irq { number, .. } => write!(f, "handles interrupt {number}"),
            Kind::IoPorts { base, size } => {
                write!(f, "drives {size} I/O ports from {base:#x}")
            }
            Kind::Child { child } => {
                write!(f, "controls `{}` and handles its faults", pd(*child))
            }
            Kind::VirtualMachine { name, .. } => write!(f, "runs virtual machine `{name}`"),
            Kind::ExtraCap { kind, of, .. } => {
                let object = match kind {
                    ExtraCapKind::Tcb => "TCB",
                    ExtraCapKind::SchedContext => "scheduling context",
                    ExtraCapKind::VSpace => "VSpace",
                };
                write!(f, "holds the {object} of `{}`", pd(*of))
            }
            Kind::Smc => f.write_str("can make secure monitor calls"),
        }
    }
}

/// Who shares a region that somebody can write.
struct Sharers<'s> {
    perms: Perms,
    others: &'s [(Holder, Perms)],
    system: &'s System,
}

impl fmt::Display for Sharers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flows = |other: &&(Holder, Perms)| self.perms.write || other.1.write;
        let mut shared = self.others.iter().filter(flows);
        let Some((first, perms)) = shared.next() else {
            return Ok(());
        };
        let name = |holder: &Holder| holder.describe(self.system);
        write!(f, ", shared with {} \"{perms}\"", name(first))?;
        shared.try_for_each(|(other, perms)| write!(f, ", {} \"{perms}\"", name(other)))
    }
}

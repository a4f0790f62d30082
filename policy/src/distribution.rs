//! The capability distribution of the final image: who holds what, to the last slot.
//!
//! A [`Distribution`] is computed from the policy and the system description. The image builder
//! makes the image from it, and the hosted kernel its objects. What a finished image really contains
//! is an [`Image`](crate::image::Image), which [`crate::image::check`] holds against the policy and
//! the system description without looking here. Everything is plain data, sorted, and the same on
//! every run.
//!
//! It names objects, never addresses of kernel memory. A protection domain's private memory (its
//! program, stack and IPC buffer) is not listed: each page of it is mapped in one VSpace.

mod build;
mod ceiling;
mod cnode;
pub(crate) mod layout;
mod memory;
mod microkit;
mod privileged;
mod show;

pub use build::{Configuration, Mismatch};

use std::collections::BTreeMap;

use portcullis_kernel::Rights;
use serde::{Deserialize, Serialize};

/// Who holds what in an image.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Distribution {
    /// The protection domains in the order of the system description, children after their parent.
    pub protection_domains: Vec<ProtectionDomain>,
    /// The CSpace of Microkit's monitor: one CNode, addressed with 64 bits.
    pub monitor: CNode,
    /// The interrupts, by number.
    pub irqs: Vec<Irq>,
    /// The memory regions and where they are mapped, by name.
    pub regions: Vec<Region>,
}

/// A protection domain: its thread and its CSpace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtectionDomain {
    /// Its name, unique in the system.
    pub name: String,
    /// Its component's number in the policy; `None`: the policy does not know it, and gives it no
    /// grants CNode.
    pub component: Option<u16>,
    /// Its parent, which handles its faults; `None`: the manager does, or the monitor.
    pub parent: Option<String>,
    /// Priority, and maximum controlled priority, 0 to 254.
    pub priority: u8,
    /// Whether it gives up its scheduling context after `init`, and then runs on its callers'.
    pub passive: bool,
    /// What is bound to its TCB.
    pub tcb: TcbBindings,
    /// Its CNodes: the root first, then those in the root's slots, by slot.
    pub cspace: Vec<CNode>,
}

/// The capabilities that a protection domain's TCB holds itself. Its thread cannot invoke them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcbBindings {
    /// The root CNode.
    pub cspace: Capability,
    /// The notification that interrupts a `Recv` on an endpoint.
    pub notification: Capability,
    /// Where its faults go.
    pub fault_endpoint: Capability,
}

/// A CNode and the capabilities in it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CNode {
    /// Which of its holder's CNodes it is.
    pub kind: CNodeKind,
    /// Bits that it resolves: it has two to the power of this many slots.
    pub radix: u8,
    /// The occupied slots.
    pub slots: BTreeMap<u32, Capability>,
}

/// Which CNode of a CSpace.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CNodeKind {
    /// The root, which resolves the highest six bits.
    #[default]
    Root,
    /// The one that Microkit fills: root slot 0.
    Microkit,
    /// The one that the manager fills with a component's grants: root slot 1.
    Grants,
    /// The manager's own, with the sources of all grants: root slot 1.
    Authority,
    /// The manager's pool of reply objects: root slot 2.
    Replies,
    /// The monitor's only CNode.
    Monitor,
}

/// A capability: an object, and what may be done to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// The object.
    pub object: Object,
    /// The rights. Kinds of object on which the kernel knows none have [`Rights::ALL`].
    pub rights: Rights,
    /// The badge; 0: none.
    #[serde(with = "crate::image::hex")]
    pub badge: u64,
    /// The guard, for a CNode. It is zero in every image of ours.
    #[serde(with = "crate::image::hex")]
    pub guard: u64,
    /// Length of the guard, in bits, for a CNode; 0 otherwise.
    pub guard_bits: u8,
}

/// A kernel object, named after whom it belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// The endpoint of a protection domain.
    Endpoint(String),
    /// The notification of a protection domain.
    Notification(String),
    /// The reply object of a protection domain.
    Reply(String),
    /// A reply object of a protection domain's pool.
    PooledReply {
        /// The protection domain.
        pd: String,
        /// Its number, from 1: its slot in the CNode of the pool.
        number: u8,
    },
    /// A CNode of a protection domain.
    #[serde(rename = "cnode")]
    CNode {
        /// The protection domain.
        pd: String,
        /// Which of its CNodes.
        kind: CNodeKind,
    },
    /// The TCB of a protection domain.
    Tcb(String),
    /// The scheduling context of a protection domain.
    SchedContext(String),
    /// The VSpace of a protection domain.
    #[serde(rename = "vspace")]
    VSpace(String),
    /// The monitor's endpoint.
    MonitorEndpoint,
    /// The monitor's reply object.
    MonitorReply,
    /// The handler of the interrupt with this number (on x86-64, vector).
    IrqHandler(u64),
    /// x86 I/O ports.
    IoPorts {
        /// The first port.
        base: u64,
        /// How many.
        size: u64,
    },
    /// A virtual CPU.
    Vcpu {
        /// Its virtual machine.
        vm: String,
        /// Its id.
        id: u8,
    },
    /// The TCB of a virtual CPU.
    VcpuTcb {
        /// Its virtual machine.
        vm: String,
        /// Its id.
        id: u8,
    },
    /// Leave to make secure monitor calls (Arm).
    ArmSmc,
    /// A frame of memory. No distribution of ours has a capability to one.
    Frame {
        /// What it is a part of.
        of: Memory,
        /// Its number in it, from 0.
        page: u64,
    },
    /// An object that neither the system description nor Microkit has a name for. No distribution of
    /// ours has one.
    Other {
        /// Its kind, in capDL's words.
        kind: String,
        /// Its name in the capDL specification.
        name: String,
    },
}

/// What frames belong to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// A memory region.
    Region(String),
    /// The program of a protection domain, or of the monitor.
    Program(String),
    /// The stack of a protection domain, or of the monitor.
    Stack(String),
    /// The IPC buffer of a protection domain, or of the monitor.
    IpcBuffer(String),
    /// Nothing that the system description or Microkit has a name for.
    Other(String),
}

/// An interrupt, and what it signals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Irq {
    /// Its number (on x86-64, its vector).
    pub number: u64,
    /// The notification capability that its handler signals.
    pub notification: Capability,
}

/// A memory region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Its size in bytes; `None`: that of the file it is filled from, in whole pages.
    pub size: Option<u64>,
    /// Its fixed physical address: it is a device, or memory that one knows.
    pub phys_addr: Option<u64>,
    /// Path of the file that it is filled from, as the system description says it.
    pub prefill: Option<String>,
    /// Where it is mapped, by address space, then by address.
    pub mappings: Vec<Mapping>,
}

/// A mapping of a whole memory region.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mapping {
    /// Where it is visible.
    pub space: AddressSpace,
    /// Its address there.
    pub vaddr: u64,
    /// Whether it can be read.
    pub read: bool,
    /// Whether it can be written.
    pub write: bool,
    /// Whether it can be executed.
    pub execute: bool,
    /// Whether it is cached.
    pub cached: bool,
}

/// Who sees a mapping.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AddressSpace {
    /// A protection domain.
    Pd(String),
    /// A virtual machine's guest.
    Vm(String),
    /// A device behind the IOMMU.
    Device(String),
}

impl Distribution {
    /// The protection domain with this name.
    pub fn protection_domain(&self, name: &str) -> Option<&ProtectionDomain> {
        self.protection_domains.iter().find(|pd| pd.name == name)
    }

    /// The memory region with this name.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }
}

impl ProtectionDomain {
    /// Its CNode of this kind.
    pub fn cnode(&self, kind: CNodeKind) -> Option<&CNode> {
        self.cspace.iter().find(|cnode| cnode.kind == kind)
    }
}

impl CNode {
    /// An empty CNode.
    pub fn new(kind: CNodeKind, radix: u8) -> Self {
        Self {
            kind,
            radix,
            slots: BTreeMap::new(),
        }
    }
}

impl Capability {
    /// A capability with rights and without a badge.
    pub fn new(object: Object, rights: Rights) -> Self {
        Self {
            object,
            rights,
            badge: 0,
            guard: 0,
            guard_bits: 0,
        }
    }

    /// A capability to an object on which the kernel knows no rights, or with all of them.
    pub fn whole(object: Object) -> Self {
        Self::new(object, Rights::ALL)
    }

    /// The same with a badge.
    #[must_use]
    pub fn with_badge(self, badge: u64) -> Self {
        Self { badge, ..self }
    }
}

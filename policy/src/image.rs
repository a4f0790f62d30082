//! The capability distribution of a finished image, and the rules that it must keep.
//!
//! The image builder reads an [`Image`] back out of what the initialiser will boot from, and writes it
//! as JSON. [`check`] holds it against a compiled policy and a system description, rule by rule
//! ([`Rule`]): it asks of every slot and page that is there what it is for, and of everything that is
//! declared whether it is there. It does not look at the [`Distribution`](crate::distribution) that the
//! builder made the image from. The builder refuses an image of which it finds anything, and
//! `portcullis check --image` does the same for whoever did not build it.
//!
//! Objects have the names that the Microkit tool gives them; one without such a name is
//! [`Object::Other`], and no rule allows it.

mod check;
pub(crate) mod hex;
mod memory;
mod rule;
mod show;
mod stated;
#[cfg(feature = "testing")]
pub mod testing;

pub use check::check;
pub use rule::{Finding, Rule};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::distribution::{CNode, Capability, Memory, Object};

/// Version of the JSON that the builder writes and `check` reads.
pub const FORMAT: u32 = 2;
/// Version of the Microkit SDK whose slots and names the rules know.
pub const SDK: &str = "2.3.0";
/// Name of Microkit's monitor. No protection domain can have it.
pub const MONITOR: &str = "monitor";

/// What a finished image hands out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// [`FORMAT`].
    pub format: u32,
    /// The board that it is for, such as `qemu_virt_aarch64`.
    pub board: String,
    /// The configuration of the kernel: `debug`, `release` or `benchmark`.
    pub config: String,
    /// Version of the Microkit SDK that it was built with.
    pub sdk: String,
    /// The compiled policy that the manager finds in its memory; `None`: there is none.
    pub policy: Option<Carried>,
    /// The threads of the protection domains, with all that they hold and see.
    pub protection_domains: Vec<ProtectionDomain>,
    /// Microkit's monitor, which is one more.
    pub monitor: ProtectionDomain,
    /// The interrupts, by number.
    pub irqs: Vec<Irq>,
    /// All frames, in runs.
    pub memory: Vec<Frames>,
    /// What the initialiser keeps.
    pub initialiser: Initialiser,
    /// Objects that belong to none of the above.
    pub others: Vec<Object>,
}

/// A compiled policy in an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The memory region that it fills.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its body, in hexadecimal: what its signature covers, and a boot record names it by.
    pub sha256: String,
}

/// A thread, its CSpace and its VSpace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectionDomain {
    /// The name of its protection domain.
    pub name: String,
    /// Its priority.
    pub priority: u8,
    /// Its maximum controlled priority.
    pub max_priority: u8,
    /// Budget of its scheduling context, in microseconds.
    pub budget_us: u64,
    /// Period of its scheduling context, in microseconds.
    pub period_us: u64,
    /// Whether the monitor can take its scheduling context, which it does when `init` is done.
    pub passive: bool,
    /// The core that it runs on.
    pub cpu: u64,
    /// Whether it may use the FPU.
    pub fpu: bool,
    /// Its scheduling domain, where the image has several.
    pub domain: Option<u8>,
    /// Whether the initialiser starts it.
    pub starts: bool,
    /// What is bound to its TCB. The thread cannot invoke these.
    pub tcb: BTreeMap<Binding, Capability>,
    /// Its CNodes.
    pub cspace: Vec<CNode>,
    /// The symbols of its program that the Microkit tool sets, each of a word or, for a flag, of a byte.
    #[serde(with = "hex::map")]
    pub symbols: BTreeMap<String, u64>,
    /// Its VSpace.
    pub vspace: VSpace,
}

/// What can be bound to a TCB. The numbers are the slots that capDL gives each (`cap_table.rs` of its
/// initialiser).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The root CNode.
    Cspace = 0,
    /// The root page table.
    Vspace = 1,
    /// The frame of the IPC buffer.
    IpcBuffer = 4,
    /// Where its faults go.
    FaultEndpoint = 5,
    /// Its scheduling context.
    SchedContext = 6,
    /// Where it goes that its budget is used up.
    TimeoutEndpoint = 7,
    /// The notification that interrupts a `Recv` on an endpoint.
    Notification = 8,
    /// A virtual CPU.
    Vcpu = 9,
    /// The root page table of a guest (x86).
    GuestVspace = 10,
}

/// An address space: all that can be reached from its root.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VSpace {
    /// The names of its page tables, the root first. One that is reached twice is there twice.
    pub tables: Vec<String>,
    /// The mapped frames, in runs, by address.
    pub mappings: Vec<Mapping>,
}

/// Frames next to each other in memory and in an address space, mapped alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Address of the first.
    #[serde(with = "hex")]
    pub vaddr: u64,
    /// How many.
    pub pages: u64,
    /// Bytes of each.
    #[serde(with = "hex")]
    pub page_size: u64,
    /// What they are part of.
    pub of: Memory,
    /// Number of the first in it.
    pub first_page: u64,
    /// Whether they can be read.
    pub read: bool,
    /// Whether they can be written.
    pub write: bool,
    /// Whether they can be executed.
    pub execute: bool,
    /// Whether they are cached.
    pub cached: bool,
}

/// Frames that are next to each other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// What they are part of.
    pub of: Memory,
    /// Number of the first in it.
    pub first_page: u64,
    /// How many.
    pub pages: u64,
    /// Bytes of each.
    #[serde(with = "hex")]
    pub page_size: u64,
    /// Physical address of the first, where the image fixes it: a device, or memory that one knows.
    #[serde(with = "hex::option")]
    pub phys_addr: Option<u64>,
}

/// An interrupt, and what it signals.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Irq {
    /// Its number.
    pub number: u64,
    /// Whether it is taken when the line becomes active (edge), and not while it is (level).
    pub edge: bool,
    /// The notification that its handler signals, in slot 0.
    pub slots: BTreeMap<u32, Capability>,
}

/// What the initialiser keeps. It made everything, and so has the first capability to every object,
/// and to all untyped memory. The last thing it does is to suspend itself; no rule allows another
/// thread a capability to it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialiser {
    /// Objects that it makes.
    pub objects: u64,
    /// The untyped memory that the kernel gives it.
    pub untyped: Vec<Untyped>,
}

/// Untyped memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Untyped {
    /// Its physical address.
    #[serde(with = "hex")]
    pub phys_addr: u64,
    /// Its size in bytes.
    #[serde(with = "hex")]
    pub size: u64,
    /// Whether it is device memory.
    pub device: bool,
}

/// The symbols that the Microkit tool sets in every program, for its runtime (`symbols.rs` of the tool;
/// `microkit_name` is text).
pub const RUNTIME_SYMBOLS: [&str; 5] = [
    "microkit_passive",
    "microkit_irqs",
    "microkit_notifications",
    "microkit_pps",
    "microkit_ioports",
];

/// Why a distribution cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is of another format.
    #[error(
        "it has format {0}, and this build reads {FORMAT}: use the portcullis that came with its builder"
    )]
    Format(u64),
    /// It is not JSON, or not what the builder writes.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Binding {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Cspace,
        Self::Vspace,
        Self::IpcBuffer,
        Self::FaultEndpoint,
        Self::SchedContext,
        Self::TimeoutEndpoint,
        Self::Notification,
        Self::Vcpu,
        Self::GuestVspace,
    ];

    /// The one in this slot of a capDL TCB.
    pub fn of_slot(slot: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|binding| *binding as u32 == slot)
    }
}

impl Image {
    /// Reads what the builder wrote.
    pub fn read(json: &[u8]) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let Format { format } = serde_json::from_slice(json)?;
        if format != u64::from(FORMAT) {
            return Err(ReadError::Format(format));
        }
        Ok(serde_json::from_slice(json)?)
    }

    /// The protection domain with this name.
    pub fn protection_domain(&self, name: &str) -> Option<&ProtectionDomain> {
        self.protection_domains.iter().find(|pd| pd.name == name)
    }

    /// The protection domains, and the monitor last.
    pub fn threads(&self) -> impl Iterator<Item = &ProtectionDomain> {
        self.protection_domains.iter().chain([&self.monitor])
    }

    /// How many pages of this memory there are.
    pub fn pages(&self, of: &Memory) -> u64 {
        let own = self.memory.iter().filter(|frames| frames.of == *of);
        own.fold(0, |pages, frames| pages.saturating_add(frames.pages))
    }
}

//! What a distribution that was found can differ in from the expected one.

use std::fmt;

use super::{AddressSpace, CNodeKind, Capability};

/// One thing in which what was found is not what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// In what.
    pub fault: Fault,
}

/// A part of a distribution.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A protection domain.
    ProtectionDomain(String),
    /// A virtual CPU.
    Vcpu {
        /// Its virtual machine.
        vm: String,
        /// Its id.
        id: u8,
    },
    /// A CNode. The holder of the monitor's is `monitor`, a name that no protection domain can have.
    CNode {
        /// Who holds it.
        holder: String,
        /// Which one.
        kind: CNodeKind,
    },
    /// A slot.
    Slot {
        /// Who holds it.
        holder: String,
        /// Which CNode.
        kind: CNodeKind,
        /// The slot.
        slot: u32,
    },
    /// A binding of a TCB.
    Binding {
        /// The protection domain, or the virtual CPU's machine and id.
        holder: String,
        /// Which binding.
        binding: &'static str,
    },
    /// An interrupt.
    Irq(u64),
    /// A memory region.
    Region(String),
    /// A region in an address space.
    Mapping {
        /// The region.
        region: String,
        /// Who sees it.
        space: AddressSpace,
        /// Where.
        vaddr: u64,
    },
}

/// A kind of difference, with what was expected and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It should be there, and is not.
    Missing(String),
    /// It is there, and should not be.
    Unexpected(String),
    /// It is a capability to something else.
    OtherObject {
        /// What it should be.
        expected: Capability,
        /// What it is.
        found: Capability,
    },
    /// It has rights that it should not have.
    Wider {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It lacks rights that it should have.
    Narrower {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Another property is not the same.
    Other {
        /// The property.
        property: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtectionDomain(name) => write!(f, "protection domain '{name}'"),
            Self::Vcpu { vm, id } => write!(f, "vCPU {id} of '{vm}'"),
            Self::CNode { holder, kind } => write!(f, "{kind} of '{holder}'"),
            Self::Slot { holder, kind, slot } => {
                write!(f, "slot {slot} of the {kind} of '{holder}'")
            }
            Self::Binding { holder, binding } => write!(f, "{binding} of the TCB of {holder}"),
            Self::Irq(number) => write!(f, "IRQ {number}"),
            Self::Region(name) => write!(f, "memory region '{name}'"),
            Self::Mapping {
                region,
                space,
                vaddr,
            } => write!(f, "memory region '{region}' at {vaddr:#x} of {space}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::Unexpected(what) => write!(f, "{what} should not be there"),
            Self::OtherObject { expected, found } => {
                write!(f, "is [{found}], and should be [{expected}]")
            }
            Self::Wider { expected, found } => {
                write!(f, "is wider than stated: [{found}], not [{expected}]")
            }
            Self::Narrower { expected, found } => {
                write!(f, "is narrower than stated: [{found}], not [{expected}]")
            }
            Self::Other {
                property,
                expected,
                found,
            } => write!(f, "{property} is {found}, and should be {expected}"),
        }
    }
}

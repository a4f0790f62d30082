//! Objects and capabilities as messages name them.

use std::fmt;

use portcullis_kernel::Rights;

use super::{CNodeKind, Capability, Memory, Object};

impl fmt::Display for CNodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root CNode",
            Self::Microkit => "Microkit CNode",
            Self::Grants => "grants CNode",
            Self::Authority => "authority CNode",
            Self::Replies => "CNode of reply objects",
            Self::Monitor => "monitor's CNode",
        })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(pd) => write!(f, "endpoint of '{pd}'"),
            Self::Notification(pd) => write!(f, "notification of '{pd}'"),
            Self::Reply(pd) => write!(f, "reply object of '{pd}'"),
            Self::PooledReply { pd, number } => {
                write!(f, "reply object {number} of the pool of '{pd}'")
            }
            Self::CNode { pd, kind } => write!(f, "{kind} of '{pd}'"),
            Self::Tcb(pd) => write!(f, "TCB of '{pd}'"),
            Self::SchedContext(pd) => write!(f, "scheduling context of '{pd}'"),
            Self::VSpace(pd) => write!(f, "VSpace of '{pd}'"),
            Self::MonitorEndpoint => f.write_str("endpoint of the monitor"),
            Self::MonitorReply => f.write_str("reply object of the monitor"),
            Self::IrqHandler(number) => write!(f, "handler of IRQ {number}"),
            Self::IoPorts { base, size } => write!(f, "{size} I/O ports from {base:#x}"),
            Self::Vcpu { vm, id } => write!(f, "vCPU {id} of '{vm}'"),
            Self::VcpuTcb { vm, id } => write!(f, "TCB of vCPU {id} of '{vm}'"),
            Self::ArmSmc => f.write_str("secure monitor calls"),
            Self::Frame { of, page } => write!(f, "page {page} of the {of}"),
            Self::Other { kind, name } => write!(f, "{kind} '{name}'"),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "memory region '{name}'"),
            Self::Program(pd) => write!(f, "program of '{pd}'"),
            Self::Stack(pd) => write!(f, "stack of '{pd}'"),
            Self::IpcBuffer(pd) => write!(f, "IPC buffer of '{pd}'"),
            Self::Other(name) => write!(f, "memory '{name}'"),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        if self.rights != Rights::ALL || self.object.has_rights() {
            write!(f, ", {}", RightsList(self.rights))?;
        }
        if self.badge != 0 {
            write!(f, ", badge {:#x}", self.badge)?;
        }
        if self.guard_bits != 0 || self.guard != 0 {
            write!(f, ", guard {:#x} of {} bits", self.guard, self.guard_bits)?;
        }
        Ok(())
    }
}

impl Object {
    /// Whether the kernel knows rights on it.
    const fn has_rights(&self) -> bool {
        matches!(
            self,
            Self::Endpoint(_) | Self::Notification(_) | Self::MonitorEndpoint
        )
    }
}

/// Shows rights by the names that the seL4 manual gives them.
struct RightsList(Rights);

impl fmt::Display for RightsList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.0.read, "Read"),
            (self.0.write, "Write"),
            (self.0.grant, "Grant"),
            (self.0.grant_reply, "GrantReply"),
        ];
        let mut held = names.iter().filter(|(held, _)| *held).map(|(_, name)| name);
        match held.next() {
            None => f.write_str("no right"),
            Some(first) => {
                f.write_str(first)?;
                held.try_for_each(|name| write!(f, "+{name}"))
            }
        }
    }
}

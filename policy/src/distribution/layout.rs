//! Where Microkit 2.3.0 puts what `portcullis_kernel::cspace` does not name.
//!
//! Numbers are those of the stock tool's `capdl/builder.rs`: each kind of capability has 64 slots,
//! one an id.

use portcullis_kernel::{CPtr, Rights, cspace};
use portcullis_sdf::PdId;

/// Rights on a notification: it can be waited for and signalled, and the kernel knows no more.
pub(crate) const NOTIFICATION: Rights = Rights {
    read: true,
    write: true,
    grant: false,
    grant_reply: false,
};
/// The monitor's rights on its own endpoint, as the stock tool gives them.
pub(crate) const MONITOR: Rights = Rights {
    read: true,
    write: true,
    grant: true,
    grant_reply: false,
};

/// Leave to make secure monitor calls (`PD_ARM_SMC_CAP_IDX`).
pub(crate) const ARM_SMC: CPtr = CPtr(7);

/// Slots of each kind.
const IDS: u64 = 64;

/// The TCB of child `id` (`PD_BASE_PD_TCB_CAP`).
pub(crate) const fn child_tcb(id: u8) -> CPtr {
    CPtr(cspace::irq_handler(0).bits() + IDS + id as u64)
}

/// The TCB of vCPU `id` (`PD_BASE_VM_TCB_CAP`).
pub(crate) const fn vcpu_tcb(id: u8) -> CPtr {
    CPtr(child_tcb(id).bits() + IDS)
}

/// vCPU `id` (`PD_BASE_VCPU_CAP`).
pub(crate) const fn vcpu(id: u8) -> CPtr {
    CPtr(vcpu_tcb(id).bits() + IDS)
}

/// I/O ports `id` (`PD_BASE_IOPORT_CAP`).
pub(crate) const fn io_ports(id: u8) -> CPtr {
    CPtr(vcpu(id).bits() + IDS)
}

/// The badge by which the monitor knows a protection domain: its place from 1, since 0 is no badge.
pub(crate) const fn monitor_badge(pd: PdId) -> u64 {
    pd.0 as u64 + 1
}

/// The monitor's slots (`MON_FAULT_EP_CAP_IDX` and following).
pub(crate) const MONITOR_FAULT_ENDPOINT: u32 = 1;
pub(crate) const MONITOR_REPLY: u32 = 2;
pub(crate) const MONITOR_TCBS: u32 = 10;
pub(crate) const MONITOR_VCPU_TCBS: u32 = MONITOR_TCBS + 64;
pub(crate) const MONITOR_SCHED_CONTEXTS: u32 = MONITOR_VCPU_TCBS + 64;
pub(crate) const MONITOR_NOTIFICATIONS: u32 = MONITOR_SCHED_CONTEXTS + 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_stock_tools() {
        assert_eq!(child_tcb(0), CPtr(202));
        assert_eq!(vcpu_tcb(1), CPtr(267));
        assert_eq!(vcpu(0), CPtr(330));
        assert_eq!(io_ports(61), CPtr(455));
        assert!(io_ports(61).bits() < 1 << cspace::MICROKIT_RADIX);
        assert_eq!(MONITOR_NOTIFICATIONS, 202);
    }
}

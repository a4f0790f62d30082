//! What a description is for: the limits that depend on architecture and kernel configuration.

use std::fmt;

/// Limits that a description is held to. Where a limit is not known, take [`Target::ANY`], which
/// refuses only what no target accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The architecture; `None`: any, so each kind of interrupt and I/O ports are accepted.
    pub architecture: Option<Architecture>,
    /// Cores of the kernel configuration.
    pub cores: u16,
    /// Whether the kernel is a hypervisor.
    pub hypervisor: bool,
    /// Whether the kernel drives an IOMMU.
    pub iommu: bool,
    /// Whether the kernel forwards secure monitor calls (Arm).
    pub smc: bool,
    /// Scheduling domains of the kernel (`KernelNumDomains`).
    pub domains: u16,
    /// Entries in the kernel's schedule of domains (`KernelNumDomainSchedules`).
    pub domain_schedules: u64,
    /// The highest address that a user program can have (`seL4_UserVSpaceTop`).
    pub user_top: u64,
}

/// The architectures that Microkit supports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Architecture {
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit x86.
    X86_64,
}

impl Target {
    /// Whatever some target accepts.
    pub const ANY: Target = Target {
        architecture: None,
        cores: 256,
        hypervisor: true,
        iommu: true,
        smc: true,
        domains: 16,
        domain_schedules: 100,
        // The largest of the three: x86-64, and Arm without a hypervisor.
        user_top: 0x7fff_ffff_ffff,
    };

    /// The SDK's `qemu_virt_aarch64`, single core: a hypervisor with 40-bit physical addresses.
    pub const AARCH64: Target = Target {
        architecture: Some(Architecture::Aarch64),
        cores: 1,
        hypervisor: true,
        iommu: false,
        smc: true,
        user_top: 0xff_ffff_ffff,
        ..Target::ANY
    };

    /// The SDK's `qemu_virt_riscv64`, single core: Sv39.
    pub const RISCV64: Target = Target {
        architecture: Some(Architecture::Riscv64),
        hypervisor: false,
        smc: false,
        user_top: 0x3f_ffff_efff,
        ..Target::AARCH64
    };

    /// The SDK's `x86_64_generic`, single core, with VT-x and VT-d.
    pub const X86_64: Target = Target {
        architecture: Some(Architecture::X86_64),
        hypervisor: true,
        iommu: true,
        smc: false,
        user_top: 0x7fff_ffff_efff,
        ..Target::AARCH64
    };

    /// Whether the target may be of this architecture.
    pub(crate) fn may_be(&self, architecture: Architecture) -> bool {
        self.architecture.is_none_or(|one| one == architecture)
    }

    /// First and last number of an interrupt ('irq').
    pub(crate) const fn interrupts(&self) -> (u64, u64) {
        match self.architecture {
            // GICv2 and GICv3 without the extended ranges, of which the kernel knows nothing.
            Some(Architecture::Aarch64) => (0, 1019),
            // The PLIC's 0 is no interrupt.
            Some(Architecture::Riscv64) => (1, 1023),
            // 32 bits everywhere.
            Some(Architecture::X86_64) | None => (0, u32::MAX as u64),
        }
    }

    /// The address after the last that a protection domain can map: its stack, a guard page and the
    /// IPC buffer lie above (`pd_map_max_vaddr` of the stock tool).
    pub(crate) fn map_end(&self, stack_size: u64) -> u64 {
        const PAGE: u64 = 0x1000;
        let ipc_buffer = self.user_top & !(PAGE - 1);
        ipc_buffer.saturating_sub(PAGE).saturating_sub(stack_size)
    }

    /// The address after the last that a virtual machine can map.
    pub(crate) fn vm_map_end(&self) -> u64 {
        self.user_top.saturating_add(1)
    }
}

impl Default for Target {
    fn default() -> Self {
        Self::ANY
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aarch64 => "AArch64",
            Self::Riscv64 => "RISC-V",
            Self::X86_64 => "x86-64",
        })
    }
}

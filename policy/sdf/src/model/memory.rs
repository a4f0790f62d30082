//! Memory regions, and who sees them.

use std::fmt;

use super::{PciAddress, RegionId, Span, Spanned};
use crate::PhysicalPlace;

/// Sizes that the pages of a region can have, in bytes; the same on every architecture that
/// Microkit supports (manual, "Page sizes by architecture").
pub const PAGE_SIZES: [u64; 2] = [0x1000, 0x20_0000];

/// `<memory_region>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryRegion {
    /// Its start tag.
    pub span: Span,
    /// Its name.
    pub name: Spanned<String>,
    /// Its size in bytes, whole pages; `None`: that of the file it is filled from, rounded up.
    pub size: Option<Spanned<u64>>,
    /// The size of its pages, one of [`PAGE_SIZES`]; `None`: the tool chooses.
    pub page_size: Option<Spanned<u64>>,
    /// Its physical address; `None`: the tool or the initialiser chooses.
    pub phys_addr: Option<Spanned<u64>>,
    /// What lies at its physical address; empty where it has none, or where the board's memory is
    /// not known.
    pub places: Vec<PhysicalPlace>,
    /// What it holds at boot; `None`: zeros.
    pub prefill: Option<Prefill>,
    /// The file of `prefill_path`, whatever path leads to it; `None`: no file was looked at.
    pub file: Option<FileId>,
}

/// What tells two files apart: device and inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId {
    /// The device that it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// What a memory region holds at boot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prefill {
    /// `prefill_path`: the content of a file.
    Path(Spanned<String>),
    /// `prefill_bootinfo`: what the boot loader or firmware told the kernel.
    BootInfo(Spanned<BootInfo>),
}

/// The kinds of boot information.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BootInfo {
    /// `x86_vbe`.
    X86Vbe,
    /// `x86_mbmmap`.
    X86Mbmmap,
    /// `x86_acpi_rsdp`.
    X86AcpiRsdp,
    /// `x86_framebuffer`.
    X86FrameBuffer,
    /// `x86_tsc_freq`.
    X86TscFreq,
    /// `fdt`: the flattened device tree.
    Fdt,
}

/// `<map>`: a memory region in an address space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// Its start tag.
    pub span: Span,
    /// The region.
    pub region: Spanned<RegionId>,
    /// Its virtual address; in a virtual machine, guest-physical.
    pub vaddr: Spanned<u64>,
    /// What may be done to it. Default `rw`.
    pub perms: Spanned<Perms>,
    /// Whether it is cached. Default true.
    pub cached: Spanned<bool>,
    /// Symbol that is set to the address.
    pub setvar_vaddr: Option<Spanned<String>>,
    /// Symbol that is set to the region's size.
    pub setvar_size: Option<Spanned<String>>,
    /// Symbol that is set to the size of what the region is filled with.
    pub setvar_prefill_size: Option<Spanned<String>>,
}

/// Permissions of a mapping. Never write without read: the kernel has no such mapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Perms {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

/// `<io_address_space>`: what a device behind the IOMMU can reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IoAddressSpace {
    /// Its start tag.
    pub span: Span,
    /// The device's name.
    pub name: Spanned<String>,
    /// The device as the IOMMU knows it.
    pub peripheral_id: Spanned<PciAddress>,
    /// Its domain in the IOMMU.
    pub domain_id: Spanned<u64>,
    /// What it sees.
    pub maps: Vec<IoMap>,
}

/// `<iomap>`: a memory region in a device's address space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IoMap {
    /// Its start tag.
    pub span: Span,
    /// The region.
    pub region: Spanned<RegionId>,
    /// Its address for the device.
    pub iovaddr: Spanned<u64>,
    /// Whether the device may read it, write it, or both (the default). Never execute.
    pub perms: Spanned<Perms>,
}

impl MemoryRegion {
    /// The size that its addresses must be aligned to: that of its pages, where it says one.
    pub fn alignment(&self) -> u64 {
        self.page_size
            .as_ref()
            .map_or(PAGE_SIZES[0], |size| size.value)
    }

    /// Bytes that it is known to have: its size, or one page where a file decides.
    pub fn least_size(&self) -> u64 {
        self.size
            .as_ref()
            .map_or(self.alignment(), |size| size.value)
    }
}

impl Perms {
    /// Read only.
    pub const READ: Perms = Perms {
        read: true,
        write: false,
        execute: false,
    };
    /// Read and write: the default.
    pub const READ_WRITE: Perms = Perms {
        read: true,
        write: true,
        execute: false,
    };

    /// Whether everything that `self` allows, `other` allows.
    pub const fn is_subset(self, other: Perms) -> bool {
        (!self.read || other.read)
            && (!self.write || other.write)
            && (!self.execute || other.execute)
    }
}

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (allowed, letter) in [(self.read, "r"), (self.write, "w"), (self.execute, "x")] {
            if allowed {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

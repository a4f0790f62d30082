//! Ties a portable component to seL4 and Microkit.
//!
//! [`Sel4`] makes the system calls that `portcullis_kernel` names, [`Memory`] is a mapped memory
//! region, and [`Domain`] runs a component in place of Microkit's own event loop, which reads every
//! badge as a channel number and so cannot tell a grant from a channel.
//!
//! All `unsafe` of the seL4 side is here.

#![no_std]

mod clock;
mod device;
mod domain;
mod memory;
mod registers;
mod syscalls;
mod virtio;

pub use clock::nanoseconds;
pub use device::{Irq, Mmio};
pub use domain::Domain;
pub use memory::Memory;
pub use syscalls::Sel4;
pub use virtio::VirtioDisk;

/// Where in its page the first virtio-mmio device's registers lie: QEMU's Arm board has eight
/// devices a page and fills them from the last, its RISC-V board has one a page.
pub const VIRTIO_OFFSET: usize = if cfg!(target_arch = "aarch64") {
    0xe00
} else {
    0
};

/// For [`region`].
#[doc(hidden)]
pub use sel4_microkit::var;

/// The memory region whose address and size the Microkit tool writes into these two symbols
/// (`setvar_vaddr` and `setvar_size` of its `<map>`). Each symbol can be used once.
#[macro_export]
macro_rules! region {
    ($address:ident, $size:ident) => {{
        let base: usize = *$crate::var!($address: usize = 0);
        let size: usize = *$crate::var!($size: usize = 0);
        // SAFETY: the Microkit tool wrote both from one `<map>` of this protection domain, and the
        // symbols can be declared only once, so this is the only access to the region.
        unsafe { $crate::Memory::new(base as *mut u8, size) }
    }};
}

/// As [`region`], for a region that nobody can write: its bytes.
#[macro_export]
macro_rules! bytes {
    ($address:ident, $size:ident) => {{
        let base: usize = *$crate::var!($address: usize = 0);
        let size: usize = *$crate::var!($size: usize = 0);
        // SAFETY: as for `region`; `system.xml` maps the region read-only wherever it is mapped, so
        // that its bytes never change.
        unsafe { core::slice::from_raw_parts(base as *const u8, size) }
    }};
}

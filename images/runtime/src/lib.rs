//! Ties a portable component to seL4 and Microkit.
//!
//! [`Sel4`] makes the system calls that `portcullis_kernel` names, [`ReadOnly`] and [`ReadWrite`] are
//! mapped memory regions, and [`Domain`] runs a component in place of Microkit's own event loop, which reads every
//! badge as a channel number and so cannot tell a grant from a channel.
//!
//! All `unsafe` of the seL4 side is here.

#![no_std]

mod alarm;
mod clock;
mod device;
mod domain;
mod memory;
mod registers;
mod syscalls;
mod virtio;

pub use alarm::{Alarm, Alarmed};
pub use clock::{BoardCounter, nanoseconds};
pub use device::{Irq, Mmio};
pub use domain::Domain;
pub use memory::{FromMap, ReadOnly, ReadWrite};
pub use syscalls::Sel4;
pub use virtio::{VirtioDisk, VirtioRng};

/// Where in its page the registers of a driver's virtio-mmio device lie: QEMU's Arm board has eight
/// devices a page, of which `qemu/boards/` names the last; its RISC-V board has one a page.
pub const VIRTIO_OFFSET: usize = if cfg!(target_arch = "aarch64") {
    0xe00
} else {
    0
};

/// Bytes of one virtio-mmio device's registers.
pub const VIRTIO_LENGTH: usize = 0x200;

/// Id of every component's channel to the manager, in `system.xml`: `portcullis check` refuses another
/// (`portcullis_manager_api::CHANNEL`).
pub const MANAGER: u8 = 0;

/// Address and size of a memory region: the Microkit tool writes them into the symbols NAME and
/// NAME_size (`setvar_vaddr` and `setvar_size` of its `<map>`). Each name can be used once.
#[doc(hidden)]
#[macro_export]
macro_rules! map {
    ($region:ident) => {{
        use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        #[unsafe(export_name = stringify!($region))]
        #[unsafe(link_section = ".data")]
        static BASE: AtomicUsize = AtomicUsize::new(0);
        #[unsafe(export_name = concat!(stringify!($region), "_size"))]
        #[unsafe(link_section = ".data")]
        static SIZE: AtomicUsize = AtomicUsize::new(0);
        (BASE.load(Relaxed), SIZE.load(Relaxed))
    }};
}

/// The memory region of this name in `system.xml`, as [`ReadOnly`] or [`ReadWrite`].
#[macro_export]
macro_rules! region {
    ($region:ident) => {{
        let (base, size) = $crate::map!($region);
        // SAFETY: the Microkit tool wrote both from one `<map>` of this protection domain; the symbols
        // can be declared only once, so this is the only access to the region. A type that promises
        // more than `perms` faults at its first write, and harms nobody else.
        unsafe { $crate::FromMap::new(base as *mut u8, size) }
    }};
}

/// The `Regions` of a component: each field is the region of its name in `system.xml`, and its type
/// says how the component maps it.
#[macro_export]
macro_rules! regions {
    ($component:ident::Regions { $($region:ident),+ }) => {
        $component::Regions::<$crate::Sel4> {
            $($region: $crate::region!($region),)+
        }
    };
}

/// The bytes of a region that nobody can write.
#[macro_export]
macro_rules! bytes {
    ($region:ident) => {{
        let (base, size) = $crate::map!($region);
        // SAFETY: as for `region`; `system.xml` maps the region read-only wherever it is mapped, so
        // that its bytes never change.
        unsafe { core::slice::from_raw_parts(base as *const u8, size) }
    }};
}

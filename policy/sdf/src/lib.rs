//! Reads Microkit system descriptions, with the position of everything in them.
//!
//! A system description (SDF) is the XML file from which [Microkit] builds an image: protection
//! domains, memory regions, channels, interrupts, virtual machines. This crate reads the format of
//! Microkit 2.3.0 into plain data, for tools that want to know what a system is allowed to do:
//! checkers, visualisers, editors. It builds nothing.
//!
//! ```
//! let text = r#"
//! <system>
//!     <memory_region name="uart" size="0x1000" phys_addr="0x9000000" />
//!     <protection_domain name="console" priority="100">
//!         <program_image path="console.elf" />
//!         <map mr="uart" vaddr="0x2000000" perms="rw" cached="false" />
//!         <irq irq="33" id="0" />
//!     </protection_domain>
//! </system>"#;
//! let system = portcullis_sdf::parse(text, &portcullis_sdf::Target::ANY).unwrap();
//! let console = &system.protection_domains[0];
//! assert_eq!(console.priority.value, 100);
//! assert_eq!(&text[console.priority.span.clone()], "100");
//! ```
//!
//! # What is refused
//!
//! Whatever the stock tool refuses in a description, each with its own [`Fault`], with the place in
//! the text and with what to do; all that are found at once, not only the first. In these cases the
//! crate is stricter than Microkit 2.3.0, because something would otherwise be there that the reader
//! does not see, or the image would not be what the text says, or would not start:
//!
//! - child elements, attributes of a foreign namespace, and text where nothing reads them;
//! - ids of children above 61, whose capabilities would fall into the slots of virtual machines;
//! - `<cspace>` slots from 64 up: the root CNode has 64;
//! - permissions to write without reading in every spelling (`wx`), empty permissions, names and sizes;
//! - I/O ports above 0xffff, and virtual machines' priorities above 254;
//! - a `setvar` of a memory region that does not exist;
//! - interrupts that the target's interrupt controller does not have;
//! - memory regions over the kernel, over a device that the kernel keeps, or over nothing, where
//!   the [`Board`]'s memory is known;
//! - names, paths and symbols with a character that cannot be seen, or that look like another name
//!   (UTS #39), tags of more than 64 KiB, and more than 64 namespaces.
//!
//! In one it is more lenient: `<domains>` may stand behind the protection domains that name them.
//!
//! That a program exists is for the build to find. So it is for a file named by `prefill_path`,
//! unless the [`Board`] has search paths: without them, a region whose size such a file decides
//! counts as one page in the checks for overlaps.
//!
//! [Microkit]: https://docs.sel4.systems/projects/microkit/

#![forbid(unsafe_code)]

mod board;
mod boards;
mod check;
mod element;
mod error;
mod fault;
mod model;
mod names;
mod number;
mod read;
mod target;

pub use board::{Board, PhysicalMemory, PhysicalPlace};
pub use boards::differences;
pub use error::{Error, Errors, MAX_ERRORS, Position};
pub use fault::Fault;
pub use model::{
    BootInfo, Channel, Domain, DomainSchedule, Duration, End, ExtraCap, ExtraCapKind, FileId,
    IoAddressSpace, IoMap, IoPorts, Irq, IrqSource, Map, MemoryRegion, PAGE_SIZES, Parent,
    PciAddress, PdId, Perms, Polarity, Prefill, Program, ProtectionDomain, RegionId, SetVar, Span,
    Spanned, SymbolValue, System, Trigger, Unit, Vcpu, VirtualMachine,
};
pub use number::parse_number;
pub use target::{Architecture, Target};

/// Highest id of a channel, interrupt, child or vCPU: each is one bit of a badge, whose two highest
/// bits Microkit uses itself.
pub const MAX_ID: u8 = 61;
/// Highest priority of a protection domain; the monitor's is 255.
pub const MAX_PRIORITY: u8 = 254;
/// Most protection domains: what the monitor's CNode has slots for.
pub const MAX_PROTECTION_DOMAINS: usize = 63;

/// Reads a system description for a target of which nothing else is known.
///
/// # Errors
///
/// Those of [`Board::parse`].
pub fn parse(text: &str, target: &Target) -> Result<System, Errors> {
    Board::from(*target).parse(text)
}

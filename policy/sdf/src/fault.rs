//! What can be wrong with a system description: one variant a cause.

use crate::{Architecture, PhysicalPlace};

/// A cause for which a description is refused. [`Error`](crate::Error) adds where.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "the fields are the offending text and the limit, as named"
)]
pub enum Fault {
    /// The text is not well-formed XML, or has a document type definition.
    Xml { message: String },
    /// The root element is not `<system>`.
    NotASystem { root: String },
    /// An element that has no place here.
    UnknownElement {
        element: String,
        parent: &'static str,
        allowed: &'static [&'static str],
    },
    /// An element or attribute of some namespace: the format has none.
    ForeignNamespace { name: String, namespace: String },
    /// `<virtual_machine>` outside a protection domain.
    VirtualMachineAtTop,
    /// An attribute that the element does not have.
    UnknownAttribute {
        attribute: String,
        element: &'static str,
        allowed: &'static [&'static str],
    },
    /// Text between elements.
    UnexpectedText { text: String },
    /// An attribute that must be there is not.
    MissingAttribute {
        attribute: &'static str,
        element: &'static str,
    },
    /// `<irq>` says none of `irq`, `pin` and `pcidev`.
    MissingIrqSource { allowed: &'static str },
    /// An element that must be there is not.
    MissingElement {
        element: &'static str,
        parent: &'static str,
        name: String,
    },
    /// An element that may stand only once stands again.
    RepeatedElement {
        element: &'static str,
        parent: &'static str,
    },
    /// A name, path or symbol without a character.
    Empty { attribute: &'static str },
    /// A name, path or symbol that cannot be told from others by eye.
    BadName {
        what: &'static str,
        name: String,
        problem: String,
    },
    /// Not a number.
    BadNumber {
        attribute: &'static str,
        text: String,
        notation: &'static str,
    },
    /// A number outside what the attribute takes.
    OutOfRange {
        attribute: &'static str,
        text: String,
        low: u64,
        high: u64,
    },
    /// A word that the attribute does not take.
    BadChoice {
        attribute: &'static str,
        text: String,
        allowed: &'static [&'static str],
    },
    /// Permissions with another letter than `r`, `w`, `x`.
    BadPerms { text: String, letters: &'static str },
    /// Permission to write without permission to read.
    WriteOnly { text: String },
    /// Not a PCI address, or a part of it is too large.
    BadPciAddress {
        attribute: &'static str,
        text: String,
    },
    /// A duration that is not a positive number and a unit.
    BadDuration { text: String },
    /// A number that is not a multiple of a page's size.
    Misaligned {
        attribute: &'static str,
        text: String,
        alignment: u64,
    },
    /// The budget is more than the period.
    BudgetAbovePeriod { budget: u64, period: u64 },
    /// A region has neither a size nor anything that it is filled with.
    SizeMissing { region: String },
    /// A region is filled from two sources.
    FilledTwice { region: String },
    /// No folder of the search path has the file that a region is filled from.
    PrefillNotFound { path: String },
    /// The file that a region is filled from has no content.
    PrefillEmpty { path: String },
    /// The file that a region is filled from is larger than the region.
    PrefillTooLarge {
        path: String,
        found: u64,
        limit: u64,
    },
    /// `setvar_prefill_size` for a region that no file fills.
    NotFilled { region: String },
    /// A physical address is asked for that nobody knows when the image is built.
    AddressNotKnown { region: String },
    /// A region reaches beyond the last address of 64 bits.
    AddressOverflow { region: String },
    /// Something is mapped where user programs cannot have it.
    BeyondAddressSpace {
        region: String,
        start: u64,
        end: u64,
        limit: u64,
    },
    /// Two mappings of one address space overlap.
    OverlappingMaps {
        region: String,
        range: (u64, u64),
        other: String,
        other_range: (u64, u64),
        space: String,
    },
    /// Two regions have physical addresses in common.
    OverlappingRegions {
        region: String,
        range: (u64, u64),
        other: String,
        other_range: (u64, u64),
    },
    /// A region lies where the kernel gives out nothing.
    Withheld {
        region: String,
        start: u64,
        end: u64,
        over: PhysicalPlace,
    },
    /// A device is given a region of large pages.
    LargePageForDevice { region: String },
    /// Two things that must differ have the same name.
    DuplicateName { what: &'static str, name: String },
    /// A name that the tool uses itself.
    ReservedName { name: String },
    /// Two things that must differ have the same number.
    DuplicateNumber {
        what: &'static str,
        number: String,
        within: String,
    },
    /// A symbol is set twice.
    DuplicateSymbol { symbol: String, pd: String },
    /// Two ranges of I/O ports overlap.
    OverlappingPorts {
        range: (u64, u64),
        other_range: (u64, u64),
        pd: String,
    },
    /// A name that nothing has.
    UnknownName {
        what: &'static str,
        name: String,
        nearest: Option<String>,
    },
    /// No protection domain at all.
    NoProtectionDomain,
    /// More protection domains than the monitor can watch.
    TooManyProtectionDomains { found: usize, limit: usize },
    /// A channel without exactly two ends.
    ChannelEnds { found: usize },
    /// Both ends of a channel would call the other.
    CallsBothWays,
    /// A call to a protection domain that does not have a higher priority.
    CallNotUpwards {
        caller: String,
        caller_priority: u8,
        callee: String,
        callee_priority: u8,
    },
    /// A slot that Microkit uses itself.
    ReservedSlot { slot: String },
    /// A domain is named, but there is no schedule of domains.
    DomainWithoutSchedule { domain: String },
    /// More domains than the kernel has.
    TooManyDomains { limit: u16 },
    /// More schedule entries than the kernel has.
    ScheduleTooLong { found: u64, limit: u64 },
    /// The schedule starts behind its end.
    StartBehindSchedule { start: u64, length: u64 },
    /// A schedule of domains on a kernel with several cores.
    ScheduleOnManyCores { cores: u16 },
    /// Something that the target's kernel does not have.
    NotOnTarget {
        what: &'static str,
        architecture: Option<Architecture>,
    },
    /// A virtual machine and something that x86-64 cannot combine with it.
    NotWithVirtualMachine { what: &'static str, pd: String },
}

mod help;
mod message;

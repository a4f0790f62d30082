//! What a fault says: the offending text, and the limit that it breaks.

use std::fmt;

use portcullis_text::Plain;

use crate::{Fault, PhysicalPlace};

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml { message } => write!(f, "this is not well-formed XML: {message}"),
            Self::NotASystem { root } => {
                write!(f, "the root element is <{root}>, not <system>")
            }
            Self::UnknownElement {
                element, parent, ..
            } => write!(f, "<{element}> has no place in <{parent}>"),
            Self::ForeignNamespace { name, namespace } => {
                write!(
                    f,
                    "'{name}' is of the namespace '{namespace}', which nothing reads"
                )
            }
            Self::VirtualMachineAtTop => {
                f.write_str("<virtual_machine> stands outside a protection domain")
            }
            Self::UnknownAttribute {
                attribute, element, ..
            } => write!(f, "<{element}> has no attribute '{attribute}'"),
            Self::UnexpectedText { text } => write!(f, "text between elements: '{text}'"),
            Self::MissingAttribute { attribute, element } => {
                write!(f, "<{element}> has no '{attribute}'")
            }
            Self::MissingIrqSource { .. } => f.write_str("<irq> does not say where it comes from"),
            Self::MissingElement {
                element,
                parent,
                name,
            } if name.is_empty() => write!(f, "<{parent}> has no <{element}>"),
            Self::MissingElement {
                element,
                parent,
                name,
            } => write!(f, "<{parent}> '{name}' has no <{element}>"),
            Self::RepeatedElement { element, parent } => {
                write!(f, "a second <{element}> in <{parent}>")
            }
            Self::Empty { attribute } => write!(f, "'{attribute}' is empty"),
            Self::BadName {
                what,
                name,
                problem,
            } => write!(f, "{what} '{}' {problem}", Plain(name)),
            Self::BadNumber {
                attribute, text, ..
            } => {
                write!(f, "{attribute} '{text}' is not a number")
            }
            Self::OutOfRange {
                attribute,
                text,
                low,
                high,
            } => write!(
                f,
                "{attribute} '{text}' is not {}",
                Range {
                    low: *low,
                    high: *high,
                    text
                }
            ),
            Self::BadChoice {
                attribute, text, ..
            } => write!(f, "{attribute} cannot be '{text}'"),
            Self::BadPerms { text, letters } => {
                write!(f, "perms '{text}' is not made of the letters {letters}")
            }
            Self::WriteOnly { text } => write!(f, "perms '{text}' allows writing without reading"),
            Self::BadPciAddress { attribute, text } => {
                write!(f, "{attribute} '{text}' is not a PCI address")
            }
            Self::BadDuration { text } => write!(f, "duration '{text}' is not a time"),
            Self::Misaligned {
                attribute,
                text,
                alignment,
            } => write!(
                f,
                "{attribute} '{text}' is not a multiple of the page size, {alignment:#x}"
            ),
            Self::BudgetAbovePeriod { budget, period } => {
                write!(
                    f,
                    "the budget, {budget} us, is above the period, {period} us"
                )
            }
            Self::SizeMissing { region } => write!(f, "memory region '{region}' has no size"),
            Self::FilledTwice { region } => write!(
                f,
                "memory region '{region}' has both prefill_path and prefill_bootinfo"
            ),
            Self::PrefillNotFound { path } => write!(f, "there is no file '{path}'"),
            Self::PrefillEmpty { path } => write!(f, "the file '{path}' is empty"),
            Self::PrefillTooLarge { path, found, limit } => write!(
                f,
                "the file '{path}' has {found} bytes, and its memory region {limit}"
            ),
            Self::NotFilled { region } => write!(
                f,
                "setvar_prefill_size on memory region '{region}', which no file fills"
            ),
            Self::AddressNotKnown { region } => write!(
                f,
                "the physical address of memory region '{region}' is not known on x86-64 when the \
                 image is built"
            ),
            Self::AddressOverflow { region } => {
                write!(f, "memory region '{region}' reaches beyond 64 bits")
            }
            Self::BeyondAddressSpace {
                region,
                start,
                end,
                limit,
            } => write!(
                f,
                "memory region '{region}' at {start:#x}..{end:#x} does not lie below {limit:#x}"
            ),
            Self::OverlappingMaps {
                region,
                range,
                other,
                other_range,
                space,
            } => write!(
                f,
                "memory region '{region}' at {:#x}..{:#x} overlaps memory region '{other}' at \
                 {:#x}..{:#x} in {space}",
                range.0, range.1, other_range.0, other_range.1
            ),
            Self::OverlappingRegions {
                region,
                range,
                other,
                other_range,
            } => write!(
                f,
                "memory region '{region}' at physical {:#x}..{:#x} overlaps memory region '{other}' \
                 at {:#x}..{:#x}",
                range.0, range.1, other_range.0, other_range.1
            ),
            Self::Withheld {
                region,
                start,
                end,
                over,
            } => {
                let over = match over {
                    PhysicalPlace::Ram => "ordinary memory",
                    PhysicalPlace::Device => "a device",
                    PhysicalPlace::Kernel => "the kernel's own memory",
                    PhysicalPlace::KernelDevice => "a device that the kernel keeps",
                    PhysicalPlace::Beyond => "addresses beyond those of the board",
                };
                write!(
                    f,
                    "memory region '{region}' at physical {start:#x}..{end:#x} lies over {over}"
                )
            }
            Self::LargePageForDevice { region } => write!(
                f,
                "memory region '{region}' has large pages, which the IOMMU does not take"
            ),
            Self::DuplicateName { what, name } => write!(f, "a second {what} '{name}'"),
            Self::ReservedName { name } => {
                write!(f, "the name '{name}' belongs to Microkit's own monitor")
            }
            Self::DuplicateNumber {
                what,
                number,
                within,
            } => write!(f, "a second {what} {number} in {within}"),
            Self::DuplicateSymbol { symbol, pd } => {
                write!(f, "symbol '{symbol}' of '{pd}' is set twice")
            }
            Self::OverlappingPorts {
                range,
                other_range,
                pd,
            } => write!(
                f,
                "I/O ports {:#x}..{:#x} overlap ports {:#x}..{:#x} of '{pd}'",
                range.0, range.1, other_range.0, other_range.1
            ),
            Self::UnknownName { what, name, .. } => write!(f, "there is no {what} '{name}'"),
            Self::NoProtectionDomain => f.write_str("there is no protection domain"),
            Self::TooManyProtectionDomains { found, limit } => {
                write!(f, "{found} protection domains; there can be {limit}")
            }
            Self::ReservedSlot { slot } => {
                write!(f, "slot '{slot}' of the root CNode holds Microkit's CNode")
            }
            Self::ChannelEnds { found } => write!(f, "a channel with {found} <end>"),
            Self::CallsBothWays => f.write_str("both ends of the channel have pp=\"true\""),
            Self::CallNotUpwards {
                caller,
                caller_priority,
                callee,
                callee_priority,
            } => write!(
                f,
                "'{caller}' (priority {caller_priority}) calls '{callee}' (priority \
                 {callee_priority}), which is not above it"
            ),
            Self::DomainWithoutSchedule { domain } => write!(
                f,
                "domain '{domain}' is named, but the system has no <domains>"
            ),
            Self::TooManyDomains { limit } => {
                write!(f, "more domains than the kernel's {limit}")
            }
            Self::ScheduleTooLong { found, limit } => write!(
                f,
                "the schedule takes {found} entries of the kernel's {limit}"
            ),
            Self::StartBehindSchedule { start, length } => write!(
                f,
                "the schedule starts at entry {start}, and has {length} entries"
            ),
            Self::ScheduleOnManyCores { cores } => {
                write!(f, "a schedule of domains on {cores} cores")
            }
            Self::NotOnTarget { what, architecture } => match architecture {
                Some(architecture) => write!(f, "{what} is not available on {architecture}"),
                None => write!(f, "{what} is not available on this target"),
            },
            Self::NotWithVirtualMachine { what, pd } => write!(
                f,
                "{what} '{pd}', which has a virtual machine: x86-64 cannot combine the two"
            ),
        }
    }
}

/// The numbers that an attribute takes, in the notation of the one that it has.
pub(super) struct Range<'t> {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) text: &'t str,
}

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, high, text } = *self;
        match (high, text.starts_with("0x")) {
            _ if low == high => write!(f, "{low}"),
            (u64::MAX, _) => write!(f, "{low} or more"),
            (_, true) => write!(f, "from {low:#x} to {high:#x}"),
            (_, false) => write!(f, "from {low} to {high}"),
        }
    }
}

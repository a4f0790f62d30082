//! What to do about a fault.

use super::message::Range;
use crate::Fault;

impl Fault {
    /// What to do about it: a phrase in the imperative.
    pub fn help(&self) -> String {
        match self {
            Self::Xml { .. } => {
                "correct the text; document types and entities are not taken".into()
            }
            Self::NotASystem { .. } => "put everything into one <system> element".into(),
            Self::UnknownElement { allowed: [], .. } => {
                "remove it: nothing goes inside this element".into()
            }
            Self::UnknownElement { allowed, .. } => format!("remove it, or use {}", list(allowed)),
            Self::ForeignNamespace { .. } => {
                "remove it, or its prefix and the xmlns attribute: system descriptions have no \
                 namespaces"
                    .into()
            }
            Self::VirtualMachineAtTop => {
                "move it into the protection domain that monitors it".into()
            }
            Self::UnknownAttribute { allowed: [], .. } => {
                "remove it: this element has no attributes".into()
            }
            // Where descriptions for Microkit 1 had it.
            Self::UnknownAttribute {
                attribute,
                element: "protection_domain",
                ..
            } if attribute == "pp" => {
                "remove it, and write pp=\"true\" at the <end> of each caller".into()
            }
            Self::UnknownAttribute { allowed, .. } => {
                format!("remove it, or use {}", list(allowed))
            }
            Self::UnexpectedText { .. } => "remove it, or make it a comment: <!-- ... -->".into(),
            Self::MissingAttribute { attribute, .. } => format!("add {attribute}=\"...\""),
            Self::MissingIrqSource { allowed } => format!("add {allowed}"),
            Self::MissingElement { element, .. } => format!("add <{element} ... />"),
            Self::RepeatedElement { .. } => "keep one of the two".into(),
            Self::Empty { .. } => "give it at least one character".into(),
            Self::BadName { .. } => "give it a name that nobody takes for another".into(),
            Self::BadNumber { notation, .. } => format!("write {notation}"),
            Self::OutOfRange {
                low, high, text, ..
            } => {
                let (low, high) = (*low, *high);
                format!("choose a number: {}", Range { low, high, text })
            }
            Self::BadChoice { allowed, .. } => format!("use {}", list(allowed)),
            Self::BadPerms { letters, .. } => {
                format!("use at least one of the letters {letters}")
            }
            Self::WriteOnly { .. } => {
                "add r, or remove w: the kernel has no mapping that is only written".into()
            }
            Self::BadPciAddress { .. } => {
                "write bus:device.function in hexadecimal, at most ff:1f.7".into()
            }
            Self::BadDuration { .. } => {
                "write a number above zero, a blank, and us or ticks: '1000 us'".into()
            }
            Self::Misaligned { alignment, .. } => {
                format!("round it to a multiple of {alignment:#x}, or choose smaller pages")
            }
            Self::BudgetAbovePeriod { .. } => "lower the budget or raise the period".into(),
            Self::SizeMissing { .. } => "add size=\"...\", or prefill_path=\"...\"".into(),
            Self::FilledTwice { .. } => "keep one of the two".into(),
            Self::PrefillNotFound { .. } => {
                "correct the path, or add the folder to the search path".into()
            }
            Self::PrefillEmpty { .. } => {
                "fill the file, or remove prefill_path: an empty region is zeros anyway".into()
            }
            Self::PrefillTooLarge { .. } => {
                "raise size, or remove it: the file then decides".into()
            }
            Self::NotFilled { .. } => {
                "add prefill_path to the region, or use setvar_size instead".into()
            }
            Self::AddressNotKnown { .. } => "add phys_addr=\"...\" to the region".into(),
            Self::AddressOverflow { .. } => "choose a lower address or a smaller size".into(),
            Self::BeyondAddressSpace { limit, .. } => {
                format!("map it so that it ends at {limit:#x} or below")
            }
            Self::OverlappingMaps { .. } => "move one of the two".into(),
            Self::OverlappingRegions { .. } => {
                "correct the addresses, or map one region in both places".into()
            }
            Self::Withheld { .. } => {
                "choose an address that the board's memory map gives to user programs".into()
            }
            Self::LargePageForDevice { .. } => "set page_size=\"0x1000\" on the region".into(),
            Self::DuplicateName { .. } => "rename one of the two".into(),
            Self::ReservedName { .. } => "choose another name".into(),
            Self::DuplicateNumber { .. } => "give one of the two another number".into(),
            Self::DuplicateSymbol { .. } => "use two symbols".into(),
            Self::OverlappingPorts { .. } => "give each port to one protection domain".into(),
            Self::UnknownName {
                nearest: Some(nearest),
                ..
            } => format!("did you mean '{nearest}'?"),
            Self::UnknownName { what, .. } => format!("declare it, or name a {what} that exists"),
            Self::NoProtectionDomain => "add a <protection_domain>".into(),
            Self::TooManyProtectionDomains { .. } => "merge some of them".into(),
            Self::ChannelEnds { .. } => "write exactly two <end> elements".into(),
            Self::CallsBothWays => "let one end call, and the other notify".into(),
            Self::CallNotUpwards { callee, .. } => {
                format!("raise the priority of '{callee}', or turn the call round")
            }
            Self::ReservedSlot { .. } => "choose a slot from 1 to 63".into(),
            Self::DomainWithoutSchedule { .. } => {
                "remove the attribute, or add <domains> with a schedule".into()
            }
            Self::TooManyDomains { .. } => "merge some of them".into(),
            Self::ScheduleTooLong { .. } => "shorten the schedule, or lower index_shift".into(),
            Self::StartBehindSchedule { .. } => "lower start_index, or add entries".into(),
            Self::ScheduleOnManyCores { .. } => {
                "build for one core: seL4 schedules domains on one core only".into()
            }
            Self::NotOnTarget { .. } => "remove it, or build for another board".into(),
            Self::NotWithVirtualMachine { .. } => {
                "give the virtual machine a protection domain of its own".into()
            }
        }
    }
}

/// `a`; `a or b`; `a, b or c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

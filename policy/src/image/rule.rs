//! The rules that an image must keep, and what is found where one does not hold.

use std::fmt;

/// Declares the rules: name for programs, what must hold, and what to do where it does not.
macro_rules! rules {
    ($($rule:ident $code:literal $states:literal $remedy:expr;)*) => {
        /// A rule that an image must keep.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Rule {
            $(
                #[doc = $states]
                $rule,
            )*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// Its name for programs.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$rule => concat!("image::", $code),)*
                }
            }

            /// What must hold.
            pub const fn states(self) -> &'static str {
                match self {
                    $(Self::$rule => $states,)*
                }
            }

            /// What to do where it does not.
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::$rule => $remedy,)*
                }
            }
        }
    };
}

const REBUILD: &str = "build the image again from this policy and this system description";
const NARROW: &str = "build the image with portcullis-image: other tools hand out more";
const DECLARE: &str = "remove it, or declare it in the system description and the policy, and build \
                       the image again";

rules! {
    Policy "policy"
        "The manager finds this policy in its memory, and no other."
        REBUILD;
    Custody "custody"
        "The manager, the keeper of the grant log and the clock find each of their regions by its symbol, \
         with exact rights, in memory that has no fixed address and is filled as its role says; the manager has \
         nothing else, and nobody else can write what it maps, but for the pages `boot_seed` and \
         `utc_offset`, which one component each may write."
        "correct their <map> elements, and build the image again";
    Symbols "symbols"
        "The symbols that are set in a program are those of the system description and of Microkit's \
         runtime, with their values; in the manager's, those by which it finds its memory and no other."
        "remove the setvar that sets it, and build the image again";
    Sdk "sdk"
        "The image was built with the Microkit SDK whose slots and names these rules know."
        "build it with Microkit SDK 2.3.0, or check it with the Portcullis made for its SDK";
    Thread "thread"
        "The threads are those of the protection domains, one each."
        REBUILD;
    UnknownObject "unknown_object"
        "Every object belongs to a protection domain, a memory region or the monitor."
        DECLARE;
    Unaccounted "unaccounted"
        "A policy line, a channel, a device or a fixed need accounts for every capability."
        DECLARE;
    Missing "missing"
        "Every capability that is stated is there."
        REBUILD;
    WiderRights "wider_rights"
        "No capability has more rights than stated."
        NARROW;
    NarrowerRights "narrower_rights"
        "No capability has fewer rights than stated."
        REBUILD;
    Badge "badge"
        "Every badge is the one by which the receiver knows the channel."
        REBUILD;
    Guard "guard"
        "The guard of a capability to a CNode is zero, and as long as stated."
        REBUILD;
    Radix "radix"
        "A CNode has as many slots as stated: a grants CNode those that its ceiling needs."
        REBUILD;
    CNode "cnode"
        "A protection domain has its root, Microkit's CNode, and its grants CNode; the manager its authority CNode, and its reply objects."
        REBUILD;
    GrantsNotEmpty "grants_not_empty"
        "A grants CNode is empty at boot: only the manager fills it, and logs what it does."
        "build the image with portcullis-image, which leaves grants to the manager";
    CNodeHeld "cnode_held"
        "Nobody holds a CNode but its owner in its root, and the manager in the authority CNode."
        "remove it: with a CNode its holder makes and takes capabilities past the manager";
    PowerHeld "power_held"
        "Nobody holds a TCB, scheduling context, VSpace, vCPU, page table, frame or untyped memory but \
         where the system description or the monitor's work says so."
        "remove it, or declare it in <cspace> and the policy: it gives power over another component";
    IrqHeld "irq_held"
        "An interrupt's handler is held by its owner only."
        "remove it: an interrupt belongs to the one protection domain that has its <irq>";
    Binding "binding"
        "A thread runs in its own CSpace and VSpace, with its own IPC buffer, time and notification."
        REBUILD;
    FaultEndpoint "fault_endpoint"
        "A fault goes to the parent, to the manager where a component has none, else to the monitor, \
         under the badge that names the thread."
        REBUILD;
    Priority "priority"
        "Priority and maximum controlled priority are those of the system description."
        REBUILD;
    Budget "budget"
        "Budget and period are those of the system description."
        REBUILD;
    Passive "passive"
        "The monitor can take the scheduling context of the passive protection domains, and of no other."
        REBUILD;
    Processor "processor"
        "Core, FPU, scheduling domain and start are those of the system description."
        REBUILD;
    Irq "irq"
        "The interrupts are those of the system description."
        DECLARE;
    IrqSignal "irq_signal"
        "An interrupt signals its owner's notification, in the bit of its channel id."
        REBUILD;
    IrqTrigger "irq_trigger"
        "An interrupt is taken at its edge or level, as the system description says."
        REBUILD;
    WritableMemory "writable_memory"
        "A region is mapped for writing only where the system description maps it."
        "remove the mapping, or declare it with <map> and in the policy, and build the image again";
    ReadableMemory "readable_memory"
        "A region is mapped for reading only where the system description maps it."
        "remove the mapping, or declare it with <map> and in the policy, and build the image again";
    DeviceMemory "device_memory"
        "Memory at a fixed physical address is mapped only where the system description maps it."
        "remove the mapping: a device belongs to the protection domain that maps its registers";
    WiderMapping "wider_mapping"
        "No mapping allows more than stated."
        REBUILD;
    NarrowerMapping "narrower_mapping"
        "No mapping allows less than stated."
        REBUILD;
    MissingMapping "missing_mapping"
        "Every region is mapped, to its last page, where the system description maps it."
        REBUILD;
    Caching "caching"
        "A mapping is cached where the system description says so, and not elsewhere."
        REBUILD;
    WriteXorExecute "write_xor_execute"
        "Nothing can be both written and executed."
        "map data with perms=\"rw\" and code with perms=\"rx\"; link programs so that no segment is both";
    PrivateMemory "private_memory"
        "Programs, stacks and IPC buffers are mapped once, by their owner."
        REBUILD;
    PageTable "page_table"
        "Every page table is reached once, from one VSpace."
        REBUILD;
    RegionSize "region_size"
        "Regions and stacks have the size that the system description says."
        REBUILD;
    PhysicalAddress "physical_address"
        "Physical addresses are those of the system description, or ordinary memory in one piece \
         where the tool chooses, and no two memories overlap."
        REBUILD;
}

/// A rule that does not hold, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The protection domain that it is about; `monitor` for Microkit's, `image` where it is about
    /// none.
    pub component: String,
    /// Where: a slot, an address, a part of its thread.
    pub place: String,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One line: the rule, the component, the place, what was expected, and the remedy. Control characters
/// in names that come from the image are escaped.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!(
            "{}: {}, {}: {}; expected {}. Remedy: {}",
            self.rule,
            self.component,
            self.place,
            self.found,
            self.expected,
            self.rule.remedy()
        );
        line.chars().try_for_each(|character| {
            if character.is_control() {
                write!(f, "{}", character.escape_default())
            } else {
                write!(f, "{character}")
            }
        })
    }
}

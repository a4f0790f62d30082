//! What the oracle finds: an attack, or a rule that is stricter on purpose.

use std::fmt;

/// Something for which a policy must be refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// What kind it is.
    pub kind: Kind,
    /// Names that a refusal must give to be about this.
    pub names: Vec<String>,
    /// The attack, or what the rule says.
    pub text: String,
}

impl Finding {
    /// One that a refusal is about if it has these names in it.
    pub fn new<'n>(
        kind: Kind,
        names: impl IntoIterator<Item = &'n str>,
        text: impl Into<String>,
    ) -> Self {
        let names = names.into_iter().map(str::to_owned).collect();
        Self {
            kind,
            names,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

/// Makes [`Kind`] and its table: a name, the codes by which a checker may refuse it, and, for a rule
/// that is stricter on purpose, why.
macro_rules! kinds {
    ($($kind:ident, $text:literal, [$($code:literal),*], $why:expr;)*) => {
        /// Kinds of findings.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $(#[doc = $text] $kind,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// In words.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }

            /// The codes by which a checker may refuse it, without `policy::`.
            pub const fn codes(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &[$($code),*],)* }
            }

            /// Why it is refused though nobody can exploit it; `None`: somebody can.
            pub const fn stricter_because(self) -> Option<&'static str> {
                match self { $(Self::$kind => $why,)* }
            }
        }
    };
}

kinds! {
    Undeclared, "does what no line declares", ["uncovered", "mapped_wider"], None;
    Dma, "makes a device reach all memory", ["unbounded_dma", "uncovered"], None;
    SelfModifying, "writes what it executes", ["write_and_execute"], None;
    CodeOfAnother, "writes what another executes", ["executes_anothers"], None;
    SameContent, "reads what fills another region", ["filled_twice"], None;
    OwnThread, "changes where its own faults go", ["own_tcb"], None;
    Impersonates, "is taken for another", [], None;
    Crossing, "crosses without a flow", ["crossing_without_flow"], None;
    Never, "reaches what it must never reach", ["never_broken"], None;
    ManagerHeld, "controls the manager", ["manager_held", "manager_memory_written"], None;
    ManagerWritten, "writes what the manager reads", ["manager_memory_written"], None;
    ManagerParent, "faults under another's number", ["manager_parent"], None;
    ManagerHolds, "is the manager's, which needs it not", ["manager_holds"], None;
    OtherMethod, "invokes a method that its grant does not carry", ["method_numbers_overlap"], None;
    Inversion, "keeps its callee from running", ["priority_inversion", "call_apart"], None;
    Early, "runs before the log does", ["runs_before_the_log", "runs_apart_from_the_log", "log_without_time"], None;
    PageLate, "writes what the manager has read already", ["page_written_late", "page_written_apart", "page_without_time"], None;
    CallCycle, "waits for whom waits for it", ["call_cycle"], None;
    NoManager, "is never granted anything: nobody is the manager", ["no_manager"], None;
    NoRing, "is never granted anything: no record can be written", ["no_log_ring"], None;
    SmallRing, "is not granted what does not fit the ring", ["log_ring_too_small"], None;
    Symbol, "takes one memory for another", ["symbol_not_set", "symbol_split", "symbol_rights", "symbol_swapped", "symbols_elsewhere"], None;
    Patched, "runs as the description wants, not as its program does", ["manager_symbol", "runtime_symbol"], None;
    Mute, "cannot ask the manager", ["no_manager_channel"], None;
    RoleMemory, "decides by its memory what the manager believes",
        ["role_filled", "role_not_filled", "role_at_fixed_address", "role_not_cached"], None;
    FilledRegisters, "writes a device's registers before anybody runs", ["filled_registers"], None;
    Asleep, "waits for a manager without time", ["manager_passive"], None;
    NoClock, "has a lease that nobody ends", ["lease_without_clock"], None;
    Unwatched, "is a deadline that nobody watches", ["deadline_unwatched"], None;
    ClockLate, "watches a deadline after others have run", ["clock_late"], None;
    ClockTime, "watches a deadline without time, or with all of it", ["clock_time"], None;
    Unheard, "asks where the manager does not know it", ["second_manager_channel"], None;
    AsksElsewhere, "asks where nobody receives", ["manager_channel_id"], None;
    SendToPassive, "never runs when it is sent to", ["send_to_passive"], None;
    NotWritten, "cannot write its stream", ["stream_not_written"], None;
    NotRead, "cannot read its stream", ["stream_not_read"], None;
    WrittenBack, "writes against a one-way stream", ["stream_written_back"], None;
    ManagerWaits, "makes the manager wait", ["manager_waits", "manager_calls", "delegate_to_manager"], None;
    SlotTaken, "loses its grants CNode", ["root_slot_taken"], None;
    NoBit, "is told of two things by one bit", ["notification_full"], None;

    // Not exploitable today.
    NotInSystem, "names what is not there", ["not_in_system", "no_protection_domain"],
        Some("a line about nothing allows whatever is called so later");
    NotInPolicy, "is unknown to the policy", ["unknown_protection_domain", "unknown_subject"],
        Some("a protection domain without a security domain is in none that a rule is about");
    UnusedLine, "is allowed what it does not do", ["unused_static"],
        Some("a line that nothing needs today allows it tomorrow");
    BehindIommu, "says twice what a device reaches", ["dma_behind_iommu"],
        Some("the device's own lines say it, and another answer would contradict them");
    Nowhere, "has registers that may lie anywhere", ["registers_nowhere"],
        Some("a device's registers have an address: the rule is about something else");
    EndsUnknown, "lies over nobody knows what", ["fixed_without_size"],
        Some("the file could be as long as to reach into what is another's");
    UnusedFlow, "flows to itself", ["flow_to_itself", "never_to_itself"],
        Some("a rule that says nothing was meant to say something else");
    Twice, "is said twice", ["duplicate_grant", "split_grant", "duplicate_flow", "duplicate_static", "duplicate_never", "duplicate_registers"],
        Some("with one line for one thing, removing the line removes the thing");
    NotOffered, "is granted what is not served", ["not_offered"],
        Some("the numbers of its methods would mean something else there");
    SharedFile, "is filled as another is", ["filled_twice"],
        Some("the policy would have to name both regions to say who reads the file");
    SameNumbers, "offers two methods by one number", ["method_numbers_overlap"],
        Some("the numbers are judged before a grant uses them");
    ToItself, "is granted its own", ["grant_to_itself", "delegate_to_itself", "delegate_to_object"],
        Some("a component that waits for itself waits for ever, and a grant to its holder is none");
    StreamComesAndGoes, "is memory that cannot be taken back", ["stream_is_static"],
        Some("memory stands in system.xml, mapped whatever is granted: the policy would lie");
    Malformed, "cannot be read", ["syntax", "unknown_field", "missing_field", "wrong_kind", "unknown_word",
        "out_of_range", "bad_lease", "bad_cap", "dma_alone", "unknown_name", "bad_name", "static_not_one",
        "holder_not_one", "misplaced_field", "empty_list", "duplicate_method_number", "duplicate_item", "public_key"],
        Some("what is not understood is refused, never guessed");
    TooMany, "is more than the manager has room for", ["too_many_components", "too_many_grants_of_component",
        "too_many_grants", "too_many_grants_for_manager", "too_many_items"],
        Some("limits are constants of the manager, which the oracle takes from the reference");
}

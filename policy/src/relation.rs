//! Who can do what to what: one relation over policy and system description.
//!
//! A [`Fact`] says that a subject (a component, a guest, a device behind an IOMMU) has rights on an
//! object, of which kind the fact is, and which line or element is its cause. [`Relation::declared`] is
//! the most that a policy allows, [`Relation::given`] is what a system description gives. All other
//! questions are asked of these two: cover whether what is given is declared, flows and
//! `never` what can be told to whom ([`Relation::flows`]), custody who can write what the manager reads ([`Relation::writers`]).
//!
//! Not a fact, because each protection domain has it and cannot lose it: its own program, stack, IPC
//! buffer, reply object and input, and where its faults go. What else Microkit hands out by itself is
//! not handed out in images of Portcullis (see [`distribution`](crate::distribution)).

mod declared;
mod flow;
mod given;
mod holding;

pub(crate) use declared::{grant_log, is_redacted, of_rule, stream_of_log};
pub use flow::{Flows, Hop};
pub(crate) use given::may_be_registers;
pub use holding::Holding;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::BitOr;

use portcullis_sdf::{Perms, Span};

use crate::model::{CapKind, Delegate, DomainId, Grant, MANAGER, Never, Place, Static, Subject};
use crate::source::Source;

/// One thing that a subject can do.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    /// Who can do it.
    pub subject: Subject<'a>,
    /// What.
    pub rights: Rights,
    /// To what.
    pub object: Object<'a>,
    /// Through what.
    pub kind: Kind,
    /// What gives it.
    pub cause: Cause<'a>,
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Rights(u16);

/// What rights are on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object<'a> {
    /// A memory region.
    Region(&'a str),
    /// A component, which takes calls, messages and signals.
    Component(&'a str),
    /// What is sent to a component: calls, and the faults of its children and guest.
    Input(&'a str),
    /// Power over another subject.
    Power(Power, Subject<'a>),
    /// An interrupt, by its number.
    Interrupt(u64),
    /// x86 I/O ports.
    Ports {
        /// The first.
        base: u64,
        /// How many.
        size: u64,
    },
    /// The secure monitor, which all that may call it share.
    Firmware,
    /// All physical memory, through the DMA of the device behind these registers.
    Memory(Registers<'a>),
    /// What the manager learns of a component: that it was denied something, that and where it faulted.
    Activity(&'a str),
    /// What the manager reads in a memory region that another writes, and puts into records and answers.
    Page(&'a str),
    /// A core, in a scheduling domain.
    Processor {
        /// The core.
        core: u8,
        /// The scheduling domain, where the system has a schedule.
        domain: Option<usize>,
    },
}

/// How a device is driven.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Registers<'a> {
    /// By registers in a memory region.
    Region(&'a str),
    /// By x86 I/O ports.
    Ports {
        /// The first.
        base: u64,
        /// How many.
        size: u64,
    },
}

/// Kinds of power over another subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Power {
    /// Its parent's: its TCB, and its faults.
    Parent,
    /// The monitor of a virtual machine's: its vCPUs, their threads and faults.
    Monitor,
    /// A capability to one of its objects.
    Capability(CapKind),
    /// The driver's of a device behind an IOMMU: its registers.
    Driver,
}

/// The path that a fact takes. Names are stable: programs may rely on them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A grant, held by its subject.
    Grant,
    /// A grant, held by a component that it was delegated to.
    Delegated,
    /// That a component sees a grant come and go that may be delegated to it.
    Delegation,
    /// The memory of a stream.
    Stream,
    /// A component's mapping.
    Map,
    /// A guest's mapping.
    GuestMap,
    /// A device's mapping.
    DeviceMap,
    /// A device that no IOMMU bounds: without rights, where a line says that it does no DMA.
    Dma,
    /// The registers of a device behind an IOMMU.
    Driver,
    /// Knowing where a region lies.
    Address,
    /// A static channel.
    Channel,
    /// A channel to the manager.
    ManagerChannel,
    /// What Microkit's own tool adds to a channel's capability to call, and to a child's fault endpoint:
    /// whoever holds it receives what others send there.
    Receive,
    /// A child protection domain.
    Child,
    /// A virtual machine.
    VirtualMachine,
    /// An extra capability of `<cspace>`.
    Capability,
    /// An interrupt.
    Interrupt,
    /// I/O ports.
    IoPorts,
    /// Secure monitor calls.
    Smc,
    /// What the manager learns of a component.
    Activity,
    /// The manager's interface `inspect`.
    Inspect,
    /// The grant log's ring.
    GrantLog,
    /// What the keeper of the grant log passes on of its records.
    LogCopy,
    /// What another writes and the manager reads.
    Page,
    /// Where a component runs.
    Processor,
}

/// What gives a fact.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// A grant of the policy, or its delegation.
    Grant(&'a Grant, Option<&'a Delegate>),
    /// A static rule of the policy.
    Static(&'a Static),
    /// An element, or attribute, of the system description.
    Element(&'a Span),
    /// That the component is there.
    Component(&'a Place),
}

/// What two facts of different causes have in common: of a grant, its mode too.
type Key<'a> = (Subject<'a>, Rights, Object<'a>, Kind, Option<u8>);

/// Who can do what to what.
#[derive(Clone, Default, Debug)]
pub struct Relation<'a> {
    facts: Vec<Fact<'a>>,
    known: HashSet<Key<'a>>,
    domains: BTreeMap<Subject<'a>, DomainId>,
    /// The keeper of the grant log, where it is taken to act on nothing that a record says.
    pub(crate) opaque_keeper: Option<&'a str>,
    /// Who is not taken for honest, whatever it reaches.
    distrusted: Option<Subject<'a>>,
}

/// What each subject may do to each region in sum, with the first fact that says so.
pub type Regions<'r, 'a> = BTreeMap<(&'a str, Subject<'a>), (Rights, &'r Fact<'a>)>;

impl<'a> Relation<'a> {
    /// Adds a fact, unless the same is there already, of another cause.
    fn add(
        &mut self,
        subject: Subject<'a>,
        rights: Rights,
        object: Object<'a>,
        kind: Kind,
        cause: Cause<'a>,
    ) {
        let mode = match cause {
            Cause::Grant(grant, _) => Some(grant.mode as u8),
            _ => None,
        };
        if self.known.insert((subject, rights, object, kind, mode)) {
            self.facts.push(Fact {
                subject,
                rights,
                object,
                kind,
                cause,
            });
        }
    }

    /// All facts, in the order of their causes.
    pub fn facts(&self) -> &[Fact<'a>] {
        &self.facts
    }

    /// The security domain of a subject; `None`: the policy does not declare it.
    pub fn domain_of(&self, subject: Subject<'_>) -> Option<DomainId> {
        self.domains.get(&subject).copied()
    }

    /// The subjects of a security domain.
    pub fn members(&self, domain: DomainId) -> impl Iterator<Item = Subject<'a>> {
        let members = self.domains.iter().filter(move |(_, own)| **own == domain);
        members.map(|(subject, _)| *subject)
    }

    /// The relation with those facts of another that no policy line can declare: a channel to the
    /// manager, an interrupt that a device behind the IOMMU raises.
    #[must_use]
    pub fn with_fixed(mut self, given: &Relation<'a>) -> Self {
        for fact in given.facts() {
            let is_raised = fact.rights == Rights::SIGNAL && fact.kind == Kind::Interrupt;
            if is_raised || fact.kind == Kind::ManagerChannel {
                self.add(
                    fact.subject,
                    fact.rights,
                    fact.object,
                    fact.kind,
                    fact.cause,
                );
            }
        }
        self
    }

    /// The relation where a subject is not taken for honest: for what it could do, were it taken over.
    #[must_use]
    pub fn distrusting(mut self, subject: Subject<'a>) -> Self {
        self.distrusted = Some(subject);
        let keeper = self.opaque_keeper;
        self.opaque_keeper = keeper.filter(|name| Subject::Component(name) != subject);
        self
    }

    /// The relation without one kind of fact. For tests that show that none can be left out.
    #[cfg(feature = "testing")]
    #[must_use]
    pub(crate) fn without(mut self, kind: Kind) -> Self {
        self.facts.retain(|fact| fact.kind != kind);
        self
    }

    /// Who can write each of these regions, with the fact that lets them: by a mapping that counts, or by power
    /// over one that can.
    pub fn writers(
        &self,
        regions: &BTreeSet<&'a str>,
        counts: impl Fn(&Fact<'a>) -> bool,
    ) -> BTreeMap<&'a str, BTreeMap<Subject<'a>, Fact<'a>>> {
        let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for fact in self.facts.iter().filter(|it| it.rights.has(Rights::WRITE)) {
            if let Object::Region(region) = fact.object
                && regions.contains(region)
                && counts(fact)
            {
                let writers = all.entry(region).or_default();
                writers.entry(fact.subject).or_insert(*fact);
            }
        }
        let powers = self.held_powers();
        for writers in all.values_mut() {
            close_over(&powers, writers, |fact| fact);
        }
        all
    }

    /// Who has power over whom.
    fn held_powers(&self) -> Vec<(Fact<'a>, Subject<'a>)> {
        let powers = self.facts.iter().filter_map(|fact| match fact.object {
            Object::Power(_, of) => Some((*fact, of)),
            _ => None,
        });
        powers.collect()
    }

    /// The shortest path in `flows`, which are this relation's, that a `never` rule forbids.
    pub fn broken(&self, never: &Never, flows: &Flows<'a>) -> Option<Vec<Hop<'a>>> {
        let reached = |subject| self.domain_of(subject) == Some(never.to);
        flows.shortest_path(self.members(never.from), reached)
    }

    /// The sum of what each subject may do to each region.
    pub fn regions(&self) -> Regions<'_, 'a> {
        let mut regions = Regions::new();
        for fact in &self.facts {
            if let Object::Region(region) = fact.object {
                let key = (region, fact.subject);
                let (rights, _) = regions.entry(key).or_insert((Rights::default(), fact));
                *rights = *rights | fact.rights;
            }
        }
        regions
    }

    /// Who must be honest for a verdict to hold: those that reach all memory, the keeper of the grant log
    /// where its records are opaque to it, and whoever has power over one of them.
    pub fn assumed_honest(&self) -> BTreeSet<Subject<'a>> {
        let keeper = self.opaque_keeper.map(Subject::Component);
        let all = self.reach_all_memory().into_iter().chain(keeper);
        self.with_power_over(all.collect())
    }

    /// To whom the keeper of the grant log passes records on, of those that must be honest: they are taken to
    /// pass on nothing that a record says.
    pub(crate) fn carriers(&self) -> BTreeSet<Subject<'a>> {
        let honest = self.assumed_honest();
        let copies = self.facts.iter().filter(|fact| fact.kind == Kind::LogCopy);
        let readers = copies.map(|fact| fact.subject);
        readers.filter(|reader| honest.contains(reader)).collect()
    }

    /// Those that reach all memory through a device or the secure monitor, and whoever has power over one of
    /// them.
    pub fn reach_all_memory(&self) -> BTreeSet<Subject<'a>> {
        let all = self.facts.iter().filter(|fact| fact.reaches_all_memory());
        self.with_power_over(all.map(|fact| fact.subject).collect())
    }

    /// Those, and whoever has power over one of them, at first or second hand.
    pub(crate) fn with_power_over(&self, all: BTreeSet<Subject<'a>>) -> BTreeSet<Subject<'a>> {
        let mut all = all.into_iter().map(|subject| (subject, ())).collect();
        close_over(&self.held_powers(), &mut all, |_| ());
        all.into_keys().collect()
    }
}

/// Adds whoever has power over one of `all`, at first or second hand, with what `value` makes of the fact
/// that says so.
fn close_over<'a, T>(
    powers: &[(Fact<'a>, Subject<'a>)],
    all: &mut BTreeMap<Subject<'a>, T>,
    value: impl Fn(Fact<'a>) -> T,
) {
    while let Some((fact, _)) = powers
        .iter()
        .find(|(fact, of)| all.contains_key(of) && !all.contains_key(&fact.subject))
    {
        all.insert(fact.subject, value(*fact));
    }
}

impl Rights {
    /// To read memory.
    pub const READ: Self = Self(1);
    /// To write memory.
    pub const WRITE: Self = Self(1 << 1);
    /// To execute memory.
    pub const EXECUTE: Self = Self(1 << 2);
    /// To know where memory lies.
    pub const LOCATE: Self = Self(1 << 3);
    /// To send a message and get a reply.
    pub const CALL: Self = Self(1 << 4);
    /// To send a message.
    pub const SEND: Self = Self(1 << 5);
    /// To set a bit of a notification.
    pub const SIGNAL: Self = Self(1 << 6);
    /// To be told.
    pub const RECEIVE: Self = Self(1 << 7);
    /// To stop, start or change.
    pub const CONTROL: Self = Self(1 << 8);
    /// To run.
    pub const RUN: Self = Self(1 << 9);

    const NAMES: [(Self, &'static str); 10] = [
        (Self::READ, "read"),
        (Self::WRITE, "write"),
        (Self::EXECUTE, "execute"),
        (Self::LOCATE, "locate"),
        (Self::CALL, "call"),
        (Self::SEND, "send"),
        (Self::SIGNAL, "signal"),
        (Self::RECEIVE, "receive"),
        (Self::CONTROL, "control"),
        (Self::RUN, "run"),
    ];

    /// Whether one of `rights` is in the set.
    pub const fn has(self, rights: Self) -> bool {
        self.0 & rights.0 != 0
    }

    /// Whether all of these are in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those of a mapping: who maps a region also knows where it lies.
    pub(crate) fn of_mapping(read: bool, write: bool, execute: bool) -> Self {
        let flags = [
            (read, Self::READ),
            (write, Self::WRITE),
            (execute, Self::EXECUTE),
        ];
        let allowed = flags.into_iter().filter(|(allowed, _)| *allowed);
        allowed.fold(Self::LOCATE, |rights, (_, right)| rights | right)
    }

    /// The permissions of a mapping that are among these.
    pub const fn perms(self) -> Perms {
        Perms {
            read: self.has(Self::READ),
            write: self.has(Self::WRITE),
            execute: self.has(Self::EXECUTE),
        }
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = Self::NAMES.iter().filter(|(right, _)| self.has(*right));
        let names: Vec<&str> = own.map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}

impl<'a> Object<'a> {
    /// The subject that has what is told to the object; `None`: it keeps it for whoever reads it.
    pub const fn owner(self) -> Option<Subject<'a>> {
        match self {
            Self::Component(name) => Some(Subject::Component(name)),
            Self::Power(_, subject) => Some(subject),
            _ => None,
        }
    }
}

impl Object<'_> {
    /// The object as messages name it.
    pub fn describe(self) -> String {
        match self {
            Self::Region(name) => format!("memory region `{name}`"),
            Self::Component(name) => format!("a channel to `{name}`"),
            Self::Input(name) => format!("what is sent to `{name}`"),
            Self::Power(Power::Parent, of) => format!("child {of}"),
            Self::Power(Power::Monitor, of) => format!("virtual machine `{}`", of.name()),
            Self::Power(Power::Driver, of) => format!("control of {of}"),
            Self::Power(Power::Capability(kind), of) => format!("the {kind} of {of}"),
            Self::Interrupt(number) => format!("interrupt {number}"),
            Self::Ports { base, size } => format!("{size} I/O ports from {base:#x}"),
            Self::Firmware => String::from("secure monitor calls"),
            Self::Memory(through) => format!("all physical memory, through {through}"),
            Self::Activity(name) => format!("what `{name}` does"),
            Self::Page(region) => format!("what the manager reads in region `{region}`"),
            Self::Processor { core, .. } => format!("core {core}"),
        }
    }
}

impl<'a> Registers<'a> {
    /// The registers themselves.
    pub const fn object(self) -> Object<'a> {
        match self {
            Self::Region(name) => Object::Region(name),
            Self::Ports { base, size } => Object::Ports { base, size },
        }
    }
}

impl fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region `{name}`"),
            Self::Ports { base, size } => write!(f, "{size} I/O ports from {base:#x}"),
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 25] = [
        Self::Grant,
        Self::Delegated,
        Self::Delegation,
        Self::Stream,
        Self::Map,
        Self::GuestMap,
        Self::DeviceMap,
        Self::Dma,
        Self::Driver,
        Self::Address,
        Self::Channel,
        Self::ManagerChannel,
        Self::Receive,
        Self::Child,
        Self::VirtualMachine,
        Self::Capability,
        Self::Interrupt,
        Self::IoPorts,
        Self::Smc,
        Self::Activity,
        Self::Inspect,
        Self::GrantLog,
        Self::LogCopy,
        Self::Page,
        Self::Processor,
    ];

    /// Its name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Delegated => "delegated",
            Self::Delegation => "delegation",
            Self::Stream => "stream",
            Self::Map => "map",
            Self::GuestMap => "guest_map",
            Self::DeviceMap => "device_map",
            Self::Dma => "dma",
            Self::Driver => "driver",
            Self::Address => "address",
            Self::Channel => "channel",
            Self::ManagerChannel => "manager_channel",
            Self::Receive => "receive",
            Self::Child => "child",
            Self::VirtualMachine => "vm",
            Self::Capability => "cap",
            Self::Interrupt => "irq",
            Self::IoPorts => "ioport",
            Self::Smc => "smc",
            Self::Activity => "activity",
            Self::Inspect => "inspect",
            Self::GrantLog => "grant_log",
            Self::LogCopy => "log_copy",
            Self::Page => "page",
            Self::Processor => "processor",
        }
    }
}

impl<'a> Cause<'a> {
    /// Where it stands in the policy; `None`: in the system description.
    pub fn place(self) -> Option<&'a Place> {
        match self {
            Self::Grant(_, Some(delegate)) => Some(&delegate.place),
            Self::Grant(grant, None) => Some(match &grant.region {
                Some(region) => &region.place,
                None => &grant.places.mode,
            }),
            Self::Static(rule) => Some(&rule.object),
            Self::Component(place) => Some(place),
            Self::Element(_) => None,
        }
    }

    /// Its line in the policy: that of the rule.
    pub fn line(self) -> Option<u32> {
        match self {
            Self::Grant(grant, _) => Some(grant.line()),
            Self::Static(rule) => Some(rule.place.line),
            Self::Component(place) => Some(place.line),
            Self::Element(_) => None,
        }
    }

    /// Whether both are one grant: the two ends of a stream, say. A line is not one: it can hold
    /// several rules.
    pub fn is_same_grant(self, other: Self) -> bool {
        match (self, other) {
            (Self::Grant(own, _), Self::Grant(other, _)) => std::ptr::eq(own, other),
            _ => false,
        }
    }

    /// Where it stands, in the policy or in the system description.
    pub fn of_source(self, system: Option<&Source>) -> Place {
        match self {
            Self::Element(span) => {
                system.map_or_else(Place::default, |system| system.place(span.clone()))
            }
            policy => policy.place().cloned().unwrap_or_default(),
        }
    }
}

impl Fact<'_> {
    /// What it allows, as a phrase: "maps region `uart` \"rw\"".
    pub fn describe(&self) -> String {
        match self.object {
            Object::Region(region) if self.kind == Kind::Address => {
                format!("knows the physical address of region `{region}`")
            }
            Object::Region(region) => {
                format!("maps region `{region}` \"{}\"", self.rights.perms())
            }
            Object::Component(name) if self.rights.has(Rights::CALL) => {
                format!("can call `{name}`")
            }
            Object::Component(name) if self.rights.has(Rights::SEND) => {
                format!("can send to `{name}`")
            }
            Object::Component(name) => format!("can notify `{name}`"),
            Object::Input(name) => format!("can receive what others send to `{name}`"),
            Object::Power(Power::Parent, of) => format!("controls {of} and handles its faults"),
            Object::Power(Power::Monitor, of) => {
                format!("runs virtual machine `{}`", of.name())
            }
            Object::Power(Power::Driver, of) => format!("drives {of}"),
            Object::Power(Power::Capability(kind), of) => {
                format!("holds the {} of {of}", kind.object())
            }
            Object::Interrupt(number) if self.rights.has(Rights::SIGNAL) => {
                format!("raises interrupt {number}")
            }
            Object::Interrupt(number) => format!("handles interrupt {number}"),
            Object::Ports { base, size } => format!("drives {size} I/O ports from {base:#x}"),
            Object::Firmware => String::from("can make secure monitor calls"),
            Object::Memory(through) if self.reaches_all_memory() => {
                format!("reaches all memory through the device of {through}")
            }
            Object::Memory(through) => {
                format!("drives the device of {through}, which does not reach all memory")
            }
            Object::Activity(name) if self.rights.has(Rights::WRITE) => {
                format!("does what the manager learns of `{name}`")
            }
            Object::Activity(name) => format!("learns what the manager learns of `{name}`"),
            Object::Page(region) if self.rights.has(Rights::WRITE) => {
                format!("writes what the manager reads in region `{region}`")
            }
            Object::Page(region) => format!("learns what the manager reads in region `{region}`"),
            Object::Processor { core, .. } => format!("runs on core {core}"),
        }
    }

    /// Whether the subject can have a device read and write all memory, or the secure monitor start a core
    /// at any address.
    pub fn reaches_all_memory(&self) -> bool {
        let is_any = matches!(self.object, Object::Memory(_) | Object::Firmware);
        is_any && self.rights != Rights::default()
    }

    /// Whether the subject is the manager.
    pub fn is_managers(&self) -> bool {
        self.subject == Subject::Component(MANAGER)
    }
}

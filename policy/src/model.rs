//! The policy with every name resolved: what all checks and the compiler read.
//!
//! A name that resolved is a number here ([`ComponentId`], [`DomainId`], [`InterfaceId`]), which
//! indexes the table of the same [`Policy`]. Names of things that only `system.xml` declares
//! (regions, virtual machines) stay text. Every item knows its [`Place`] in the source. Holding a
//! `Policy` proves that its numbers resolve, and nothing more: the checks are in [`crate::check`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use portcullis_kernel::{Method, MethodSet, Mode};
/// The manager is trusted: information flow through it is not a path, and channels to it need no
/// policy line.
pub use portcullis_manager_api::MANAGER;
pub use portcullis_policy_format::OnFault;

use crate::source::Source;

/// A policy, resolved.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The text that it was read from.
    pub source: Arc<Source>,
    /// Its name.
    pub name: String,
    /// Its version; the manager takes a policy only if it is above the one in force.
    pub version: u32,
    /// Public keys that may sign the next policy; none: those that may sign this one.
    pub successors: Vec<[u8; 32]>,
    /// Security domains, in source order; [`DomainId`] indexes them.
    pub domains: Vec<Domain>,
    /// Interfaces, in source order; [`InterfaceId`] indexes them.
    pub interfaces: Vec<Interface>,
    /// Components, in source order; [`ComponentId`] indexes them.
    pub components: Vec<Component>,
    /// The guests of virtual machines, in source order.
    pub guests: Vec<Outsider>,
    /// The devices behind an IOMMU, in source order.
    pub devices: Vec<Outsider>,
    /// Directions in which modes may cross domain boundaries.
    pub flows: Vec<Flow>,
    /// Grants, in source order.
    pub grants: Vec<Grant>,
    /// Authority that `system.xml` may give, beside the channels to the manager.
    pub statics: Vec<Static>,
    /// Rules over the whole ceiling.
    pub nevers: Vec<Never>,
}

/// Where something stands in its source.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Place {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// Line of the first byte, from 1.
    pub line: u32,
}

/// Text that is to be resolved elsewhere, with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// Number of a domain of the policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DomainId(pub u16);

/// Number of an interface of the policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InterfaceId(pub u16);

/// Number of a component of the policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ComponentId(pub u16);

/// A security domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub place: Place,
}

/// An interface: named methods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its methods, in the order of their numbers.
    pub methods: Vec<InterfaceMethod>,
    /// Where its name stands.
    pub place: Place,
}

/// A method of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceMethod {
    /// Its name.
    pub name: String,
    /// Its number.
    pub method: Method,
    /// Where its name stands.
    pub place: Place,
}

/// A component: one protection domain of the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its security domain.
    pub domain: DomainId,
    /// The interfaces it serves.
    pub offers: Vec<InterfaceId>,
    /// What the manager does when it faults.
    pub on_fault: OnFault,
    /// Where its name stands.
    pub place: Place,
}

/// A guest, or a device behind an IOMMU: a subject that is no protection domain. It holds what
/// `system.xml` maps for it, and no grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outsider {
    /// The name of its virtual machine, or of its I/O address space.
    pub name: String,
    /// Its security domain.
    pub domain: DomainId,
    /// The memory regions of a device's registers: whoever maps one drives the device.
    pub registers: Vec<Named>,
    /// Where its name stands.
    pub place: Place,
}

/// Whoever can hold authority, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject<'a> {
    /// A component.
    Component(&'a str),
    /// The guest of a virtual machine.
    Guest(&'a str),
    /// A device behind an IOMMU.
    Device(&'a str),
}

/// The holder of a static rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// A component.
    Component(ComponentId),
    /// A guest: position in [`Policy::guests`].
    Guest(usize),
    /// A device: position in [`Policy::devices`].
    Device(usize),
}

/// A direction in which modes may cross a domain boundary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The domain it starts in.
    pub from: DomainId,
    /// The domain it ends in.
    pub to: DomainId,
    /// The modes allowed.
    pub modes: Modes,
    /// Why.
    pub reason: Option<String>,
    /// Where the rule starts.
    pub place: Place,
}

/// A set of modes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Modes(u8);

/// A grant that the policy allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The component that holds it.
    pub subject: ComponentId,
    /// The component that serves it.
    pub object: ComponentId,
    /// The interface.
    pub interface: InterfaceId,
    /// The methods.
    pub methods: MethodSet,
    /// The mode.
    pub mode: Mode,
    /// When it is issued.
    pub when: When,
    /// The memory region of a `stream`: the subject maps it writable, the object reads it. Some
    /// exactly where the mode is [`Mode::Stream`].
    pub region: Option<Named>,
    /// Whether its object is taken to act on nothing that the stream says: of the stream that carries the
    /// grant log only.
    pub is_opaque: bool,
    /// How long it lasts once issued, in milliseconds.
    pub lease_ms: Option<u32>,
    /// The components that its subject may delegate it to.
    pub delegate: Vec<Delegate>,
    /// Why.
    pub reason: Option<String>,
    /// Where the rule starts, and where its parts stand.
    pub places: GrantPlaces,
}

/// Where the parts of a grant stand.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GrantPlaces {
    /// The rule's header: its line is the grant's policy line.
    pub rule: Place,
    /// The subject.
    pub subject: Place,
    /// The object.
    pub object: Place,
    /// The interface.
    pub interface: Place,
    /// The list of methods.
    pub methods: Place,
    /// The mode.
    pub mode: Place,
}

/// When a grant is issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// By the manager, at boot.
    Boot,
    /// When its subject asks for it.
    Request,
}

/// A component that a grant may be delegated to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delegate {
    /// The component.
    pub component: ComponentId,
    /// Where its name stands.
    pub place: Place,
}

/// Authority that `system.xml` may give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Static {
    /// Who holds it.
    pub holder: Holder,
    /// What it is.
    pub authority: Authority,
    /// Why.
    pub reason: Option<String>,
    /// Where the rule starts.
    pub place: Place,
    /// Where the named thing (region, peer, number ...) stands.
    pub object: Place,
}

/// One kind of static authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authority {
    /// A mapping of a memory region, with at most these permissions.
    Region {
        /// The region.
        region: String,
        /// The most that the mapping may allow.
        perms: Perms,
        /// Where it is a device's registers: what its DMA can reach.
        dma: Option<Dma>,
    },
    /// An interrupt, by the number that the interrupt controller gives it.
    Irq(u32),
    /// x86 I/O ports: all of what a component has must be among them.
    IoPorts {
        /// The first port.
        base: u64,
        /// How many.
        size: u64,
        /// What the DMA of the device behind them can reach.
        dma: Option<Dma>,
    },
    /// A child protection domain: its faults arrive here, and this component may stop and restart it.
    Child(ComponentId),
    /// This component's end of a channel to a peer.
    Channel {
        /// The component at the other end.
        peer: ComponentId,
        /// Whether the end may have `pp="true"`; notifying is always covered.
        calls: bool,
    },
    /// An extra capability of Microkit's `<cspace>`.
    Cap {
        /// Its kind.
        kind: CapKind,
        /// The component whose object it is.
        of: ComponentId,
    },
    /// A virtual machine that this component monitors, by its name.
    VirtualMachine(String),
    /// Secure monitor calls.
    Smc,
}

/// What the DMA of a device without an IOMMU can reach.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dma {
    /// Nothing: the device does none.
    None,
    /// All physical memory, so that whoever drives the device reaches all of it.
    Unbounded,
}

/// The kinds of capability that `<cspace>` can give.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CapKind {
    /// The thread.
    Tcb,
    /// The scheduling context.
    SchedulingContext,
    /// The address space.
    Vspace,
}

/// Permissions of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Perms {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

/// A rule over the whole ceiling: nothing flows from one domain to the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Never {
    /// The domain it starts in.
    pub from: DomainId,
    /// The domain that it must not reach.
    pub to: DomainId,
    /// Whether it outlives this policy: one without it needs another image.
    pub permanent: bool,
    /// Why.
    pub reason: Option<String>,
    /// Where the rule starts.
    pub place: Place,
}

impl Policy {
    /// A domain by its number.
    pub fn domain(&self, id: DomainId) -> &Domain {
        &self.domains[usize::from(id.0)]
    }

    /// An interface by its number.
    pub fn interface(&self, id: InterfaceId) -> &Interface {
        &self.interfaces[usize::from(id.0)]
    }

    /// A component by its number.
    pub fn component(&self, id: ComponentId) -> &Component {
        &self.components[usize::from(id.0)]
    }

    /// The security domain of a component.
    pub fn domain_of(&self, id: ComponentId) -> DomainId {
        self.component(id).domain
    }

    /// The subjects of a security domain.
    pub fn members(&self, domain: DomainId) -> impl Iterator<Item = Subject<'_>> {
        let members = self.subjects().filter(move |(_, own)| *own == domain);
        members.map(|(subject, _)| subject)
    }

    /// The component with this name.
    pub fn component_named(&self, name: &str) -> Option<ComponentId> {
        (0..)
            .zip(&self.components)
            .find(|(_, component)| component.name == name)
            .map(|(number, _)| ComponentId(number))
    }

    /// The memory regions that are registers of devices behind an IOMMU, each with its device.
    pub fn registers(&self) -> BTreeMap<&str, &Outsider> {
        let registers = self.devices.iter().flat_map(|device| {
            let regions = device.registers.iter();
            regions.map(move |region| (region.name.as_str(), device))
        });
        registers.collect()
    }

    /// The numbers of all components.
    pub fn component_ids(&self) -> impl Iterator<Item = ComponentId> {
        (0..).take(self.components.len()).map(ComponentId)
    }

    /// The holder of a static rule, by name.
    pub fn subject(&self, holder: Holder) -> Subject<'_> {
        match holder {
            Holder::Component(id) => Subject::Component(&self.component(id).name),
            Holder::Guest(number) => Subject::Guest(&self.guests[number].name),
            Holder::Device(number) => Subject::Device(&self.devices[number].name),
        }
    }

    /// Every subject, with its security domain.
    pub fn subjects(&self) -> impl Iterator<Item = (Subject<'_>, DomainId)> {
        let components = self.components.iter();
        let components = components.map(|it| (Subject::Component(&it.name), it.domain));
        let guests = self.guests.iter();
        let guests = guests.map(|it| (Subject::Guest(&it.name), it.domain));
        let devices = self.devices.iter();
        let devices = devices.map(|it| (Subject::Device(&it.name), it.domain));
        components.chain(guests).chain(devices)
    }

    /// The capability manager, where the policy declares it.
    pub fn manager(&self) -> Option<ComponentId> {
        self.component_named(MANAGER)
    }
}

impl<'a> Subject<'a> {
    /// Its name.
    pub const fn name(self) -> &'a str {
        match self {
            Self::Component(name) | Self::Guest(name) | Self::Device(name) => name,
        }
    }

    /// The word of the policy language for what it is.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Component(_) => "component",
            Self::Guest(_) => "guest",
            Self::Device(_) => "device",
        }
    }
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Component(name) => write!(f, "`{name}`"),
            Self::Guest(name) => write!(f, "guest `{name}`"),
            Self::Device(name) => write!(f, "device `{name}`"),
        }
    }
}

impl ComponentId {
    /// Its position in [`Policy::components`].
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl Grant {
    /// Line of the policy source, from 1: what logs and messages name the grant by.
    pub fn line(&self) -> u32 {
        self.places.rule.line
    }
}

impl Interface {
    /// The names of these methods, separated by a comma and a space.
    pub fn names(&self, methods: MethodSet) -> String {
        let included = |method: &&InterfaceMethod| methods.contains(method.method);
        let names: Vec<&str> = self
            .methods
            .iter()
            .filter(included)
            .map(|method| method.name.as_str())
            .collect();
        names.join(", ")
    }
}

impl Modes {
    /// Every mode, in the order of their bits.
    pub const ALL: [Mode; 4] = [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream];

    /// The set with `mode` added.
    #[must_use]
    pub const fn with(self, mode: Mode) -> Self {
        Self(self.0 | 1 << mode as u8)
    }

    /// Whether `mode` is in the set.
    pub const fn contains(self, mode: Mode) -> bool {
        self.0 & 1 << mode as u8 != 0
    }

    /// One bit each, in the order of [`Mode`]: the compiled form.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The modes in the set.
    pub fn iter(self) -> impl Iterator<Item = Mode> {
        Self::ALL
            .into_iter()
            .filter(move |mode| self.contains(*mode))
    }
}

impl Perms {
    /// Reads SDF's notation: letters of `rwx` in that order, each at most once, at least one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut perms = Self::default();
        let mut rest = text;
        for (letter, flag) in [
            ('r', &mut perms.read),
            ('w', &mut perms.write),
            ('x', &mut perms.execute),
        ] {
            if let Some(after) = rest.strip_prefix(letter) {
                *flag = true;
                rest = after;
            }
        }
        (rest.is_empty() && perms != Self::default()).then_some(perms)
    }

    /// Whether everything that `self` allows, `other` allows.
    pub const fn is_subset(self, other: Self) -> bool {
        (!self.read || other.read)
            && (!self.write || other.write)
            && (!self.execute || other.execute)
    }
}

impl std::fmt::Display for Perms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (allowed, letter) in [(self.read, "r"), (self.write, "w"), (self.execute, "x")] {
            if allowed {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl Dma {
    /// Both words.
    pub const ALL: [Self; 2] = [Self::None, Self::Unbounded];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unbounded => "unbounded",
        }
    }
}

impl CapKind {
    /// The object that the capability is to.
    pub const fn object(self) -> &'static str {
        match self {
            Self::Tcb => "TCB",
            Self::SchedulingContext => "scheduling context",
            Self::Vspace => "VSpace",
        }
    }
}

impl std::fmt::Display for CapKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcb => "tcb",
            Self::SchedulingContext => "sc",
            Self::Vspace => "vspace",
        })
    }
}

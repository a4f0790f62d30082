//! A system and a policy as the oracle knows them: plain data, everything by its name.
//!
//! Nothing here is resolved or checked. What a name means, the oracle finds out each time.

use std::fmt;

/// A system description and a policy.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Case {
    /// The system description.
    pub system: System,
    /// The policy.
    pub policy: Policy,
}

/// A Microkit system.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct System {
    /// Its memory regions.
    pub regions: Vec<Region>,
    /// Its protection domains, parents before children.
    pub pds: Vec<Pd>,
    /// Its channels.
    pub channels: Vec<[End; 2]>,
    /// Devices behind the IOMMU.
    pub devices: Vec<Device>,
    /// Scheduling domains, where it has a schedule of them.
    pub schedule: Vec<String>,
}

/// A memory region.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Bytes; where `None`, the file that fills it says so.
    pub size: Option<u64>,
    /// Where it lies, if that is fixed.
    pub phys_addr: Option<u64>,
    /// The file that fills it.
    pub prefill: Option<String>,
}

/// A protection domain.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pd {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: u8,
    /// Whether it runs on its callers' time.
    pub passive: bool,
    /// Whether its budget ends before its period.
    pub throttled: bool,
    /// Its core.
    pub cpu: u8,
    /// Its scheduling domain, where there is a schedule.
    pub domain: Option<String>,
    /// Whether it may make secure monitor calls.
    pub smc: bool,
    /// Its parent.
    pub parent: Option<String>,
    /// The symbol of its parent that gets its id.
    pub id_symbol: Option<String>,
    /// What it maps.
    pub maps: Vec<Map>,
    /// Its interrupts.
    pub irqs: Vec<Irq>,
    /// Its I/O ports.
    pub ports: Vec<Ports>,
    /// Symbols that get the physical address of a region.
    pub paddrs: Vec<(String, String)>,
    /// Extra capabilities.
    pub caps: Vec<ExtraCap>,
    /// The file that its symbols are looked up in, where it is not its program.
    pub symbols: Option<String>,
    /// The guest that it monitors.
    pub guest: Option<Device>,
}

/// An interrupt.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Irq {
    /// Its number, or vector.
    pub number: u64,
    /// The channel id under which it arrives.
    pub id: u8,
    /// The device behind the IOMMU that raises it, where it is such a one's.
    pub device: Option<String>,
    /// The symbol that gets its id.
    pub symbol: Option<String>,
}

/// A range of I/O ports.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Ports {
    /// The first.
    pub base: u64,
    /// How many.
    pub size: u64,
    /// The symbol that gets its id.
    pub symbol: Option<String>,
    /// The symbol that gets the first port.
    pub addr_symbol: Option<String>,
}

/// A mapping.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Map {
    /// The region.
    pub region: String,
    /// What may be done to it.
    pub perms: Perms,
    /// The symbol that gets its address.
    pub symbol: Option<String>,
    /// The symbol that gets its size.
    pub size: Option<String>,
    /// The symbol that gets the size of what fills it.
    pub prefill_size: Option<String>,
    /// Whether it goes past the cache.
    pub uncached: bool,
}

/// What may be done to memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Perms {
    /// Read.
    pub read: bool,
    /// Written.
    pub write: bool,
    /// Executed.
    pub execute: bool,
}

/// An extra capability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtraCap {
    /// Of what.
    pub kind: CapKind,
    /// Whose.
    pub of: String,
    /// Slot of the root CNode.
    pub slot: u8,
}

/// A kernel object that `<cspace>` gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CapKind {
    /// A thread.
    Tcb,
    /// Its time.
    Sc,
    /// Its memory.
    Vspace,
}

/// A guest or a device: what it maps.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What it maps.
    pub maps: Vec<Map>,
    /// The symbol of a guest's monitor that gets the id of its vCPU.
    pub symbol: Option<String>,
}

/// One end of a channel.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct End {
    /// The protection domain.
    pub pd: String,
    /// Its id there.
    pub id: u8,
    /// Whether this end may call the other.
    pub pp: bool,
    /// Whether it may notify the other.
    pub notify: bool,
    /// The symbol that gets its id.
    pub symbol: Option<String>,
}

/// A policy.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// Security domains.
    pub domains: Vec<String>,
    /// Interfaces with their methods' names and numbers.
    pub interfaces: Vec<(String, Vec<(String, u8)>)>,
    /// Components.
    pub components: Vec<Component>,
    /// Guests and devices with their security domains.
    pub subjects: Vec<(Who, String)>,
    /// Devices behind the IOMMU, with the regions of their registers.
    pub registers: Vec<(String, String)>,
    /// Flows.
    pub flows: Vec<Flow>,
    /// Grants.
    pub grants: Vec<Grant>,
    /// Whether the log's keeper is taken to act on nothing that a record says.
    pub is_opaque: bool,
    /// Static authority.
    pub statics: Vec<Static>,
    /// Whether it stands in inline tables, all on one line.
    pub inline: bool,
    /// What must not flow: from, to.
    pub nevers: Vec<(String, String)>,
    /// Text that is appended as it is.
    pub raw: String,
}

/// A component.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its security domain.
    pub domain: String,
    /// The interfaces that it offers.
    pub offers: Vec<String>,
}

/// A flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// From this domain.
    pub from: String,
    /// To this one.
    pub to: String,
    /// By these modes.
    pub modes: Vec<Mode>,
}

/// A grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Who holds it.
    pub subject: String,
    /// Who serves it.
    pub object: String,
    /// The interface.
    pub interface: String,
    /// Its methods.
    pub methods: Vec<String>,
    /// The mode.
    pub mode: Mode,
    /// The memory of a stream.
    pub region: Option<String>,
    /// On request, not at boot.
    pub on_request: bool,
    /// Whether it ends by itself.
    pub lease: bool,
    /// To whom it may be handed on.
    pub delegate: Vec<String>,
}

/// How a grant is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// A message and its reply.
    Call,
    /// A message.
    Send,
    /// One bit.
    Notify,
    /// Memory and one bit.
    Stream,
}

/// A line about authority that the system gives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Static {
    /// Whose.
    pub who: Who,
    /// What.
    pub what: What,
    /// What a device's DMA can reach, where it is about one.
    pub dma: Option<Dma>,
}

/// What the DMA of a device without an IOMMU can reach.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dma {
    /// Nothing.
    None,
    /// Everything.
    Unbounded,
}

/// Who can do something.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// A protection domain.
    Pd(String),
    /// A guest.
    Guest(String),
    /// A device behind the IOMMU.
    Device(String),
}

/// What a static line allows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    /// A mapping.
    Region(String, Perms),
    /// An interrupt.
    Irq(u64),
    /// I/O ports: first, how many.
    Ports(u64, u64),
    /// A child.
    Child(String),
    /// A static channel; whether it may call.
    Channel(String, bool),
    /// An extra capability.
    Cap(CapKind, String),
    /// A virtual machine.
    Vm(String),
    /// Secure monitor calls.
    Smc,
}

/// The manager's name, which the manual reserves.
pub const MANAGER: &str = "manager";

impl Map {
    /// A mapping of which no symbol knows.
    pub fn new(region: &str, perms: &str) -> Self {
        let (region, perms) = (region.to_owned(), Perms::of(perms));
        Self {
            region,
            perms,
            ..Self::default()
        }
    }

    /// The same with a symbol for its address, and one for its size.
    #[must_use]
    pub fn known_as(self, symbol: &str) -> Self {
        let size = Some(format!("{symbol}_size"));
        Self {
            symbol: Some(symbol.to_owned()),
            size,
            ..self
        }
    }
}

impl Static {
    /// A line that says nothing of a device.
    pub const fn new(who: Who, what: What) -> Self {
        let dma = None;
        Self { who, what, dma }
    }
}

impl Perms {
    /// Reads letters.
    pub fn of(letters: &str) -> Self {
        Self {
            read: letters.contains('r'),
            write: letters.contains('w'),
            execute: letters.contains('x'),
        }
    }

    /// What either allows.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            execute: self.execute || other.execute,
        }
    }

    /// What this allows and `other` does not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self {
            read: self.read && !other.read,
            write: self.write && !other.write,
            execute: self.execute && !other.execute,
        }
    }

    /// Whether it allows anything.
    pub const fn any(self) -> bool {
        self.read || self.write || self.execute
    }
}

impl Who {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Pd(name) | Self::Guest(name) | Self::Device(name) => name,
        }
    }

    /// A protection domain.
    pub fn pd(name: &str) -> Self {
        Self::Pd(name.to_owned())
    }

    /// Whether it is the manager.
    pub fn is_manager(&self) -> bool {
        *self == Self::pd(MANAGER)
    }
}

impl System {
    /// A protection domain by its name.
    pub fn pd(&self, name: &str) -> Option<&Pd> {
        self.pds.iter().find(|pd| pd.name == name)
    }

    /// A memory region by its name.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }

    /// All symbols of a protection domain's program that are set.
    pub fn symbols(&self, name: &str) -> Vec<&str> {
        let mut all: Vec<&Option<String>> = Vec::new();
        let mut set = Vec::new();
        for pd in &self.pds {
            if pd.parent.as_deref() == Some(name) {
                all.push(&pd.id_symbol);
            }
        }
        for end in self.channels.iter().flatten().filter(|it| it.pd == name) {
            all.push(&end.symbol);
        }
        if let Some(pd) = self.pd(name) {
            for map in &pd.maps {
                all.extend([&map.symbol, &map.size, &map.prefill_size]);
            }
            all.extend(pd.irqs.iter().map(|it| &it.symbol));
            for ports in &pd.ports {
                all.extend([&ports.symbol, &ports.addr_symbol]);
            }
            all.extend(pd.guest.iter().map(|it| &it.symbol));
            set.extend(pd.paddrs.iter().map(|(symbol, _)| symbol.as_str()));
        }
        set.extend(all.into_iter().flatten().map(String::as_str));
        set
    }

    /// Both ends of every channel, each with the other.
    pub fn ends(&self) -> impl Iterator<Item = (&End, &End)> {
        let both = |[a, b]: &'_ [End; 2]| -> [(usize, usize); 2] {
            let _ = (a, b);
            [(0, 1), (1, 0)]
        };
        self.channels
            .iter()
            .flat_map(move |ends| both(ends).map(|(one, other)| (&ends[one], &ends[other])))
    }
}

impl Policy {
    /// A component by its name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|it| it.name == name)
    }

    /// The security domain of somebody; `None` where the policy does not know them.
    pub fn domain_of(&self, who: &Who) -> Option<&str> {
        match who {
            Who::Pd(name) => self.component(name).map(|it| it.domain.as_str()),
            _ => {
                let mut all = self.subjects.iter();
                all.find(|(other, _)| other == who)
                    .map(|(_, domain)| domain.as_str())
            }
        }
    }

    /// The registers of the devices that the policy knows: device, region.
    pub fn driven(&self) -> impl Iterator<Item = (&str, &str)> {
        let registers = self.registers.iter();
        let registers = registers.map(|(device, region)| (device.as_str(), region.as_str()));
        registers.filter(|(device, _)| {
            let device = Who::Device((*device).to_owned());
            self.domain_of(&device).is_some()
        })
    }

    /// Who keeps the grant log: the object of the manager's first stream.
    pub fn keeper(&self) -> Option<&str> {
        self.log().map(|it| it.object.as_str())
    }

    /// The stream by which records reach the log's keeper.
    pub fn log(&self) -> Option<&Grant> {
        let streams = self.grants.iter();
        let streams = streams.filter(|it| it.subject == MANAGER && it.mode == Mode::Stream);
        // Those of the boot come first.
        streams.min_by_key(|it| it.on_request)
    }

    /// The methods of an interface.
    pub fn methods(&self, interface: &str) -> &[(String, u8)] {
        let mut all = self.interfaces.iter();
        all.find(|(name, _)| name == interface)
            .map_or(&[], |(_, methods)| methods)
    }
}

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (allowed, letter) in [(self.read, "r"), (self.write, "w"), (self.execute, "x")] {
            if allowed {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Send => "send",
            Self::Notify => "notify",
            Self::Stream => "stream",
        })
    }
}

impl fmt::Display for Dma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Unbounded => "unbounded",
        })
    }
}

impl fmt::Display for CapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcb => "tcb",
            Self::Sc => "sc",
            Self::Vspace => "vspace",
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pd(name) => write!(f, "`{name}`"),
            Self::Guest(name) => write!(f, "guest `{name}`"),
            Self::Device(name) => write!(f, "device `{name}`"),
        }
    }
}

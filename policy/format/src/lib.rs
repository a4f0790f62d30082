//! The compiled, signed policy: layout, signature, reader.
//!
//! A compiled policy is a fixed [`Header`] followed by a postcard body: counts, then every item in
//! order. The manager reads it where it lies; nothing is allocated and nothing panics on any input.
//! [`Policy::verify`] checks all of it once, so that holding a [`Policy`] proves: the hash and the
//! signature hold, every item decodes, every reference resolves, every limit is kept, no two
//! components share a name or a channel, no two grants a slot, and no byte is left over. Whether the
//! rules agree with each other and with `system.xml` is the compiler's to check: that is what its
//! signature says. The compiler, in `portcullis-policy`, writes the same types in the same order.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "testing"))]
extern crate std;

mod body;
mod check;
mod header;
mod log_path;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use body::{
    AllowedGrant, Clock, Component, Counts, Domain, Flow, Interface, InterfaceMethod, Items, Never,
    OnFault, Tail, When,
};
pub use ed25519_dalek::VerifyingKey;
pub use header::{FORMAT, HEADER_SIZE, Header, MAGIC, OLDEST_FORMAT, key_id};
pub use log_path::log_path;

use core::fmt;

use body::Sections;
use portcullis_kernel::Mode;
use serde::{Deserialize, Serialize};

/// Slots of the largest grants CNode, which has 12 bits. Slot 0 stays empty, so a component can hold
/// one grant less.
pub const MAX_GRANTS_PER_COMPONENT: u32 = 4_096;
/// Most grants that a policy can allow in all: a grant's index has 16 bits in the badge.
pub const MAX_GRANTS: u32 = 65_536;
/// Grants that the manager of an image has room for: far more than one policy file is likely to list by
/// hand (the reference appliance's allows 16). Its table is compiled in, 118 KiB.
pub const MANAGER_TABLE: u32 = 1_024;
/// Most components: Microkit gives the manager 62 channels, one a component.
pub const MAX_COMPONENTS: u16 = 62;
/// Longest name of a domain, component, interface or method, in bytes.
pub const MAX_NAME: usize = 48;

/// A verified policy, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    header: &'a Header,
    name: &'a str,
    counts: Counts,
    sections: Sections<'a>,
    redacted: u64,
    /// What follows the grants.
    tail: &'a [u8],
}

/// Why a compiled policy was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PolicyError {
    /// The file is shorter than its header says, or than a header is.
    Truncated {
        /// Bytes that there should be.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// The file does not start with [`MAGIC`].
    NotAPolicy,
    /// The file is of another format version.
    Format(u16),
    /// Bytes follow the body.
    Trailing(usize),
    /// The body's SHA-256 is not the header's.
    Hash,
    /// No trusted key has this id.
    UnknownKey([u8; 8]),
    /// The signature does not verify under the key that the header names.
    Signature,
    /// The version is not above the one in force.
    Version {
        /// The version in force.
        in_force: u32,
        /// The version offered.
        offered: u32,
    },
    /// Something of this kind does not decode, or is not what the format allows.
    Body(Part),
    /// The body has more of these than the format allows.
    TooMany {
        /// What there are too many of.
        part: Part,
        /// How many there are.
        found: u32,
        /// How many there can be.
        limit: u32,
    },
}

/// Part of a compiled policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Part {
    /// The header's reserved field.
    Reserved,
    /// The policy's name, or a count.
    Head,
    /// The policy's name.
    Name,
    /// A domain.
    Domain,
    /// An interface.
    Interface,
    /// A method of one.
    Method,
    /// A component.
    Component,
    /// A flow.
    Flow,
    /// A `never` rule.
    Never,
    /// A grant.
    Grant,
    /// What follows the grants.
    Tail,
    /// The version in there.
    Version,
    /// The set of redacted components in there.
    Redacted,
    /// The keys in there that may sign the next policy.
    Successors,
    /// Who watches the manager's deadline, in there.
    Clock,
}

impl<'a> Policy<'a> {
    /// Checks `bytes` against the trusted `keys` and the version that is in force (0: none).
    pub fn verify(
        bytes: &'a [u8],
        keys: &[VerifyingKey],
        in_force: u32,
    ) -> Result<Self, PolicyError> {
        let (header, body) = Header::read(bytes)?;
        header.verify(body, keys)?;
        if header.version() <= in_force {
            return Err(PolicyError::Version {
                in_force,
                offered: header.version(),
            });
        }
        Self::read(header, body)
    }

    /// Reads a policy without looking at its signature: for tools that show what it says.
    pub fn inspect(bytes: &'a [u8]) -> Result<Self, PolicyError> {
        let (header, body) = Header::read(bytes)?;
        header.check_hash(body)?;
        Self::read(header, body)
    }

    fn read(header: &'a Header, body: &'a [u8]) -> Result<Self, PolicyError> {
        let (name, counts, items) = body::read_head(body)?;
        let (sections, rest) = check::check(name, &counts, items)?;
        let redacted = body::read_tail(header, counts.components, rest)?;
        Ok(Self {
            header,
            name,
            counts,
            sections,
            redacted,
            tail: rest,
        })
    }

    /// The header.
    pub const fn header(&self) -> &'a Header {
        self.header
    }

    /// The policy's name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The policy's version.
    pub fn version(&self) -> u32 {
        self.header.version()
    }

    /// SHA-256 of the body: what a boot record names the policy by.
    pub const fn sha256(&self) -> &'a [u8; 32] {
        &self.header.body_sha256
    }

    /// How many of each there are.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The domains, in the order of their numbers.
    pub fn domains(&self) -> Items<'a, Domain<'a>> {
        Items::new(self.sections.domains, self.counts.domains.into())
    }

    /// The component with this number.
    pub fn component_at(&self, number: u16) -> Option<Component<'a>> {
        self.components().nth(number.into())
    }

    /// The interfaces, in the order of their numbers.
    pub fn interfaces(&self) -> Items<'a, Interface<'a>> {
        Items::new(self.sections.interfaces, self.counts.interfaces.into())
    }

    /// The methods, those of interface 0 first.
    pub fn methods(&self) -> Items<'a, InterfaceMethod<'a>> {
        Items::new(self.sections.methods, self.counts.methods.into())
    }

    /// The components, in the order of their numbers.
    pub fn components(&self) -> Items<'a, Component<'a>> {
        Items::new(self.sections.components, self.counts.components.into())
    }

    /// How many components can ask the manager, and so may wait for its answer.
    pub fn callers(&self) -> u8 {
        let callers = self.components().filter(|it| it.channel.is_some());
        callers.count() as u8
    }

    /// The flows between domains.
    pub fn flows(&self) -> Items<'a, Flow> {
        Items::new(self.sections.flows, self.counts.flows.into())
    }

    /// The `never` rules.
    pub fn nevers(&self) -> Items<'a, Never> {
        Items::new(self.sections.nevers, self.counts.nevers.into())
    }

    /// Every grant that the policy allows, by subject, then by slot.
    pub fn grants(&self) -> Items<'a, AllowedGrant> {
        Items::new(self.sections.grants, self.counts.grants)
    }

    /// Whether the grant log must have neither the denials nor the details of faults of the component
    /// with this number: the log's keeper would learn of them what a `never` rule forbids.
    pub const fn is_redacted(&self, component: u16) -> bool {
        component < 64 && self.redacted >> component & 1 == 1
    }

    /// What it says of itself behind the grants; `None`: a policy of the oldest format says nothing.
    pub fn tail(&self) -> Option<Tail<'a>> {
        postcard::from_bytes(self.tail).ok()
    }

    /// The line of the rule that forbids what goes from one domain to another; with `mode`, also what
    /// comes back in that mode.
    pub fn forbids(&self, from: u16, to: u16, mode: Option<Mode>) -> Option<u32> {
        let back = mode.is_some_and(Mode::flows_back);
        let rule = self.nevers().find(|never| {
            let there = (never.from, never.to) == (from, to);
            there || back && (never.from, never.to) == (to, from)
        });
        rule.map(|never| never.line)
    }

    /// The component with this name, and its number.
    pub fn component(&self, name: &str) -> Option<(u16, Component<'a>)> {
        (0..)
            .zip(self.components())
            .find(|(_, component)| component.name == name)
    }

    /// The interface with this name, and its number.
    pub fn interface(&self, name: &str) -> Option<(u16, Interface<'a>)> {
        (0..)
            .zip(self.interfaces())
            .find(|(_, interface)| interface.name == name)
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { expected, found } => {
                write!(
                    f,
                    "the policy is truncated: {expected} bytes expected, {found} found"
                )
            }
            Self::NotAPolicy => {
                f.write_str("this is not a compiled policy: `portcullis compile` makes one")
            }
            Self::Format(version) => write!(
                f,
                "the policy has format version {version}; this build reads versions \
                 {OLDEST_FORMAT} to {FORMAT}: \
                 compile it again"
            ),
            Self::Trailing(bytes) => write!(f, "{bytes} bytes follow the policy's body"),
            Self::Hash => f.write_str(
                "the policy is damaged: its body does not have the hash that its header states",
            ),
            Self::UnknownKey(id) => {
                f.write_str("the policy is signed with a key that is not trusted, id ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Signature => f.write_str("the policy's signature does not verify"),
            Self::Version { in_force, offered } => write!(
                f,
                "the policy's version is {offered}, which is not above {in_force}, the version in \
                 force: raise `version` and sign it again"
            ),
            Self::Body(item) => write!(
                f,
                "the policy's body has a {item} that the format does not allow: compile it again"
            ),
            Self::TooMany { part, found, limit } => {
                write!(f, "the policy has {found} {part}s; there can be {limit}")
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "reserved field",
            Self::Head => "name or count",
            Self::Name => "name",
            Self::Domain => "domain",
            Self::Interface => "interface",
            Self::Method => "method",
            Self::Component => "component",
            Self::Flow => "flow",
            Self::Never => "`never` rule",
            Self::Grant => "grant",
            Self::Tail => "tail",
            Self::Version => "version",
            Self::Redacted => "set of redacted components",
            Self::Successors => "successor's key",
            Self::Clock => "clock",
        })
    }
}

impl core::error::Error for PolicyError {}

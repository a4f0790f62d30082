//! The body: counts, then every item in the order of the types in this module.

use core::marker::PhantomData;

use ed25519_dalek::VerifyingKey;
use portcullis_kernel::cspace::MAX_CHANNELS;
use portcullis_kernel::{Grant, Method};
use serde::{Deserialize, Serialize};

use crate::{Header, OLDEST_FORMAT, Part, PolicyError};

/// How many items of each kind the body holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Domains.
    pub domains: u16,
    /// Interfaces.
    pub interfaces: u16,
    /// Methods of all interfaces.
    pub methods: u16,
    /// Components.
    pub components: u16,
    /// Flows.
    pub flows: u16,
    /// `never` rules.
    pub nevers: u16,
    /// Grants.
    pub grants: u32,
}

/// A security domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Domain<'a> {
    /// Its name.
    pub name: &'a str,
}

/// An interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interface<'a> {
    /// Its name.
    pub name: &'a str,
}

/// A method of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InterfaceMethod<'a> {
    /// Number of the interface.
    pub interface: u16,
    /// The method's number in it.
    pub method: Method,
    /// Its name.
    pub name: &'a str,
}

/// A component.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component<'a> {
    /// Its name, which is its protection domain's.
    pub name: &'a str,
    /// Number of its domain.
    pub domain: u16,
    /// The manager's id of the channel on which the component asks it; `None`: it cannot ask.
    pub channel: Option<u8>,
    /// What the manager does when it faults.
    pub on_fault: OnFault,
}

/// What the manager does when a component faults.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// Revokes its grants and leaves it stopped.
    #[default]
    Stop,
    /// Revokes its grants, restarts it and mints them anew under a new generation.
    Restart,
}

/// A direction in which modes may cross a domain boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// Number of the domain it starts in.
    pub from: u16,
    /// Number of the domain it ends in.
    pub to: u16,
    /// The modes allowed, one bit each in the order of [`Mode`](portcullis_kernel::Mode); at least one.
    pub modes: u8,
    /// Line of the policy source, from 1.
    pub line: u32,
}

/// A rule over the whole ceiling: nothing flows from one domain to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Never {
    /// Number of the domain it starts in.
    pub from: u16,
    /// Number of the domain that it must not reach.
    pub to: u16,
    /// Line of the policy source, from 1.
    pub line: u32,
}

/// A grant that the policy allows, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AllowedGrant {
    /// The grant.
    pub grant: Grant,
    /// The bit it sets in the object's notification: `notify` and `stream` only.
    pub notification: Option<u8>,
    /// When it is issued.
    pub when: When,
    /// How long it lasts once issued, in milliseconds, at least 1; `None`: until revoked.
    pub lease_ms: Option<u32>,
    /// Line of the policy source, from 1.
    pub line: u32,
}

/// When a grant is issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum When {
    /// By the manager, at boot.
    Boot,
    /// When its subject asks for it.
    Request,
    /// When the component with this number delegates its own grant of the same methods, or more.
    Delegated(u16),
}

/// Walks items of one kind, decoding each. Ends early where an item does not decode; a verified
/// policy has none such.
#[derive(Clone, Debug)]
pub struct Items<'a, T> {
    bytes: &'a [u8],
    left: u32,
    item: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>> Items<'a, T> {
    pub(crate) fn new(bytes: &'a [u8], left: u32) -> Self {
        Self {
            bytes,
            left,
            item: PhantomData,
        }
    }

    /// Items not yet walked.
    pub(crate) const fn left(&self) -> u32 {
        self.left
    }

    /// The bytes that are not yet walked.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a, T: Deserialize<'a>> Iterator for Items<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.left == 0 {
            return None;
        }
        let (item, rest) = postcard::take_from_bytes(self.bytes).ok()?;
        self.bytes = rest;
        self.left -= 1;
        Some(item)
    }
}

/// Where the items of each kind start. Each section reaches to the end of the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections<'a> {
    pub(crate) domains: &'a [u8],
    pub(crate) interfaces: &'a [u8],
    pub(crate) methods: &'a [u8],
    pub(crate) components: &'a [u8],
    pub(crate) flows: &'a [u8],
    pub(crate) nevers: &'a [u8],
    pub(crate) grants: &'a [u8],
}

/// Reads the policy's name and the counts; what is left are the items.
pub(crate) fn read_head(body: &[u8]) -> Result<(&str, Counts, &[u8]), PolicyError> {
    let ((name, counts), items) = postcard::take_from_bytes::<(&str, Counts)>(body)
        .map_err(|_| PolicyError::Body(Part::Head))?;
    Ok((name, counts, items))
}

/// What follows the grants. A body of the oldest format ends before, and says nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Tail<'a> {
    /// A bit for each component of which the grant log has neither denials nor the details of faults.
    pub redacted: u64,
    /// The policy's version once more, so that two versions have two hashes.
    pub version: u32,
    /// SHA-256 of the system description that it was compiled for.
    pub system: [u8; 32],
    /// SHA-256 of what an image is built for, and no later policy can change without another: see
    /// `docs/formats.md`.
    pub envelope: [u8; 32],
    /// Ed25519 public keys, 32 bytes each, that may sign the next policy; none: those that may sign this
    /// one.
    #[serde(borrow)]
    pub successors: &'a [u8],
    /// Who watches the manager's deadline; `None`: nobody, and no grant with a lease is issued.
    pub clock: Option<Clock>,
}

/// Who watches the manager's deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Clock {
    /// Number of the component.
    pub component: u16,
    /// The manager's id of the channel on which each notifies the other.
    pub channel: u8,
}

impl Tail<'_> {
    /// The public keys that may sign the next policy.
    pub fn successor_keys(&self) -> &[[u8; 32]] {
        self.successors.as_chunks().0
    }
}

/// Checks what follows the grants. The result is the set of redacted components.
pub(crate) fn read_tail(
    header: &Header,
    components: u16,
    bytes: &[u8],
) -> Result<u64, PolicyError> {
    let trailing = |rest: &[u8]| match rest.len() {
        0 => Ok(()),
        left => Err(PolicyError::Trailing(left)),
    };
    if header.format.get() == OLDEST_FORMAT {
        trailing(bytes)?;
        return Ok(0);
    }
    let read = postcard::take_from_bytes::<Tail<'_>>(bytes);
    let (tail, rest) = read.map_err(|_| PolicyError::Body(Part::Tail))?;
    if tail.version != header.version() {
        return Err(PolicyError::Body(Part::Version));
    }
    if tail.redacted >> components != 0 {
        return Err(PolicyError::Body(Part::Redacted));
    }
    let (keys, []) = tail.successors.as_chunks() else {
        return Err(PolicyError::Body(Part::Successors));
    };
    if keys
        .iter()
        .any(|key| VerifyingKey::from_bytes(key).is_err())
    {
        return Err(PolicyError::Body(Part::Successors));
    }
    let is_one = |clock: Clock| clock.component < components && clock.channel < MAX_CHANNELS;
    if !tail.clock.is_none_or(is_one) {
        return Err(PolicyError::Body(Part::Clock));
    }
    trailing(rest)?;
    Ok(tail.redacted)
}

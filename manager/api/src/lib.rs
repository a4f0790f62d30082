//! What a component asks of the manager.
//!
//! Two ways in. On its static channel every component may ask [`FIND`]: where the grant lies that
//! the policy gives it, [`SIGNAL`]: which bit of its notification a grant to it sets, and [`REASON`]
//! where no policy is in force; and, for authority while the system runs, [`REQUEST`], [`RELEASE`],
//! [`DELEGATE`] and [`REVOKE`]. Everything else is the interface `inspect` (`grants`, `component`,
//! `record`, `why`), which is granted like any other and changes nothing.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod authority;
mod refused;
mod report;
mod request;

pub use authority::{Authority, grants_radix, guard_bits};
pub use refused::{KEY_BYTES, KeysError, MAX_KEYS, Refused};
pub use report::{Report, Unissued};
pub use request::{
    DELEGATE, Delegate, Denied, FAILED, LEASED, MAX_DEPTH, PENDING, RELEASE, REQUEST, REVOKE,
    Request, Revoke, delegate, refuse, release, request, revoke,
};

use core::fmt;

use portcullis_kernel::{
    CPtr, CallGrant, Generation, Grant, GrantBadge, MAX_WORDS, Message, Method, MethodSet, Mode,
    NotifyGrant, Refusal, SendGrant, Signal, Syscalls, cspace,
};
use serde::{Deserialize, Serialize};

/// Name, in every policy, of the component that is the capability manager.
pub const MANAGER: &str = "manager";
/// Name, in every policy, of the interface that the manager serves to holders of a grant.
pub const INSPECT: &str = "inspect";

/// Id of every component's channel to the manager, in the system description.
pub const CHANNEL: u8 = 0;

/// Bytes that a request or reply borrows from while it is decoded.
pub type Buffer = [u8; (MAX_WORDS - 1) * 8];

/// Request on the static channel: find a grant. See [`find`].
pub const FIND: Method = method(0);
/// Notice of the ledger's on its static channel: records became durable. See [`tell_durable`].
pub const DURABLE: Method = method(1);
/// Request on the static channel: why the policy was refused. Nothing to [`Refused`]. Answered only where it
/// was, and then to everybody: there is no grant to ask with. See [`reason`].
pub const REASON: Method = method(2);

/// Request on the static channel: which bit of the caller's notification a grant sets. See
/// [`find_signal`].
pub const SIGNAL: Method = method(3);

/// `inspect`: the next grant in force at or after an index. `u16` to [`GrantView`].
pub const GRANTS: Method = method(0);
/// `inspect`: a component by number. `u16` to [`ComponentView`].
pub const COMPONENT: Method = method(1);
/// `inspect`: a record of this boot by sequence number, for as long as it is in the ring. `u64` to
/// its bytes.
pub const RECORD: Method = method(2);
/// `inspect`: whether a grant that the policy allows is in force, and its object up. [`Why`] to `bool`.
pub const WHY: Method = method(3);
/// `inspect`: the state of the manager as a whole. Nothing to [`Status`].
pub const STATUS: Method = method(4);

/// Refusal: the policy gives the caller no such grant.
pub const NOT_PERMITTED: u64 = 1;
/// Refusal: a rule of the policy forbids it.
pub const FORBIDDEN: u64 = 2;
/// Refusal: allowed, but not in force: not yet issued, revoked, or its object is down.
pub const UNAVAILABLE: u64 = 3;
/// Refusal: there is nothing at or after that number.
pub const NO_MORE: u64 = 4;

const fn method(number: u8) -> Method {
    match Method::new(number) {
        Some(method) => method,
        None => panic!("method numbers are below 32"),
    }
}

/// Which grant a component looks for: the object, the interface and the mode name at most one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Find<'a> {
    /// Name of the component that serves it.
    pub object: &'a str,
    /// Name of the interface.
    pub interface: &'a str,
    /// The mode.
    pub mode: Mode,
}

/// Which grant sets the bit that a component looks for: it is the grant's object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Awaited<'a> {
    /// Name of the component that signals.
    pub subject: &'a str,
    /// Name of the interface.
    pub interface: &'a str,
    /// The mode: `notify` or `stream`.
    pub mode: Mode,
}

/// Where a grant lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Slot of the caller's grants CNode.
    pub slot: u16,
    /// The methods it includes.
    pub methods: MethodSet,
}

/// A grant in force, as `inspect` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GrantView {
    /// Its index; ask for `index + 1` next.
    pub index: u16,
    /// The generation of the index.
    pub generation: Generation,
    /// The grant.
    pub grant: Grant,
    /// Milliseconds left of its lease.
    pub lease_ms: Option<u32>,
    /// Policy line that allows it.
    pub line: u32,
}

/// A component, as `inspect` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComponentView {
    /// Grants in force that it holds.
    pub holds: u32,
    /// Grants in force of which it is the object.
    pub serves: u32,
}

/// A grant that the policy allows, as `why` asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Why {
    /// The component that may hold it.
    pub subject: u16,
    /// Slot of the subject's grants CNode.
    pub slot: u16,
}

/// The state of the manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the policy in force.
    pub version: u32,
    /// SHA-256 of its body: all numbers that the manager shows are of the policy with this hash.
    pub sha256: [u8; 32],
    /// Grants in force.
    pub grants: u32,
    /// Components.
    pub components: u16,
    /// Records written since boot.
    pub records: u64,
    /// Of these, acknowledged as durable by the ledger.
    pub durable: u64,
    /// Whether every grant of the boot is issued, and the log says so.
    pub sealed: bool,
    /// What the boot's id is made of.
    pub boot_id: BootIdOrigin,
}

/// What the id of a boot is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BootIdOrigin {
    /// Random bytes.
    Random,
    /// The counter and the policy: nobody wrote random bytes.
    Unseeded,
    /// The counter and the policy: no source of randomness answered.
    NoSource,
    /// The counter and the policy: the source of randomness failed a health test.
    Unhealthy,
}

impl fmt::Display for BootIdOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::Unseeded => "not random: no component writes random bytes",
            Self::NoSource => "not random: no source of randomness answers",
            Self::Unhealthy => "not random: the source of randomness failed a health test",
        })
    }
}

/// Asks the manager, on the caller's static channel with this id, why it refused the policy.
pub fn reason(kernel: &mut impl Syscalls, channel: u8) -> Result<Refused, Refusal> {
    let manager = CallGrant(cspace::channel_endpoint(channel));
    ask(kernel, manager, REASON, &(), &mut [0; _])
}

/// Asks the manager, on the caller's static channel with this id, where a grant lies.
pub fn find(kernel: &mut impl Syscalls, channel: u8, wanted: &Find<'_>) -> Result<Found, Refusal> {
    ask(
        kernel,
        CallGrant(cspace::channel_endpoint(channel)),
        FIND,
        wanted,
        &mut [0; _],
    )
}

/// Has the manager, on the caller's static channel with this id, look which records are durable, and
/// make the grants that waited for theirs. Waits for nothing: a manager that does not listen looks when
/// it is next asked something, and one that is dead keeps no ledger from serving.
pub fn tell_durable(kernel: &mut impl Syscalls, channel: u8) {
    let notice = Message::request(DURABLE, &[]);
    kernel.nb_send(cspace::channel_endpoint(channel), &notice);
}

/// Finds a `call` grant.
pub fn find_call(
    kernel: &mut impl Syscalls,
    channel: u8,
    object: &str,
    interface: &str,
) -> Result<CallGrant, Refusal> {
    find_pointer(kernel, channel, (object, interface, Mode::Call)).map(CallGrant)
}

/// Finds a `send` grant.
pub fn find_send(
    kernel: &mut impl Syscalls,
    channel: u8,
    object: &str,
    interface: &str,
) -> Result<SendGrant, Refusal> {
    find_pointer(kernel, channel, (object, interface, Mode::Send)).map(SendGrant)
}

/// Finds a `notify` grant, or the notification of a `stream`.
pub fn find_notify(
    kernel: &mut impl Syscalls,
    channel: u8,
    object: &str,
    interface: &str,
    mode: Mode,
) -> Result<NotifyGrant, Refusal> {
    find_pointer(kernel, channel, (object, interface, mode)).map(NotifyGrant)
}

fn find_pointer(
    kernel: &mut impl Syscalls,
    channel: u8,
    (object, interface, mode): (&str, &str, Mode),
) -> Result<CPtr, Refusal> {
    let wanted = Find {
        object,
        interface,
        mode,
    };
    find(kernel, channel, &wanted).map(Found::cptr)
}

/// Finds the signal by which a component is notified through a `notify` grant to it, or that of a
/// `stream`, whether or not the grant is in force yet.
pub fn find_signal(
    kernel: &mut impl Syscalls,
    channel: u8,
    awaited: &Awaited<'_>,
) -> Result<Signal, Refusal> {
    let manager = CallGrant(cspace::channel_endpoint(channel));
    let bit = ask(kernel, manager, SIGNAL, awaited, &mut [0; _])?;
    Signal::bit(bit).ok_or(Refusal::Garbled)
}

/// Calls a method with an encoded request and decodes its reply.
pub fn ask<'b, Q: Serialize, A: Deserialize<'b>>(
    kernel: &mut impl Syscalls,
    grant: CallGrant,
    method: Method,
    request: &Q,
    buffer: &'b mut Buffer,
) -> Result<A, Refusal> {
    let mut message = Message::default();
    message.encode(0, request).map_err(|_| Refusal::Garbled)?;
    grant.call(kernel, method, &mut message)?;
    message.decode(buffer).ok_or(Refusal::Garbled)
}

impl Found {
    /// The capability pointer of the grant, in the CSpace of the component that found it.
    pub const fn cptr(self) -> CPtr {
        cspace::grant(self.slot as u32)
    }
}

/// The badge that a grant's capability carries: its methods and index for an endpoint, one bit for
/// a notification.
pub const fn badge_bits(grant: GrantBadge, notification: Option<u8>) -> u64 {
    match notification {
        Some(bit) => 1 << bit,
        None => grant.badge().0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_carries_its_bit_and_an_endpoint_the_grant() {
        let methods = MethodSet::EMPTY.with(method(3));
        let grant = GrantBadge::new(7, Generation::default(), methods).unwrap();
        assert_eq!(badge_bits(grant, Some(9)), 1 << 9);
        assert_eq!(badge_bits(grant, None), grant.badge().0);
    }
}

//! Authority while the system runs: ask for it, hand part of it on, take that back, give it up.
//!
//! Whoever waits for an answer is kept by the manager until the record of its grant is durable; the
//! manager serves others meanwhile. Whoever may not wait (a server, or a component that the log itself
//! needs) gets [`PENDING`] and, where its channel lets the manager signal it, a signal when there is
//! something new; it then asks again. A refusal comes at once.

use core::fmt;

use portcullis_kernel::{CallGrant, Message, Method, MethodSet, Mode, Refusal, Syscalls, cspace};
use serde::{Deserialize, Serialize};

use crate::{FORBIDDEN, Found, NOT_PERMITTED, UNAVAILABLE, method};

/// Request on the static channel: a grant. [`Request`] to [`Found`]. See [`request`].
pub const REQUEST: Method = method(4);
/// Request on the static channel: give up one's own grant. Its slot, a `u16`, to nothing. See [`release`].
pub const RELEASE: Method = method(5);
/// Request on the static channel: hand a grant on, or part of it. [`Delegate`] to [`Found`]: where it lies
/// in the delegate's grants CNode. See [`delegate`].
pub const DELEGATE: Method = method(6);
/// Request on the static channel: take back what one delegated. [`Revoke`] to nothing. See [`revoke`].
pub const REVOKE: Method = method(7);

/// Refusal: the kernel refused it.
pub const FAILED: u64 = 5;
/// Refusal: allowed, but with a lease, or with one wanted, and no clock ends leases: the system has none, or
/// it faulted.
pub const LEASED: u64 = 6;
/// Neither granted nor refused: the record is not durable yet, and the caller does not wait for it.
pub const PENDING: u64 = 7;

/// A grant that a component asks for: one that the policy gives it `when = "request"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Name of the component that serves it.
    pub object: &'a str,
    /// Name of the interface.
    pub interface: &'a str,
    /// The mode.
    pub mode: Mode,
    /// The methods: those that the policy allows, or some of them.
    pub methods: MethodSet,
    /// How long it is to last at most, in milliseconds, where the policy allows as much; `None`: as long as that
    /// allows.
    pub lease_ms: Option<u32>,
    /// Whether the caller waits until the grant is in force.
    pub waits: bool,
}

/// A grant that its holder hands on: one that the policy lets it delegate to that component.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delegate<'a> {
    /// Slot of the holder's own grant.
    pub slot: u16,
    /// Name of the component that is to hold it too.
    pub to: &'a str,
    /// The methods: the holder's own, or some of them.
    pub methods: MethodSet,
    /// How often it may be handed on from there; less than the holder itself may. A grant that was not
    /// delegated may be handed on [`MAX_DEPTH`] times.
    pub depth: u8,
    /// How long it is to last, in milliseconds; `None`: as long as the holder's own.
    pub lease_ms: Option<u32>,
    /// Whether the caller waits until the grant is in force.
    pub waits: bool,
}

/// How often a grant may be handed on that was not delegated itself.
pub const MAX_DEPTH: u8 = u8::MAX;

/// What a component takes back: all that it delegated from one of its grants to another component, and
/// all that was delegated from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoke<'a> {
    /// Slot of its own grant.
    pub slot: u16,
    /// Name of the component that it delegated it to.
    pub from: &'a str,
}

/// Why a component does not get what it asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied {
    /// The refusal: [`NOT_PERMITTED`], [`FORBIDDEN`], [`UNAVAILABLE`], [`LEASED`], [`FAILED`] or
    /// [`PENDING`], where the manager gave one.
    pub refusal: Refusal,
    /// The policy line that forbids, limits or allows it.
    pub line: Option<u32>,
}

impl Denied {
    /// Whether it is to be asked again when the manager signals.
    pub fn is_pending(&self) -> bool {
        self.refusal == Refusal::Object(PENDING)
    }
}

/// Asks for a grant.
pub fn request(
    kernel: &mut impl Syscalls,
    channel: u8,
    wanted: &Request<'_>,
) -> Result<Found, Denied> {
    ask(kernel, channel, REQUEST, wanted)
}

/// Gives up the grant in a slot of the caller's own, and with it what was delegated from it: both are gone
/// when this returns. To give up what one does not hold changes nothing.
pub fn release(kernel: &mut impl Syscalls, channel: u8, slot: u16) -> Result<(), Denied> {
    ask(kernel, channel, RELEASE, &slot)
}

/// Hands a grant on. What the holder delegated before to that component, from the same grant, is replaced.
pub fn delegate(
    kernel: &mut impl Syscalls,
    channel: u8,
    wanted: &Delegate<'_>,
) -> Result<Found, Denied> {
    ask(kernel, channel, DELEGATE, wanted)
}

/// Takes back what the caller delegated: it is gone when this returns. To take back what nobody holds
/// changes nothing.
pub fn revoke(kernel: &mut impl Syscalls, channel: u8, wanted: &Revoke<'_>) -> Result<(), Denied> {
    ask(kernel, channel, REVOKE, wanted)
}

fn ask<A: for<'b> Deserialize<'b>>(
    kernel: &mut impl Syscalls,
    channel: u8,
    method: Method,
    request: &impl Serialize,
) -> Result<A, Denied> {
    let garbled = Denied {
        refusal: Refusal::Garbled,
        line: None,
    };
    let mut message = Message::default();
    message.encode(0, request).map_err(|_| garbled)?;
    let manager = CallGrant(cspace::channel_endpoint(channel));
    let answer = manager.call(kernel, method, &mut message).map(drop);
    answer.map_err(|refusal| Denied::read(refusal, &message))?;
    message.decode(&mut [0; _]).ok_or(garbled)
}

/// Makes `message` a refusal with a policy line.
pub fn refuse(message: &mut Message, code: u64, line: Option<u32>) {
    let line = line.map_or(0, u64::from);
    message.set(portcullis_kernel::label::REFUSED, &[code, line]);
}

impl Denied {
    /// The refusal that `message` is.
    pub fn read(refusal: Refusal, message: &Message) -> Self {
        let line = u32::try_from(message.word(1)).ok().filter(|line| *line > 0);
        let has_line = matches!(refusal, Refusal::Object(_));
        Self {
            refusal,
            line: line.filter(|_| has_line),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refusal {
            Refusal::Object(NOT_PERMITTED) => f.write_str("not permitted")?,
            Refusal::Object(FORBIDDEN) => f.write_str("forbidden")?,
            Refusal::Object(UNAVAILABLE) => f.write_str("unavailable")?,
            Refusal::Object(FAILED) => f.write_str("refused by the kernel")?,
            Refusal::Object(LEASED) => f.write_str("unavailable: no clock ends leases")?,
            Refusal::Object(PENDING) => f.write_str("not in force yet")?,
            other => write!(f, "{other}")?,
        }
        match self.line {
            Some(line) => write!(f, " (line {line} of the policy)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_refusal_comes_with_its_line() {
        let mut message = Message::default();
        for (code, line, words) in [
            (NOT_PERMITTED, None, "not permitted"),
            (FORBIDDEN, Some(7), "forbidden (line 7 of the policy)"),
            (
                LEASED,
                Some(u32::MAX),
                "unavailable: no clock ends leases (line 4294967295 of the policy)",
            ),
        ] {
            refuse(&mut message, code, line);
            let refusal = message.outcome().unwrap_err();
            let denied = Denied::read(refusal, &message);
            assert_eq!(
                denied,
                Denied {
                    refusal: Refusal::Object(code),
                    line
                }
            );
            assert_eq!(denied.to_string(), words);
        }
    }

    #[test]
    fn what_the_kernel_says_has_no_line() {
        let mut message = Message::default();
        message.set(2, &[1, 9]);
        let denied = Denied::read(message.outcome().unwrap_err(), &message);
        assert_eq!(denied.line, None);
    }
}

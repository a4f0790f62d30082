//! What a grant is, and grants as their subjects hold them: one type a mode.
//!
//! A call through a capability without GrantReply would block its caller for ever, so that it
//! cannot be written down.

use serde::{Deserialize, Serialize};

use crate::{CPtr, Message, Method, MethodSet, Mode, Refusal, Syscalls, label};

/// What a grant is, wherever it stands: in the policy, the manager's table, the log. Components and
/// interfaces are numbers of the policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The component that holds it.
    pub subject: u16,
    /// Slot of the subject's grants CNode, from 1: slot 0 stays empty.
    pub slot: u16,
    /// The component that serves it.
    pub object: u16,
    /// The interface.
    pub interface: u16,
    /// The methods it includes.
    pub methods: MethodSet,
    /// Its mode.
    pub mode: Mode,
}

impl Grant {
    /// Whether it reaches nothing that `other` does not reach, whoever holds them.
    pub const fn is_within(&self, other: &Self) -> bool {
        self.object == other.object
            && self.interface == other.interface
            && self.mode as u8 == other.mode as u8
            && self.methods.is_subset(other.methods)
    }
}

/// A grant of mode `call`: a message and its reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallGrant(pub CPtr);

/// A grant of mode `send`: a message, one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendGrant(pub CPtr);

/// A grant of mode `notify`, or the notification of a `stream`: one bit, one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotifyGrant(pub CPtr);

impl CallGrant {
    /// Calls `method` with the words of `message`, which then holds the reply.
    pub fn call<'m>(
        self,
        kernel: &mut impl Syscalls,
        method: Method,
        message: &'m mut Message,
    ) -> Result<&'m [u64], Refusal> {
        message.set_label(label::REQUEST + u64::from(method.number()));
        kernel.call(self.0, message);
        message.outcome()
    }
}

impl SendGrant {
    /// Sends a request for `method`. Waits until the object takes it; a revoked grant is silent,
    /// as seL4's Send is.
    pub fn send(self, kernel: &mut impl Syscalls, method: Method, message: &mut Message) {
        message.set_label(label::REQUEST + u64::from(method.number()));
        kernel.send(self.0, message);
    }
}

impl NotifyGrant {
    /// Sets the grant's bit in the object's notification. Never waits.
    pub fn signal(self, kernel: &mut impl Syscalls) {
        kernel.signal(self.0);
    }
}

//! What the machine tells people.

use std::fmt;
use std::time::Duration;

use portcullis_kernel::Message;
use portcullis_model::CapabilityFault;

use super::process::Ended;
use crate::wire::Malformed;

/// Something that people should know.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A component faulted and is no longer part of the system.
    Fault {
        /// Its name.
        component: String,
        /// What it did.
        fault: Fault,
    },
    /// A component overran its slice; the others go on beside it.
    SetAside {
        /// Its name.
        component: String,
    },
    /// A component that was set aside has made no system call since.
    Hung {
        /// Its name.
        component: String,
        /// For how long.
        after: Duration,
    },
}

/// Why a component faulted.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// Its process ended.
    Ended(Ended),
    /// Its program panicked, with this text.
    Panicked(String),
    /// It sent something that is no system call.
    Malformed(Malformed),
    /// It did not read the answers to its system calls.
    Unread,
    /// It received on a capability that it does not hold.
    Capability(CapabilityFault),
    /// It made an invocation, with this label, whose result the model kernel does not state.
    Unmodelled(u64),
}

impl Fault {
    /// The fault as its handler is told. Linux says less than seL4: what is no capability fault is a
    /// user exception at address 0, whose number says what happened.
    pub(super) fn message(&self) -> Message {
        let (number, code) = match self {
            Self::Ended(Ended::Exited(status)) => (1, status.cast_unsigned().into()),
            Self::Ended(Ended::Signalled(signal)) => (2, signal.cast_unsigned().into()),
            Self::Panicked(_) => (3, 0),
            Self::Malformed(_) => (4, 0),
            Self::Unread => (5, 0),
            Self::Unmodelled(label) => (6, *label),
            Self::Capability(fault) => {
                let fault = portcullis_kernel::Fault::CapFault {
                    ip: 0,
                    pointer: fault.address.bits(),
                    receiving: fault.receiving,
                    lookup: fault.lookup.number(),
                };
                return fault.message();
            }
        };
        portcullis_kernel::Fault::UserException {
            ip: 0,
            number,
            code,
        }
        .message()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ended) => ended.fmt(f),
            Self::Panicked(text) => write!(f, "it panicked: {text}"),
            Self::Malformed(why) => write!(f, "it sent what is no system call: {why}"),
            Self::Unread => f.write_str("it does not read the answers to its system calls"),
            Self::Capability(fault) => fault.fmt(f),
            Self::Unmodelled(label) => {
                write!(f, "the hosted kernel does not execute invocation {label}")
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { component, fault } => write!(f, "{component} faulted: {fault}"),
            Self::SetAside { component } => {
                write!(
                    f,
                    "{component} overran its time slice; the others go on beside it"
                )
            }
            Self::Hung { component, after } => write!(
                f,
                "{component} hangs: no system call for {} s; the others go on",
                after.as_secs()
            ),
        }
    }
}

//! What the machine tells people.

use std::fmt;
use std::time::Duration;

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
}

impl Fault {
    /// Label of a fault message: seL4's user exception (`seL4_Fault_UserException`).
    pub(super) const LABEL: u64 = 3;

    /// The fault as a number: what the record of it in the grant log says.
    pub(super) fn reason(&self) -> u64 {
        match self {
            Self::Ended(Ended::Exited(code)) => 0x100 | u64::from(*code as u8),
            Self::Ended(Ended::Signalled(signal)) => 0x200 | u64::from(*signal as u8),
            Self::Panicked(_) => 0x300,
            Self::Malformed(_) => 0x400,
            Self::Unread => 0x500,
            Self::Capability(_) => 0x600,
        }
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

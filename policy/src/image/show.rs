//! Parts of an image as findings name them.

use std::fmt;

use super::{Binding, Mapping};
use crate::distribution::CNode;

impl fmt::Display for CNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bits", self.kind, self.radix)
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cspace => "CSpace",
            Self::Vspace => "VSpace",
            Self::IpcBuffer => "IPC buffer",
            Self::FaultEndpoint => "fault endpoint",
            Self::SchedContext => "scheduling context",
            Self::TimeoutEndpoint => "timeout endpoint",
            Self::Notification => "notification",
            Self::Vcpu => "vCPU",
            Self::GuestVspace => "guest's VSpace",
        })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.first_page.saturating_add(self.pages.saturating_sub(1));
        match self.first_page {
            first if first == last => write!(f, "page {first}")?,
            first => write!(f, "pages {first} to {last}")?,
        }
        write!(f, " of the {}, \"", self.of)?;
        let perms = [(self.read, "r"), (self.write, "w"), (self.execute, "x")];
        for (_, letter) in perms.iter().filter(|(allowed, _)| *allowed) {
            f.write_str(letter)?;
        }
        f.write_str(if self.cached { "\"" } else { "\", not cached" })
    }
}

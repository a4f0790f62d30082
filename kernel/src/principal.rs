//! Who holds a grant, or asks for something.

use serde::{Deserialize, Serialize};

/// A component, or what stands behind it. Written as the component's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
pub enum Principal {
    /// The component with this number in the policy.
    Component(u16),
}

impl Principal {
    /// The component whose CSpace holds what the principal is granted.
    pub const fn component(self) -> u16 {
        match self {
            Self::Component(number) => number,
        }
    }
}

impl From<u16> for Principal {
    fn from(component: u16) -> Self {
        Self::Component(component)
    }
}

impl From<Principal> for u16 {
    fn from(principal: Principal) -> Self {
        principal.component()
    }
}

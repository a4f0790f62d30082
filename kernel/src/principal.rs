//! Who asks for something.

/// A component, and who stands behind it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Principal {
    /// The component's number in the policy. Its CSpace holds what the principal is granted.
    pub component: u16,
    /// Whose word it acts on; `None`: nobody's but its own.
    pub behind: Option<Behind>,
}

/// Who stands behind a component.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Behind {
    /// The guest with this number in the policy, of which the component is the monitor.
    Guest(u16),
    /// Whoever proved to have the private key of this public one.
    Key([u8; 32]),
    /// Whoever showed the token with this SHA-256.
    Token([u8; 32]),
    /// The person at the host, or at the board's serial line.
    Host,
}

impl Principal {
    /// A component that asks for itself.
    pub const fn component(component: u16) -> Self {
        Self {
            component,
            behind: None,
        }
    }
}

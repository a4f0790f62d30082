//! A protection domain that runs a portable component.

use portcullis_kernel::{Component, Syscalls, serve};
use sel4_microkit::{Channel, ChannelSet, Handler, Infallible, MessageInfo, Never};

use crate::Sel4;

/// What `#[protection_domain]` returns: runs `component` for ever.
pub struct Domain<C, K = Sel4> {
    component: C,
    kernel: K,
}

impl<C: Component<Sel4>> Domain<C> {
    /// A protection domain with this component.
    pub fn new(component: C) -> Self {
        Self::with(Sel4::new(), component)
    }
}

impl<K: Syscalls, C: Component<K>> Domain<C, K> {
    /// A protection domain with this component, which makes these system calls.
    pub const fn with(kernel: K, component: C) -> Self {
        Self { component, kernel }
    }
}

impl<K: Syscalls, C: Component<K>> Handler for Domain<C, K> {
    type Error = Infallible;

    fn run(&mut self) -> Result<Never, Infallible> {
        serve(&mut self.kernel, &mut self.component)
    }

    // `run` never returns to the loop that would call these.
    fn notified(&mut self, _: ChannelSet) -> Result<(), Infallible> {
        Ok(())
    }

    fn protected(&mut self, _: Channel, message: MessageInfo) -> Result<MessageInfo, Infallible> {
        Ok(message)
    }
}

//! A protection domain that runs a portable component.

use portcullis_kernel::{Component, serve};
use sel4_microkit::{Channel, ChannelSet, Handler, Infallible, MessageInfo, Never};

use crate::Sel4;

/// What `#[protection_domain]` returns: runs `component` for ever.
pub struct Domain<C> {
    component: C,
}

impl<C: Component<Sel4>> Domain<C> {
    /// A protection domain with this component.
    pub const fn new(component: C) -> Self {
        Self { component }
    }
}

impl<C: Component<Sel4>> Handler for Domain<C> {
    type Error = Infallible;

    fn run(&mut self) -> Result<Never, Infallible> {
        serve(&mut Sel4::new(), &mut self.component)
    }

    // `run` never returns to the loop that would call these.
    fn notified(&mut self, _: ChannelSet) -> Result<(), Infallible> {
        Ok(())
    }

    fn protected(&mut self, _: Channel, message: MessageInfo) -> Result<MessageInfo, Infallible> {
        Ok(message)
    }
}

//! A protection domain with a loop of its own.

use sel4_microkit::{Channel, ChannelSet, Handler, Infallible, MessageInfo, Never};

/// Runs this for ever.
#[derive(Debug)]
pub struct Program<F>(pub F);

impl<F: FnMut() -> Never> Handler for Program<F> {
    type Error = Infallible;

    fn run(&mut self) -> Result<Never, Infallible> {
        Ok((self.0)())
    }

    // `run` never returns to the loop that would call these.
    fn notified(&mut self, _: ChannelSet) -> Result<(), Infallible> {
        Ok(())
    }

    fn protected(&mut self, _: Channel, message: MessageInfo) -> Result<MessageInfo, Infallible> {
        Ok(message)
    }
}

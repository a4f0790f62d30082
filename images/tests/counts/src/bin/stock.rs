//! The passive protection domain that is called through a plain Microkit channel.

#![no_std]
#![no_main]

use sel4_microkit::{
    Channel, Handler, Infallible, MessageInfo, protection_domain, with_msg_regs_mut,
};

struct Stock;

impl Handler for Stock {
    type Error = Infallible;

    /// Answers with the words that were asked, each plus one.
    fn protected(&mut self, _: Channel, info: MessageInfo) -> Result<MessageInfo, Infallible> {
        let count = info.count();
        with_msg_regs_mut(|registers| {
            for word in &mut registers[..count] {
                *word += 1;
            }
        });
        Ok(MessageInfo::new(0, count))
    }
}

#[protection_domain]
fn init() -> Stock {
    Stock
}

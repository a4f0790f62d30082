//! The interface `clock`: what time it is.
//!
//! A request has no words. The reply has two, both in nanoseconds: monotonic time, and UTC since
//! 1970-01-01, 0 where it is unknown.

use portcullis_kernel::{CallGrant, Message, Method, Refusal, Syscalls};

/// Name of the interface.
pub const INTERFACE: &str = "clock";

/// What time it is.
pub const NOW: Method = match Method::new(0) {
    Some(method) => method,
    None => panic!("method numbers are below 32"),
};

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Now {
    /// Nanoseconds since some moment before the boot; never goes back.
    pub monotonic: u64,
    /// Nanoseconds since 1970-01-01 UTC, where the RTC said.
    pub utc: Option<u64>,
}

/// Asks the component behind `grant` what time it is.
pub fn now(kernel: &mut impl Syscalls, grant: CallGrant) -> Result<Now, Refusal> {
    let mut message = Message::request(NOW, &[]);
    match *grant.call(kernel, NOW, &mut message)? {
        [monotonic, utc] => Ok(Now {
            monotonic,
            utc: (utc > 0).then_some(utc),
        }),
        _ => Err(Refusal::Garbled),
    }
}

impl Now {
    /// The words of the reply.
    pub(crate) fn words(self) -> [u64; 2] {
        [self.monotonic, self.utc.unwrap_or(0)]
    }
}

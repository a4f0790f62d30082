//! The interface `entropy`: random bytes, a bounded number a call.
//!
//! A request is one word, how many bytes. The reply is those bytes, eight a word, little-endian; the
//! last word is filled with zeros.

use portcullis_kernel::{CallGrant, Message, Method, Refusal, Syscalls, label};

/// Name of the interface.
pub const INTERFACE: &str = "entropy";

/// Random bytes.
pub const RANDOM: Method = match Method::new(0) {
    Some(method) => method,
    None => panic!("method numbers are below 32"),
};

/// Most bytes of one call: 64 words of a message, so that a call runs for a bounded time.
pub const RANDOM_MAX: usize = 512;

/// Refusal: no source of randomness answered in time. On a board no call is served after that until the
/// component is started anew.
pub const SILENT: u64 = 1;
/// Refusal: the source failed a health test. No call is served until the component is started anew.
pub const UNHEALTHY: u64 = 2;

/// Words that this many bytes take.
const fn words(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

/// Fills `random`, at most [`RANDOM_MAX`] bytes, from the component behind `grant`.
pub fn random(
    kernel: &mut impl Syscalls,
    grant: CallGrant,
    random: &mut [u8],
) -> Result<(), Refusal> {
    let mut message = Message::request(RANDOM, &[random.len() as u64]);
    let reply = grant.call(kernel, RANDOM, &mut message)?;
    if reply.len() != words(random.len()) {
        return Err(Refusal::Garbled);
    }
    let bytes = reply.iter().flat_map(|word| word.to_le_bytes());
    random
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    Ok(())
}

/// How many bytes a request is for; `None`: it is no request, or for none or too many.
pub(crate) fn read_request(message: &Message) -> Option<usize> {
    let &[bytes] = message.words() else {
        return None;
    };
    let bytes = usize::try_from(bytes).ok()?;
    (1..=RANDOM_MAX).contains(&bytes).then_some(bytes)
}

/// Replies with these bytes.
pub(crate) fn reply(message: &mut Message, random: &[u8]) {
    for (word, bytes) in message.room_mut().iter_mut().zip(random.chunks(8)) {
        let mut filled = [0; 8];
        filled[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(filled);
    }
    message.received(label::OK, words(random.len()));
}

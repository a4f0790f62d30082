//! What the attacker and the server on its side say to each other.

use crate::Info;

/// A word that nothing else sends.
pub const MARK: u64 = 0x6d61_726b_6d61_726b;
/// Label of a request that the fence answers with capabilities of its own.
pub const GIVE: u64 = portcullis_kernel::label::REQUEST + 1;

/// What the fence saw of a message, and answers with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The tag.
    pub info: Info,
    /// Words that are [`MARK`].
    pub marks: u64,
    /// Badges that came in place of capabilities.
    pub badges: u64,
    /// Messages so far, this one included.
    pub messages: u64,
    /// The badge of the message itself.
    pub badge: u64,
}

impl Seen {
    /// Words of the answer.
    pub const WORDS: usize = 5;

    /// The answer.
    pub const fn words(&self) -> [u64; Self::WORDS] {
        let Self {
            info,
            marks,
            badges,
            messages,
            badge,
        } = *self;
        [info.bits(), marks, badges, messages, badge]
    }

    /// Reads the answer: the first words are in registers, the others in the IPC buffer.
    pub const fn read(registers: &[u64; 4], buffer: &[u64]) -> Self {
        Self {
            info: Info::read(registers[0]),
            marks: registers[1],
            badges: registers[2],
            messages: registers[3],
            badge: buffer[4],
        }
    }
}

/// Says in the IPC buffer where a capability that comes along should go.
pub fn ask_for_capabilities(root: u64, index: u64, depth: u64) {
    sel4::with_ipc_buffer_mut(|buffer| {
        let inner = buffer.inner_mut();
        inner.receiveCNode = root;
        inner.receiveIndex = index;
        inner.receiveDepth = depth;
    });
}

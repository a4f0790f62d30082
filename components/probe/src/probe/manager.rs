//! Asking the manager for what the policy does not give.

use portcullis_kernel::{CNodes, MAX_WORDS, Message, Mode, Refusal, label};
use portcullis_manager_api::{FIND, FORBIDDEN, Find, Found, NOT_PERMITTED, find};

use super::Attacker;
use crate::{Breach, Outcome, same};

/// What the attacker asks the manager for: object, interface and mode, and the code of the refusal.
/// These are a component's share of denials in the grant log, and are there in this order.
pub const ABOVE_CEILING: [(&str, &str, Mode, u64); 16] = [
    // never: edge to vault, edge to ledger.
    ("vault", "objects", Mode::Call, FORBIDDEN),
    ("ledger", "worm", Mode::Call, FORBIDDEN),
    ("ledger", "worm", Mode::Stream, FORBIDDEN),
    ("publish", "release", Mode::Notify, FORBIDDEN),
    ("ingest", "objects", Mode::Send, FORBIDDEN),
    // No rule: everything else.
    ("manager", "inspect", Mode::Call, NOT_PERMITTED),
    ("blk", "disk", Mode::Call, NOT_PERMITTED),
    ("edge", "feed", Mode::Stream, NOT_PERMITTED),
    // What it holds, in another mode.
    ("console", "terminal", Mode::Call, NOT_PERMITTED),
    ("target", "target", Mode::Send, NOT_PERMITTED),
    // What it holds, of another interface.
    ("target", "inspect", Mode::Call, NOT_PERMITTED),
    // Itself, and names of nobody.
    ("probe", "target", Mode::Call, NOT_PERMITTED),
    ("", "", Mode::Call, NOT_PERMITTED),
    ("Vault", "objects", Mode::Call, NOT_PERMITTED),
    ("vault\0", "objects", Mode::Call, NOT_PERMITTED),
    ("vault", "*", Mode::Call, NOT_PERMITTED),
];

impl<K: CNodes> Attacker<'_, K> {
    pub(super) fn find_above_ceiling(&mut self) -> Outcome {
        for (at, (object, interface, mode, code)) in (0..).zip(ABOVE_CEILING) {
            let wanted = Find {
                object,
                interface,
                mode,
            };
            same(at, self.denied(&wanted)?, code)?;
        }
        Ok(())
    }

    /// The code of a refusal; a grant is a breach.
    pub(super) fn denied(&mut self, wanted: &Find<'_>) -> Result<u64, Breach> {
        match find(self.kernel, self.channel, wanted) {
            Err(Refusal::Object(code)) => Ok(code),
            Err(Refusal::Kernel(error)) => Ok(error.code().into()),
            Err(Refusal::Garbled) => Ok(label::BAD_REQUEST),
            Ok(Found { slot, methods }) => Err(Breach {
                at: slot.into(),
                got: methods.0.into(),
                due: 0,
            }),
        }
    }

    /// Requests that end before they should: the words that are missing are not read from what an
    /// earlier message left.
    pub(super) fn find_truncated(&mut self) -> Outcome {
        let whole = self.request();
        for length in 0..whole.words().len() {
            self.bad_find(&whole.words()[..length])?;
        }
        Ok(())
    }

    /// Requests with more than they should have, up to all that a message carries.
    pub(super) fn find_overlong(&mut self) -> Outcome {
        let whole = self.request();
        let used = whole.words().len();
        let mut words = [u64::MAX; MAX_WORDS];
        words[..used].copy_from_slice(whole.words());
        for length in used + 1..=MAX_WORDS {
            self.bad_find(&words[..length])?;
            // The same, and a length that says so.
            words[0] = 8 * (length as u64 - 1);
            self.bad_find(&words[..length])?;
            words[0] = whole.word(0);
        }
        Ok(())
    }

    /// Lengths that lie, text that is none, a mode that is none.
    pub(super) fn find_garbled(&mut self) -> Outcome {
        for length in [u64::MAX, 1 << 63, 1 << 32, 953, 952, 17, 7, 0] {
            self.bad_find(&[length, 0x0065_6767_6501_6101])?;
        }
        for bytes in [
            // A name longer than the message; a length that never ends; text that is no UTF-8.
            [0x7f, b'a', 1, b'b', 0, 0, 0, 0],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            [2, 0xff, 0xfe, 1, b'b', 0, 0, 0],
            // Mode 4; a byte after the end.
            [1, b'a', 1, b'b', 4, 0, 0, 0],
        ] {
            for length in 0..=8 {
                if length == 5 && bytes[4] < 4 {
                    continue;
                }
                self.bad_find(&[length, u64::from_le_bytes(bytes)])?;
            }
        }
        Ok(())
    }

    /// A request that is sound: for a grant that it holds.
    fn request(&self) -> Message {
        let wanted = Find {
            object: "target",
            interface: "target",
            mode: Mode::Call,
        };
        let mut message = Message::default();
        message
            .encode(0, &wanted)
            .expect("two short names fit into a message");
        message
    }

    fn bad_find(&mut self, words: &[u64]) -> Outcome {
        let find = label::REQUEST + u64::from(FIND.number());
        self.call_refused(self.manager(), find, words, label::BAD_REQUEST)
    }
}

//! IPC messages, and the labels that Portcullis interfaces use.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{KernelError, Method};

/// Words that one message can carry (seL4's `seL4_MsgMaxLength`).
pub const MAX_WORDS: usize = 120;

/// Labels. The kernel's own answers have labels below 16, so ours start there.
pub mod label {
    /// Label of a request: this plus the method's number.
    pub const REQUEST: u64 = 16;
    /// Label of a reply that carries what was asked for.
    pub const OK: u64 = 16;
    /// Label of a reply that refuses: word 0 is a code that the interface defines, or [`BAD_METHOD`].
    pub const REFUSED: u64 = 17;
    /// Refusal code, in every interface: the grant does not include this method.
    pub const BAD_METHOD: u64 = u64::MAX;
    /// Refusal code, in every interface: the request does not decode.
    pub const BAD_REQUEST: u64 = u64::MAX - 1;
}

/// A message: a label and up to [`MAX_WORDS`] words. It carries no capabilities: grants come from
/// the manager only.
#[derive(Clone)]
pub struct Message {
    label: u64,
    length: u8,
    words: [u64; MAX_WORDS],
}

/// A call that did not give what was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The kernel refused it: the grant is gone, or never was.
    Kernel(KernelError),
    /// The object refused it, with this code of its interface.
    Object(u64),
    /// The object's answer does not decode: it and its caller do not speak the same interface.
    Garbled,
}

impl Default for Message {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Message {
    /// An empty message with this label.
    pub const fn new(label: u64) -> Self {
        Self {
            label,
            length: 0,
            words: [0; MAX_WORDS],
        }
    }

    /// A request for `method` with these words.
    pub fn request(method: Method, words: &[u64]) -> Self {
        let mut message = Self::new(0);
        message.set(label::REQUEST + u64::from(method.number()), words);
        message
    }

    /// The label: 52 bits on seL4.
    pub const fn label(&self) -> u64 {
        self.label
    }

    /// The method that a request asks for; `None` where the label is not a request's.
    pub fn method(&self) -> Option<Method> {
        let number = self.label.checked_sub(label::REQUEST)?;
        Method::new(u8::try_from(number).ok()?)
    }

    /// The words that the message carries.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words[..usize::from(self.length)]
    }

    /// How many words the message carries.
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Room for the words of a message, of which [`length`](Self::length) says how many it carries. For
    /// platforms: the kernel takes the first four from registers, however many there are.
    pub const fn room(&self) -> &[u64; MAX_WORDS] {
        &self.words
    }

    /// The same room, to receive into; [`received`](Self::received) then says what came.
    pub const fn room_mut(&mut self) -> &mut [u64; MAX_WORDS] {
        &mut self.words
    }

    /// Makes it a message of `label` and of the first `length` words in its
    /// [`room`](Self::room_mut); above [`MAX_WORDS`] that is all of them.
    pub const fn received(&mut self, label: u64, length: usize) {
        self.label = label;
        self.length = if length < MAX_WORDS {
            length as u8
        } else {
            MAX_WORDS as u8
        };
    }

    /// Word `index`; 0 where the message is shorter.
    pub fn word(&self, index: usize) -> u64 {
        self.words().get(index).copied().unwrap_or(0)
    }

    /// Makes it a message of `label` and `words`; words past [`MAX_WORDS`] are dropped, as the
    /// kernel drops them.
    #[inline]
    pub fn set(&mut self, label: u64, words: &[u64]) {
        let length = words.len().min(MAX_WORDS);
        self.label = label;
        self.length = length as u8;
        self.words[..length].copy_from_slice(&words[..length]);
    }

    /// Changes the label and keeps the words.
    pub const fn set_label(&mut self, label: u64) {
        self.label = label;
    }

    /// Makes it a reply that carries these words.
    pub fn reply(&mut self, words: &[u64]) {
        self.set(label::OK, words);
    }

    /// Makes it a reply that refuses with `code`.
    pub fn refuse(&mut self, code: u64) {
        self.set(label::REFUSED, &[code]);
    }

    /// Makes it a message of `label` that carries `value`, encoded with postcard: word 0 is the
    /// length in bytes, the bytes follow, little-endian in each word. `Err` where it does not fit.
    pub fn encode<T: Serialize>(&mut self, label: u64, value: &T) -> Result<(), postcard::Error> {
        let mut bytes = [0; (MAX_WORDS - 1) * 8];
        let used = postcard::to_slice(value, &mut bytes)?.len();
        self.label = label;
        self.words[0] = used as u64;
        for (word, chunk) in self.words[1..].iter_mut().zip(bytes[..used].chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(padded);
        }
        self.length = 1 + used.div_ceil(8) as u8;
        Ok(())
    }

    /// Reads what [`encode`](Self::encode) wrote, with nothing left over. `buffer` holds the bytes
    /// that the value may borrow from.
    pub fn decode<'b, T: Deserialize<'b>>(
        &self,
        buffer: &'b mut [u8; (MAX_WORDS - 1) * 8],
    ) -> Option<T> {
        let (length, words) = self.words().split_first()?;
        let length = usize::try_from(*length).ok()?;
        if length.div_ceil(8) != words.len() {
            return None;
        }
        for (chunk, word) in buffer.chunks_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        match postcard::take_from_bytes(buffer.get(..length)?) {
            Ok((value, [])) => Some(value),
            _ => None,
        }
    }

    /// Reads a reply: its words, or why there are none.
    pub fn outcome(&self) -> Result<&[u64], Refusal> {
        match self.label {
            label::OK => Ok(self.words()),
            label::REFUSED => Err(Refusal::Object(self.word(0))),
            code => Err(KernelError::from_code(code).map_or(Refusal::Garbled, Refusal::Kernel)),
        }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.label == other.label && self.words() == other.words()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("label", &self.label)
            .field("words", &self.words())
            .finish()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "refused by the kernel: {error}"),
            Self::Object(label::BAD_METHOD) => {
                f.write_str("the grant does not include this method")
            }
            Self::Object(label::BAD_REQUEST) => {
                f.write_str("the object could not read the request")
            }
            Self::Object(code) => write!(f, "refused by the object: code {code}"),
            Self::Garbled => f.write_str("the answer could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_values_come_back() {
        let mut message = Message::new(0);
        message.encode(20, &("a name", 7u64, [1u8; 32])).unwrap();
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        assert_eq!(
            message.decode(&mut buffer),
            Some(("a name", 7u64, [1u8; 32]))
        );
        assert_eq!(message.label(), 20);
    }

    #[test]
    fn the_largest_value_fits_and_one_more_byte_does_not() {
        let mut message = Message::new(0);
        let bytes = [7u8; 950];
        assert!(message.encode(16, &&bytes[..]).is_ok());
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        assert_eq!(message.decode::<&[u8]>(&mut buffer), Some(&bytes[..]));
        assert!(message.encode(16, &&[7u8; 951][..]).is_err());
    }

    #[test]
    fn a_lying_length_does_not_decode() {
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        for words in [&[u64::MAX, 1][..], &[9, 1], &[0, 1], &[], &[8, 1, 2]] {
            let mut message = Message::new(0);
            message.set(16, words);
            assert_eq!(message.decode::<u64>(&mut buffer), None, "{words:?}");
        }
    }

    #[test]
    fn a_received_message_has_the_words_that_its_length_says_and_no_more_than_there_is_room_for() {
        let mut message = Message::new(0);
        message.room_mut()[..3].copy_from_slice(&[1, 2, 3]);
        for (length, words) in [(0, &[][..]), (2, &[1, 2]), (3, &[1, 2, 3])] {
            message.received(20, length);
            assert_eq!((message.length(), message.words()), (length, words));
            assert_eq!(message.label(), 20);
        }
        for length in [MAX_WORDS, MAX_WORDS + 1, 300, usize::MAX] {
            message.received(20, length);
            assert_eq!(message.words(), message.room());
        }
    }

    #[test]
    fn kernel_and_object_refusals_are_told_apart() {
        let mut message = Message::new(2);
        assert_eq!(
            message.outcome(),
            Err(Refusal::Kernel(KernelError::InvalidCapability))
        );
        message.refuse(9);
        assert_eq!(message.outcome(), Err(Refusal::Object(9)));
        message.reply(&[4]);
        assert_eq!(message.outcome(), Ok(&[4][..]));
    }
}

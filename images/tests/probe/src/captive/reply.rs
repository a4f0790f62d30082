//! Reply objects, and grants in ways that they are not for.

use portcullis_kernel::{Message, cspace as slots, label};
use portcullis_probe::{Outcome, same};

use super::{Attacker, Step, came_back};
use crate::{Info, Number, Registers, fence};

/// The word of an answer that counts.
pub const FIRST_ANSWER: u64 = 0x6669_7273;
/// The word of one that comes too late.
const SECOND_ANSWER: u64 = 0x7365_636f;

pub(super) const STEPS: &[Step] = &[
    ("reply-with-capabilities", Attacker::reply_with_capabilities),
    ("reply-twice", Attacker::reply_twice),
    ("overwrite-reply-object", Attacker::overwrite_reply_object),
    ("receive-on-own-input", Attacker::receive_on_own_input),
    ("call-a-send-grant", Attacker::call_a_send_grant),
    ("call-a-notify-grant", Attacker::call_a_notify_grant),
    ("yield", Attacker::give_time_away),
];

impl Attacker {
    /// Takes the next call of the accomplice, which names capabilities to come along: none does.
    fn take_accomplice(&self, at: u64) -> Outcome {
        fence::ask_for_capabilities(slots::INPUT.bits(), 40, 58);
        let arrived = came_back(at, self.raw(Number::RECV, slots::INPUT, Info::default()))?;
        same(at, arrived.info, Info::new(label::REQUEST, 1).bits())?;
        same(at, arrived.words[0], at)
    }

    fn reply(&self, word: u64, extra: u64) -> Outcome {
        let registers = Registers {
            cptr: slots::REPLY.bits(),
            info: Info::new(label::OK, 1).with_extra(extra).bits(),
            words: [word, 0, 0, 0],
            ..Registers::default()
        };
        self.silent(word, self.supervised.call(Number::SEND, registers))
    }

    /// A reply object passes capabilities on, unlike a grant; the accomplice says where they should
    /// go. Its verdict is `nothing-with-a-reply`.
    fn reply_with_capabilities(&self) -> Outcome {
        self.take_accomplice(0)?;
        sel4::with_ipc_buffer_mut(|buffer| {
            let held = [self.target, slots::INPUT, self.console];
            let places = &mut buffer.caps_or_badges_mut()[..3];
            places.copy_from_slice(&held.map(portcullis_kernel::CPtr::bits));
        });
        self.reply(FIRST_ANSWER, 3)
    }

    /// A caller is answered once. The accomplice's verdict is `one-answer`.
    fn reply_twice(&self) -> Outcome {
        self.take_accomplice(1)?;
        self.reply(FIRST_ANSWER, 0)?;
        for _ in 0..100 {
            self.reply(SECOND_ANSWER, 0)?;
        }
        Ok(())
    }

    /// The own reply object holds one caller. Who receives with it again loses that caller, for ever,
    /// and nobody else anything.
    fn overwrite_reply_object(&self) -> Outcome {
        self.take_accomplice(2)?;
        let came = self.raw(Number::RECV, slots::INPUT, Info::default());
        self.waits(2, came)?;
        self.reply(SECOND_ANSWER, 0)?;
        self.ask_echo(self.target)
    }

    /// Its own input is its to receive from, and what others send elsewhere does not come.
    fn receive_on_own_input(&self) -> Outcome {
        for number in [Number::RECV, Number::WAIT] {
            let came = self.raw(number, slots::INPUT, Info::default());
            self.waits(number.0.unsigned_abs(), came)?;
        }
        for number in [Number::NB_RECV, Number::NB_WAIT] {
            let came = self.raw(number, slots::INPUT, Info::default());
            let arrived = came_back(number.0.unsigned_abs(), came)?;
            // No badge: no message.
            same(number.0.unsigned_abs(), arrived.cptr, 0)?;
        }
        Ok(())
    }

    /// The console takes the text, and nobody is there to wait for an answer: the caller stands still.
    fn call_a_send_grant(&self) -> Outcome {
        let mut message = Message::default();
        message
            .encode(label::REQUEST, &"called, and not answered")
            .expect("a short text fits into a message");
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..message.words().len()].copy_from_slice(message.words());
        });
        let registers = Registers {
            cptr: self.console.bits(),
            info: Info::new(label::REQUEST, message.words().len() as u64).bits(),
            words: core::array::from_fn(|index| message.word(index)),
            ..Registers::default()
        };
        let came = self.supervised.call(Number::CALL, registers);
        self.waits(0, came)
    }

    /// A signal is all that goes, and nothing comes back.
    fn call_a_notify_grant(&self) -> Outcome {
        let came = self.raw(Number::CALL, self.go, Info::new(label::REQUEST, 4));
        same(0, came_back(0, came)?.info, 0)
    }

    /// Who yields gives the rest of its own time away, and nothing else.
    fn give_time_away(&self) -> Outcome {
        for at in 0..100 {
            self.silent(at, self.raw(Number::YIELD, slots::INPUT, Info::default()))?;
        }
        self.ask_echo(self.target)
    }
}

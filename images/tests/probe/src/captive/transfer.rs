//! Messages that are longer, or carry more, than they may; and capabilities that go along.

use portcullis_kernel::{CPtr, MAX_WORDS, cspace as slots, label};
use portcullis_manager_api::FIND;
use portcullis_probe::{Outcome, same};

use super::{Attacker, Lookup, Step, came_back};
use crate::fence::{self, Seen};
use crate::{Came, Info, Number, Registers};

/// A request that the fence takes.
const TAKE: u64 = label::REQUEST;

pub(super) const STEPS: &[Step] = &[
    ("length-beyond-buffer", Attacker::length_beyond_buffer),
    ("stale-words", Attacker::stale_words),
    ("tag-all-ones", Attacker::tag_all_ones),
    (
        "forged-unwrapped-capabilities",
        Attacker::forged_unwrapped_capabilities,
    ),
    ("pass-capabilities", Attacker::pass_capabilities),
    (
        "pass-absent-capabilities",
        Attacker::pass_absent_capabilities,
    ),
    ("pass-the-own-endpoint", Attacker::pass_the_own_endpoint),
    (
        "pass-capabilities-with-a-signal",
        Attacker::pass_capabilities_with_a_signal,
    ),
    (
        "pass-capabilities-to-manager",
        Attacker::pass_capabilities_to_manager,
    ),
    (
        "take-capabilities-from-server",
        Attacker::take_capabilities_from_server,
    ),
];

impl Attacker {
    /// Puts these into the places of the IPC buffer where capabilities to pass are named, and fills
    /// all words of the message.
    fn fill_buffer(&self, capabilities: [CPtr; 3]) {
        sel4::with_ipc_buffer_mut(|buffer| {
            let places = &mut buffer.caps_or_badges_mut()[..3];
            places.copy_from_slice(&capabilities.map(CPtr::bits));
            buffer.msg_regs_mut().fill(fence::MARK);
        });
    }

    /// Calls the fence with this tag; gives what it saw of the message.
    fn seen_by_fence(&self, at: u64, info: u64) -> Result<Seen, portcullis_probe::Breach> {
        let registers = Registers {
            cptr: self.fence.bits(),
            info,
            words: [fence::MARK; 4],
            ..Registers::default()
        };
        let answer = came_back(at, self.supervised.call(Number::CALL, registers))?;
        // Nothing came back with the answer either.
        same(
            at,
            answer.info,
            Info::new(label::OK, Seen::WORDS as u64).bits(),
        )?;
        Ok(sel4::with_ipc_buffer(|buffer| {
            Seen::read(&answer.words, buffer.msg_regs())
        }))
    }

    /// The fence saw so many words, and no capability and no badge of one.
    fn only_words(&self, at: u64, info: u64, words: u64) -> Outcome {
        let seen = self.seen_by_fence(at, info)?;
        let sent = Info::read(info);
        same(at, seen.info.label, sent.label)?;
        same(at, seen.info.length, words)?;
        same(at, seen.info.extra, 0)?;
        same(at, seen.info.unwrapped, 0)?;
        same(at, seen.badges, 0)?;
        // Each word that arrived is one that was sent.
        same(at, seen.marks, words)
    }

    /// A tag has seven bits for a length and the buffer has 120 words.
    fn length_beyond_buffer(&self) -> Outcome {
        self.fill_buffer([CPtr(0); 3]);
        let most = MAX_WORDS as u64;
        (most..=127).try_for_each(|length| {
            self.fill_buffer([CPtr(0); 3]);
            self.only_words(length, Info::new(TAKE, length).bits(), most)
        })
    }

    /// What an earlier message left in the buffer is not part of a shorter one.
    fn stale_words(&self) -> Outcome {
        (0..=MAX_WORDS as u64).try_for_each(|length| {
            self.fill_buffer([CPtr(0); 3]);
            self.only_words(length, Info::new(TAKE, length).bits(), length)
        })
    }

    /// Every bit that a tag has, and the capabilities of an empty slot.
    fn tag_all_ones(&self) -> Outcome {
        self.fill_buffer([CPtr(0); 3]);
        self.only_words(0, u64::MAX, MAX_WORDS as u64)
    }

    fn forged_unwrapped_capabilities(&self) -> Outcome {
        (1..8).try_for_each(|unwrapped| {
            self.fill_buffer([self.target, self.console, self.fence]);
            let info = Info {
                unwrapped,
                ..Info::new(TAKE, 4)
            };
            self.only_words(unwrapped, info.bits(), 4)
        })
    }

    /// Its grants have no Grant right, so nothing that it holds goes along.
    fn pass_capabilities(&self) -> Outcome {
        let held = [Self::manager(), self.target, self.console];
        let own = [slots::INPUT, slots::REPLY, self.poke];
        for capabilities in [held, own] {
            for extra in 1..=3 {
                self.fill_buffer(capabilities);
                self.only_words(extra, Info::new(TAKE, 4).with_extra(extra).bits(), 4)?;
            }
        }
        Ok(())
    }

    /// Capabilities that it names and does not hold: a message that waits faults, one that does not is
    /// dropped, and neither arrives.
    fn pass_absent_capabilities(&self) -> Outcome {
        let absent = CPtr(1 << 20);
        let before = self.seen_by_fence(0, Info::new(TAKE, 0).bits())?.messages;
        for extra in 1..=3_u64 {
            let mut capabilities = [self.target; 3];
            capabilities[extra as usize - 1] = absent;
            let info = Info::new(TAKE, 4).with_extra(extra);
            for number in [Number::CALL, Number::SEND] {
                self.fill_buffer(capabilities);
                let came = self.raw(number, self.fence, info);
                let bits = (slots::LEAF_BITS - slots::MICROKIT_RADIX).into();
                self.capability_fault(came, absent.bits(), false, Lookup::Guard { bits })?;
            }
            self.fill_buffer(capabilities);
            self.silent(extra, self.raw(Number::NB_SEND, self.fence, info))?;
        }
        let after = self.seen_by_fence(0, Info::new(TAKE, 0).bits())?.messages;
        same(0, after, before + 1)
    }

    /// A capability to the endpoint that it is sent through arrives as its badge, where the sender may
    /// pass capabilities: so a badge would come that the receiver believes in.
    fn pass_the_own_endpoint(&self) -> Outcome {
        (1..=3).try_for_each(|extra| {
            self.fill_buffer([self.fence; 3]);
            self.only_words(extra, Info::new(TAKE, 4).with_extra(extra).bits(), 4)
        })
    }

    fn pass_capabilities_with_a_signal(&self) -> Outcome {
        for number in [Number::CALL, Number::SEND, Number::NB_SEND] {
            self.fill_buffer([self.target; 3]);
            let came = self.raw(number, self.go, Info::new(TAKE, 4).with_extra(3));
            self.silent(3, came)?;
        }
        Ok(())
    }

    /// The manager alone holds CNodes, and so has places for capabilities to arrive in.
    fn pass_capabilities_to_manager(&self) -> Outcome {
        let find = label::REQUEST + u64::from(FIND.number());
        for extra in 1..=3 {
            self.fill_buffer([self.target, slots::REPLY, self.fence]);
            let came = self.raw(
                Number::CALL,
                Self::manager(),
                Info::new(find, 4).with_extra(extra),
            );
            self.refused(extra, came, label::BAD_REQUEST)?;
        }
        Ok(())
    }

    /// The fence answers with capabilities of its own; wherever this one says that they should go,
    /// nothing arrives, since no pointer of its ends at a CNode.
    fn take_capabilities_from_server(&self) -> Outcome {
        let roots = Self::empty_slots()
            .step_by(5)
            .chain(self.client_capabilities());
        let roots = roots.chain([slots::INPUT, slots::REPLY, CPtr(1 << 58), CPtr(2 << 58)]);
        for root in roots {
            for depth in [6, 58, 64] {
                fence::ask_for_capabilities(root.bits(), 40, depth);
                self.fill_buffer([CPtr(0); 3]);
                let registers = Registers {
                    cptr: self.fence.bits(),
                    info: Info::new(fence::GIVE, 0).bits(),
                    ..Registers::default()
                };
                let came = self.supervised.call(Number::CALL, registers);
                let answer = came_back(root.bits(), came)?;
                let due = Info::new(label::OK, Seen::WORDS as u64).bits();
                same(root.bits(), answer.info, due)?;
            }
        }
        fence::ask_for_capabilities(0, 0, 0);
        let mut empty = Self::empty_slots().chain(self.empty_grant_slots());
        empty.try_for_each(|slot| {
            let came: Came = self.raw(Number::CALL, slot, Info::new(TAKE, 4));
            self.nothing_there(slot.bits(), came)
        })
    }
}

//! Saying to those that it may talk to what its grants do not allow.

use portcullis_console::api::WRITE;
use portcullis_kernel::{Badge, CNodes, GrantBadge, MAX_WORDS, Message, MethodSet, label};
use portcullis_manager_api::{DELEGATE, RELEASE, REQUEST, REVOKE, SIGNAL};

use super::Attacker;
use crate::target::api;
use crate::{Breach, Outcome, same};

/// Labels that are no request: the kernel's own answers, what lies beyond the 32 methods, and
/// numbers that are a request's only when they are cut to fewer bits. A label has 52 bits.
const NO_REQUESTS: [u64; 12] = [
    0,
    1,
    2,
    6,
    15,
    48,
    64,
    255,
    1 << 8 | label::REQUEST,
    1 << 16 | label::REQUEST,
    1 << 32 | label::REQUEST,
    (1 << 52) - 1,
];

impl<K: CNodes> Attacker<'_, K> {
    /// A signal carries its badge and nothing else, however it is sent.
    pub(super) fn words_with_a_signal(&mut self) -> Outcome {
        let before = self.tally()?;
        let mut message = Message::default();
        let secret = label::REQUEST + u64::from(api::SECRET.number());
        message.set(secret, &[7; MAX_WORDS]);
        self.kernel.send(self.poke.0, &message);
        self.kernel.nb_send(self.poke.0, &message);
        let answer = self.call(self.poke.0, secret, &[7; MAX_WORDS]);
        same(0, answer.label(), 0)?;
        same(1, answer.words().len() as u64, 0)?;
        let after = self.tally()?;
        same(2, after.echoes, before.echoes)?;
        same(3, after.breaches, 0)?;
        same(4, u64::from(after.pokes > before.pokes), 1)
    }

    pub(super) fn forged_methods(&mut self) -> Outcome {
        self.unseen(|attacker| {
            let granted = [api::ECHO, api::TALLY].map(|method| u64::from(method.number()));
            for method in (0..32).filter(|method| !granted.contains(method)) {
                attacker.refused_by_target(label::REQUEST + method, &[method])?;
            }
            Ok(())
        })
    }

    pub(super) fn forged_labels(&mut self) -> Outcome {
        self.unseen(|attacker| {
            let mut labels = NO_REQUESTS.into_iter();
            labels.try_for_each(|label| attacker.refused_by_target(label, &[1]))
        })
    }

    /// The badge is what the kernel says it is: one in the words is only words.
    pub(super) fn forged_badges(&mut self) -> Outcome {
        let all = MethodSet(u32::MAX);
        let badges = (0..64).filter_map(|index| GrantBadge::new(index, Default::default(), all));
        let badges = badges.map(GrantBadge::badge);
        let badges = badges.chain((0..62).map(Badge::channel));
        for badge in badges.chain([Badge(1 << 62), Badge(u64::MAX)]) {
            let words = [badge.0; 4];
            let secret = label::REQUEST + u64::from(api::SECRET.number());
            self.refused_by_target(secret, &words)?;
            self.echo(&words)?;
        }
        same(0, self.tally()?.breaches, 0)
    }

    fn refused_by_target(&mut self, label: u64, words: &[u64]) -> Outcome {
        self.call_refused(self.target.0, label, words, label::BAD_METHOD)
    }

    /// Has the server give `words` back.
    pub(super) fn echo(&mut self, words: &[u64]) -> Outcome {
        let mut message = Message::request(api::ECHO, words);
        match self.target.call(self.kernel, api::ECHO, &mut message) {
            Ok(answer) if answer == words => Ok(()),
            _ => Err(Breach {
                at: words.first().copied().unwrap_or_default(),
                got: message.word(0),
                due: words.first().copied().unwrap_or_default(),
            }),
        }
    }

    /// Nothing comes back from a send, so the test looks at the serial line: nothing is shown.
    pub(super) fn console_forged_methods(&mut self) -> Outcome {
        let requests = (0..32).filter(|method| *method != u64::from(WRITE.number()));
        for label in requests
            .map(|method| label::REQUEST + method)
            .chain(NO_REQUESTS)
        {
            self.send_text(label, "forged with another method");
        }
        Ok(())
    }

    /// Each line that is shown begins with the name of who sent it, which is not the sender's to say.
    pub(super) fn console_forged_lines(&mut self) -> Outcome {
        for text in [
            "\nmanager: forged with a line feed",
            "\r\nmanager: forged with a carriage return",
            "\u{1b}[2J\u{1b}[Hmanager: forged with an escape sequence",
            "\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}manager: forged with backspaces",
            "\u{2028}manager: forged with a line separator",
            "\u{85}manager: forged with a next line",
            "\u{202e}degrof :reganam",
        ] {
            self.send_text(label::REQUEST + u64::from(WRITE.number()), text);
        }
        Ok(())
    }

    fn send_text(&mut self, label: u64, text: &str) {
        let mut message = Message::default();
        // The longest of these texts is far below what a message carries.
        if message.encode(label, &text).is_ok() {
            self.kernel.send(self.console.0, &message);
        }
    }

    /// On its static channel everybody may ask the manager where grants lie, which bits they set and for
    /// grants, and no method of `inspect`.
    pub(super) fn manager_forged_methods(&mut self) -> Outcome {
        let served = [SIGNAL, REQUEST, RELEASE, DELEGATE, REVOKE];
        let served = served.map(|method| label::REQUEST + u64::from(method.number()));
        let requests = (1..32).map(|method| label::REQUEST + method);
        for label in requests.chain(NO_REQUESTS) {
            let code = match label {
                _ if served.contains(&label) => label::BAD_REQUEST,
                _ => label::BAD_METHOD,
            };
            self.call_refused(self.manager(), label, &[0; 4], code)?;
        }
        Ok(())
    }

    /// The kernel tells the manager of faults with labels below 16, and a badge that nobody holds.
    /// The test looks at the log: no fault of anybody is there.
    pub(super) fn manager_forged_faults(&mut self) -> Outcome {
        for label in 0..label::REQUEST {
            let words = [0x40_0000, 8, 0, 0x9200_004f, 5, 6, 7, 8];
            self.call_refused(self.manager(), label, &words, label::BAD_METHOD)?;
            self.call_refused(self.manager(), label, &[], label::BAD_METHOD)?;
        }
        Ok(())
    }
}

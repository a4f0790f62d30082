//! Flows, and what must never be.

use portcullis_kernel::Mode;

use super::fault::ReadFault;
use super::fields::{Field, Fields, REASON, Text, texts};
use super::{Reader, Value};
use crate::model::{Flow, Modes, Never};

const FROM: Field = ("from", "from = \"vault\"");
const TO: Field = ("to", "to = \"edge\"");
const MODES: Field = ("modes", "modes = [\"stream\"]");
const FLOW: &[Field] = &[FROM, TO, MODES, REASON];
const NEVER: &[Field] = &[FROM, TO, PERMANENT, REASON];
const PERMANENT: Field = ("permanent", "permanent = true");

impl Reader {
    pub(super) fn flows(&mut self, value: Option<&Value<'_>>) {
        for rule in self.rules("flows", value) {
            let flow = self.flow(rule);
            self.policy.flows.extend(flow);
        }
    }

    fn flow(&mut self, rule: &Value<'_>) -> Option<Flow> {
        let fields = Fields::open(self, "a flow", FLOW, rule)?;
        let from = fields.text(self, FROM).and_then(|name| self.domain(&name));
        let to = fields.text(self, TO).and_then(|name| self.domain(&name));
        let modes = fields.required(self, MODES);
        let modes = modes.and_then(|value| {
            let words = texts(self, MODES, value)?;
            if words.is_empty() {
                let fault = ReadFault::EmptyList {
                    field: "modes",
                    help: "name at least one mode, or remove the flow",
                };
                let place = self.place(value);
                self.report(&place, "no mode", fault);
                return None;
            }
            self.modes(&words)
        });
        let reason = fields.reason(self);
        Some(Flow {
            from: from?,
            to: to?,
            modes: modes?,
            reason,
            place: fields.place,
        })
    }

    fn modes(&mut self, words: &[Text<'_>]) -> Option<Modes> {
        let mut modes = Modes::default();
        let mut complete = true;
        for word in words {
            match self.mode(word) {
                Some(mode) if modes.contains(mode) => self.twice("modes", word),
                Some(mode) => modes = modes.with(mode),
                None => complete = false,
            }
        }
        complete.then_some(modes)
    }

    /// The mode with this name; that there is none is reported.
    pub(super) fn mode(&mut self, word: &Text<'_>) -> Option<Mode> {
        let mode = Modes::ALL
            .into_iter()
            .find(|mode| mode.name() == word.value);
        if mode.is_none() {
            self.unknown_word("mode", word, &Modes::ALL.map(Mode::name));
        }
        mode
    }

    pub(super) fn nevers(&mut self, value: Option<&Value<'_>>) {
        for rule in self.rules("never", value) {
            let never = self.never(rule);
            self.policy.nevers.extend(never);
        }
    }

    fn never(&mut self, rule: &Value<'_>) -> Option<Never> {
        let fields = Fields::open(self, "a never rule", NEVER, rule)?;
        let from = fields.text(self, FROM).and_then(|name| self.domain(&name));
        let to = fields.text(self, TO).and_then(|name| self.domain(&name));
        let permanent = fields.flag(self, PERMANENT);
        let reason = fields.reason(self);
        Some(Never {
            from: from?,
            to: to?,
            permanent: permanent?,
            reason,
            place: fields.place,
        })
    }
}

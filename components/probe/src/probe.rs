//! The component that was taken over.

mod cspace;
mod flood;
mod manager;
mod messages;
mod request;

use portcullis_kernel::{
    CNodes, CPtr, CallGrant, Component, KernelError, Message, NotifyGrant, Refusal, SendGrant,
    cspace as slots,
};
use portcullis_manager_api::{find_call, find_notify, find_send};

pub use manager::ABOVE_CEILING;

use crate::target::{Tally, api};
use crate::{Breach, Outcome, Report, same};

/// An attacker in a component that holds a `call` and a `notify` grant to a server and a `send` grant
/// to the console. It makes every attempt once, when it starts, and says what came of each.
#[derive(Debug)]
pub struct Probe {
    channel: u8,
}

/// What the attacker has to begin with.
struct Attacker<'k, K> {
    kernel: &'k mut K,
    channel: u8,
    target: CallGrant,
    poke: NotifyGrant,
    console: SendGrant,
}

/// An attempt: its name in [`EVERYWHERE`](crate::EVERYWHERE), and the trying.
type Step<'k, K> = (&'static str, fn(&mut Attacker<'k, K>) -> Outcome);

impl Probe {
    /// An attacker that asks the manager on its static channel `channel`.
    pub const fn new(channel: u8) -> Self {
        Self { channel }
    }
}

impl<K: CNodes> Component<K> for Probe {
    fn init(&mut self, kernel: &mut K) {
        let mut report = Report::new(kernel, self.channel);
        let mut attacker = match Attacker::new(kernel, self.channel) {
            Ok(attacker) => attacker,
            Err(refusal) => return report.line(kernel, format_args!("no grants: {refusal}")),
        };
        let steps: [Step<'_, K>; 28] = [
            ("call-empty-slots", Attacker::call_empty_slots),
            ("send-to-empty-slots", Attacker::send_to_empty_slots),
            ("use-empty-grant-slots", Attacker::use_empty_grant_slots),
            (
                "call-through-absent-cnodes",
                Attacker::call_through_absent_cnodes,
            ),
            ("call-own-input", Attacker::call_own_input),
            ("reply-to-nobody", Attacker::reply_to_nobody),
            ("poll-own-input", Attacker::poll_own_input),
            ("invoke-cnodes", Attacker::invoke_cnodes),
            ("words-with-a-signal", Attacker::words_with_a_signal),
            ("forged-methods", Attacker::forged_methods),
            ("forged-labels", Attacker::forged_labels),
            ("forged-badges", Attacker::forged_badges),
            ("console-forged-methods", Attacker::console_forged_methods),
            ("console-forged-lines", Attacker::console_forged_lines),
            ("manager-forged-methods", Attacker::manager_forged_methods),
            ("manager-forged-faults", Attacker::manager_forged_faults),
            ("find-truncated", Attacker::find_truncated),
            ("find-overlong", Attacker::find_overlong),
            ("find-garbled", Attacker::find_garbled),
            ("find-above-ceiling", Attacker::find_above_ceiling),
            ("request-above-ceiling", Attacker::request_above_ceiling),
            ("request-garbled", Attacker::request_garbled),
            ("delegate-above-ceiling", Attacker::delegate_above_ceiling),
            ("release-anothers", Attacker::release_anothers),
            ("flood-manager", Attacker::flood_manager),
            ("flood-target", Attacker::flood_target),
            ("flood-notification", Attacker::flood_notification),
            ("flood-console", Attacker::flood_console),
        ];
        for (name, step) in steps {
            let outcome = step(&mut attacker);
            report.verdict(attacker.kernel, name, outcome);
        }
        report.end(kernel);
    }
}

impl<'k, K: CNodes> Attacker<'k, K> {
    fn new(kernel: &'k mut K, channel: u8) -> Result<Self, Refusal> {
        use portcullis_kernel::Mode::Notify;
        Ok(Self {
            target: find_call(kernel, channel, api::NAME, api::NAME)?,
            poke: find_notify(kernel, channel, api::NAME, api::NAME, Notify)?,
            console: find_send(kernel, channel, "console", "terminal")?,
            channel,
            kernel,
        })
    }

    /// Calls with any label; gives what came back.
    fn call(&mut self, to: CPtr, label: u64, words: &[u64]) -> Message {
        let mut message = Message::default();
        message.set(label, words);
        self.kernel.call(to, &mut message);
        message
    }

    /// Calls, and expects the kernel's word that there is no such capability.
    fn call_nothing(&mut self, to: CPtr) -> Outcome {
        let answer = self.call(to, portcullis_kernel::label::REQUEST, &[1, 2, 3]);
        let due = KernelError::InvalidCapability.code().into();
        same(to.bits(), answer.label(), due)
    }

    /// Calls, and expects the object's refusal with this code.
    fn call_refused(&mut self, to: CPtr, label: u64, words: &[u64], code: u64) -> Outcome {
        let answer = self.call(to, label, words);
        match answer.outcome() {
            Err(Refusal::Object(got)) => same(label, got, code),
            _ => Err(Breach {
                at: label,
                got: answer.label(),
                due: portcullis_kernel::label::REFUSED,
            }),
        }
    }

    /// What reached the server so far.
    fn tally(&mut self) -> Result<Tally, Breach> {
        let mut message = Message::default();
        match self.target.call(self.kernel, api::TALLY, &mut message) {
            Ok(_) => Ok(Tally::read(&message)),
            Err(_) => Err(Breach {
                at: 0,
                got: message.label(),
                due: portcullis_kernel::label::OK,
            }),
        }
    }

    /// Has `attempt` reach nobody: the server is as it was before.
    fn unseen(&mut self, attempt: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let before = self.tally()?;
        attempt(self)?;
        let after = self.tally()?;
        same(0, after.echoes, before.echoes)?;
        same(1, after.breaches, 0)?;
        same(2, after.pokes, before.pokes)
    }

    /// The way to the manager.
    const fn manager(&self) -> CPtr {
        slots::channel_endpoint(self.channel)
    }
}

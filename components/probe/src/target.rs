//! A server that the attacker holds grants to, and that counts what reaches it.

use portcullis_kernel::{Caller, Component, Message, Method, SendGrant, Signals, Syscalls, label};
use portcullis_manager_api::find_send;

/// The interface of the server.
pub mod api {
    use portcullis_kernel::Method;

    /// Name of the component and of the interface.
    pub const NAME: &str = "target";

    /// Gives the words back.
    pub const ECHO: Method = method(0);
    /// Gives the counts of [`Tally`](super::Tally), in its order.
    pub const TALLY: Method = method(1);
    /// Nobody is granted it.
    pub const SECRET: Method = method(3);

    const fn method(number: u8) -> Method {
        match Method::new(number) {
            Some(method) => method,
            None => panic!("method numbers are below 32"),
        }
    }
}

/// What reached the server.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Requests for [`api::ECHO`].
    pub echoes: u64,
    /// Requests for a method that is granted to nobody, or that came through no grant.
    pub breaches: u64,
    /// Times that it was notified. Several signals may come as one.
    pub pokes: u64,
}

/// The server. What its badge does not allow, [`portcullis_kernel::serve`] refuses before it.
#[derive(Debug)]
pub struct Target {
    channel: u8,
    gate_name: Option<&'static str>,
    gate: Option<SendGrant>,
    tally: Tally,
}

impl Target {
    /// A server that asks the manager on its static channel `channel`. When it is poked it waits for
    /// `gate`, the component and interface of that name, to take a message; meanwhile calls queue up.
    pub const fn new(channel: u8, gate: Option<&'static str>) -> Self {
        Self {
            channel,
            gate_name: gate,
            gate: None,
            tally: Tally {
                echoes: 0,
                breaches: 0,
                pokes: 0,
            },
        }
    }
}

impl<K: Syscalls> Component<K> for Target {
    fn init(&mut self, kernel: &mut K) {
        let name = self.gate_name;
        self.gate = name.and_then(|name| find_send(kernel, self.channel, name, name).ok());
    }

    fn call(&mut self, _: &mut K, caller: Caller, method: Method, message: &mut Message) {
        match (caller, method) {
            (Caller::Grant(_), api::ECHO) => {
                self.tally.echoes += 1;
                message.set_label(label::OK);
            }
            (Caller::Grant(_), api::TALLY) => message.reply(&self.tally.words()),
            _ => {
                self.tally.breaches += 1;
                message.refuse(label::BAD_METHOD);
            }
        }
    }

    fn notified(&mut self, kernel: &mut K, _: Signals) {
        self.tally.pokes += 1;
        if let Some(gate) = self.gate {
            gate.send(kernel, api::ECHO, &mut Message::default());
        }
    }
}

impl Tally {
    const fn words(self) -> [u64; 3] {
        [self.echoes, self.breaches, self.pokes]
    }

    /// Reads the answer to [`api::TALLY`].
    pub fn read(message: &Message) -> Self {
        Self {
            echoes: message.word(0),
            breaches: message.word(1),
            pokes: message.word(2),
        }
    }
}

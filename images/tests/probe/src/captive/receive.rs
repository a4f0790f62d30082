//! Taking what others send: stealing calls.

use portcullis_kernel::{CPtr, cspace as slots, label};
use portcullis_probe::Outcome;

use super::{Attacker, Lookup, Step};
use crate::{Came, Info, Number, Registers};

pub(super) const STEPS: &[Step] = &[
    (
        "steal-from-waiting-server",
        Attacker::steal_from_waiting_server,
    ),
    (
        "steal-while-server-is-elsewhere",
        Attacker::steal_while_server_is_elsewhere,
    ),
];

impl Attacker {
    fn steal_from_waiting_server(&self) -> Outcome {
        self.steal(self.target)?;
        self.steal(self.console)?;
        self.steal(Self::manager())
    }

    /// The clerk is made to wait for `watch`, and the bystander to call it meanwhile: the call stands
    /// in the clerk's queue, for whoever receives first.
    fn steal_while_server_is_elsewhere(&self) -> Outcome {
        for notification in [self.poke, self.go] {
            self.silent(0, self.raw(Number::SEND, notification, Info::default()))?;
        }
        self.steal(self.clerk)?;
        // The clerk is back once `watch` ran; it has served the bystander by then, which says so.
        self.ask_echo(self.clerk)
    }

    /// Every system call that receives, on the endpoint of a server. `NBSendRecv` and `ReplyRecv` first
    /// send where it may, which is done or dropped; that they do not take anything is what counts.
    fn steal(&self, from: CPtr) -> Outcome {
        self.receives_nothing(from, Lookup::Missing)?;
        for first in [slots::REPLY, slots::INPUT, self.go, CPtr(9), CPtr(u64::MAX)] {
            for number in [
                Number::REPLY_RECV,
                Number::NB_SEND_RECV,
                Number::NB_SEND_WAIT,
            ] {
                // Where the first phase takes its capability from differs. A reply object is needed in
                // the second phase of all but the last.
                let reply = match number {
                    Number::NB_SEND_RECV => slots::REPLY.bits(),
                    _ => first.bits(),
                };
                let registers = Registers {
                    cptr: from.bits(),
                    info: Info::new(label::REQUEST, 4).bits(),
                    words: [1, 2, 3, 4],
                    reply,
                    first: first.bits(),
                };
                let came: Came = self.supervised.call(number, registers);
                self.capability_fault(came, from.bits(), true, Lookup::Missing)?;
            }
        }
        Ok(())
    }
}

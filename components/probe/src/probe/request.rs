//! Asking the manager for authority that is not the attacker's to have, to hand on or to take.

use portcullis_kernel::{CNodes, MAX_WORDS, Message, Method, MethodSet, Refusal, label};
use portcullis_manager_api::{
    DELEGATE, Delegate, Denied, FORBIDDEN, NOT_PERMITTED, RELEASE, REQUEST, REVOKE, Request,
    Revoke, delegate, release, request, revoke,
};

use super::{ABOVE_CEILING, Attacker};
use crate::target::api;
use crate::{Breach, Outcome, same};

/// Slots that are tried: those of its own, and many more.
const SLOTS: core::ops::Range<u16> = 0..70;
/// Whom the attacker hands things to.
const EVERYBODY: [&str; 9] = [
    "manager", "blk", "ledger", "vault", "ingest", "publish", "edge", "console", "target",
];

impl<K: CNodes> Attacker<'_, K> {
    /// What it asks for it does not get, and what it holds since boot it does not get once more, with more
    /// methods, or for a time.
    pub(super) fn request_above_ceiling(&mut self) -> Outcome {
        let all = MethodSet(u32::MAX);
        for (at, (object, interface, mode, code)) in (0..).zip(ABOVE_CEILING) {
            for (methods, lease_ms) in [(MethodSet(1), None), (all, None), (all, Some(1))] {
                let wanted = Request {
                    object,
                    interface,
                    mode,
                    methods,
                    lease_ms,
                    waits: true,
                };
                let answer = request(self.kernel, self.channel, &wanted).map(drop);
                same(at, refused(at, answer)?, code)?;
            }
        }
        let mode = portcullis_kernel::Mode::Call;
        for methods in [MethodSet(1), all, MethodSet::EMPTY] {
            let (object, interface, lease_ms) = (api::NAME, api::NAME, None);
            let wanted = Request {
                object,
                interface,
                mode,
                methods,
                lease_ms,
                waits: true,
            };
            let answer = request(self.kernel, self.channel, &wanted).map(drop);
            same(100, refused(100, answer)?, NOT_PERMITTED)?;
        }
        Ok(())
    }

    /// It hands on neither what it does not hold nor what it does, and takes nothing back.
    pub(super) fn delegate_above_ceiling(&mut self) -> Outcome {
        for slot in SLOTS {
            for to in EVERYBODY {
                let (methods, depth) = (MethodSet(1), 200);
                let wanted = Delegate {
                    slot,
                    to,
                    methods,
                    depth,
                    lease_ms: None,
                    waits: true,
                };
                let answer = delegate(self.kernel, self.channel, &wanted).map(drop);
                self.not_allowed(slot, answer)?;
                let wanted = Revoke { slot, from: to };
                let answer = revoke(self.kernel, self.channel, &wanted);
                self.not_allowed(slot, answer)?;
            }
        }
        Ok(())
    }

    /// It gives up nothing that is not its own: what lies in others' slots of the same numbers stays.
    pub(super) fn release_anothers(&mut self) -> Outcome {
        let own = [self.target.0, self.poke.0, self.console.0].map(|it| it.bits() as u16);
        for slot in SLOTS.filter(|slot| !own.contains(slot)) {
            let answer = release(self.kernel, self.channel, slot);
            self.not_allowed(slot, answer)?;
        }
        self.tally().map(drop)
    }

    /// Requests that end before they should, and lengths that lie.
    pub(super) fn request_garbled(&mut self) -> Outcome {
        let mode = portcullis_kernel::Mode::Call;
        let (methods, lease_ms, waits) = (MethodSet(1), Some(7), true);
        let (object, interface) = ("vault", "objects");
        let wanted = Request {
            object,
            interface,
            mode,
            methods,
            lease_ms,
            waits,
        };
        let (slot, to, depth) = (1, "vault", 1);
        let handed = Delegate {
            slot,
            to,
            methods,
            depth,
            lease_ms,
            waits,
        };
        let mut message = Message::default();
        let fits = "two short names fit into a message";
        message.encode(0, &wanted).expect(fits);
        self.cut_short(REQUEST, &message)?;
        message.encode(0, &handed).expect(fits);
        self.cut_short(DELEGATE, &message)?;
        message.encode(0, &Revoke { slot, from: to }).expect(fits);
        self.cut_short(REVOKE, &message)?;
        message.encode(0, &slot).expect(fits);
        self.cut_short(RELEASE, &message)
    }

    fn cut_short(&mut self, method: Method, whole: &Message) -> Outcome {
        let label = label::REQUEST + u64::from(method.number());
        let words = whole.words();
        for length in 0..words.len() {
            self.call_refused(self.manager(), label, &words[..length], label::BAD_REQUEST)?;
        }
        for lie in [u64::MAX, 1 << 63, words[0] - 1, words[0] + 8] {
            let mut lying = [0; MAX_WORDS];
            let (first, rest) = (&mut lying[..words.len()], &words[1..]);
            first[0] = lie;
            first[1..].copy_from_slice(rest);
            self.call_refused(self.manager(), label, first, label::BAD_REQUEST)?;
        }
        Ok(())
    }

    fn not_allowed(&mut self, slot: u16, answer: Result<(), Denied>) -> Outcome {
        match refused(slot.into(), answer)? {
            NOT_PERMITTED | FORBIDDEN => Ok(()),
            got => same(slot.into(), got, NOT_PERMITTED),
        }
    }
}

/// The code of a refusal; anything else is a breach.
fn refused(at: u64, answer: Result<(), Denied>) -> Result<u64, Breach> {
    match answer.map_err(|denied| denied.refusal) {
        Err(Refusal::Object(code)) => Ok(code),
        Err(Refusal::Kernel(error)) => Ok(error.code().into()),
        Err(Refusal::Garbled) => Ok(label::BAD_REQUEST),
        Ok(()) => Err(Breach { at, got: 0, due: 1 }),
    }
}

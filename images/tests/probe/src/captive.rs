//! The attacker that only seL4 can answer.
//!
//! It holds `call` grants to three servers (one of them on its side), `notify` grants to two
//! components and a `send` grant to the console; its own input can be called by an accomplice.
//! [`Supervised`] has it survive what it provokes, so it makes every attempt, each once.

mod cspace;
mod invoke;
mod memory;
mod privilege;
mod receive;
mod reply;
mod transfer;

use portcullis_kernel::{
    CPtr, Component, KernelError, Mode, Refusal, Syscalls, cspace as slots, label,
};
use portcullis_manager_api::{find_call, find_notify, find_send};
use portcullis_probe::{Breach, Outcome, Report, api, same};

use crate::{Came, Fault, Info, Number, Registers, Supervised, fault};

pub use reply::FIRST_ANSWER;

/// The attacker, before it starts.
#[derive(Debug)]
pub struct Captive(Option<Supervised>);

/// What the attacker has to begin with.
#[derive(Debug)]
struct Attacker {
    supervised: Supervised,
    target: CPtr,
    /// Waits elsewhere while `watch` has not run.
    clerk: CPtr,
    /// Has the clerk do so.
    poke: CPtr,
    /// Has the bystander call the clerk.
    go: CPtr,
    /// A server on the attacker's side.
    fence: CPtr,
    console: CPtr,
}

/// An attempt: its name in `portcullis_probe::ON_SEL4`, and the trying.
type Step = (&'static str, fn(&Attacker) -> Outcome);

/// Why a capability lookup failed: libsel4's `seL4_LookupFailureType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    /// There is none, or it is of another kind.
    Missing,
    /// The pointer's bits are not those of the guard, which has so many.
    Guard {
        /// Bits of the guard.
        bits: u64,
    },
}

/// Receiving, in all ways. `Wait` and `NBWait` use no reply object.
const RECEIVES: [Number; 4] = [Number::RECV, Number::NB_RECV, Number::WAIT, Number::NB_WAIT];

/// Every attempt, in the order in which they are made.
const STEPS: [&[Step]; 7] = [
    cspace::STEPS,
    invoke::STEPS,
    transfer::STEPS,
    receive::STEPS,
    reply::STEPS,
    memory::STEPS,
    privilege::STEPS,
];

impl Captive {
    /// An attacker under supervision.
    pub const fn new(supervised: Supervised) -> Self {
        Self(Some(supervised))
    }
}

impl<K: Syscalls> Component<K> for Captive {
    fn init(&mut self, kernel: &mut K) {
        let mut report = Report::new(kernel, 0);
        let Some(supervised) = self.0.take() else {
            return;
        };
        let attacker = match Attacker::new(kernel, supervised) {
            Ok(attacker) => attacker,
            Err(refusal) => return report.line(kernel, format_args!("no grants: {refusal}")),
        };
        for (name, step) in STEPS.into_iter().flatten() {
            let outcome = step(&attacker);
            report.verdict(kernel, name, outcome);
        }
        let helped = attacker.supervised.helped();
        report.line(
            kernel,
            format_args!("{helped} faults and waits taken by the warden"),
        );
        report.end(kernel);
        attacker.supervised.end();
    }
}

impl Attacker {
    fn new(kernel: &mut impl Syscalls, supervised: Supervised) -> Result<Self, Refusal> {
        let notify = Mode::Notify;
        Ok(Self {
            target: find_call(kernel, 0, api::NAME, api::NAME)?.0,
            clerk: find_call(kernel, 0, "clerk", api::NAME)?.0,
            poke: find_notify(kernel, 0, "clerk", api::NAME, notify)?.0,
            go: find_notify(kernel, 0, "bystander", "bystander", notify)?.0,
            fence: find_call(kernel, 0, "fence", "fence")?.0,
            console: find_send(kernel, 0, "console", "terminal")?.0,
            supervised,
        })
    }

    /// A raw system call on `cptr` with the tag `info`, and the own reply object.
    fn raw(&self, number: Number, cptr: CPtr, info: Info) -> Came {
        let registers = Registers {
            cptr: cptr.bits(),
            info: info.bits(),
            words: [1, 2, 3, 4],
            reply: slots::REPLY.bits(),
            first: 0,
        };
        self.supervised.call(number, registers)
    }

    /// The manager, on the static channel.
    const fn manager() -> CPtr {
        slots::channel_endpoint(0)
    }

    /// Slots that Microkit and the image builder leave empty.
    fn empty_slots() -> impl Iterator<Item = CPtr> {
        let filled = [slots::INPUT, slots::REPLY, Self::manager()];
        let all = (0..1 << slots::MICROKIT_RADIX).map(CPtr);
        all.filter(move |slot| !filled.contains(slot))
    }

    /// Slots of its grants CNode in which no grant lies.
    fn empty_grant_slots(&self) -> impl Iterator<Item = CPtr> + use<> {
        let held = [
            self.target,
            self.clerk,
            self.poke,
            self.go,
            self.fence,
            self.console,
        ];
        let all = (0..64).map(slots::grant);
        all.filter(move |slot| !held.contains(slot))
    }

    /// What it may send through, in any way.
    fn client_capabilities(&self) -> [CPtr; 7] {
        let Self {
            target,
            clerk,
            poke,
            go,
            fence,
            console,
            ..
        } = *self;
        [Self::manager(), target, clerk, poke, go, fence, console]
    }

    /// Expects that the kernel says there is no such capability.
    fn nothing_there(&self, at: u64, came: Came) -> Outcome {
        let registers = came_back(at, came)?;
        let due = Info::new(KernelError::InvalidCapability.code().into(), 1);
        same(at, registers.info, due.bits())?;
        // Which of the capabilities it was: the one that was invoked.
        same(at, registers.words[0], 0)
    }

    /// Expects an object's refusal with this code.
    fn refused(&self, at: u64, came: Came, code: u64) -> Outcome {
        let registers = came_back(at, came)?;
        same(at, registers.info, Info::new(label::REFUSED, 1).bits())?;
        same(at, registers.words[0], code)
    }

    /// Expects that the attempt came back with nothing said.
    fn silent(&self, at: u64, came: Came) -> Outcome {
        came_back(at, came).map(|_| ())
    }

    /// Expects that the attempt never comes back by itself.
    fn waits(&self, at: u64, came: Came) -> Outcome {
        match came {
            Came::Blocked => Ok(()),
            _ => Err(other(at, came, WAITED)),
        }
    }

    /// Expects the fault of a capability that cannot be used, and all that its message says.
    fn capability_fault(&self, came: Came, of: u64, receiving: bool, why: Lookup) -> Outcome {
        let message = faulted(of, came, fault::CAPABILITY)?;
        let (kind, length) = match why {
            Lookup::Missing => (2, 5),
            Lookup::Guard { .. } => (4, 7),
        };
        same(of, message.length, length)?;
        same(of, message.words[1], of)?;
        same(of, message.words[2], receiving.into())?;
        same(of, message.words[3], kind)?;
        match why {
            Lookup::Missing => same(of, message.words[4], 0),
            Lookup::Guard { bits } => {
                same(of, message.words[4], slots::LEAF_BITS.into())?;
                same(of, message.words[5], 0)?;
                same(of, message.words[6], bits)
            }
        }
    }

    /// A server still serves this component what its grant says.
    fn ask_echo(&self, server: CPtr) -> Outcome {
        let request = Info::new(label::REQUEST + u64::from(api::ECHO.number()), 4);
        let answer = came_back(server.bits(), self.raw(Number::CALL, server, request))?;
        same(server.bits(), answer.info, Info::new(label::OK, 4).bits())?;
        same(server.bits(), answer.words[3], 4)
    }
}

/// In a breach, the place of a label: the attempt was waiting.
const WAITED: u64 = u64::MAX;
/// In a breach, the place of a label: the attempt came back.
const BACK: u64 = u64::MAX - 1;

/// The registers of an attempt that came back.
pub(crate) fn came_back(at: u64, came: Came) -> Result<Registers, Breach> {
    match came {
        Came::Back(registers) => Ok(registers),
        _ => Err(other(at, came, BACK)),
    }
}

/// The message of an attempt that faulted, of this kind.
pub(crate) fn faulted(at: u64, came: Came, label: u64) -> Result<Fault, Breach> {
    match came {
        Came::Fault(fault) => same(at, fault.label, label).map(|()| fault),
        _ => Err(other(at, came, label)),
    }
}

/// A breach: something else came than was due.
fn other(at: u64, came: Came, due: u64) -> Breach {
    let got = match came {
        Came::Back(_) => BACK,
        Came::Fault(fault) => fault.label,
        Came::Blocked => WAITED,
    };
    Breach { at, got, due }
}

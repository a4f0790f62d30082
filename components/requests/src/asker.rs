//! Who asks for a grant while the system runs.

use portcullis_kernel::{
    CallGrant, Component, KernelError, Message, Method, MethodSet, Mode, Signal, Signals, Syscalls,
    label,
};
use portcullis_manager_api::{
    Delegate, Denied, Find, Found, NOT_PERMITTED, PENDING, Request, Revoke, UNAVAILABLE, delegate,
    find, find_call, release, request, revoke,
};
use portcullis_probe::{Breach, Outcome, Report, api as target, same};

use crate::helper::{ANSWERED, Came, api, came};

/// The names of the steps, in their order.
pub const STEPS: [&str; 14] = [
    "request",
    "call",
    "call-beyond-grant",
    "request-beyond-policy",
    "delegate-holds-nothing-yet",
    "delegate",
    "delegate-calls",
    "delegate-calls-beyond-grant",
    "delegate-hands-on",
    "revoke",
    "call-after-revoke",
    "release",
    "request-without-waiting",
    "found-when-signalled",
];

/// The kernel's word that a grant is gone.
const GONE: Came = [1, KernelError::InvalidCapability as u64];
/// The receive loop's, that a grant does not include a method.
const BEYOND: Came = [2, label::BAD_METHOD];

/// The component that asks. It says what came of each step, on the console.
#[derive(Debug)]
pub struct Asker {
    channel: u8,
    report: Option<Report>,
}

/// It at work.
struct Steps<'k, K> {
    kernel: &'k mut K,
    channel: u8,
    own: Found,
    helper: CallGrant,
}

type Step<'k, K> = fn(&mut Steps<'k, K>) -> Outcome;

impl Asker {
    /// A component that asks the manager on its static channel `channel`.
    pub const fn new(channel: u8) -> Self {
        Self {
            channel,
            report: None,
        }
    }
}

impl<K: Syscalls> Component<K> for Asker {
    fn init(&mut self, kernel: &mut K) {
        let mut report = Report::new(kernel, self.channel);
        let Ok(helper) = find_call(kernel, self.channel, api::NAME, api::NAME) else {
            return report.line(kernel, format_args!("BROKEN: there is no helper"));
        };
        let own = Found {
            slot: 0,
            methods: MethodSet::EMPTY,
        };
        let channel = self.channel;
        let mut steps = Steps {
            kernel,
            channel,
            own,
            helper,
        };
        let all: [Step<'_, K>; 13] = [
            Steps::request,
            Steps::call,
            Steps::call_beyond_grant,
            Steps::request_beyond_policy,
            Steps::delegate_holds_nothing_yet,
            Steps::delegate,
            Steps::delegate_calls,
            Steps::delegate_calls_beyond_grant,
            Steps::delegate_hands_on,
            Steps::revoke,
            Steps::call,
            Steps::release,
            Steps::request_without_waiting,
        ];
        for (name, step) in STEPS.iter().zip(all) {
            let outcome = step(&mut steps);
            report.verdict(steps.kernel, name, outcome);
        }
        self.report = Some(report);
    }

    /// The manager has decided what it was asked last.
    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        if !signals.contains(Signal::channel(self.channel)) {
            return;
        }
        if let (Some(mut report), Some(name)) = (self.report.take(), STEPS.last()) {
            let outcome = found_when_signalled(kernel, self.channel);
            report.verdict(kernel, name, outcome);
            report.end(kernel);
        }
    }
}

impl<K: Syscalls> Steps<'_, K> {
    fn request(&mut self) -> Outcome {
        self.own = granted(request(self.kernel, self.channel, &wanted(ALLOWED, true)))?;
        same(0, self.own.methods.0.into(), ALLOWED.0.into())
    }

    fn call(&mut self) -> Outcome {
        let mut message = Message::default();
        message.set(0, &[7, 9]);
        let own = CallGrant(self.own.cptr());
        let answer = own.call(self.kernel, target::ECHO, &mut message).map(drop);
        is(came(answer), ANSWERED)?;
        same(1, message.word(1), 9)
    }

    fn call_beyond_grant(&mut self) -> Outcome {
        is(self.called(target::SECRET), BEYOND)
    }

    fn request_beyond_policy(&mut self) -> Outcome {
        let answer = request(
            self.kernel,
            self.channel,
            &wanted(MethodSet(u32::MAX), true),
        );
        let Err(Denied { refusal, line }) = answer else {
            return same(0, 0, NOT_PERMITTED);
        };
        is(came::<()>(Err(refusal)), [2, NOT_PERMITTED])?;
        same(1, line.is_some().into(), 1)
    }

    fn delegate_holds_nothing_yet(&mut self) -> Outcome {
        self.helper_is(api::FIND, 0, [2, UNAVAILABLE])
    }

    fn delegate(&mut self) -> Outcome {
        let methods = MethodSet::EMPTY.with(target::ECHO);
        let handed = Delegate {
            slot: self.own.slot,
            to: api::NAME,
            methods,
            depth: 0,
            lease_ms: None,
            waits: true,
        };
        let handed = granted(delegate(self.kernel, self.channel, &handed))?;
        same(0, handed.methods.0.into(), methods.0.into())
    }

    fn delegate_calls(&mut self) -> Outcome {
        self.helper_is(api::FIND, 0, ANSWERED)?;
        self.helper_is(api::CALL, target::ECHO.number().into(), ANSWERED)
    }

    fn delegate_calls_beyond_grant(&mut self) -> Outcome {
        self.helper_is(api::CALL, target::TALLY.number().into(), BEYOND)
    }

    fn delegate_hands_on(&mut self) -> Outcome {
        self.helper_is(api::HAND_ON, 0, [2, NOT_PERMITTED])
    }

    fn revoke(&mut self) -> Outcome {
        let handed = Revoke {
            slot: self.own.slot,
            from: api::NAME,
        };
        let gone = revoke(self.kernel, self.channel, &handed);
        is(came(gone.map_err(|denied| denied.refusal)), ANSWERED)?;
        self.helper_is(api::CALL, target::ECHO.number().into(), GONE)
    }

    fn release(&mut self) -> Outcome {
        let gone = release(self.kernel, self.channel, self.own.slot);
        is(came(gone.map_err(|denied| denied.refusal)), ANSWERED)?;
        is(self.called(target::ECHO), GONE)
    }

    fn request_without_waiting(&mut self) -> Outcome {
        let answer = request(self.kernel, self.channel, &wanted(ALLOWED, false));
        is(came(answer.map_err(|denied| denied.refusal)), [2, PENDING])
    }

    fn called(&mut self, method: Method) -> Came {
        let own = CallGrant(self.own.cptr());
        came(
            own.call(self.kernel, method, &mut Message::default())
                .map(drop),
        )
    }

    /// Has the helper do something; sees to it that this comes of it.
    fn helper_is(&mut self, method: Method, word: u64, due: Came) -> Outcome {
        let mut message = Message::default();
        message.set(0, &[word]);
        let answer = self
            .helper
            .call(self.kernel, method, &mut message)
            .map(drop);
        is(came(answer), ANSWERED)?;
        is([message.word(0), message.word(1)], due)
    }
}

/// The methods that the policy allows the asker.
const ALLOWED: MethodSet = MethodSet::EMPTY.with(target::ECHO).with(target::TALLY);

fn wanted(methods: MethodSet, waits: bool) -> Request<'static> {
    Request {
        object: target::NAME,
        interface: target::NAME,
        mode: Mode::Call,
        methods,
        lease_ms: None,
        waits,
    }
}

fn found_when_signalled<K: Syscalls>(kernel: &mut K, channel: u8) -> Outcome {
    let (object, interface, mode) = (target::NAME, target::NAME, Mode::Call);
    let wanted = Find {
        object,
        interface,
        mode,
    };
    let found = find(kernel, channel, &wanted);
    is(came(found), ANSWERED)?;
    let Ok(found) = found else { return Ok(()) };
    let mut message = Message::default();
    let answer = CallGrant(found.cptr()).call(kernel, target::ECHO, &mut message);
    is(came(answer.map(drop)), ANSWERED)?;
    let gone = release(kernel, channel, found.slot);
    is(came(gone.map_err(|denied| denied.refusal)), ANSWERED)
}

fn granted(answer: Result<Found, Denied>) -> Result<Found, Breach> {
    answer.map_err(|denied| {
        let [at, got] = came::<()>(Err(denied.refusal));
        Breach { at, got, due: 0 }
    })
}

fn is(got: Came, due: Came) -> Outcome {
    same(0, got[0], due[0])?;
    same(1, got[1], due[1])
}

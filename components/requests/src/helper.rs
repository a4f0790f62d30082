//! To whom a grant is handed on: it does with it what it is told, and says what came of it.

use portcullis_kernel::{
    CallGrant, Caller, Component, Message, Method, MethodSet, Mode, Refusal, Syscalls, label,
};
use portcullis_manager_api::{Delegate, Find, Found, delegate, find};

/// The interface of the helper. Each method's answer is what came of it: see [`Came`].
pub(crate) mod api {
    use portcullis_kernel::Method;

    pub(crate) const NAME: &str = "helper";
    /// Looks for the grant that was handed to it.
    pub(crate) const FIND: Method = method(0);
    /// Calls the method with the number in word 0 through the grant that it found last.
    pub(crate) const CALL: Method = method(1);
    /// Hands that grant on.
    pub(crate) const HAND_ON: Method = method(2);

    const fn method(number: u8) -> Method {
        match Method::new(number) {
            Some(method) => method,
            None => panic!("method numbers are below 32"),
        }
    }
}

/// What came of a call, in two words: who refused it (0: nobody, 1: the kernel, 2: the object), and its code.
pub(crate) type Came = [u64; 2];

/// It was answered.
pub(crate) const ANSWERED: Came = [0, 0];

pub(crate) fn came<T>(answer: Result<T, Refusal>) -> Came {
    match answer {
        Ok(_) => ANSWERED,
        Err(Refusal::Kernel(error)) => [1, error.code().into()],
        Err(Refusal::Object(code)) => [2, code],
        Err(Refusal::Garbled) => [2, label::BAD_REQUEST],
    }
}

/// The helper.
#[derive(Debug)]
pub struct Helper {
    channel: u8,
    found: Option<Found>,
}

impl Helper {
    /// A helper that asks the manager on its static channel `channel`.
    pub const fn new(channel: u8) -> Self {
        Self {
            channel,
            found: None,
        }
    }

    fn find(&mut self, kernel: &mut impl Syscalls) -> Came {
        let target = Find {
            object: "target",
            interface: "target",
            mode: Mode::Call,
        };
        let found = find(kernel, self.channel, &target);
        self.found = found.ok();
        came(found)
    }

    fn hand_on(&self, kernel: &mut impl Syscalls) -> Came {
        let slot = self.found.map_or(0, |found| found.slot);
        let wanted = Delegate {
            slot,
            to: "asker",
            methods: MethodSet(1),
            depth: 0,
            lease_ms: None,
            waits: true,
        };
        came(delegate(kernel, self.channel, &wanted).map_err(|denied| denied.refusal))
    }

    fn call(&self, kernel: &mut impl Syscalls, number: u64) -> Came {
        let method = u8::try_from(number).ok().and_then(Method::new);
        match (self.found, method) {
            (Some(found), Some(method)) => {
                let target = CallGrant(found.cptr());
                came(
                    target
                        .call(kernel, method, &mut Message::default())
                        .map(drop),
                )
            }
            _ => [2, label::BAD_REQUEST],
        }
    }
}

impl<K: Syscalls> Component<K> for Helper {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, kernel: &mut K, _: Caller, method: Method, message: &mut Message) {
        let came = match method {
            api::FIND => self.find(kernel),
            api::HAND_ON => self.hand_on(kernel),
            _ => Self::call(self, kernel, message.word(0)),
        };
        message.reply(&came);
    }
}

//! Stand-ins for the components that a driver or a store talks to.

use std::{cell::RefCell, rc::Rc, string::String, vec::Vec};

use portcullis_console::api;
use portcullis_kernel::{
    Caller, Component, MAX_WORDS, Message, Method, MethodSet, Syscalls, label,
};
use portcullis_manager_api::{FIND, Find, Found, NOT_PERMITTED, SIGNAL};

/// A manager that answers where grants lie, and that every grant sets bit [`Finder::SIGNAL`].
#[derive(Debug, Default)]
pub struct Finder {
    /// Channel of who asks, object, slot.
    pub grants: Vec<(u8, &'static str, u16)>,
}

impl Finder {
    /// The bit that every grant sets in its object's notification.
    pub const SIGNAL: u8 = 5;
}

impl<K: Syscalls> Component<K> for Finder {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        if method == SIGNAL {
            message
                .encode(label::OK, &Self::SIGNAL)
                .expect("it is short");
            return;
        }
        let wanted = message.decode::<Find<'_>>(&mut buffer);
        let (Caller::Channel(channel), FIND, Some(wanted)) = (caller, method, wanted) else {
            message.refuse(label::BAD_METHOD);
            return;
        };
        let is_it =
            |(who, object, _): &&(u8, &str, u16)| *who == channel && *object == wanted.object;
        let Some((_, _, slot)) = self.grants.iter().find(is_it) else {
            message.refuse(NOT_PERMITTED);
            return;
        };
        let found = Found {
            slot: *slot,
            methods: MethodSet(u32::MAX),
        };
        message.encode(label::OK, &found).expect("it is short");
    }
}

/// A console that keeps what it is told.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Rc<RefCell<Vec<String>>>);

impl Transcript {
    /// What was said so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Whether a line has this in it.
    pub fn says(&self, text: &str) -> bool {
        self.0.borrow().iter().any(|line| line.contains(text))
    }
}

impl<K: Syscalls> Component<K> for Transcript {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, _: Method, message: &mut Message) {
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        let text = api::read_write(message, &mut buffer).expect("a line of text");
        self.0.borrow_mut().push(text.into());
    }
}

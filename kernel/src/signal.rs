//! Signals: the bits of a component's notification, by what sets them.
//!
//! A notification delivers one word, in which every signal since the last look has set its bit. Which
//! bit a static channel or an interrupt sets stands in the system description; which one a grant sets,
//! the manager says, asked by the grant's name (`portcullis_manager_api::find_signal`).

/// One bit of a component's notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal(u8);

/// The signals that a component was notified of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Signals(u64);

impl Signal {
    /// The signal of the static channel, or of the interrupt, with this id.
    pub const fn channel(id: u8) -> Signal {
        Signal(id & 0x3f)
    }

    /// The signal of bit `bit`; `None` above 61, since such a badge is no notification's.
    pub const fn bit(bit: u8) -> Option<Signal> {
        if bit < crate::cspace::MAX_CHANNELS {
            Some(Signal(bit))
        } else {
            None
        }
    }
}

impl Signals {
    /// The signals in the badge of a notification.
    pub const fn new(bits: u64) -> Signals {
        Signals(bits)
    }

    /// Whether `signal` is among them; one that was not found never is.
    pub fn contains(self, signal: impl Into<Option<Signal>>) -> bool {
        let signal = signal.into();
        signal.is_some_and(|signal| self.0 & 1 << signal.0 != 0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All but `signal`.
    #[must_use]
    pub const fn without(self, signal: Signal) -> Signals {
        Signals(self.0 & !(1 << signal.0))
    }
}

impl From<Signal> for Signals {
    fn from(signal: Signal) -> Self {
        Self(1 << signal.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_found_among_others() {
        let [first, last] = [0, 61].map(|bit| Signal::bit(bit).unwrap());
        let both = Signals::new(1 << 61 | 1);
        assert!(both.contains(first) && both.contains(last));
        assert!(!both.contains(Signal::channel(5)) && !both.contains(None));
        assert_eq!(both.without(last), Signals::from(first));
        assert!(both.without(last).without(first).is_empty());
    }

    #[test]
    fn bits_that_mark_other_messages_are_no_signals() {
        assert_eq!([62, 63, 64, 255].map(Signal::bit), [None; 4]);
    }
}

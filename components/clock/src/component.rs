//! The component: the offset of UTC first, deadlines and requests after it.

use portcullis_kernel::{
    Caller, Component, Mapping, Message, Method, Signals, Syscalls, cspace, label,
};

use crate::api::{NOW, Now};
use crate::{Alarm, Counter, Rtc, deadline, offset};

/// The component's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The page that says how far UTC is ahead of monotonic time.
    pub utc_offset: M::ReadWrite,
    /// The page on which the manager leaves its next deadline.
    pub lease_deadline: M::ReadOnly,
}

/// The clock. It makes one system call: it signals the manager.
#[derive(Debug)]
pub struct Clock<T, C, A, M: Mapping> {
    rtc: T,
    counter: C,
    alarm: A,
    /// Its id of its channel to the manager.
    channel: u8,
    regions: Regions<M>,
    /// How far UTC is ahead of monotonic time: what the RTC said at the start.
    offset: Option<u64>,
}

impl<T: Rtc, C: Counter, A: Alarm, M: Mapping> Clock<T, C, A, M> {
    /// The clock on this RTC, counter and alarm, which signals the manager on `channel`.
    pub const fn new(rtc: T, counter: C, alarm: A, channel: u8, regions: Regions<M>) -> Self {
        Self {
            rtc,
            counter,
            alarm,
            channel,
            regions,
            offset: None,
        }
    }

    fn now(&mut self) -> Now {
        let monotonic = self.counter.monotonic();
        let utc = offset::utc(self.offset, monotonic);
        Now { monotonic, utc }
    }

    /// Signals the manager where its deadline has passed, and is then silent until the manager signals;
    /// else sets the alarm.
    fn look(&mut self, kernel: &mut impl Syscalls) {
        let deadline = deadline::read(&self.regions.lease_deadline);
        let left = deadline.filter(|at| *at > self.counter.monotonic());
        self.alarm.set(left);
        if deadline.is_some() && left.is_none() {
            kernel.signal(cspace::channel_notification(self.channel));
        }
    }
}

impl<K: Syscalls, T: Rtc, C: Counter, A: Alarm, M: Mapping> Component<K> for Clock<T, C, A, M> {
    fn init(&mut self, kernel: &mut K) {
        let utc = self.rtc.utc();
        self.offset = offset::of(utc, self.counter.monotonic());
        // A page that is too small stays empty: its reader finds that UTC is unknown.
        let _ = offset::write(&mut self.regions.utc_offset, self.offset);
        self.look(kernel);
    }

    fn notified(&mut self, kernel: &mut K, _: Signals) {
        self.look(kernel);
    }

    fn call(&mut self, _: &mut K, caller: Caller, method: Method, message: &mut Message) {
        match (caller, method) {
            (Caller::Grant(_), NOW) if message.words().is_empty() => {
                message.reply(&self.now().words());
            }
            (Caller::Grant(_), NOW) => message.refuse(label::BAD_REQUEST),
            // Nothing is served on a static channel: no policy line would stand behind it.
            _ => message.refuse(label::BAD_METHOD),
        }
    }
}

//! The component: the offset of UTC first, requests after it.

use portcullis_kernel::{Caller, Component, Mapping, Message, Method, Syscalls, label};

use crate::api::{NOW, Now};
use crate::{Counter, Rtc, offset};

/// The component's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The page that says how far UTC is ahead of monotonic time.
    pub utc_offset: M::ReadWrite,
}

/// The clock. It makes no system call: it holds no grant and has no channel.
#[derive(Debug)]
pub struct Clock<T, C, M: Mapping> {
    rtc: T,
    counter: C,
    regions: Regions<M>,
    /// How far UTC is ahead of monotonic time: what the RTC said at the start.
    offset: Option<u64>,
}

impl<T: Rtc, C: Counter, M: Mapping> Clock<T, C, M> {
    /// The clock on this RTC and counter.
    pub const fn new(rtc: T, counter: C, regions: Regions<M>) -> Self {
        Self {
            rtc,
            counter,
            regions,
            offset: None,
        }
    }

    fn now(&mut self) -> Now {
        let monotonic = self.counter.monotonic();
        let utc = offset::utc(self.offset, monotonic);
        Now { monotonic, utc }
    }
}

impl<K: Syscalls, T: Rtc, C: Counter, M: Mapping> Component<K> for Clock<T, C, M> {
    fn init(&mut self, _: &mut K) {
        let utc = self.rtc.utc();
        self.offset = offset::of(utc, self.counter.monotonic());
        // A page that is too small stays empty: its reader finds that UTC is unknown.
        let _ = offset::write(&mut self.regions.utc_offset, self.offset);
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

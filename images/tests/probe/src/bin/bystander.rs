//! An honest client, whose calls others would like to take.

#![no_std]
#![no_main]

use portcullis_kernel::{CallGrant, Component, Message, Signals, Syscalls, label};
use portcullis_manager_api::find_call;
use portcullis_probe::{Outcome, Report, Tally, api, same};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

struct Bystander {
    report: Option<Report>,
    clerk: Option<CallGrant>,
    calls: u64,
}

#[protection_domain]
fn init() -> Domain<Bystander> {
    Domain::new(Bystander {
        report: None,
        clerk: None,
        calls: 0,
    })
}

impl Bystander {
    /// Calls, and expects its own words back.
    fn call(
        &mut self,
        kernel: &mut impl Syscalls,
        clerk: CallGrant,
    ) -> Result<Tally, portcullis_probe::Breach> {
        self.calls += 1;
        let mut message = Message::request(api::ECHO, &[self.calls, !self.calls]);
        let refused = clerk.call(kernel, api::ECHO, &mut message).is_err();
        same(self.calls, refused.into(), 0)?;
        same(self.calls, message.word(0), self.calls)?;
        same(self.calls, message.word(1), !self.calls)?;
        let mut message = Message::default();
        let refused = clerk.call(kernel, api::TALLY, &mut message).is_err();
        same(self.calls, refused.into(), 0)?;
        same(self.calls, message.label(), label::OK)?;
        Ok(Tally::read(&message))
    }
}

impl<K: Syscalls> Component<K> for Bystander {
    fn init(&mut self, kernel: &mut K) {
        self.report = Some(Report::new(kernel, 0));
        self.clerk = find_call(kernel, 0, "clerk", api::NAME).ok();
    }

    /// Says what came of the first call that had to wait in the clerk's queue: once the clerk was poked.
    fn notified(&mut self, kernel: &mut K, _: Signals) {
        let Some(clerk) = self.clerk else { return };
        let served = self.call(kernel, clerk);
        if matches!(served, Ok(Tally { pokes: 0, .. })) {
            return;
        }
        if let Some(mut report) = self.report.take() {
            let outcome: Outcome = served.map(|_| ());
            report.verdict(kernel, "answered-after-theft", outcome);
            report.end(kernel);
        }
    }
}

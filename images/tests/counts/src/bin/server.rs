//! The passive component that is called through a grant; it also takes the log, as the ledger does.

#![no_std]
#![no_main]

use portcullis_kernel::{Caller, Component, Message, Method, Signals, label};
use portcullis_log::RECORD_MAX;
use portcullis_log::ring::Reader;
use portcullis_manager_api::tell_durable;
use portcullis_runtime::{Domain, MANAGER, ReadOnly, ReadWrite, Sel4, region};
use sel4_microkit::protection_domain;

struct Server {
    log: Reader<ReadOnly, ReadWrite>,
}

impl Component<Sel4> for Server {
    fn init(&mut self, _: &mut Sel4) {}

    /// Answers with the words that were asked, each plus one.
    fn call(&mut self, _: &mut Sel4, _: Caller, _: Method, message: &mut Message) {
        let count = message.length();
        for word in &mut message.room_mut()[..count] {
            *word += 1;
        }
        message.set_label(label::OK);
    }

    /// Takes all records, as durable, and says so.
    fn notified(&mut self, kernel: &mut Sel4, _: Signals) {
        let mut buffer = [0; RECORD_MAX];
        while let Ok(Some(_)) = self.log.pop(&mut buffer) {}
        self.log
            .acknowledge()
            .expect("system.xml gives the acknowledgement a page");
        tell_durable(kernel, MANAGER);
    }
}

#[protection_domain]
fn init() -> Domain<Server> {
    Domain::new(Server {
        log: Reader::new(region!(grant_log), region!(grant_log_ack)),
    })
}

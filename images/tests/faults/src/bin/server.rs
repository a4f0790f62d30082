//! A server that faults while it serves, in the way that it is asked for.

#![no_std]
#![no_main]

use portcullis_faults::fault;
use portcullis_kernel::{Caller, Component, Message, Method, Syscalls};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

struct Server;

impl<K: Syscalls> Component<K> for Server {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, method: Method, _: &mut Message) {
        fault(method.number());
    }
}

#[protection_domain]
fn init() -> Domain<Server> {
    Domain::new(Server)
}

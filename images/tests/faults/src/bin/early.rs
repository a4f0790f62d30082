//! A component that faults before it receives anything.

#![no_std]
#![no_main]

use portcullis_faults::{WRITE, fault};
use portcullis_kernel::{Component, Syscalls};
use portcullis_runtime::Domain;
use sel4_microkit::protection_domain;

struct Early;

impl<K: Syscalls> Component<K> for Early {
    fn init(&mut self, _: &mut K) {
        fault(WRITE);
    }
}

#[protection_domain]
fn init() -> Domain<Early> {
    Domain::new(Early)
}

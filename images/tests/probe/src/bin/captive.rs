//! The attacker that only seL4 can answer, as a protection domain.

#![no_std]
#![no_main]

use portcullis_probe_pds::told::Page;
use portcullis_probe_pds::{Captive, Supervised};
use portcullis_runtime::Domain;
use sel4_microkit::{protection_domain, var};

#[protection_domain]
fn init() -> Domain<Captive> {
    let state: usize = *var!(captive_state: usize = 0);
    let told: usize = *var!(told: usize = 0);
    // SAFETY: `system.xml` of this test maps both, `captive_state` read-write and `told` read-only.
    let (state, told) = unsafe { (Page::new(state), Page::new(told)) };
    Domain::new(Captive::new(Supervised::new(state, told)))
}

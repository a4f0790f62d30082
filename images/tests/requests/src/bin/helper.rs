//! To whom a grant is handed on, as a protection domain.

#![no_std]
#![no_main]

use portcullis_requests::Helper;
use portcullis_runtime::{Domain, MANAGER};
use sel4_microkit::protection_domain;

#[protection_domain]
fn init() -> Domain<Helper> {
    Domain::new(Helper::new(MANAGER))
}

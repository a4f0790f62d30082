//! Builds a bootable image: Microkit's, with the authority that run-time grants need.

mod impose;
mod names;
mod package;
mod sdk;

fn main() {}

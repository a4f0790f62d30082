//! Runs random operations on the real kernel, for the comparison with the model.
//!
//! A root task, in the place of Microkit's initialiser: it holds all memory, so it can build the
//! world of `portcullis_model::testing::layout` with nothing else in it, let its threads destroy it
//! down to the last capability, take all memory back and build it again. It decides nothing: a line
//! of text on the serial line brings the orders of a sequence, a line takes back what came of them
//! (`portcullis_model::testing::differential`).

#![no_std]
#![no_main]

extern crate alloc;

mod director;
mod host;
mod memory;
mod register;
mod world;

use alloc::vec::Vec;

use portcullis_model::testing::differential::{Order, from_line, to_line};
use sel4_root_task::{Never, root_task};

use crate::director::Director;
use crate::host::Host;
use crate::memory::Memory;
use crate::world::World;

/// What the line says first, and where an order cannot be read.
const READY: &str = "ready";
const UNREADABLE: &str = "unreadable";

#[root_task(heap_size = 4 << 20)]
fn main(bootinfo: &sel4::BootInfoPtr) -> sel4::Result<Never> {
    let mut memory = Memory::new(bootinfo);
    let mut director = Director::new(&mut memory)?;
    let world = World::new(&mut memory, &director)?;
    let mut host = Host::open();
    host.write(READY.into());
    loop {
        let Some(orders) = from_line::<Vec<Order>>(&host.read()) else {
            host.write(UNREADABLE.into());
            continue;
        };
        world.build()?;
        director.begin(&world)?;
        let reports: Vec<_> = orders
            .iter()
            .map(|order| director.obey(order, &world))
            .collect();
        world.clear()?;
        host.write(to_line(&reports).expect("reports can be encoded"));
    }
}

//! What the slots of a running kernel hold, against policy, system description and log.
//!
//! seL4 has no operation that reads a slot, so the board's memory is read from outside, as the kernel
//! reads it, and every slot of the system is accounted for. What a component can use lies in the CNodes
//! below its thread's; these are followed from the monitor, which has a capability to every thread. Each
//! of their slots holds what the distribution says that policy and description make, or is a slot for
//! a grant and is held against the log. The first task made everything, keeps a capability to every
//! object, and has suspended itself; none of what it keeps may be a grant.

mod account;
mod kernel;
mod slots;

pub use kernel::{Capability, Kernel, Kind, SLOT, Slot};
pub use slots::{Holder, HolderKind, Slots};

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use portcullis_audit::capscan::{Comparison, Scan, compare_with_log};
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy_format::Policy;

use crate::{Config, Error, Image, Machine, Memory};
use account::Account;

/// How long to wait for a moment in which nothing runs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Holds what the kernel of a running board holds against the log on its disk. `state` is the state
/// directory that the image was made with, and that the disk is in.
pub fn check(machine: &mut Machine, state: &Path) -> Result<Comparison, Error> {
    let memory = at_rest(machine)?;
    compare(machine.image(), &memory, state)
}

/// What the board's memory holds at a moment in which nothing runs: no operation is half done.
pub fn at_rest(machine: &mut Machine) -> Result<Memory, Error> {
    let kernel = Kernel::of(machine.image())?;
    let end = machine.waited() + PATIENCE;
    loop {
        let memory = machine.memory()?;
        let is_idle = kernel.is_idle(|address| Ok::<_, Error>(memory.word(address)))?;
        if is_idle {
            return Ok(memory);
        }
        if machine.waited() > end {
            return Err(Error::Capscan("the board does not come to rest".to_owned()));
        }
        machine.wait(PAUSE, |_, slice| thread::sleep(slice));
    }
}

/// The same as [`check`], of what a board's memory held.
pub fn compare(image: &Image, memory: &Memory, state: &Path) -> Result<Comparison, Error> {
    let path = state.join("appliance.policy");
    let policy = fs::read(&path).map_err(Error::file("read", &path))?;
    let policy = Policy::inspect(&policy).map_err(|error| failed(&error))?;
    let distribution = distribution(image, &policy)?;

    let kernel = Kernel::of(image)?;
    let slots = Slots::walk(&kernel, memory)?;
    let account = Account::of(&slots, &distribution, &policy)?;
    let compared = compare_with_log(&account.scan(), state);
    let mut compared = compared.map_err(|error| failed(&error))?;
    let unlinked = slots.unlinked(&kernel, memory).into_iter();
    let unlinked = unlinked.map(|address| {
        let place = account.place(address);
        format!("{place} is not in the kernel's derivation tree as it should be")
    });
    let strays = slots.strays(&kernel, memory).into_iter();
    let strays = strays.map(|address| {
        format!("a capability at {address:#x} is in the kernel's derivation tree and in no CNode")
    });
    let others = account.differences().into_iter();
    compared
        .differences
        .extend(others.chain(unlinked).chain(strays));
    Ok(compared)
}

/// The grants in the slots, at any moment: one that is being issued or taken back may be there.
pub fn scan(image: &Image, memory: &Memory, policy: &Policy<'_>) -> Result<Scan, Error> {
    let distribution = distribution(image, policy)?;
    let slots = Slots::walk(&Kernel::of(image)?, memory)?;
    Ok(Account::of(&slots, &distribution, policy)?.scan())
}

/// What policy and description make of an image.
fn distribution(image: &Image, policy: &Policy<'_>) -> Result<Distribution, Error> {
    let configuration = Configuration {
        architecture: image.board.architecture(),
        benchmark: image.config == Config::Benchmark,
    };
    let distribution = Distribution::new(policy, &image.system, &configuration);
    distribution.map_err(|error| failed(&error))
}

fn failed(error: &dyn Display) -> Error {
    Error::Capscan(error.to_string())
}

//! A component's process: what it starts with, how its sandbox closes, how it reaches the kernel.
//!
//! [`component_main`] is the whole life of such a process: it takes the setup packet and the descriptors that
//! come with it, maps the regions, closes the sandbox, waits for its turn, and runs its program.

mod client;
mod mapped;
mod sandbox;
pub(crate) mod setup;

pub use client::Client;
pub use mapped::{Mapped, MappedMut};
pub use sandbox::SandboxError;
pub use setup::{Access, Environment, Isolation, SetupError, Use};
pub(crate) use setup::{DeviceSetup, FromEnvironment, RegionSetup, Setup};

use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::PanicHookInfo;

use crate::wire::MAX_PACKET;

/// First argument of a process that is to be a component. Not for people.
pub const ARGUMENT: &str = "--portcullis-component";

/// The descriptor on which a component's process finds its socket: standard input.
const SOCKET: i32 = 0;

/// Exit status of a component that panicked, as of any Rust program.
const PANICKED: i32 = 101;

/// A component's program: runs for ever on what the process was given.
pub type Program = fn(Environment) -> std::convert::Infallible;

/// Finds the program with a name.
pub type Programs = fn(&str) -> Option<Program>;

/// Becomes a component, and does not return, where this process was started as one.
///
/// A program that starts components calls this first thing in its `main`: components are processes
/// of the same executable. `programs` are those that it can become.
pub fn component_main(programs: Programs) {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
    {
        main(programs);
    }
}

fn main(programs: Programs) -> ! {
    // SAFETY: the parent made standard input the socket, and nothing in this process, which has
    // only just started, owns that descriptor (std never closes it).
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    let (environment, program) = match prepare(&socket, programs) {
        Ok(prepared) => prepared,
        Err(error) => {
            Client::new(socket).panicked(&error.to_string());
            exit(1);
        }
    };
    std::panic::set_hook(Box::new(report_panic));
    let mut environment = environment.with_kernel(Client::new(socket));
    environment.kernel.wait_for_start();
    match program(environment) {}
}

fn prepare(
    socket: &OwnedFd,
    programs: Programs,
) -> Result<(setup::Unstarted, Program), SetupError> {
    let (setup, descriptors) = setup::receive(socket)?;
    let program =
        programs(&setup.program).ok_or_else(|| SetupError::Program(setup.program.clone()))?;
    let unstarted = setup::prepare(&setup, descriptors)?;
    sandbox::close(&setup.isolation, unstarted.devices())?;
    Ok((unstarted, program))
}

/// Ends the process at once. `std::process::exit` would first undo what std set up, with system
/// calls that the sandbox forbids.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Sends the panic's text to the kernel and ends the process: the sandbox lets nothing be printed.
fn report_panic(info: &PanicHookInfo<'_>) {
    const { assert!(MAX_PACKET > 256) };
    // SAFETY: the process ends here, so nothing else uses or closes the socket afterwards.
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    Client::new(socket).panicked(&info.to_string());
    exit(PANICKED);
}
